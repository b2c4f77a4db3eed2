// Loading of the VTL2 image and its first page tables.
#include "kernel/monitor/vtl2_image.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "kernel/spec/elf.hpp"

namespace undercroft::monitor {
namespace {

constexpr usize memory_bytes = 8 * mib;

struct Image {
    std::vector<u8> file = std::vector<u8>(0x3000);
    std::vector<u8> storage = std::vector<u8>(memory_bytes + page_size);

    std::span<u8> memory() {
        u64 begin = align_up(reinterpret_cast<u64>(storage.data()), page_size);
        return {reinterpret_cast<u8*>(begin), memory_bytes};
    }
    elf::FileHeader header{};
    elf::ProgramHeader segments[2] = {};

    Image() {
        memcpy(header.identification, elf::magic, 4);
        header.identification[4] = elf::class_64;
        header.identification[5] = elf::data_little_endian;
        header.type = elf::type_executable;
        header.machine = elf::machine_x86_64;
        header.entry = vtl2::image_virtual + 0x10;
        header.program_header_offset = sizeof(header);
        header.program_header_size = sizeof(elf::ProgramHeader);
        header.program_header_count = 2;
        set(0, 0, 0x1000, 0x1000, 0x800, elf::flag_read | elf::flag_execute);
        set(1, 0x1000, 0x3000, 0x2000, 0x400, elf::flag_read | elf::flag_write);
        file[0x1010] = 0xF4;
        file[0x2000] = 0x55;
    }
    void set(usize i, u64 offset, u64 memory_size, u64 file_offset, u64 file_size, u32 flags) {
        segments[i].type = elf::segment_load;
        segments[i].flags = flags;
        segments[i].virtual_address = vtl2::image_virtual + offset;
        segments[i].memory_size = memory_size;
        segments[i].file_offset = file_offset;
        segments[i].file_size = file_size;
    }
    Result<LoadedImage> load() {
        memcpy(file.data(), &header, sizeof(header));
        memcpy(file.data() + sizeof(header), segments, sizeof(segments));
        return load_image(file, memory());
    }
};

u64 walk(std::span<u8> memory, u64 root, u64 address) {
    u64 table = root;
    for (unsigned level = 3;; --level) {
        const u8* at = memory.data() + (table - vtl2::memory_base) + ((address >> (12 + 9 * level)) & 511) * 8;
        u64 entry;
        memcpy(&entry, at, 8);
        if ((entry & 1) == 0) {
            return 0;
        }
        if (level == 0 || (level == 1 && (entry & 0x80) != 0)) {
            return entry;
        }
        table = entry & 0x000F'FFFF'FFFF'F000;
    }
}

TEST_CASE("segments land at their addresses", "[monitor]") {
    Image image;
    auto loaded = image.load();
    REQUIRE(loaded.has_value());
    CHECK(loaded->entry == vtl2::image_virtual + 0x10);
    CHECK(loaded->end == 0x4000);
    CHECK(image.memory()[0x10] == 0xF4);
    CHECK(image.memory()[0x1000] == 0x55);
    CHECK((loaded->segments[0].execute && !loaded->segments[0].write));
}

TEST_CASE("files that no linker makes are refused", "[monitor]") {
    auto refused = [](auto change, Error error = Error::malformed) {
        Image image;
        change(image);
        auto loaded = image.load();
        CHECK_FALSE(loaded.has_value());
        CHECK((loaded.has_value() || loaded.error() == error));
    };
    refused([](Image& i) { i.header.identification[0] = 0; });
    refused([](Image& i) { i.header.machine = 3; });
    refused([](Image& i) { i.header.program_header_offset = ~u64{0}; });
    refused([](Image& i) { i.header.program_header_count = 0; });
    refused([](Image& i) { i.header.entry = vtl2::image_virtual + 0x1000; });
    refused([](Image& i) { i.segments[0].virtual_address = 0; });
    refused([](Image& i) { i.segments[0].file_offset = ~u64{0}; });
    refused([](Image& i) { i.segments[0].file_size = 0x1001; });
    refused([](Image& i) { i.segments[1].virtual_address = vtl2::image_virtual; });
    refused([](Image& i) { i.segments[1].memory_size = memory_bytes; }, Error::out_of_memory);
    refused([](Image& i) { i.segments[1].memory_size = ~u64{0}; }, Error::out_of_memory);
}

TEST_CASE("the first page tables keep code and data apart", "[monitor]") {
    Image image;
    auto loaded = image.load();
    REQUIRE(loaded.has_value());
    const vtl2::GuestRange guest[] = {{0, 1 * gib - 0x22000, 14 * mib}, {4 * gib, 2 * gib, 4 * gib}};
    TablePlan plan{memory_bytes, guest};
    u64 begin = memory_bytes - table_bytes(plan);
    auto root = build_tables(plan, *loaded, image.memory(), begin);
    REQUIRE(root.has_value());
    constexpr u64 no_execute = u64{1} << 63;
    constexpr u64 writable = 2;
    u64 text = walk(image.memory(), *root, vtl2::image_virtual);
    CHECK(((text & writable) == 0 && (text & no_execute) == 0));
    CHECK((text & 0x000F'FFFF'FFFF'F000) == vtl2::memory_base);
    u64 data = walk(image.memory(), *root, vtl2::image_virtual + 0x1000);
    CHECK(((data & writable) != 0 && (data & no_execute) != 0));
    u64 heap = walk(image.memory(), *root, vtl2::image_virtual + 4 * mib);
    CHECK(((heap & no_execute) != 0 && (heap & 0x000F'FFFF'FFE0'0000) == vtl2::memory_base + 4 * mib));
    u64 ram = walk(image.memory(), *root, vtl2::guest_virtual + 5 * gib);
    CHECK(((ram & no_execute) != 0 && (ram & 0x000F'FFFF'FFE0'0000) == 5 * gib));
    u64 device = walk(image.memory(), *root, vtl2::device_virtual);
    CHECK(((device & 0x18) == 0x18 && (device & no_execute) != 0));
    CHECK(walk(image.memory(), *root, vtl2::guest_virtual + 3 * gib) == 0);
    CHECK(walk(image.memory(), *root, vtl2::image_virtual + memory_bytes) == 0);
}

TEST_CASE("tables that do not fit say so", "[monitor]") {
    Image image;
    auto loaded = image.load();
    REQUIRE(loaded.has_value());
    TablePlan plan{memory_bytes, {}};
    CHECK(build_tables(plan, *loaded, image.memory(), memory_bytes - 2 * page_size).error() == Error::out_of_memory);
}

}  // namespace
}  // namespace undercroft::monitor
