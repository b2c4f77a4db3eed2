// The ACPI tables of the guest's platform: RSDP, RSDT, XSDT, FADT, FACS, MADT and the DSDT from dsdt.asl. Everything
// lies in one piece of guest memory, the RSDP at its beginning. Left out: MCFG (there is no memory-mapped
// configuration), HPET, SRAT, hot-plug.
// Source: ACPI 6.4 chapter 5.
#pragma once

#include <span>

#include "kernel/base/result.hpp"

namespace undercroft {

struct AcpiTablesConfig {
    std::span<const u32> apic_ids;  ///< one per processor, the boot processor first
    u64 high_window_begin = 0;      ///< for PCI windows above RAM
    u64 high_window_bytes = 0;      ///< 0: none
};

/// Builds the tables in `memory`, which the guest sees at `guest_address` (a multiple of 64 below 4 GiB). Returns the
/// bytes used; `out_of_memory` where `memory` is too small.
Result<usize> build_acpi_tables(std::span<std::byte> memory, u64 guest_address, const AcpiTablesConfig& config);

/// The compiled DSDT, before its windows are filled in.
std::span<const u8> dsdt_template();

}  // namespace undercroft
