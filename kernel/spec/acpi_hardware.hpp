// ACPI as the monitor needs it on the machine below: sleep control, the PM timer, MADT entries and tables that the
// guest's ACPI does without.
// Source: ACPI 6.4, 4.8.3 and 5.2.12.8; PCI Firmware 3.2, 4.1.2.
#pragma once

#include "kernel/spec/acpi.hpp"

namespace undercroft::acpi {

/// PM1 control register: SLP_TYP 12:10, SLP_EN 13.
inline constexpr unsigned sleep_type_shift = 10;
inline constexpr u16 sleep_enable = 1u << 13;

inline constexpr u64 pm_timer_frequency_hz = 3'579'545;

/// MADT entry type 5: where the local APICs really are.
inline constexpr u8 madt_local_apic_address = 5;
struct MadtLocalApicAddress {
    MadtEntry entry;
    Le<u16> reserved;
    Le<u64> address;
};
static_assert(sizeof(MadtLocalApicAddress) == 12 && offsetof(MadtLocalApicAddress, address) == 4);

}  // namespace undercroft::acpi
