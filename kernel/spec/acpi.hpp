// ACPI tables: the layouts that the monitor reads of the machine's own, and that VTL2 writes for the guest.
// Source: ACPI Specification 6.4, chapters 5.2 and 16.
#pragma once

#include "kernel/base/endian.hpp"

namespace undercroft::acpi {

/// RSDP (5.2.5.3). Checksums make the covered bytes add up to zero.
struct RootPointer {
    char signature[8];  ///< "RSD PTR "
    u8 checksum;        ///< of the first 20 bytes
    char oem_id[6];
    u8 revision;  ///< 2 and more: the fields from `length` on are there
    Le<u32> rsdt_address;
    Le<u32> length;
    Le<u64> xsdt_address;
    u8 extended_checksum;
    u8 reserved[3];
};
static_assert(sizeof(RootPointer) == 36);
inline constexpr usize root_pointer_v1_bytes = 20;

/// System description table header (5.2.6).
struct TableHeader {
    char signature[4];
    Le<u32> length;
    u8 revision;
    u8 checksum;
    char oem_id[6];
    char oem_table_id[8];
    Le<u32> oem_revision;
    char creator_id[4];
    Le<u32> creator_revision;
};
static_assert(sizeof(TableHeader) == 36);

/// Generic address structure (5.2.3.2).
struct GenericAddress {
    u8 space_id;  ///< 0 memory, 1 I/O
    u8 bit_width;
    u8 bit_offset;
    u8 access_size;
    Le<u64> address;
};
static_assert(sizeof(GenericAddress) == 12);

/// FADT (5.2.9).
struct FixedTable {
    TableHeader header;  ///< "FACP"
    Le<u32> firmware_control;
    Le<u32> dsdt;
    u8 reserved44;
    u8 preferred_profile;
    Le<u16> sci_interrupt;
    Le<u32> smi_command;
    u8 acpi_enable;
    u8 acpi_disable;
    u8 s4bios_request;
    u8 pstate_control;
    Le<u32> pm1a_event_block;
    Le<u32> pm1b_event_block;
    Le<u32> pm1a_control_block;
    Le<u32> pm1b_control_block;
    Le<u32> pm2_control_block;
    Le<u32> pm_timer_block;
    Le<u32> gpe0_block;
    Le<u32> gpe1_block;
    u8 pm1_event_length;
    u8 pm1_control_length;
    u8 pm2_control_length;
    u8 pm_timer_length;
    u8 gpe0_length;
    u8 gpe1_length;
    u8 gpe1_base;
    u8 cstate_control;
    Le<u16> c2_latency;
    Le<u16> c3_latency;
    Le<u16> flush_size;
    Le<u16> flush_stride;
    u8 duty_offset;
    u8 duty_width;
    u8 day_alarm;
    u8 month_alarm;
    u8 century;
    Le<u16> boot_architecture_flags;
    u8 reserved111;
    Le<u32> flags;
    GenericAddress reset_register;
    u8 reset_value;
    Le<u16> arm_boot_architecture_flags;
    u8 minor_revision;
    Le<u64> x_firmware_control;
    Le<u64> x_dsdt;
    GenericAddress x_pm1a_event_block;
    GenericAddress x_pm1b_event_block;
    GenericAddress x_pm1a_control_block;
    GenericAddress x_pm1b_control_block;
    GenericAddress x_pm2_control_block;
    GenericAddress x_pm_timer_block;
    GenericAddress x_gpe0_block;
    GenericAddress x_gpe1_block;
    GenericAddress sleep_control;
    GenericAddress sleep_status;
    Le<u64> hypervisor_vendor;
};
static_assert(sizeof(FixedTable) == 276 && offsetof(FixedTable, x_dsdt) == 140 &&
              offsetof(FixedTable, pm_timer_block) == 76);

/// MADT (5.2.12); entries follow.
struct ApicTable {
    TableHeader header;  ///< "APIC"
    Le<u32> local_apic_address;
    Le<u32> flags;  ///< bit 0: a pair of 8259s is there
};
static_assert(sizeof(ApicTable) == 44);

enum class ApicEntryType : u8 {
    local_apic = 0,
    io_apic = 1,
    interrupt_override = 2,
    nmi_source = 3,
    local_apic_nmi = 4,
    local_apic_address = 5,
    local_x2apic = 9,
};

struct ApicEntryHeader {
    u8 type;
    u8 length;
};
struct LocalApicEntry {
    ApicEntryHeader header;
    u8 processor_id;
    u8 apic_id;
    Le<u32> flags;  ///< bit 0: enabled
};
static_assert(sizeof(LocalApicEntry) == 8);
struct IoApicEntry {
    ApicEntryHeader header;
    u8 io_apic_id;
    u8 reserved;
    Le<u32> address;
    Le<u32> interrupt_base;
};
static_assert(sizeof(IoApicEntry) == 12);
struct InterruptOverrideEntry {
    ApicEntryHeader header;
    u8 bus;
    u8 source;
    Le<u32> interrupt;
    Le<u16> flags;  ///< polarity 1:0, trigger mode 3:2
};
static_assert(sizeof(InterruptOverrideEntry) == 10);
struct LocalApicNmiEntry {
    ApicEntryHeader header;
    u8 processor_id;  ///< FFh: all
    Le<u16> flags;
    u8 local_interrupt;
};
static_assert(sizeof(LocalApicNmiEntry) == 6);
struct LocalApicAddressEntry {
    ApicEntryHeader header;
    Le<u16> reserved;
    Le<u64> address;
};
static_assert(sizeof(LocalApicAddressEntry) == 12);
struct LocalX2ApicEntry {
    ApicEntryHeader header;
    Le<u16> reserved;
    Le<u32> apic_id;
    Le<u32> flags;
    Le<u32> processor_id;
};
static_assert(sizeof(LocalX2ApicEntry) == 16);

inline constexpr u32 local_apic_enabled = 1u << 0;

/// MCFG (PCI Firmware 3.2, 4.1.2); allocations follow eight reserved bytes.
struct EcamTable {
    TableHeader header;  ///< "MCFG"
    u8 reserved[8];
};
static_assert(sizeof(EcamTable) == 44);
struct EcamAllocation {
    Le<u64> base;
    Le<u16> segment;
    u8 bus_first;
    u8 bus_last;
    Le<u32> reserved;
};
static_assert(sizeof(EcamAllocation) == 16);

/// PM1 control register: SLP_TYP 12:10, SLP_EN 13 (4.8.3.2).
inline constexpr unsigned sleep_type_shift = 10;
inline constexpr u16 sleep_enable = 1u << 13;

inline constexpr u64 pm_timer_frequency_hz = 3'579'545;

}  // namespace undercroft::acpi
