// How the monitor ends: its own panic with a backtrace, exceptions in its own code, and the doors out of the machine.
#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/interrupts.hpp"
#include "arch/x86_64/registers.hpp"
#include "boot/exit_status.hpp"
#include "kernel/base/assert.hpp"
#include "kernel/monitor/log.hpp"
#include "kernel/monitor/machine.hpp"
#include "kernel/spec/acpi_hardware.hpp"

#include <stdarg.h>
#include <stdio.h>

namespace undercroft::monitor {

namespace {

constexpr usize frames_max = 16;
constexpr u8 exceptions = 32;

void print_backtrace(u64 frame_pointer) {
    for (usize i = 0; i < frames_max && frame_pointer != 0; ++i) {
        bool plausible = is_aligned(frame_pointer, 8) && frame_pointer >= machine.memory.monitor.begin &&
                         frame_pointer + 16 <= machine.memory.monitor.end;
        if (!plausible) {
            return;
        }
        // SAFETY: within the monitor's memory; a wrong chain ends by the checks or after frames_max.
        const u64* frame = reinterpret_cast<const u64*>(frame_pointer);
        log("  called from %lx", frame[1]);
        if (frame[0] <= frame_pointer) {
            return;
        }
        frame_pointer = frame[0];
    }
}

}  // namespace

void end_machine(u8 status) {
    if (status == 0 && machine.firmware.can_power_off) {
        const FirmwareTables& firmware = machine.firmware;
        arch::out16(firmware.pm1a_control_port,
                    static_cast<u16>(firmware.sleep_type_a << acpi::sleep_type_shift) | acpi::sleep_enable);
        if (firmware.pm1b_control_port != 0) {
            arch::out16(firmware.pm1b_control_port,
                        static_cast<u16>(firmware.sleep_type_b << acpi::sleep_type_shift) | acpi::sleep_enable);
        }
    } else {
        arch::out8(debug_exit_port, status);
    }
    // The chipset takes its time; a machine that is still here after it has no such door.
    for (u64 begin = arch::read_tsc(); arch::read_tsc() - begin < machine.tsc_frequency_hz;) {
        arch::pause();
    }
    log("the machine has no way to end with status %u", status);
    for (;;) {
        arch::disable_interrupts();
        arch::halt();
    }
}

}  // namespace undercroft::monitor

namespace undercroft {

void panic(const char* file, int line, const char* format, ...) {
    arch::disable_interrupts();
    monitor::log_without_lock();
    char message[192];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    monitor::log("panic: %s (%s:%d)", message, file, line);
    monitor::print_backtrace(reinterpret_cast<u64>(__builtin_frame_address(0)));
    monitor::end_machine(static_cast<u8>(ExitStatus::monitor_panic));
}

}  // namespace undercroft

/// Every vector of the monitor's IDT.
void handle_interrupt(undercroft::arch::InterruptFrame* frame) {
    using namespace undercroft;
    if (frame->vector >= monitor::exceptions) {
        monitor::current_vp().physical_interrupt(static_cast<u8>(frame->vector));
        return;
    }
    if (frame->vector == static_cast<u8>(arch::Exception::nmi)) {
        return;  // nothing here sends them; firmware's business is not ours
    }
    monitor::log_without_lock();
    monitor::log("exception %lu, error code %lx, at %lx, address %lx, rsp %lx", frame->vector, frame->error_code,
                 frame->rip, arch::read_cr2(), frame->rsp);
    monitor::print_backtrace(frame->rbp);
    PANIC("exception %lu in the monitor", frame->vector);
}
