// Address translation in every paging mode, with rights, accessed and dirty bits, and fault codes.
#include "kernel/guest/emulator/page_walk.hpp"

#include "tests/unit/kernel/guest/emulator/emulator_fixture.hpp"

namespace undercroft::test {
namespace {

constexpr u64 present = 1, writable = 2, user = 4, accessed = 0x20, dirty = 0x40, large = 0x80;
constexpr u64 no_execute = u64{1} << 63;

struct Walker : EmulatorMachine {
    /// The error code, or none where it translates.
    std::optional<u32> fault(u64 linear, MemoryAccess access) {
        auto result = translate(memory.guest(), cpu, linear, access);
        return result.has_value() ? std::nullopt : std::optional<u32>(result.error().error_code);
    }
    u64 physical(u64 linear, MemoryAccess access = MemoryAccess::read) {
        auto result = translate(memory.guest(), cpu, linear, access);
        REQUIRE(result.has_value());
        return *result;
    }
};

TEST_CASE("walk: four levels, with 4 KiB, 2 MiB and 1 GiB pages") {
    Walker walker;
    walker.map_small({0x12'3000 | present | writable | user});
    CHECK(walker.physical(Walker::small_pages + 0x456) == 0x12'3456);
    CHECK(walker.physical(0x1234'5678) == 0x1234'5678);
    walker.memory.put<u64>(0x2010, 3 * gib | present | large);
    CHECK(walker.physical(2 * gib + 0x1234'5678) == 3 * gib + 0x1234'5678);
    // The upper half of the address space uses the upper half of the root.
    walker.memory.put<u64>(0x1FF8, 0x2000 | present);
    walker.memory.put<u64>(0x2FF8, 0x3000 | present);
    CHECK(walker.physical(0xFFFF'FFFF'C000'1234) == 0x1234);
}

TEST_CASE("walk: five levels") {
    Walker walker;
    walker.cpu.cr4 |= 1u << 12;
    walker.cpu.cr3 = 0x6000;
    walker.memory.put<u64>(0x6000 + 8 * 3, 0x1000 | present | user | writable);
    CHECK(walker.physical((u64{3} << 48) + 0x12'3456) == 0x12'3456);
    CHECK(walker.fault((u64{4} << 48), MemoryAccess::read) == 0);
}

TEST_CASE("walk: PAE with its four root entries, and 2 MiB pages") {
    Walker walker;
    walker.cpu.efer = efer_no_execute;
    walker.cpu.cr3 = 0x6020;
    walker.memory.put<u64>(0x6028, 0x3000 | present);  // 40000000h..7FFFFFFFh; no rights up here
    walker.memory.put<u64>(0x3000 + 8 * 5, 0x20'0000 | present | writable | user | large);
    CHECK(walker.physical(0x4000'0000 + 5 * large_page_size + 0x777) == 0x20'0777);
    walker.memory.put<u64>(0x6028, 0x3000 | present | writable);  // reserved there
    CHECK(walker.fault(0x40A0'0000, MemoryAccess::read) == 9);
}

TEST_CASE("walk: two levels, 4 MiB pages and PSE-36") {
    Walker walker;
    walker.cpu.efer = 0;
    walker.cpu.cr4 = 0x10;
    walker.cpu.cr3 = 0x6000;
    walker.memory.put<u32>(0x6000 + 4 * 1, 0x7007);
    walker.memory.put<u32>(0x7000 + 4 * 2, 0x12'3007);
    CHECK(walker.physical(0x40'2ABC) == 0x12'3ABC);
    walker.memory.put<u32>(0x6000 + 4 * 2, 0x0080'0087 | 1u << 13);
    CHECK(walker.physical(0x0081'2345) == 0x1'0081'2345);
    walker.cpu.cr4 = 0;  // without PSE the bit means nothing: that entry leads to a table, out of RAM
    CHECK(translate(walker.memory.guest(), walker.cpu, 0x0081'2345, MemoryAccess::read).error().is_unreachable);
}

TEST_CASE("walk: no paging, no walk") {
    Walker walker;
    walker.enter_32bit_unpaged();
    CHECK(walker.physical(0xFEE0'0000) == 0xFEE0'0000);
}

TEST_CASE("walk: rights of supervisor and user, write protection, NX, SMEP, SMAP") {
    Walker walker;
    walker.map_small(
        {0x10'0000 | present, 0x10'0000 | present | user, 0x10'0000 | present | writable | user | no_execute});
    u64 kernel_read_only = Walker::small_pages;
    u64 user_read_only = Walker::small_pages + 0x1000;
    u64 user_data = Walker::small_pages + 0x2000;
    using enum MemoryAccess;

    CHECK(walker.fault(kernel_read_only, write) == 3);
    walker.cpu.cr0 &= ~(u64{1} << 16);
    CHECK(walker.fault(kernel_read_only, write) == std::nullopt);
    walker.cpu.cr0 |= u64{1} << 16;
    CHECK(walker.fault(kernel_read_only, execute) == std::nullopt);
    CHECK(walker.fault(user_data, execute) == 0x11);
    CHECK(walker.fault(user_read_only, execute) == std::nullopt);
    walker.cpu.cr4 |= u64{1} << 20;  // SMEP
    CHECK(walker.fault(user_read_only, execute) == 0x11);
    walker.cpu.cr4 |= u64{1} << 21;  // SMAP
    CHECK(walker.fault(user_data, read) == 1);
    CHECK(walker.fault(user_data, write) == 3);
    walker.cpu.rflags |= u64{1} << 18;  // AC
    CHECK(walker.fault(user_data, write) == std::nullopt);

    walker.cpu.cpl = 3;
    CHECK(walker.fault(kernel_read_only, read) == 5);
    CHECK(walker.fault(user_read_only, write) == 7);
    CHECK(walker.fault(user_read_only, read) == std::nullopt);
    CHECK(walker.fault(user_data, execute) == 0x15);
    CHECK(walker.fault(Walker::small_pages + 0x3000, write) == 6);
}

TEST_CASE("walk: rights come from every level, and NX without EFER.NXE is reserved") {
    Walker walker;
    walker.map_small({0x10'0000 | present | writable | user});
    walker.memory.put<u64>(0x4000, 0x5000 | present | user);
    CHECK(walker.fault(Walker::small_pages, MemoryAccess::write) == 3);
    walker.memory.put<u64>(0x4000, 0x5000 | present | writable | user | no_execute);
    CHECK(walker.fault(Walker::small_pages, MemoryAccess::execute) == 0x11);
    walker.cpu.efer &= ~efer_no_execute;
    CHECK(walker.fault(Walker::small_pages, MemoryAccess::read) == 9);
}

TEST_CASE("walk: reserved bits in large pages and upper entries") {
    Walker walker;
    walker.memory.put<u64>(0x3008, large_page_size | 0x2000 | 0x87);
    CHECK(walker.fault(large_page_size, MemoryAccess::read) == 9);
    walker.memory.put<u64>(0x3008, large_page_size | 0x1000 | 0x87);  // PAT: fine
    CHECK(walker.physical(large_page_size) == large_page_size);
    walker.memory.put<u64>(Walker::root_table, 0x2087);
    CHECK(walker.fault(0, MemoryAccess::read) == 9);
}

TEST_CASE("walk: sets accessed on the way and dirty where it writes") {
    Walker walker;
    walker.map_small({0x10'0000 | present | writable | user, 0x10'0000 | present});
    walker.physical(Walker::small_pages);
    CHECK((walker.memory.get<u64>(0x5000) & (accessed | dirty)) == accessed);
    CHECK((walker.memory.get<u64>(0x4000) & (accessed | dirty)) == accessed);
    CHECK((walker.memory.get<u64>(Walker::root_table) & accessed) != 0);
    walker.physical(Walker::small_pages, MemoryAccess::write);
    CHECK((walker.memory.get<u64>(0x5000) & (accessed | dirty)) == (accessed | dirty));
    CHECK((walker.memory.get<u64>(0x4000) & dirty) == 0);
    // A refused access does not mark the page.
    walker.cpu.cpl = 3;
    walker.fault(Walker::small_pages + 0x1000, MemoryAccess::read);
    CHECK((walker.memory.get<u64>(0x5008) & accessed) == 0);
}

TEST_CASE("walk: tables outside RAM are unreachable") {
    Walker walker;
    walker.memory.put<u64>(0x2008, 0xFEE0'0000 | 7);
    CHECK(translate(walker.memory.guest(), walker.cpu, Walker::small_pages, MemoryAccess::read).error().is_unreachable);
    walker.cpu.cr3 = ~u64{0};
    CHECK(translate(walker.memory.guest(), walker.cpu, 0, MemoryAccess::read).error().is_unreachable);
}

}  // namespace
}  // namespace undercroft::test
