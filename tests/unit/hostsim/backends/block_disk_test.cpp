// Disks on block devices: a loop device over a file, where this machine lets us make one.
#include "hostsim/backends/block_disk.hpp"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

#include "tests/unit/hostsim/backends/backend_fixture.hpp"

namespace undercroft::test {
namespace {

// A loop device for as long as it lives; `path` is empty where none can be made.
class LoopDevice {
public:
    LoopDevice(const std::string& file, u32 block_size) {
        FileDescriptor control(open("/dev/loop-control", O_RDWR | O_CLOEXEC));
        int number = control ? ioctl(control.get(), LOOP_CTL_GET_FREE) : -1;
        backing_ = FileDescriptor(open(file.c_str(), O_RDWR | O_CLOEXEC));
        if (number < 0 || !backing_) {
            return;
        }
        std::string name = "/dev/loop" + std::to_string(number);
        device_ = FileDescriptor(open(name.c_str(), O_RDWR | O_CLOEXEC));
        loop_config config{};
        config.fd = static_cast<u32>(backing_.get());
        config.block_size = block_size;
        if (device_ && ioctl(device_.get(), LOOP_CONFIGURE, &config) == 0) {
            path = name;
        }
    }
    ~LoopDevice() {
        if (!path.empty()) {
            ioctl(device_.get(), LOOP_CLR_FD, 0);
        }
    }
    LoopDevice(const LoopDevice&) = delete;
    LoopDevice& operator=(const LoopDevice&) = delete;
    bool look_at_size() { return ioctl(device_.get(), LOOP_SET_CAPACITY, 0) == 0; }

    std::string path;

private:
    FileDescriptor backing_;
    FileDescriptor device_;
};

}  // namespace

TEST_CASE("a block device is a disk, with its sizes, holes and growth") {
    BackendFixture fixture;
    for (u32 sector_size : {512u, 4096u}) {
        std::string file = fixture.folder / std::to_string(sector_size);
        set_file_text(file, std::string(1 * mib, 'x'));
        LoopDevice device(file, sector_size);
        if (device.path.empty()) {
            WARN("no loop device can be made here: block devices were not tried");
            return;
        }
        Disk disk = fixture.open(open_block_disk(device.path, {}));
        CHECK(disk.sector_size() == sector_size);
        CHECK(disk.sector_count() == 1 * mib / sector_size);
        CHECK(disk.facts().unmap == UnmapBehavior::zeroes);
        CHECK(disk.facts().optimal_unmap_sectors >= 1);
        REQUIRE(fixture.write(disk, 3, 0x42, 20, ForceUnitAccess::yes).has_value());
        REQUIRE(fixture.run(disk.unmap({.start = 8, .count = 8})).has_value());
        REQUIRE(fixture.run(disk.write_zeroes({.start = 20, .count = 2}, false, ForceUnitAccess::yes)).has_value());
        REQUIRE(fixture.run(disk.flush()).has_value());
        CHECK(fixture.read(disk, 2) == 'x');
        CHECK(fixture.read(disk, 3, 5) == 0x42);
        CHECK(fixture.read(disk, 8, 8) == 0);
        CHECK(fixture.read(disk, 16, 4) == 0x42);
        CHECK(fixture.read(disk, 20, 2) == 0);
        CHECK(fixture.read(disk, 22) == 0x42);
        CHECK(fixture.status(disk, 0, 5).state == BlockState::unknown);
        CHECK(fixture.write(disk, 1 * mib / sector_size, 1, 1).error() == DiskError::illegal_block);
        CHECK(contains(fixture.refusal(open_block_disk(device.path, {})), "uses it"));
        std::filesystem::resize_file(file, 2 * mib);
        REQUIRE(device.look_at_size());
        CHECK(fixture.run(disk.wait_for_resize(1 * mib / sector_size)).value() == 2 * mib / sector_size);
        CHECK(fixture.write(disk, 1 * mib / sector_size, 1, 1).has_value());
    }
}

TEST_CASE("what is no block device is refused with the reason") {
    BackendFixture fixture;
    std::string path = fixture.folder / "disk.img";
    CHECK(contains(fixture.refusal(open_block_disk(path, {})), "does not exist"));
    set_file_text(path, std::string(4096, 'x'));
    CHECK(contains(fixture.refusal(open_block_disk(path, {})), "no block device: use file:PATH"));
    CHECK(contains(fixture.refusal(open_block_disk("/dev/null", {})), "no block device"));
}

}  // namespace undercroft::test
