// The guest's machine on real processors: the platform of kernel/guest, with the monitor behind its interrupts, VTL2's
// serial port behind its console, and the end of the run behind its power button.
#pragma once

#include <atomic>
#include <memory>

#include "boot/paravisor/processors.hpp"
#include "drivers/fw_cfg/firmware_config.hpp"
#include "drivers/uart/console_port.hpp"
#include "kernel/guest/chipset/debug_console.hpp"
#include "kernel/guest/platform.hpp"
#include "kernel/vtl/guest_intercepts.hpp"
#include "kernel/vtl/local_apic_window.hpp"
#include "kernel/vtl/message_interrupts.hpp"

namespace undercroft::paravisor {

class GuestMachine final : private GuestEvents,
                           private ExternalInterruptSink,
                           private PowerControl,
                           private WallClock,
                           private GuestPause,
                           private DebugLineSink {
public:
    /// Makes the platform for all processors, its timers on the calling one. Panics where that is not possible: the
    /// machine is of no use then.
    explicit GuestMachine(const vtl2::BootInfo& boot_info);
    GuestMachine(const GuestMachine&) = delete;
    GuestMachine& operator=(const GuestMachine&) = delete;
    ~GuestMachine() override = default;

    const GuestMemory& memory() const { return memory_; }
    MessageSink& messages() { return messages_; }
    /// For attaching functions, before `load`.
    PciHost& pci() { return platform_->pci(); }
    /// For devices with ports and interrupts of their own, before `load`.
    GuestPlatform& platform() { return *platform_; }
    GuestPause& guest_pause() { return *this; }
    /// Connects the console, and loads the guest's firmware or kernel from firmware configuration; `boot_order` is for
    /// the firmware (GuestPlatform). Ends the run with `configuration_refused` where the files are no good.
    void load(const FirmwareConfig& firmware, std::string_view boot_order);
    /// Sets the guest's boot processor to its first instruction, and lets all processors run the guest.
    void start();

private:
    void end_of_interrupt(u8 vector) override { platform_->end_of_interrupt(vector); }
    void processor_stopped(VirtualProcessor& processor, const char* reason) override;
    bool has_external_interrupt(const VirtualProcessor& processor) override;
    u8 acknowledge_external_interrupt() override { return platform_->acknowledge_external_interrupt(); }
    void set_requested(bool requested) override;
    void power_off() override;
    void reset() override;
    u64 unix_time_ns() override;
    u32 pause() override { return pause_own_guest(); }
    void resume(u32 processor) override { resume_guest(processor); }
    void debug_line(std::string_view line) override;
    void load_linux(const FirmwareConfig& firmware, const FirmwareFile& kernel);
    void load_firmware(const FirmwareConfig& firmware, const FirmwareFile& image, std::string_view boot_order);

    GuestMemory memory_;
    MessageInterrupts messages_;
    ConsolePort console_{ConsolePort::com1};
    LocalApicWindow local_apics_;
    DebugConsole debug_console_{*this};
    DebugConsole firmware_console_{*this};
    std::unique_ptr<GuestPlatform> platform_;
    std::unique_ptr<InstructionEmulator> emulator_;
    std::unique_ptr<GuestIntercepts> intercepts_;
    LinuxStart start_ = {};
    u64 unix_time_at_zero_ns_ = 0;  // of the executor's clock
    std::atomic<bool> external_requested_{false};
};

}  // namespace undercroft::paravisor
