// The composition of the guest's machine.
#include "kernel/guest/platform.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "kernel/base/log.hpp"
#include "kernel/guest/acpi/acpi_tables.hpp"
#include "kernel/guest/address_map.hpp"
#include "kernel/guest/loader/memory_map.hpp"
#include "kernel/spec/acpi.hpp"

namespace undercroft {

namespace {

constexpr unsigned timer_irq = 0;
constexpr unsigned clock_irq = 8;
/// The CMOS counts memory in these.
constexpr u64 cmos_memory_unit = 64 * kib;
/// How long firmware shows that it found nothing to boot, before it resets the machine.
constexpr u64 boot_fail_wait_ms = 1000;
constexpr char root_pointer_file[] = "etc/acpi/rsdp";

u64 ram_below_4gib(const GuestMemory& memory) {
    u64 end = 0;
    for (const GuestMemoryRange& range : memory.ranges()) {
        if (range.guest_address < address_map::above_4gib) {
            end = range.guest_address + range.size_bytes;
        }
    }
    return end;
}

u64 ram_end(const GuestMemory& memory) {
    const GuestMemoryRange& last = memory.ranges().back();
    return last.guest_address + last.size_bytes;
}

/// Where the device hole and the legacy pieces need RAM to be, or not to be.
bool has_usable_layout(const GuestMemory& memory) {
    if (memory.ranges().empty() || memory.ranges()[0].guest_address != 0 ||
        memory.ranges()[0].size_bytes <= address_map::high_ram_begin) {
        log_error("guest RAM must begin at address 0 and reach above 1 MiB");
        return false;
    }
    for (const GuestMemoryRange& range : memory.ranges()) {
        bool is_below = range.guest_address + range.size_bytes <= address_map::device_hole_begin;
        if (!is_below && range.guest_address < address_map::above_4gib) {
            log_error("guest RAM reaches into the device hole at %#llx",
                      static_cast<unsigned long long>(address_map::device_hole_begin));
            return false;
        }
    }
    return true;
}

}  // namespace

GuestPlatform::GuestPlatform(const GuestPlatformConfig& config)
    : config_(config), interrupt_controllers_(config.external_interrupts), io_apic_(config.messages),
      lines_(interrupt_controllers_, io_apic_), interval_timer_(config.timers, lines_.isa(timer_irq)),
      real_time_clock_(config.timers, config.wall_clock, lines_.isa(clock_irq)),
      acpi_power_(config.timers, config.power, lines_.isa(InterruptLines::sci_irq)),
      console_(config.console, lines_.isa(SerialUart::com1_irq)), keyboard_(config.power), simple_ports_(config.power),
      pci_(bus_, config.power) {
    std::ranges::copy(config.apic_ids, apic_ids_);
    processor_count_ = config.apic_ids.size();
    config_.apic_ids = {apic_ids_, processor_count_};
}

GuestPlatform::~GuestPlatform() = default;

Result<std::unique_ptr<GuestPlatform>> GuestPlatform::create(const GuestPlatformConfig& config) {
    if (config.apic_ids.empty() || config.apic_ids.size() > processors_max) {
        log_error("a guest has 1 to %u processors, not %u", static_cast<unsigned>(processors_max),
                  static_cast<unsigned>(config.apic_ids.size()));
        return fail(Error::invalid_argument);
    }
    if (!has_usable_layout(config.memory)) {
        return fail(Error::invalid_argument);
    }
    std::unique_ptr<GuestPlatform> platform(new (std::nothrow) GuestPlatform(config));
    if (platform == nullptr) {
        return fail(Error::out_of_memory);
    }
    TRY(platform->register_interrupt_controllers());
    TRY(platform->register_timers());
    TRY(platform->register_serial());
    TRY(platform->register_legacy());
    TRY(platform->register_power());
    TRY(platform->register_pci());
    return platform;
}

Result<void> GuestPlatform::register_interrupt_controllers() {
    TRY(interrupt_controllers_.add_to(bus_));
    TRY(io_apic_.add_to(bus_));
    return {};
}

Result<void> GuestPlatform::register_timers() {
    u64 low = ram_below_4gib(config_.memory);
    u64 high_end = ram_end(config_.memory);
    real_time_clock_.set_memory_size(low, high_end > address_map::above_4gib ? high_end - address_map::above_4gib : 0);
    TRY(interval_timer_.add_to(bus_));
    TRY(real_time_clock_.add_to(bus_));
    return {};
}

Result<void> GuestPlatform::register_serial() { return console_.add_to(bus_, SerialUart::com1_port); }

Result<void> GuestPlatform::register_legacy() {
    TRY(keyboard_.add_to(bus_));
    TRY(simple_ports_.add_to(bus_));
    return {};
}

Result<void> GuestPlatform::register_power() { return acpi_power_.add_to(bus_); }

Result<void> GuestPlatform::register_pci() { return pci_.add_to_bus(); }

/// The 64-bit window: as far above RAM and as far up as the guest's addresses go; none where there is no room.
PciWindows GuestPlatform::pci_windows() const {
    PciWindows windows;
    windows.memory_begin = address_map::assigned_windows_begin;
    windows.memory_end = address_map::device_hole_end;
    windows.io_begin = address_map::io_windows_begin;
    windows.io_end = address_map::io_windows_end;
    u64 begin =
        align_up(std::max(ram_end(config_.memory), address_map::above_4gib), address_map::high_window_alignment);
    u64 end = u64{1} << config_.physical_address_bits;
    if (begin + address_map::high_window_alignment <= end) {
        windows.high_memory_begin = begin;
        windows.high_memory_end = begin + address_map::high_window_alignment;
    }
    return windows;
}

Result<void> GuestPlatform::build_acpi() {
    pci_.assign_addresses(pci_windows());
    return write_acpi(address_map::acpi_tables_begin, address_map::acpi_tables_end - address_map::acpi_tables_begin);
}

Result<void> GuestPlatform::write_acpi(u64 address, u64 size_bytes) {
    PciWindows windows = pci_windows();
    std::span<std::byte> place = TRY(config_.memory.resolve(address, size_bytes));
    AcpiTablesConfig tables;
    tables.apic_ids = config_.apic_ids;
    tables.high_window_begin = windows.high_memory_begin;
    tables.high_window_bytes = windows.high_memory_end - windows.high_memory_begin;
    TRY(build_acpi_tables(place, address, tables));
    return {};
}

Result<LinuxStart, LoadError> GuestPlatform::load_linux(const LinuxImage& image) {
    LinuxImage with_tables = image;
    with_tables.acpi_rsdp_address = address_map::acpi_tables_begin;
    return undercroft::load_linux(config_.memory, with_tables);
}

Result<tlfs::InitialVpContext, LoadError> GuestPlatform::load_firmware(ImageSource& firmware,
                                                                       std::string_view boot_order) {
    tlfs::InitialVpContext start = TRY(undercroft::load_firmware(config_.memory, firmware));
    if (Result<void> described = describe_to_firmware(boot_order); !described) {
        return refuse_image(described.error(), "the machine cannot be described to the firmware: %s",
                            to_string(described.error()));
    }
    return start;
}

/// The end of the RAM below 4 GiB is kept for the ACPI tables; firmware finds the rest of them from the root pointer,
/// which it copies to where the guest looks for it.
Result<void> GuestPlatform::describe_to_firmware(std::string_view boot_order) {
    u64 reserved_end = align_down(ram_below_4gib(config_.memory), cmos_memory_unit);
    u64 reserved = reserved_end - address_map::firmware_reserve_bytes;
    if (reserved < address_map::high_ram_begin) {
        return fail(Error::out_of_memory);
    }
    TRY(write_acpi(reserved, address_map::firmware_reserve_bytes));
    u64 high_bytes = std::max(ram_end(config_.memory), address_map::above_4gib) - address_map::above_4gib;
    real_time_clock_.set_memory_size(reserved, high_bytes);
    real_time_clock_.set_processor_count(processor_count_);

    using linux_boot::E820Type;
    MemoryMap map;
    map.add(0, reserved, E820Type::ram);
    map.add(reserved, reserved_end, E820Type::reserved);
    for (const GuestMemoryRange& range : config_.memory.ranges()) {
        if (range.guest_address >= address_map::above_4gib) {
            map.add(range.guest_address, range.guest_address + range.size_bytes, E820Type::ram);
        }
    }
    TRY(firmware_config_.add_file("etc/e820", std::as_bytes(std::span(map.entries, map.count))));
    std::span<std::byte> root_pointer = TRY(config_.memory.resolve(reserved, sizeof(acpi::RootPointer)));
    TRY(firmware_config_.add_file(root_pointer_file, root_pointer));
    fw_cfg::LoaderAllocate place_root_pointer = {};
    place_root_pointer.command = fw_cfg::loader_command_allocate;
    std::memcpy(place_root_pointer.file, root_pointer_file, sizeof(root_pointer_file));
    place_root_pointer.alignment = static_cast<u32>(acpi::rsdp_alignment);
    place_root_pointer.zone = fw_cfg::loader_zone_below_1mib;
    TRY(firmware_config_.add_file("etc/table-loader", std::as_bytes(std::span(&place_root_pointer, 1))));
    TRY(firmware_config_.add_number("etc/sercon-port", SerialUart::com1_port));
    TRY(firmware_config_.add_number("etc/boot-fail-wait", boot_fail_wait_ms));
    // The terminating zero is part of the file.
    std::string lines(boot_order);
    TRY(firmware_config_.add_file("bootorder", std::as_bytes(std::span(lines.c_str(), lines.size() + 1))));
    return firmware_config_.add_to(bus_);
}

}  // namespace undercroft
