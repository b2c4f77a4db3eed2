// Wiring of the guest's machine.
#include "boot/paravisor/guest_machine.hpp"

#include "boot/paravisor/guest_crash.hpp"
#include "boot/paravisor/memory.hpp"
#include "boot/paravisor/processors.hpp"
#include "drivers/rtc/cmos_clock.hpp"
#include "kernel/base/assert.hpp"
#include "kernel/base/log.hpp"
#include "kernel/vtl/cpu.hpp"

namespace undercroft::paravisor {

namespace {

constexpr const char* kernel_file = "opt/undercroft/kernel";
constexpr const char* firmware_file = "opt/undercroft/firmware";
constexpr const char* initrd_file = "opt/undercroft/initrd";
constexpr const char* command_line_file = "opt/undercroft/cmdline";
constexpr usize command_line_bytes_max = 2048;

/// A file of firmware configuration, read straight to where the loader wants it.
class FirmwareImage final : public ImageSource {
public:
    FirmwareImage(const FirmwareConfig& firmware, FirmwareFile file) : firmware_(firmware), file_(file) {}
    u64 size_bytes() override { return file_.size_bytes; }
    Result<void> read(u64 offset_bytes, std::span<std::byte> into) override {
        return firmware_.read(file_, offset_bytes, into);
    }

private:
    const FirmwareConfig& firmware_;
    FirmwareFile file_;
};

[[noreturn]] void refuse(const char* text) {
    log_error("configuration: %s", text);
    hypercalls::platform_exit(ExitStatus::configuration_refused);
}

/// One line a processor, for benchmarks to take differences of.
void log_statistics() {
    for (u32 index = 0; index < processor_count(); ++index) {
        Result<vtl2::Statistics> got = hypercalls::get_statistics(index);
        if (!got) {
            continue;
        }
        log_info("statistics vp=%u vtl0_exits=%llu vtl2_exits=%llu vtl_switches=%llu io_port=%llu memory=%llu msr=%llu "
                 "cpuid=%llu halt=%llu interrupt=%llu interrupt_window=%llu other=%llu",
                 index, wide(got->vtl0_exits), wide(got->vtl2_exits), wide(got->vtl_switches), wide(got->io_port),
                 wide(got->memory), wide(got->msr), wide(got->cpuid), wide(got->halt), wide(got->interrupt),
                 wide(got->interrupt_window), wide(got->other));
    }
}

}  // namespace

GuestMachine::GuestMachine(const vtl2::BootInfo& boot_info) {
    Result<GuestMemory> memory = addresses().guest_memory();
    if (!memory) {
        PANIC("the monitor's guest RAM ranges are not usable");
    }
    memory_ = *memory;
    if (Result<u64> seconds = read_cmos_clock()) {
        unix_time_at_zero_ns_ = *seconds * nanoseconds_per_second - Executor::current().now_ns();
    } else {
        log_warning("the machine's clock cannot be read: the guest's begins in 1970");
    }
    Result<std::unique_ptr<GuestPlatform>> platform =
        GuestPlatform::create({.memory = memory_,
                               .timers = Executor::current(),
                               .messages = messages_,
                               .external_interrupts = *this,
                               .power = *this,
                               .wall_clock = *this,
                               .console = console_,
                               .apic_ids = std::span(boot_info.apic_ids, processor_count())});
    if (!platform) {
        PANIC("the guest's platform cannot be made: %s", to_string(platform.error()));
    }
    platform_ = std::move(*platform);
    ASSERT(local_apics_.add_to(platform_->bus()).has_value());
    ASSERT(debug_console_.add_to(platform_->bus()).has_value());
    emulator_ = std::make_unique<InstructionEmulator>(memory_, platform_->bus());
    GuestEvents& events = *this;
    intercepts_ = std::make_unique<GuestIntercepts>(platform_->bus(), *emulator_, events);
}

void GuestMachine::load(const FirmwareConfig& firmware, std::string_view boot_order) {
    if (Result<void> started = console_.start(ConsolePort::com1_line, platform_->console()); !started) {
        PANIC("the console port cannot be used: %s", to_string(started.error()));
    }
    Result<FirmwareFile> kernel = firmware.find(kernel_file);
    Result<FirmwareFile> image = firmware.find(firmware_file);
    if (kernel && image) {
        refuse(
            "there are both opt/undercroft/kernel and opt/undercroft/firmware: firmware loads its kernel from a disk");
    }
    if (!kernel && !image) {
        refuse("there is neither a file opt/undercroft/kernel nor one opt/undercroft/firmware");
    }
    kernel ? load_linux(firmware, *kernel) : load_firmware(firmware, *image, boot_order);
}

void GuestMachine::load_linux(const FirmwareConfig& firmware, const FirmwareFile& kernel) {
    if (Result<void> built = platform_->build_acpi(); !built) {
        PANIC("no ACPI tables: %s", to_string(built.error()));
    }
    FirmwareImage kernel_image(firmware, kernel);
    FirmwareImage initrd_image(firmware, firmware.find(initrd_file).value_or(FirmwareFile{}));
    Result<std::vector<std::byte>> command_line = firmware.read_file(command_line_file, command_line_bytes_max);
    if (!command_line && command_line.error() != Error::not_found) {
        refuse("the command line is longer than 2048 bytes");
    }
    std::string_view text;
    if (command_line) {
        text = {reinterpret_cast<const char*>(command_line->data()), command_line->size()};
        text = text.substr(0, text.find('\0'));
    }
    Result<LinuxStart, LoadError> start = platform_->load_linux(
        {.kernel = kernel_image, .initrd = &initrd_image, .command_line = text, .acpi_rsdp_address = 0});
    if (!start) {
        refuse(start.error().text);
    }
    start_ = *start;
}

void GuestMachine::load_firmware(const FirmwareConfig& firmware, const FirmwareFile& image,
                                 std::string_view boot_order) {
    ASSERT(firmware_console_.add_to(platform_->bus(), DebugConsole::firmware_port).has_value());
    FirmwareImage source(firmware, image);
    Result<tlfs::InitialVpContext, LoadError> start = platform_->load_firmware(source, boot_order);
    if (!start) {
        refuse(start.error().text);
    }
    start_ = {.context = *start, .rsi = 0};
}

void GuestMachine::start() {
    if (Result<void> started = hypercalls::start_guest(start_.context, start_.rsi); !started) {
        PANIC("the monitor refuses the guest's first state: %s", to_string(started.error()));
    }
    log_info("the guest starts at %#llx on %u VPs", wide(start_.context.rip), processor_count());
    start_guest(*intercepts_);
}

void GuestMachine::processor_stopped(VirtualProcessor& processor, const char* reason) {
    log_error("guest %s on VP %u", reason, processor.index());
    report_guest_crash(processor, memory_);
    hypercalls::platform_exit(ExitStatus::guest_triple_fault);
}

bool GuestMachine::has_external_interrupt(const VirtualProcessor& processor) {
    return external_requested_.load(std::memory_order_relaxed) && processor.index() == 0;
}

void GuestMachine::set_requested(bool requested) {
    if (external_requested_.exchange(requested) != requested && requested) {
        wake_processor(0);
    }
}

void GuestMachine::power_off() {
    log_statistics();
    log_memory();
    log_info("the guest switched itself off");
    hypercalls::platform_power_off();
}

void GuestMachine::reset() {
    log_info("the guest asked for a reset");
    hypercalls::platform_exit(ExitStatus::guest_reset);
}

void GuestMachine::debug_line(std::string_view line) {
    if (line == "statistics") {
        return log_statistics();
    }
    log_info("guest: %.*s", static_cast<int>(line.size()), line.data());
}

u64 GuestMachine::unix_time_ns() { return unix_time_at_zero_ns_ + Executor::current().now_ns(); }

}  // namespace undercroft::paravisor
