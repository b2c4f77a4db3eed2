// ACPI tables: layouts of the root pointer, the common header, RSDT/XSDT, FADT, FACS and MADT. Left out: every other
// table, and AML.
// Source: ACPI 6.4 chapter 5 (5.2.5 RSDP, 5.2.6 header, 5.2.9 FADT, 5.2.10 FACS, 5.2.12 MADT), 5.2.3.2 generic address.
#pragma once

#include <cstddef>

#include "kernel/base/endian.hpp"

namespace undercroft::acpi {

/// A table's bytes add up to 0 modulo 256: the checksum byte that makes them so, given the sum of the others.
template <typename Bytes>
constexpr u8 checksum_of(const Bytes& bytes) {
    u8 sum = 0;
    for (auto byte : bytes) {
        sum = static_cast<u8>(sum + static_cast<u8>(byte));
    }
    return static_cast<u8>(-sum);
}

inline constexpr char rsdp_signature[8] = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '};
/// Firmware on a PC puts the root pointer on a 16-byte boundary of [E0000h, 100000h), or in the first KiB of the EBDA.
inline constexpr u64 rsdp_scan_begin = 0xE0000;
inline constexpr u64 rsdp_scan_end = 0x100000;
inline constexpr u64 rsdp_alignment = 16;

struct RootPointer {
    char signature[8] = {};
    u8 checksum = 0;  ///< of the first 20 bytes
    char oem_id[6] = {};
    u8 revision = 0;  ///< 0: the first 20 bytes are all there is; 2
    Le<u32> rsdt_address;
    Le<u32> length_bytes;
    Le<u64> xsdt_address;
    u8 extended_checksum = 0;
    u8 reserved[3] = {};
};
static_assert(sizeof(RootPointer) == 36 && offsetof(RootPointer, xsdt_address) == 24);
inline constexpr usize root_pointer_v1_bytes = 20;

/// What every table but RSDP and FACS begins with.
struct TableHeader {
    char signature[4] = {};
    Le<u32> length_bytes;
    u8 revision = 0;
    u8 checksum = 0;
    char oem_id[6] = {};
    char oem_table_id[8] = {};
    Le<u32> oem_revision;
    char creator_id[4] = {};
    Le<u32> creator_revision;
};
static_assert(sizeof(TableHeader) == 36 && offsetof(TableHeader, creator_revision) == 32);

enum class AddressSpace : u8 { memory = 0, io = 1 };

struct GenericAddress {
    u8 space = 0;  ///< AddressSpace
    u8 bit_width = 0;
    u8 bit_offset = 0;
    u8 access_size = 0;  ///< 1 byte, 2 word, 3 dword, 4 qword
    Le<u64> address;
};
static_assert(sizeof(GenericAddress) == 12 && offsetof(GenericAddress, address) == 4);

/// FADT, signature "FACP", revision 6.
struct FixedDescription {
    TableHeader header = {};
    Le<u32> facs_address;
    Le<u32> dsdt_address;
    u8 reserved1 = 0;
    u8 preferred_profile = 0;
    Le<u16> sci_interrupt;
    Le<u32> smi_command_port;
    u8 acpi_enable = 0;
    u8 acpi_disable = 0;
    u8 s4bios_request = 0;
    u8 pstate_control = 0;
    Le<u32> pm1a_event_port;
    Le<u32> pm1b_event_port;
    Le<u32> pm1a_control_port;
    Le<u32> pm1b_control_port;
    Le<u32> pm2_control_port;
    Le<u32> pm_timer_port;
    Le<u32> gpe0_port;
    Le<u32> gpe1_port;
    u8 pm1_event_bytes = 0;
    u8 pm1_control_bytes = 0;
    u8 pm2_control_bytes = 0;
    u8 pm_timer_bytes = 0;
    u8 gpe0_bytes = 0;
    u8 gpe1_bytes = 0;
    u8 gpe1_base = 0;
    u8 cstate_control = 0;
    Le<u16> c2_latency_us;  ///< above 100: no C2
    Le<u16> c3_latency_us;  ///< above 1000: no C3
    Le<u16> flush_size;
    Le<u16> flush_stride;
    u8 duty_offset = 0;
    u8 duty_width = 0;
    u8 day_alarm = 0;
    u8 month_alarm = 0;
    u8 century = 0;  ///< CMOS byte
    Le<u16> boot_architecture;
    u8 reserved2 = 0;
    Le<u32> flags;
    GenericAddress reset_register = {};
    u8 reset_value = 0;
    Le<u16> arm_boot_architecture;
    u8 minor_version = 0;
    Le<u64> facs_address64;
    Le<u64> dsdt_address64;
    GenericAddress pm1a_event = {};
    GenericAddress pm1b_event = {};
    GenericAddress pm1a_control = {};
    GenericAddress pm1b_control = {};
    GenericAddress pm2_control = {};
    GenericAddress pm_timer = {};
    GenericAddress gpe0 = {};
    GenericAddress gpe1 = {};
    GenericAddress sleep_control = {};
    GenericAddress sleep_status = {};
    char hypervisor_id[8] = {};
};
static_assert(sizeof(FixedDescription) == 276 && offsetof(FixedDescription, flags) == 112 &&
              offsetof(FixedDescription, hypervisor_id) == 268);

namespace boot_architecture {
inline constexpr u16 legacy_devices = 1u << 0;
inline constexpr u16 keyboard_controller = 1u << 1;
inline constexpr u16 no_vga = 1u << 2;
}  // namespace boot_architecture

namespace fixed_flag {
inline constexpr u32 wbinvd = 1u << 0;
inline constexpr u32 c1_everywhere = 1u << 2;
inline constexpr u32 no_sleep_button = 1u << 5;
inline constexpr u32 no_fixed_rtc_wake = 1u << 6;
inline constexpr u32 timer_32bit = 1u << 8;
inline constexpr u32 reset_register = 1u << 10;
}  // namespace fixed_flag

/// FACS; no checksum, 64-byte aligned.
struct FirmwareControl {
    char signature[4] = {};
    Le<u32> length_bytes;
    Le<u32> hardware_signature;
    Le<u32> waking_vector;
    Le<u32> global_lock;
    Le<u32> flags;
    Le<u64> waking_vector64;
    u8 version = 0;
    u8 reserved[31] = {};
};
static_assert(sizeof(FirmwareControl) == 64 && offsetof(FirmwareControl, version) == 32);

/// MADT, signature "APIC", revision 5; entries follow, each with a MadtEntry in front.
struct MultipleApic {
    TableHeader header = {};
    Le<u32> local_apic_address;
    Le<u32> flags;  ///< bit 0: there are 8259s as well
};
static_assert(sizeof(MultipleApic) == 44 && offsetof(MultipleApic, flags) == 40);

enum class MadtType : u8 {
    local_apic = 0,
    io_apic = 1,
    interrupt_override = 2,
    local_apic_nmi = 4,
    local_x2apic = 9,
    local_x2apic_nmi = 10,
};

struct MadtEntry {
    u8 type = 0;  ///< MadtType
    u8 length_bytes = 0;
};
static_assert(sizeof(MadtEntry) == 2);

inline constexpr u32 apic_enabled = 1u << 0;
inline constexpr u32 apic_online_capable = 1u << 1;

struct MadtLocalApic {
    MadtEntry entry = {};
    u8 processor_uid = 0;
    u8 apic_id = 0;
    Le<u32> flags;
};
static_assert(sizeof(MadtLocalApic) == 8 && offsetof(MadtLocalApic, flags) == 4);

struct MadtIoApic {
    MadtEntry entry = {};
    u8 id = 0;
    u8 reserved = 0;
    Le<u32> address;
    Le<u32> first_gsi;
};
static_assert(sizeof(MadtIoApic) == 12 && offsetof(MadtIoApic, first_gsi) == 8);

/// Polarity and trigger mode of an interrupt source (MPS INTI flags).
inline constexpr u16 inti_conforming = 0;
inline constexpr u16 inti_active_high_level = 0xD;

struct MadtInterruptOverride {
    MadtEntry entry = {};
    u8 bus = 0;  ///< 0: ISA
    u8 source = 0;
    Le<u32> gsi;
    Le<u16> flags;
};
static_assert(sizeof(MadtInterruptOverride) == 10 && offsetof(MadtInterruptOverride, flags) == 8);

struct MadtLocalApicNmi {
    MadtEntry entry = {};
    u8 processor_uid = 0;  ///< FFh: all
    Le<u16> flags;
    u8 local_interrupt = 0;
};
static_assert(sizeof(MadtLocalApicNmi) == 6 && offsetof(MadtLocalApicNmi, local_interrupt) == 5);

struct MadtLocalX2apic {
    MadtEntry entry = {};
    Le<u16> reserved;
    Le<u32> apic_id;
    Le<u32> flags;
    Le<u32> processor_uid;
};
static_assert(sizeof(MadtLocalX2apic) == 16 && offsetof(MadtLocalX2apic, processor_uid) == 12);

}  // namespace undercroft::acpi
