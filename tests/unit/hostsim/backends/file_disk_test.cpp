// Disks in files: made, opened, refused, locked, with holes, past the page cache, and resized under way.
#include "hostsim/backends/file_disk.hpp"

#include <sys/wait.h>

#include "kernel/async/task_group.hpp"
#include "tests/unit/hostsim/backends/backend_fixture.hpp"

namespace undercroft::test {
namespace {

Task<void> wait_for_size(const Disk& disk, u64 known, CancelToken cancel, std::optional<DiskResult<u64>>& result) {
    result = co_await disk.wait_for_resize(known, cancel);
}

}  // namespace

TEST_CASE("a file that is made is sparse, zero, and of the asked-for size") {
    BackendFixture fixture;
    std::string path = fixture.folder / "disk.img";
    Disk disk = fixture.open(open_file_disk(path, {.create_bytes = 1 * mib}));
    CHECK(disk.sector_count() == 2048);
    CHECK(disk.sector_size() == 512);
    CHECK(disk.facts().unmap == UnmapBehavior::zeroes);
    CHECK(fixture.status(disk, 0, 2048).state == BlockState::zero);
    CHECK(fixture.status(disk, 0, 2048).sectors == 2048);
    CHECK(fixture.read(disk, 0, 2048) == 0);
    struct stat status{};
    REQUIRE(stat(path.c_str(), &status) == 0);
    CHECK(status.st_blocks == 0);
}

TEST_CASE("what is written to a file is read back, and survives opening it again") {
    BackendFixture fixture;
    for (u32 sector_size : {512u, 4096u}) {
        for (bool direct : {false, true}) {
            std::string path = fixture.folder / ("disk" + std::to_string(sector_size) + (direct ? "d" : "b"));
            FileDiskOptions options{.sector_size = sector_size, .direct = direct, .create_bytes = 1 * mib};
            {
                Disk disk = fixture.open(open_file_disk(path, options));
                CHECK(fixture.write(disk, 3, 0x11, 9).has_value());
                CHECK(fixture.write(disk, 5, 0x22, 1, ForceUnitAccess::yes).has_value());
                CHECK(fixture.run(disk.flush()).has_value());
            }
            Disk disk = fixture.open(open_file_disk(path, options));
            CHECK(fixture.read(disk, 2) == 0);
            CHECK(fixture.read(disk, 3, 2) == 0x11);
            CHECK(fixture.read(disk, 5) == 0x22);
            CHECK(fixture.read(disk, 6, 6) == 0x11);
            CHECK(fixture.read(disk, 12) == 0);
        }
    }
}

TEST_CASE("a transfer of many odd segments arrives whole, also past the page cache") {
    BackendFixture fixture;
    for (bool direct : {false, true}) {
        Disk disk = fixture.open(open_file_disk(fixture.folder / (direct ? "direct" : "buffered"),
                                                {.direct = direct, .create_bytes = 2 * mib}));
        std::vector<std::byte> bytes(1 * mib);
        for (usize index = 0; index < bytes.size(); ++index) {
            bytes[index] = static_cast<std::byte>(index * 7 + index / 512);
        }
        std::vector<MemorySegment> segments;
        for (usize at = 0; at < bytes.size();) {
            usize size = std::min<usize>(bytes.size() - at, 1 + at % 5003);
            segments.push_back({.data = bytes.data() + at, .size = size});
            at += size;
        }
        REQUIRE(segments.size() > 100);
        REQUIRE(fixture.run(disk.write(100, segments)).has_value());
        std::vector<std::byte> back(bytes.size() + 1);
        std::vector<MemorySegment> into{{.data = back.data() + 1, .size = 511},
                                        {.data = back.data() + 512, .size = back.size() - 512}};
        REQUIRE(fixture.run(disk.read(100, into)).has_value());
        CHECK(std::equal(bytes.begin(), bytes.end(), back.begin() + 1));
    }
}

TEST_CASE("unmap and write zeroes make holes in a file, and nothing around them changes") {
    BackendFixture fixture;
    std::string path = fixture.folder / "disk.img";
    Disk disk = fixture.open(open_file_disk(path, {.create_bytes = 1 * mib}));
    REQUIRE(fixture.write(disk, 0, 0x55, 2048).has_value());
    REQUIRE(fixture.run(disk.unmap({.start = 13, .count = 100})).has_value());
    REQUIRE(fixture.run(disk.write_zeroes({.start = 1001, .count = 64}, false, ForceUnitAccess::yes)).has_value());
    CHECK(fixture.read(disk, 0, 13) == 0x55);
    CHECK(fixture.read(disk, 13, 100) == 0);
    CHECK(fixture.read(disk, 113, 888) == 0x55);
    CHECK(fixture.read(disk, 1001, 64) == 0);
    CHECK(fixture.read(disk, 1065, 983) == 0x55);
    CHECK(fixture.status(disk, 16, 8).state == BlockState::zero);
    CHECK(fixture.status(disk, 0, 2048).state == BlockState::data);
    CHECK(fixture.status(disk, 0, 2048).sectors == 16);  // up to where the file system can make a hole
    CHECK(std::filesystem::file_size(path) == 1 * mib);
}

TEST_CASE("a file knows its holes only where sectors are as large as they can be") {
    BackendFixture fixture;
    CHECK(!fixture.open(open_file_disk(fixture.folder / "512", {.create_bytes = 64 * kib})).facts().knows_holes);
    Disk disk = fixture.open(open_file_disk(fixture.folder / "4096", {.sector_size = 4096, .create_bytes = 64 * kib}));
    if (disk.facts().knows_holes) {  // not every file system tells
        REQUIRE(fixture.write(disk, 4, 0, 1).has_value());
        CHECK(fixture.status(disk, 0, 16).sectors == 4);
        CHECK(fixture.status(disk, 4, 12).state == BlockState::data);
        CHECK(fixture.status(disk, 4, 12).sectors == 1);
        CHECK(fixture.status(disk, 5, 11).state == BlockState::zero);
        REQUIRE(fixture.run(disk.write_zeroes({.start = 8, .count = 2}, false)).has_value());
        CHECK(fixture.status(disk, 8, 8).state == BlockState::data);
        CHECK(fixture.read(disk, 8, 2) == 0);
        CHECK(fixture.status(disk, 8, 8).state == BlockState::data);  // reading does not change it
        REQUIRE(fixture.run(disk.write_zeroes({.start = 8, .count = 2}, true)).has_value());
        CHECK(fixture.status(disk, 5, 11).state == BlockState::zero);
    }
}

TEST_CASE("files that cannot be disks are refused with the reason") {
    BackendFixture fixture;
    std::string path = fixture.folder / "disk.img";
    CHECK(contains(fixture.refusal(open_file_disk(path, {})), "does not exist"));
    set_file_text(path, std::string(1000, 'x'));
    CHECK(contains(fixture.refusal(open_file_disk(path, {})), "no whole number of sectors"));
    CHECK(contains(fixture.refusal(open_file_disk(path, {.sector_size = 1024})), "use 512 or 4096"));
    set_file_text(path, std::string(1024, 'x'));
    CHECK(contains(fixture.refusal(open_file_disk(path, {.create_bytes = 2048})), "exists already with 1024 bytes"));
    CHECK(contains(fixture.refusal(open_file_disk(path, {.create_bytes = 1000})), "cannot be made with 1000 bytes"));
    CHECK(contains(fixture.refusal(open_file_disk("/dev/null", {})), "no regular file"));
    CHECK(contains(fixture.refusal(open_file_disk(fixture.folder / "", {.read_only = true})), "no regular file"));
    CHECK(file_text(path) == std::string(1024, 'x'));
    CHECK(!std::filesystem::exists(fixture.folder / "none"));
}

TEST_CASE("a file that is read-only takes no change") {
    BackendFixture fixture;
    std::string path = fixture.folder / "disk.img";
    set_file_text(path, std::string(4096, 'x'));
    Disk disk = fixture.open(open_file_disk(path, {.read_only = true}));
    CHECK(disk.facts().read_only);
    CHECK(fixture.read(disk, 7) == 'x');
    CHECK(fixture.write(disk, 0, 1, 1).error() == DiskError::read_only);
    CHECK(fixture.run(disk.unmap({.start = 0, .count = 1})).error() == DiskError::read_only);
    CHECK(fixture.run(disk.flush()).has_value());
    CHECK(file_text(path) == std::string(4096, 'x'));
}

TEST_CASE("a file has one writer, or any number of readers") {
    BackendFixture fixture;
    std::string path = fixture.folder / "disk.img";
    set_file_text(path, std::string(4096, 'x'));
    {
        Disk writer = fixture.open(open_file_disk(path, {}));
        CHECK(contains(fixture.refusal(open_file_disk(path, {})), "in use by another process"));
        CHECK(contains(fixture.refusal(open_file_disk(path, {.read_only = true})), "open for writing"));
    }
    Disk first = fixture.open(open_file_disk(path, {.read_only = true}));
    Disk second = fixture.open(open_file_disk(path, {.read_only = true}));
    CHECK(contains(fixture.refusal(open_file_disk(path, {})), "in use by another process"));
}

TEST_CASE("a file that changes its length is noticed by who waits for it") {
    BackendFixture fixture;
    std::string path = fixture.folder / "disk.img";
    Disk disk = fixture.open(open_file_disk(path, {.create_bytes = 1 * mib}));
    std::optional<DiskResult<u64>> grown;
    std::optional<DiskResult<u64>> cancelled;
    TaskGroup group;
    {
        CurrentExecutorScope scope(fixture.executor);
        group.spawn(wait_for_size(disk, 2048, {}, grown));
    }
    std::filesystem::resize_file(path, 1 * mib + 100);  // no whole sectors: not yet
    fixture.run([](Executor&) -> Task<int> {
        (void)co_await sleep_for(400 * nanoseconds_per_millisecond);
        co_return 0;
    }(fixture.executor));
    CHECK(disk.sector_count() == 2048);
    std::filesystem::resize_file(path, 2 * mib);
    CHECK(fixture.run(group.join({.deadline_ns = fixture.platform->now_ns() + 5 * nanoseconds_per_second})));
    REQUIRE(grown.has_value());
    CHECK(grown->value() == 4096);
    CHECK(fixture.write(disk, 4095, 1, 1).has_value());
    std::filesystem::resize_file(path, 1 * mib);  // nobody waits: reads find the end by themselves
    CHECK(fixture.read(disk, 4095) == -2);
    {
        CurrentExecutorScope scope(fixture.executor);
        group.spawn(wait_for_size(disk, 2048, group.token(), cancelled));
        group.stop();
    }
    CHECK(fixture.run(group.join()));
    CHECK(cancelled->error() == DiskError::cancelled);
}

TEST_CASE("a file disk that was cancelled before it began answers so") {
    BackendFixture fixture;
    Disk disk = fixture.open(open_file_disk(fixture.folder / "disk.img", {.create_bytes = 1 * mib}));
    CancelSource source;
    source.cancel();
    std::vector<std::byte> bytes(512);
    MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
    CHECK(fixture.run(disk.read(0, {&segment, 1}, source.token())).error() == DiskError::cancelled);
    CHECK(fixture.run(disk.block_status({.start = 0, .count = 1}, source.token())).error() == DiskError::cancelled);
}

TEST_CASE("errors of the kernel become errors of the disk") {
    CHECK(disk_error_of(ENOSPC, TransferDirection::write) == DiskError::medium_write);
    CHECK(disk_error_of(ENODATA, TransferDirection::read) == DiskError::medium_read);
    CHECK(disk_error_of(ENODATA, TransferDirection::write) == DiskError::medium_write);
    CHECK(disk_error_of(EIO, TransferDirection::read) == DiskError::io);
    CHECK(disk_error_of(EBADE, TransferDirection::write) == DiskError::reservation_conflict);
    CHECK(disk_error_of(ENODEV, TransferDirection::read) == DiskError::gone);
    CHECK(disk_error_of(ECANCELED, TransferDirection::read) == DiskError::cancelled);
    CHECK(disk_error_of(ETIMEDOUT, TransferDirection::read) == DiskError::timed_out);
    CHECK(disk_error_of(EFAULT, TransferDirection::read) == DiskError::memory_access);
    CHECK(disk_error_of(EROFS, TransferDirection::write) == DiskError::read_only);
}

}  // namespace undercroft::test
