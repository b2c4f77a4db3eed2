// The guest's machine: an i440FX-style PC with one PCI bus, made of the parts in chipset/ and acpi/, and put together
// in named steps. Whoever runs the virtual processors gives it interrupts, time and a console, attaches PCI functions,
// calls `build_acpi` and loads a kernel, or loads firmware, and then turns intercepts into calls of `bus()`.
#pragma once

#include <memory>
#include <span>

#include "kernel/async/executor.hpp"
#include "kernel/guest/bus.hpp"
#include "kernel/guest/chipset/acpi_power.hpp"
#include "kernel/guest/chipset/firmware_config_device.hpp"
#include "kernel/guest/chipset/interrupt_controller_pair.hpp"
#include "kernel/guest/chipset/interrupt_lines.hpp"
#include "kernel/guest/chipset/interval_timer.hpp"
#include "kernel/guest/chipset/io_apic.hpp"
#include "kernel/guest/chipset/keyboard_controller.hpp"
#include "kernel/guest/chipset/pci_host.hpp"
#include "kernel/guest/chipset/real_time_clock.hpp"
#include "kernel/guest/chipset/serial_uart.hpp"
#include "kernel/guest/chipset/services.hpp"
#include "kernel/guest/chipset/simple_ports.hpp"
#include "kernel/guest/loader/firmware_loader.hpp"
#include "kernel/guest/loader/linux_loader.hpp"
#include "kernel/guest/memory.hpp"

namespace undercroft {

/// Everything the platform needs; all references must outlive it.
struct GuestPlatformConfig {
    const GuestMemory& memory;
    Executor& timers;  ///< where device timers fire; the devices themselves may be used from any processor
    MessageSink& messages;
    ExternalInterruptSink& external_interrupts;
    PowerControl& power;
    WallClock& wall_clock;
    CharacterBackend& console;      ///< behind COM1
    std::span<const u32> apic_ids;  ///< one per virtual processor; copied
    u8 physical_address_bits = 40;  ///< as CPUID tells the guest; bounds 64-bit PCI windows
};

class GuestPlatform {
public:
    static constexpr usize processors_max = 64;

    /// Makes all devices and registers them with the bus. `invalid_argument` for no or too many processors, or RAM that
    /// does not begin at 0 or reaches into the device hole; the log says which.
    static Result<std::unique_ptr<GuestPlatform>> create(const GuestPlatformConfig& config);
    GuestPlatform(const GuestPlatform&) = delete;
    GuestPlatform& operator=(const GuestPlatform&) = delete;
    ~GuestPlatform();

    GuestBus& bus() { return bus_; }
    /// For attaching functions before the guest starts.
    PciHost& pci() { return pci_; }
    SerialPort& console() { return console_; }

    /// Assigns PCI addresses and writes the ACPI tables into guest memory. Once, after the last `pci().attach`.
    Result<void> build_acpi();

    /// Loads `kernel` (a bzImage) with `initrd` and `command_line` for the 64-bit boot protocol; gives the boot
    /// processor's first state. After `build_acpi`.
    Result<LinuxStart, LoadError> load_linux(const LinuxImage& image);

    /// Instead of both: loads a PC's firmware, which assigns PCI addresses itself, and gives it what it asks for
    /// in its firmware configuration: memory map, ACPI tables, console, and `boot_order`, a line for each disk. Gives
    /// the boot processor's first state.
    Result<tlfs::InitialVpContext, LoadError> load_firmware(ImageSource& firmware, std::string_view boot_order);

    /// A line of the PCI bus for `pin` (0 is INTA) of `device`, for functions that interrupt without messages.
    InterruptLines::User pci_interrupt(unsigned device, unsigned pin) {
        return lines_.pci(pci_interrupt_index(device, pin));
    }

    /// A line of ISA interrupt `irq` (0 to 15, not 2), for devices that have always had it.
    InterruptLines::User isa_interrupt(unsigned irq) { return lines_.isa(irq); }

    /// What the CMOS says of floppy drives (real_time_clock.hpp).
    void set_floppy_types(u8 first, u8 second) { real_time_clock_.set_floppy_types(first, second); }

    /// Asks the guest to shut down, as the power button does. From any processor.
    void press_power_button() { acpi_power_.press_power_button(); }

    /// A local APIC of some processor acknowledged a level-triggered `vector` (the APIC EOI intercept).
    void end_of_interrupt(u8 vector) { io_apic_.end_of_interrupt(vector); }

    /// The 8259 pair was acknowledged by the boot processor (ExtINT): the vector to deliver. 7 of the master, spurious,
    /// if nothing is requested any more.
    u8 acknowledge_external_interrupt() { return interrupt_controllers_.acknowledge(); }

private:
    explicit GuestPlatform(const GuestPlatformConfig& config);
    Result<void> register_interrupt_controllers();
    Result<void> register_timers();
    Result<void> register_serial();
    Result<void> register_legacy();
    Result<void> register_power();
    Result<void> register_pci();
    PciWindows pci_windows() const;
    Result<void> write_acpi(u64 address, u64 size_bytes);
    Result<void> describe_to_firmware(std::string_view boot_order);

    GuestPlatformConfig config_;
    u32 apic_ids_[processors_max] = {};
    usize processor_count_ = 0;

    GuestBus bus_;
    InterruptControllerPair interrupt_controllers_;
    IoApic io_apic_;
    InterruptLines lines_;
    IntervalTimer interval_timer_;
    RealTimeClock real_time_clock_;
    AcpiPower acpi_power_;
    SerialUart console_;
    KeyboardController keyboard_;
    SimplePorts simple_ports_;
    PciHost pci_;
    FirmwareConfigDevice firmware_config_;
};

}  // namespace undercroft
