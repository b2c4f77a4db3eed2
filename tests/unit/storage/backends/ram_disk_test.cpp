// What is special about the RAM disk: memory that comes and goes, budgets, bounds.
#include "storage/backends/ram_disk.hpp"

#include <catch2/catch.hpp>
#include <vector>

#include "hostsim/platform/virtual_platform.hpp"

namespace undercroft {
namespace {

struct RamFixture {
    explicit RamFixture(const RamDiskOptions& options)
        : ram(RamDisk::create(options).value()), disk(Disk::create(ram).value()) {}
    DiskResult<void> write(u64 sector, usize size, u8 value) {
        std::vector<std::byte> bytes(size, static_cast<std::byte>(value));
        MemorySegment segment{.data = bytes.data(), .size = size};
        return processors.run(disk.write(sector, {&segment, 1}));
    }
    std::byte first_byte(u64 sector) {
        std::vector<std::byte> bytes(disk.sector_size());
        MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
        REQUIRE(processors.run(disk.read(sector, {&segment, 1})).has_value());
        return bytes[0];
    }
    SimulatedProcessors processors{1};
    std::shared_ptr<RamDisk> ram;
    Disk disk;
};

}  // namespace

TEST_CASE("a RAM disk takes memory for what is written, and gives it back for what is unmapped") {
    RamFixture fixture({.sectors = 2048 * gib / 512, .id = {}});
    CHECK(fixture.ram->memory_used_bytes() == 0);
    CHECK(fixture.first_byte(5) == std::byte{0});
    CHECK(fixture.ram->memory_used_bytes() == 0);
    REQUIRE(fixture.write(2047 * gib / 512, 4096, 7).has_value());
    u64 one = fixture.ram->memory_used_bytes();
    CHECK(one > RamDisk::chunk_bytes);
    CHECK(one < 2 * RamDisk::chunk_bytes);
    CHECK(fixture.first_byte(2047 * gib / 512 + 7) == std::byte{7});
    REQUIRE(fixture.processors.run(fixture.disk.unmap({.start = 0, .count = fixture.disk.sector_count()})).has_value());
    CHECK(fixture.ram->memory_used_bytes() < RamDisk::chunk_bytes);
    CHECK(fixture.first_byte(2047 * gib / 512) == std::byte{0});
}

TEST_CASE("a write past the RAM disk's budget is a write fault, and the rest goes on") {
    RamFixture fixture({.sectors = 4096, .memory_budget_bytes = 2 * RamDisk::chunk_bytes, .id = {}});
    CHECK(fixture.write(0, 512, 1).has_value());
    CHECK(fixture.write(1000, 512, 2).error() == DiskError::medium_write);
    CHECK(fixture.first_byte(0) == std::byte{1});
    CHECK(fixture.first_byte(1000) == std::byte{0});
    REQUIRE(fixture.processors.run(fixture.disk.unmap({.start = 0, .count = 1})).has_value());
    CHECK(fixture.write(1000, 512, 2).has_value());
}

TEST_CASE("a RAM disk's options are checked") {
    CHECK_FALSE(RamDisk::create({.sectors = 1, .sector_size = 500, .id = {}}).has_value());
    CHECK_FALSE(RamDisk::create({.sectors = 1, .sector_size = 256, .id = {}}).has_value());
    CHECK_FALSE(RamDisk::create({.sectors = 1, .sector_size = 128 * kib, .id = {}}).has_value());
    CHECK_FALSE(RamDisk::create({.sectors = ~u64{0}, .id = {}}).has_value());
    CHECK(RamDisk::create({.sectors = 0, .id = {}}).has_value());
    CHECK(RamDisk::create({.sectors = 9, .sector_size = 64 * kib, .id = {}}).has_value());
}

TEST_CASE("a RAM disk that grows far keeps what it has") {
    RamFixture fixture({.sectors = 10, .id = {}});
    REQUIRE(fixture.write(9, 512, 9).has_value());
    REQUIRE(fixture.ram->resize(gib).has_value());
    REQUIRE(fixture.write(gib - 1, 512, 8).has_value());
    CHECK(fixture.first_byte(9) == std::byte{9});
    CHECK(fixture.first_byte(gib - 1) == std::byte{8});
    CHECK(fixture.ram->resize(~u64{0}).error() == DiskError::invalid_input);
    REQUIRE(fixture.ram->resize(9).has_value());
    REQUIRE(fixture.ram->resize(gib).has_value());
    CHECK(fixture.first_byte(9) == std::byte{0});
    CHECK(fixture.first_byte(gib - 1) == std::byte{0});
}

TEST_CASE("block status of a huge hole comes in bounded steps") {
    RamFixture fixture({.sectors = 2048 * gib / 512, .id = {}});
    DiskResult<BlockStatus> status =
        fixture.processors.run(fixture.disk.block_status({.start = 0, .count = fixture.disk.sector_count()}));
    REQUIRE(status.has_value());
    CHECK(status->state == BlockState::zero);
    CHECK(status->sectors >= RamDisk::chunk_bytes / 512);
}

TEST_CASE("a read-only RAM disk refuses every change by itself, without the handle's check") {
    RamFixture fixture({.sectors = 8, .read_only = true, .id = {}});
    std::byte byte[512] = {};
    MemorySegment segment{.data = byte, .size = sizeof(byte)};
    auto& processors = fixture.processors;
    CHECK(processors.run(fixture.ram->write(0, {&segment, 1}, ForceUnitAccess::no, {})).error() ==
          DiskError::read_only);
    CHECK(processors.run(fixture.ram->unmap({.start = 0, .count = 1}, {})).error() == DiskError::read_only);
    CHECK(processors.run(fixture.ram->write_zeroes({.start = 0, .count = 1}, true, ForceUnitAccess::no, {})).error() ==
          DiskError::read_only);
    CHECK(processors.run(fixture.ram->read(8, {&segment, 1}, {})).error() == DiskError::illegal_block);
}

}  // namespace undercroft
