// The loader: a made-up bzImage is placed as the boot protocol says, and every way to damage it is refused in words.
#include "kernel/guest/loader/linux_loader.hpp"

#include <catch2/catch.hpp>
#include <string>

#include "kernel/guest/loader/memory_map.hpp"
#include "kernel/spec/linux_boot.hpp"
#include "tests/unit/kernel/guest/guest_fixture.hpp"

namespace undercroft::test {
namespace {

using linux_boot::SetupHeader;

/// A bzImage of nothing: 1 setup sector more than the boot sector, then `payload` bytes that count.
struct TestKernel {
    SetupHeader header = {};
    std::vector<std::byte> bytes;

    explicit TestKernel(usize payload = 100'000) {
        header.setup_sectors = 1;
        header.system_size = static_cast<u32>((payload + 15) / 16);
        header.boot_flag = linux_boot::boot_flag;
        header.header_bytes = 0x6A;
        header.magic = linux_boot::header_magic;
        header.version = 0x020F;
        header.load_flags = linux_boot::load_flag::loaded_high;
        header.initrd_address_max = 0x7FFF'FFFF;
        header.kernel_alignment = 0x20'0000;
        header.is_relocatable = 1;
        header.extended_load_flags = linux_boot::extended_load_flag::kernel_64;
        header.command_line_bytes_max = 2047;
        header.preferred_address = 0x100'0000;
        header.init_size = 0x40'0000;
        bytes.resize(1024 + payload);
        for (usize i = 0; i < payload; ++i) {
            bytes[1024 + i] = static_cast<std::byte>(i * 13);
        }
    }
    MemoryImage image() {
        std::memcpy(bytes.data() + linux_boot::setup_header_offset, &header, sizeof(header));
        return MemoryImage(bytes);
    }
};

struct Loading {
    TestMemory memory;
    explicit Loading(u64 size = 64 * mib) : memory(size) {}
    Result<LinuxStart, LoadError> load(TestKernel& kernel, std::vector<std::byte> initrd = {},
                                       std::string_view command_line = "quiet") {
        MemoryImage kernel_image = kernel.image();
        MemoryImage initrd_image(initrd);
        return load_linux(memory.guest(), {kernel_image, &initrd_image, command_line, 0xE0000});
    }
    /// The text of the refusal.
    std::string refusal(TestKernel& kernel, std::vector<std::byte> initrd = {},
                        std::string_view command_line = "quiet") {
        auto result = load(kernel, std::move(initrd), command_line);
        REQUIRE_FALSE(result.has_value());
        return result.error().text;
    }
};

TEST_CASE("a kernel is placed at its preferred address, with everything the protocol asks for") {
    Loading loading;
    TestKernel kernel;
    std::vector<std::byte> initrd(5000, std::byte{0x77});
    auto start = loading.load(kernel, initrd, "console=ttyS0");
    REQUIRE(start.has_value());
    CHECK(start->context.rip == 0x100'0200);
    CHECK(std::memcmp(loading.memory.at(0x100'0000), kernel.bytes.data() + 1024, 100'000) == 0);
    auto page = loading.memory.get<linux_boot::BootParameters>(start->rsi);
    CHECK(page.header.magic == linux_boot::header_magic);
    CHECK(page.header.loader_type == 0xFF);
    CHECK(page.sentinel == 0);
    CHECK(page.acpi_rsdp_address == 0xE0000);
    CHECK(page.header.ramdisk_bytes == 5000);
    CHECK(page.header.ramdisk_address == 64 * mib - 2 * page_size);
    CHECK(*loading.memory.at(page.header.ramdisk_address) == std::byte{0x77});
    CHECK(std::string(reinterpret_cast<char*>(loading.memory.at(page.header.command_line_address))) == "console=ttyS0");
    // Flat 64-bit code and data behind the selectors that the kernel expects.
    CHECK(start->context.cs.selector == 0x10);
    CHECK(start->context.ds.selector == 0x18);
    u64 code = loading.memory.get<u64>(start->context.gdtr.base + 0x10);
    CHECK(((code >> 53) & 1) == 1);
    CHECK(((code >> 40) & 0x9A) == 0x9A);
    CHECK(start->context.gdtr.limit == 31);
}

TEST_CASE("the page tables map the first 4 GiB onto themselves") {
    Loading loading;
    TestKernel kernel;
    auto start = loading.load(kernel);
    REQUIRE(start.has_value());
    for (u64 address : {u64{0}, u64{0x100'0200}, u64{0xC000'0000}, u64{0xFFFF'FFFF}}) {
        u64 pml4 = loading.memory.get<u64>(start->context.cr3 + 8 * (address >> 39));
        u64 pdpt = loading.memory.get<u64>((pml4 & ~u64{0xFFF}) + 8 * ((address >> 30) & 511));
        u64 page = loading.memory.get<u64>((pdpt & ~u64{0xFFF}) + 8 * ((address >> 21) & 511));
        CHECK((pml4 & 3) == 3);
        CHECK((pdpt & 3) == 3);
        CHECK((page & 0x83) == 0x83);
        CHECK(((page & ~u64{0x1F'FFFF}) | (address & 0x1F'FFFF)) == address);
    }
}

TEST_CASE("the memory map leaves out firmware's pieces and lists RAM above 4 GiB") {
    GuestMemoryRange ranges[] = {{0, 1 * gib, reinterpret_cast<std::byte*>(1)},
                                 {4 * gib, 1 * gib, reinterpret_cast<std::byte*>(1)}};
    MemoryMap map = memory_map_of(*GuestMemory::create(ranges));
    struct Expected {
        u64 begin, end;
        u32 type;
    };
    Expected expected[] = {
        {0, 0x9FC00, 1}, {0x9FC00, 0xA0000, 2}, {0xE0000, 0x100000, 2}, {0x100000, gib, 1}, {4 * gib, 5 * gib, 1}};
    REQUIRE(map.count == std::size(expected));
    for (usize i = 0; i < map.count; ++i) {
        CHECK(map.entries[i].address == expected[i].begin);
        CHECK(map.entries[i].address + map.entries[i].size_bytes == expected[i].end);
        CHECK(map.entries[i].type == expected[i].type);
    }
}

TEST_CASE("a kernel whose preferred place is too high is placed lower, where it may be") {
    Loading loading(16 * mib);
    TestKernel kernel;
    auto start = loading.load(kernel);
    REQUIRE(start.has_value());
    CHECK(start->context.rip == 0x20'0200);
    kernel.header.is_relocatable = 0;
    CHECK_THAT(loading.refusal(kernel), Catch::Contains("give it more memory"));
}

TEST_CASE("an initial RAM disk stays below its limit and above the kernel") {
    Loading loading;
    TestKernel kernel;
    kernel.header.initrd_address_max = 0x27F'FFFF;  // 40 MiB
    REQUIRE(loading.load(kernel, std::vector<std::byte>(mib)).has_value());
    auto page = loading.memory.get<linux_boot::BootParameters>(0x7000);
    CHECK(page.header.ramdisk_address == 39 * mib);
    CHECK_THAT(loading.refusal(kernel, std::vector<std::byte>(20 * mib + 1)), Catch::Contains("does not fit"));
    CHECK(loading.load(kernel, std::vector<std::byte>(20 * mib)).has_value());
    CHECK_THAT(loading.refusal(kernel, std::vector<std::byte>(100 * mib)), Catch::Contains("--memory"));
    kernel.header.initrd_address_max = 0xFFFF'FFFF;
    CHECK(loading.load(kernel, std::vector<std::byte>(mib)).has_value());
}

TEST_CASE("damaged kernels are refused, and nothing is written") {
    Loading loading;
    std::string before(reinterpret_cast<char*>(loading.memory.at(0)), 2 * mib);
    auto with = [&](auto change) {
        TestKernel kernel;
        change(kernel);
        std::string text = loading.refusal(kernel);
        CHECK(std::memcmp(before.data(), loading.memory.at(0), before.size()) == 0);
        return text;
    };
    CHECK_THAT(with([](TestKernel& k) { k.header.boot_flag = 0; }), Catch::Contains("no bzImage"));
    CHECK_THAT(with([](TestKernel& k) { k.header.magic = 1; }), Catch::Contains("no bzImage"));
    CHECK_THAT(with([](TestKernel& k) { k.header.version = 0x0204; }), Catch::Contains("2.04"));
    CHECK_THAT(with([](TestKernel& k) { k.header.extended_load_flags = 0; }), Catch::Contains("64-bit"));
    CHECK_THAT(with([](TestKernel& k) { k.header.load_flags = 0; }), Catch::Contains("zImage"));
    CHECK_THAT(with([](TestKernel& k) { k.bytes.resize(50'000); }), Catch::Contains("cut short"));
    CHECK_THAT(with([](TestKernel& k) { k.header.setup_sectors = 255; }), Catch::Contains("cut short"));
    CHECK_THAT(with([](TestKernel& k) { k.header.kernel_alignment = 3 * mib; }), Catch::Contains("damaged"));
    CHECK_THAT(with([](TestKernel& k) { k.header.init_size = 0xFFFF'FFFF; }), Catch::Contains("more memory"));
    CHECK_THAT(with([](TestKernel& k) { k.header.preferred_address = ~u64{0}, k.header.is_relocatable = 0; }),
               Catch::Contains("more memory"));
    std::vector<std::byte> tiny(100);
    MemoryImage image(tiny);
    CHECK_THAT(std::string(load_linux(loading.memory.guest(), {image, nullptr, "", 0}).error().text),
               Catch::Contains("100 bytes"));
}

TEST_CASE("a command line that is too long, or not text, is refused") {
    Loading loading;
    TestKernel kernel;
    CHECK(loading.load(kernel, {}, std::string(2047, 'x')).has_value());
    CHECK_THAT(loading.refusal(kernel, {}, std::string(2048, 'x')), Catch::Contains("--append"));
    CHECK_THAT(loading.refusal(kernel, {}, std::string_view("a\0b", 3)), Catch::Contains("zero byte"));
}

}  // namespace
}  // namespace undercroft::test
