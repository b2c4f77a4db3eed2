// Plans where everything goes, checks the plan, then carries it out.
#include "kernel/guest/loader/linux_loader.hpp"

#include <algorithm>
#include <cstring>

#include "kernel/guest/address_map.hpp"
#include "kernel/guest/loader/memory_map.hpp"
#include "kernel/spec/linux_boot.hpp"

namespace undercroft {

namespace {

using linux_boot::SetupHeader;

// Low memory that the loader uses; the kernel has taken over all of it when it sets up its own.
constexpr u64 gdt_address = 0x6000;
constexpr u64 zero_page_address = 0x7000;
constexpr u64 stack_top = 0x9000;
constexpr u64 page_tables_address = 0x9000;
constexpr u64 command_line_address = 0x2'0000;
constexpr u64 command_line_bytes_limit = 0x1'0000;

constexpr u64 identity_gibibytes = 4;
constexpr u64 table_present_writable = 3;
constexpr u64 table_large = 1u << 7;

constexpr u64 gdt_code = 0x00AF'9B00'0000'FFFF;  // 64-bit code, execute and read
constexpr u64 gdt_data = 0x00CF'9300'0000'FFFF;  // flat data, read and write
constexpr u16 attributes_code = 0xA09B;
constexpr u16 attributes_data = 0xC093;
constexpr u16 attributes_task = 0x008B;  // busy 64-bit TSS
constexpr u16 attributes_no_ldt = 0x0082;
constexpr u64 efer_long_mode = 0x500;    // LME, LMA
constexpr u64 cr0_paging = 0x8000'0031;  // PG, NE, ET, PE
constexpr u64 cr4_paging = 0x20;         // PAE
constexpr u64 pat_after_reset = 0x0007'0406'0007'0406;

constexpr u64 kernel_alignment_min = page_size;

/// What the checks found, and where everything goes.
struct Plan {
    SetupHeader header;
    usize header_bytes;
    u64 payload_offset;
    u64 payload_bytes;
    u64 kernel_address;
    u64 kernel_end;  // of the memory the kernel needs to start
    u64 initrd_address = 0;
    u64 initrd_bytes = 0;
};

unsigned long long mebibytes(u64 bytes) { return (bytes + mib - 1) / mib; }

/// Checks everything that the header alone can tell.
Result<Plan, LoadError> check_header(ImageSource& kernel) {
    constexpr u64 image_bytes_min = linux_boot::setup_header_offset + sizeof(SetupHeader);
    if (kernel.size_bytes() < image_bytes_min) {
        return refuse_image(Error::malformed, "the kernel has only %llu bytes: give a bzImage (as in /boot/vmlinuz-*)",
                            static_cast<unsigned long long>(kernel.size_bytes()));
    }
    Plan plan = {};
    SetupHeader& header = plan.header;
    if (!kernel.read(linux_boot::setup_header_offset, std::as_writable_bytes(std::span(&header, 1))).has_value()) {
        return refuse_image(Error::device_error, "the kernel cannot be read");
    }
    if (header.boot_flag != linux_boot::boot_flag || header.magic != linux_boot::header_magic) {
        return refuse_image(
            Error::malformed,
            "the kernel is no bzImage (no boot signature): give a file as in /boot/vmlinuz-*, not an ELF vmlinux");
    }
    u16 version = header.version;
    if (version < linux_boot::version_min) {
        return refuse_image(Error::unsupported,
                            "the kernel's boot protocol is %u.%02u; 2.12 or later is needed (Linux 3.8 or later)",
                            version >> 8, version & 0xFF);
    }
    if ((header.extended_load_flags & linux_boot::extended_load_flag::kernel_64) == 0) {
        return refuse_image(Error::unsupported, "the kernel has no 64-bit entry: give an x86-64 kernel");
    }
    if ((header.load_flags & linux_boot::load_flag::loaded_high) == 0) {
        return refuse_image(Error::unsupported, "the kernel is a zImage, which loads low: give a bzImage");
    }
    // The header's own length; newer ones may be longer than what is known here, and the zero page has room up to the
    // memory map.
    usize header_bytes = 0x202 + header.header_bytes - linux_boot::setup_header_offset;
    plan.header_bytes = std::min(header_bytes, sizeof(SetupHeader));
    u64 setup_sectors = header.setup_sectors != 0 ? header.setup_sectors : linux_boot::default_setup_sectors;
    plan.payload_offset = (setup_sectors + 1) * linux_boot::sector_bytes;
    if (plan.payload_offset + linux_boot::entry64_offset >= kernel.size_bytes()) {
        return refuse_image(Error::malformed,
                            "the kernel ends before its code begins: the file is cut short, copy it again");
    }
    plan.payload_bytes = kernel.size_bytes() - plan.payload_offset;
    u64 announced = u64{header.system_size} * 16;
    if (plan.payload_bytes < announced && announced - plan.payload_bytes >= 16) {
        return refuse_image(Error::malformed, "the kernel has %llu bytes of %llu: the file is cut short, copy it again",
                            static_cast<unsigned long long>(plan.payload_bytes),
                            static_cast<unsigned long long>(announced));
    }
    return plan;
}

/// The RAM from 1 MiB up to the device hole: [high_ram_begin, the returned end).
Result<u64, LoadError> low_ram_end(const GuestMemory& memory) {
    for (const GuestMemoryRange& range : memory.ranges()) {
        u64 end = range.guest_address + range.size_bytes;
        if (range.guest_address == 0 && end > address_map::high_ram_begin) {
            return std::min(end, address_map::device_hole_begin);
        }
    }
    return refuse_image(Error::invalid_argument,
                        "the guest has no RAM from address 0 to above 1 MiB: give it more memory (--memory)");
}

Result<void, LoadError> place_kernel(Plan& plan, u64 ram_end) {
    const SetupHeader& header = plan.header;
    u64 needed = std::max<u64>(header.init_size, plan.payload_bytes);
    u64 alignment = std::max<u64>(header.kernel_alignment, kernel_alignment_min);
    if ((alignment & (alignment - 1)) != 0 || alignment > gib) {
        return refuse_image(Error::malformed,
                            "the kernel wants an alignment of %#llx: the file is damaged, copy it again",
                            static_cast<unsigned long long>(alignment));
    }
    u64 address = header.preferred_address;
    bool fits = address >= address_map::high_ram_begin && address < ram_end && needed <= ram_end - address;
    if (!fits && header.is_relocatable != 0) {
        address = align_up(address_map::high_ram_begin, alignment);
        fits = address < ram_end && needed <= ram_end - address;
    }
    if (!fits) {
        return refuse_image(
            Error::out_of_memory,
            "the kernel needs %llu MiB of RAM from %llu MiB on and the guest's ends at %llu MiB: give it "
            "more memory (--memory)",
            mebibytes(needed), mebibytes(address), mebibytes(ram_end));
    }
    plan.kernel_address = address;
    plan.kernel_end = align_up(address + needed, page_size);
    return {};
}

Result<void, LoadError> place_initrd(Plan& plan, ImageSource* initrd, u64 ram_end) {
    plan.initrd_bytes = initrd != nullptr ? initrd->size_bytes() : 0;
    if (plan.initrd_bytes == 0) {
        return {};
    }
    u64 end = std::min<u64>(ram_end, u64{plan.header.initrd_address_max} + 1);
    if (plan.initrd_bytes <= end) {
        plan.initrd_address = align_down(end - plan.initrd_bytes, page_size);
    }
    if (plan.initrd_bytes > end || plan.initrd_address < plan.kernel_end) {
        return refuse_image(
            Error::out_of_memory,
            "the initial RAM disk (%llu MiB) does not fit between the kernel's end at %llu MiB and %llu MiB: "
            "make it smaller or give the guest more memory (--memory)",
            mebibytes(plan.initrd_bytes), mebibytes(plan.kernel_end), mebibytes(end));
    }
    return {};
}

Result<Plan, LoadError> make_plan(const GuestMemory& memory, const LinuxImage& image) {
    Plan plan = TRY(check_header(image.kernel));
    u64 limit = std::min<u64>(plan.header.command_line_bytes_max, command_line_bytes_limit - 1);
    if (image.command_line.size() > limit) {
        return refuse_image(Error::invalid_argument,
                            "the kernel command line has %llu bytes; this kernel takes %llu: shorten it (--append)",
                            static_cast<unsigned long long>(image.command_line.size()),
                            static_cast<unsigned long long>(limit));
    }
    if (image.command_line.find('\0') != std::string_view::npos) {
        return refuse_image(Error::invalid_argument,
                            "the kernel command line contains a zero byte: remove it (--append)");
    }
    u64 ram_end = TRY(low_ram_end(memory));
    TRY(place_kernel(plan, ram_end));
    TRY(place_initrd(plan, image.initrd, ram_end));
    return plan;
}

/// The plan's places were checked against guest RAM, so these resolve.
std::span<std::byte> at(const GuestMemory& memory, u64 address, u64 size_bytes) {
    return *memory.resolve(address, size_bytes);
}

void write_zero_page(const GuestMemory& memory, const Plan& plan, const LinuxImage& image) {
    linux_boot::BootParameters page = {};
    std::memcpy(&page.header, &plan.header, plan.header_bytes);
    page.header.loader_type = linux_boot::loader_undefined;
    page.header.command_line_address = static_cast<u32>(command_line_address);
    page.header.ramdisk_address = static_cast<u32>(plan.initrd_address);
    page.header.ramdisk_bytes = static_cast<u32>(plan.initrd_bytes);
    page.header.code32_start = static_cast<u32>(plan.kernel_address);
    page.header.setup_data = 0;
    page.acpi_rsdp_address = image.acpi_rsdp_address;
    MemoryMap map = memory_map_of(memory);
    std::copy_n(map.entries, map.count, page.e820);
    page.e820_count = static_cast<u8>(map.count);
    std::memcpy(at(memory, zero_page_address, sizeof(page)).data(), &page, sizeof(page));
}

void write_command_line(const GuestMemory& memory, std::string_view text) {
    std::span<std::byte> place = at(memory, command_line_address, text.size() + 1);
    std::copy_n(std::as_bytes(std::span(text)).begin(), text.size(), place.begin());
    place.back() = std::byte{0};
}

void write_entries(const GuestMemory& memory, u64 address, std::span<const Le<u64>> entries) {
    std::memcpy(at(memory, address, entries.size_bytes()).data(), entries.data(), entries.size_bytes());
}

/// One PML4, one table of 1 GiB pieces, and a table of 2 MiB pages for each: virtual is physical.
void write_page_tables(const GuestMemory& memory) {
    constexpr usize entries_per_table = 512;
    Le<u64> table[entries_per_table] = {};
    u64 upper = page_tables_address + page_size;
    table[0] = upper | table_present_writable;
    write_entries(memory, page_tables_address, table);
    std::ranges::fill(table, Le<u64>{});
    u64 lower = upper + page_size;
    for (u64 i = 0; i < identity_gibibytes; ++i) {
        table[i] = (lower + i * page_size) | table_present_writable;
    }
    write_entries(memory, upper, table);
    for (u64 i = 0; i < identity_gibibytes; ++i) {
        for (u64 j = 0; j < entries_per_table; ++j) {
            table[j] = (i * gib + j * large_page_size) | table_present_writable | table_large;
        }
        write_entries(memory, lower + i * page_size, table);
    }
}

LinuxStart initial_state(const Plan& plan) {
    LinuxStart start = {};
    start.rsi = zero_page_address;
    tlfs::InitialVpContext& context = start.context;
    tlfs::SegmentRegister data = {0, 0xFFFF'FFFF, linux_boot::data_selector, attributes_data};
    context.rip = plan.kernel_address + linux_boot::entry64_offset;
    context.rsp = stack_top;
    context.rflags = 2;
    context.cs = {0, 0xFFFF'FFFF, linux_boot::code_selector, attributes_code};
    context.ds = context.es = context.ss = context.fs = context.gs = data;
    context.tr = {0, 0x67, 0, attributes_task};
    context.ldtr = {0, 0, 0, attributes_no_ldt};
    context.gdtr.limit = 4 * sizeof(u64) - 1;
    context.gdtr.base = gdt_address;
    context.efer = efer_long_mode;
    context.cr0 = cr0_paging;
    context.cr3 = page_tables_address;
    context.cr4 = cr4_paging;
    context.pat = pat_after_reset;
    return start;
}

}  // namespace

Result<LinuxStart, LoadError> load_linux(const GuestMemory& memory, const LinuxImage& image) {
    Plan plan = TRY(make_plan(memory, image));
    if (plan.initrd_bytes != 0) {
        if (!image.initrd->read(0, at(memory, plan.initrd_address, plan.initrd_bytes)).has_value()) {
            return refuse_image(Error::device_error, "the initial RAM disk cannot be read");
        }
    }
    if (!image.kernel.read(plan.payload_offset, at(memory, plan.kernel_address, plan.payload_bytes)).has_value()) {
        return refuse_image(Error::device_error, "the kernel cannot be read");
    }
    write_zero_page(memory, plan, image);
    write_command_line(memory, image.command_line);
    Le<u64> gdt[4] = {0, 0, gdt_code, gdt_data};
    write_entries(memory, gdt_address, gdt);
    write_page_tables(memory);
    return initial_state(plan);
}

}  // namespace undercroft
