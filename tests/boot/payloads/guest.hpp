// What a test payload has to work with: a bare 64-bit guest processor, the console, ports, PCI configuration, ACPI's power off, and a way to survive faults.
// A payload defines `payload_run`, which returns the number of checks that failed; the runtime prints it and powers off.
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft::payload {

/// Prints to COM1. Formats: %s %u (u64) %x (u64) %c.
void print(const char* format, ...);
/// Counts and prints a check: "ok NAME" or "FAIL NAME".
void check(bool good, const char* name);
/// Number of failed checks so far.
u64 failures();

u8 in8(u16 port);
u32 in32(u16 port);
void out8(u16 port, u8 value);
void out16(u16 port, u16 value);
void out32(u16 port, u32 value);

u32 pci_read(u8 device, u8 function, u8 offset);
void pci_write(u8 device, u8 function, u8 offset, u32 value);

/// Runs `function(argument)`; true where it ended in an exception.
bool faults(void (*function)(void*), void* argument);

/// Maps guest physical addresses 0..1 TiB at their addresses (1 GiB pages).
void map_first_terabyte();

/// The kernel command line.
const char* command_line();
/// The number behind `name=` on the command line, or `otherwise`.
u64 parameter(const char* name, u64 otherwise);
/// First address behind the highest usable RAM range, and whether `address` is usable RAM (boot_params' e820 map).
bool is_ram(u64 address);
u64 ram_end();

/// Powers off as ACPI's FADT and \_S5 say.
[[noreturn]] void power_off();

/// Milliseconds by the ACPI PM timer; waits.
void wait_ms(u64 milliseconds);

}  // namespace undercroft::payload

/// The payload's checks.
void payload_run();
