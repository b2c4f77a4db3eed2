// What the tests of layers share: one processor in virtual time, RAM disks with known contents, and short forms.
#pragma once

#include <catch2/catch.hpp>

#include <vector>

#include "hostsim/platform/virtual_platform.hpp"
#include "storage/backends/ram_disk.hpp"
#include "storage/bounce_pool.hpp"
#include "tests/support/test_disks.hpp"

namespace undercroft::test {

struct alignas(page_size) RigPage {
    std::byte bytes[page_size];
};

struct Rig {
    SimulatedProcessors processors{1};
    std::vector<RigPage> pages = std::vector<RigPage>(8);
    BouncePool bounce{{pages[0].bytes, sizeof(RigPage) * pages.size()}};

    template <typename T>
    T run(Task<T> task) {
        return processors.run(std::move(task), 0, processors.now_ns() + 3600 * nanoseconds_per_second);
    }
    /// `count` sectors from `sector`, as numbers: the byte that fills each, or -1 where it is not filled by one.
    std::vector<int> read(const Disk& disk, u64 sector, u64 count) {
        std::vector<std::byte> bytes(count * disk.sector_size(), std::byte{0xee});
        MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
        REQUIRE(run(disk.read(sector, {&segment, 1})).has_value());
        std::vector<int> values;
        for (u64 index = 0; index < count; ++index) {
            auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(index * disk.sector_size());
            bool even = std::all_of(begin, begin + disk.sector_size(), [&](std::byte byte) { return byte == *begin; });
            values.push_back(even ? std::to_integer<int>(*begin) : -1);
        }
        return values;
    }
    /// Fills `count` sectors with the byte `value`.
    DiskResult<void> try_write(const Disk& disk, u64 sector, u64 count, u8 value,
                               ForceUnitAccess fua = ForceUnitAccess::no) {
        std::vector<std::byte> bytes(count * disk.sector_size(), std::byte{value});
        MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
        return run(disk.write(sector, {&segment, 1}, fua));
    }
    void write(const Disk& disk, u64 sector, u64 count, u8 value, ForceUnitAccess fua = ForceUnitAccess::no) {
        REQUIRE(try_write(disk, sector, count, value, fua).has_value());
    }
};

inline Disk handle(std::shared_ptr<DiskInterface> implementation) {
    return Disk::create(std::move(implementation)).value();
}

inline std::shared_ptr<RamDisk> make_ram(u64 sectors, u32 sector_size = 512, bool read_only = false) {
    return RamDisk::create({.sectors = sectors, .sector_size = sector_size, .read_only = read_only, .id = {}}).value();
}

}  // namespace undercroft::test
