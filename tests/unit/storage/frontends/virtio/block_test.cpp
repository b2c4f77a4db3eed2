// Requests of a virtio block device, from the chain to the status byte.
#include "storage/frontends/virtio/block.hpp"

#include <catch2/catch.hpp>

#include "hostsim/platform/virtual_platform.hpp"
#include "storage/backends/ram_disk.hpp"
#include "tests/unit/storage/frontends/virtio/virtio_driver.hpp"

using namespace undercroft;
using namespace undercroft::virtio;

namespace {

struct Device {
    explicit Device(u32 sector_size = 512)
        : disk(*Disk::create(*RamDisk::create({.sectors = mib / sector_size, .sector_size = sector_size, .id = {}}))) {}

    /// Header and `out` bytes to the device, `in` bytes and a status from it.
    BlockStatusCode request(BlockRequestType type, u64 sector, u32 out, u32 in) {
        driver.put(FakeDriver::data_at,
                   BlockRequestHeader{.type = static_cast<u32>(type), .reserved = 0, .sector = sector});
        std::vector<FakeDriver::Buffer> buffers{{FakeDriver::data_at, 16, false}};
        if (out > 0) {
            buffers.push_back({out_at, out, false});
        }
        if (in > 0) {
            buffers.push_back({in_at, in, true});
        }
        buffers.push_back({status_at, 1, true});
        driver.put(status_at, u8{0xee});
        driver.add(buffers);
        Chain chain;
        REQUIRE(*queue.take(chain));
        VirtualTimePlatform platform;
        Executor executor(platform);
        Result<u32> written = run_blocking(executor, execute_block_request(disk, identity, chain, {}));
        REQUIRE(written);
        this->written = *written;
        queue.complete(chain, *written);
        return static_cast<BlockStatusCode>(driver.get<u8>(status_at));
    }

    static constexpr u64 out_at = 0x10000;
    static constexpr u64 in_at = 0x20000;
    static constexpr u64 status_at = 0x9000;
    Disk disk;
    BlockIdentity identity{.serial = "serial-1"};
    FakeDriver driver{16, false};
    Queue queue = driver.make_queue();
    u32 written = 0;
};

}  // namespace

TEST_CASE("a block device writes, reads, flushes, discards and names itself") {
    Device device;
    std::memset(device.driver.at(Device::out_at), 0x77, 8192);
    CHECK(device.request(BlockRequestType::out, 16, 8192, 0) == BlockStatusCode::ok);
    CHECK(device.written == 1);
    CHECK(device.request(BlockRequestType::in, 16, 0, 8192) == BlockStatusCode::ok);
    CHECK(device.written == 8193);
    CHECK(std::memcmp(device.driver.at(Device::in_at), device.driver.at(Device::out_at), 8192) == 0);
    CHECK(device.request(BlockRequestType::flush, 0, 0, 0) == BlockStatusCode::ok);
    device.driver.put(Device::out_at, BlockRange{.sector = 16, .sectors = 8, .flags = 0});
    CHECK(device.request(BlockRequestType::discard, 0, 16, 0) == BlockStatusCode::ok);
    device.driver.put(Device::out_at, BlockRange{.sector = 24, .sectors = 8, .flags = block_range_unmap});
    CHECK(device.request(BlockRequestType::write_zeroes, 0, 16, 0) == BlockStatusCode::ok);
    CHECK(device.request(BlockRequestType::in, 16, 0, 8192) == BlockStatusCode::ok);
    CHECK(device.driver.get<u64>(Device::in_at) == 0);
    CHECK(device.driver.get<u64>(Device::in_at + 8184) == 0);
    CHECK(device.request(BlockRequestType::get_id, 0, 0, 20) == BlockStatusCode::ok);
    CHECK(std::memcmp(device.driver.at(Device::in_at), "serial-1\0", 9) == 0);
}

TEST_CASE("requests that cannot be are answered with a status") {
    Device device(4096);
    CHECK(device.request(BlockRequestType::in, 2048, 0, 4096) == BlockStatusCode::io_error);  // past the end
    CHECK(device.request(BlockRequestType::in, 1, 0, 4096) == BlockStatusCode::io_error);     // inside a sector
    CHECK(device.request(BlockRequestType::in, 0, 0, 4000) == BlockStatusCode::io_error);
    CHECK(device.request(BlockRequestType::out, 0, 100, 0) == BlockStatusCode::io_error);
    CHECK(device.request(BlockRequestType::discard, 0, 15, 0) == BlockStatusCode::io_error);
    CHECK(device.request(BlockRequestType::get_id, 0, 0, 10) == BlockStatusCode::io_error);
    CHECK(device.request(static_cast<BlockRequestType>(99), 0, 0, 0) == BlockStatusCode::unsupported);
    device.driver.put(Device::out_at, BlockRange{.sector = 0, .sectors = 8, .flags = block_range_unmap});
    CHECK(device.request(BlockRequestType::discard, 0, 16, 0) ==
          BlockStatusCode::io_error);  // the flag is not for this
    device.identity.read_only = true;
    CHECK(device.request(BlockRequestType::out, 0, 4096, 0) == BlockStatusCode::io_error);
    CHECK((block_features(device.disk, device.identity) & feature_block_read_only) != 0);
}

TEST_CASE("the configuration follows the disk") {
    Device device(4096);
    BlockConfig config = block_config(device.disk, device.identity);
    CHECK(config.capacity == 2048);
    CHECK(config.block_size == 4096);
    CHECK(config.discard_sectors_max > 0);
    CHECK(config.discard_sector_alignment == 8 * device.disk.facts().optimal_unmap_sectors);
}

TEST_CASE("every disk error has a status") {
    for (usize value = 0; value < disk_error_count; ++value) {
        CHECK(block_status_code(static_cast<DiskError>(value)) != BlockStatusCode::ok);
    }
}
