// The composition of the guest's machine.
#include "kernel/guest/platform.hpp"

#include <algorithm>
#include <new>

#include "kernel/base/log.hpp"
#include "kernel/guest/acpi/acpi_tables.hpp"
#include "kernel/guest/address_map.hpp"
#include "kernel/spec/acpi.hpp"

namespace undercroft {

namespace {

constexpr unsigned timer_irq = 0;
constexpr unsigned clock_irq = 8;

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
    PciWindows windows = pci_windows();
    pci_.assign_addresses(windows);
    constexpr u64 size_bytes = address_map::acpi_tables_end - address_map::acpi_tables_begin;
    std::span<std::byte> place = TRY(config_.memory.resolve(address_map::acpi_tables_begin, size_bytes));
    AcpiTablesConfig tables;
    tables.apic_ids = config_.apic_ids;
    tables.high_window_begin = windows.high_memory_begin;
    tables.high_window_bytes = windows.high_memory_end - windows.high_memory_begin;
    TRY(build_acpi_tables(place, address_map::acpi_tables_begin, tables));
    acpi_rsdp_ = address_map::acpi_tables_begin;
    return {};
}

Result<LinuxStart, LoadError> GuestPlatform::load_linux(const LinuxImage& image) {
    LinuxImage with_tables = image;
    with_tables.acpi_rsdp_address = acpi_rsdp_;
    return undercroft::load_linux(config_.memory, with_tables);
}

}  // namespace undercroft
