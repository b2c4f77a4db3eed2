// Local APIC and I/O APIC registers. Offsets are x2APIC register numbers (MSR - 800h); a memory-mapped register is at
// sixteen times that.
// Sources: AMD64 Architecture Programmer's Manual volume 2, chapter 16; Intel 82093AA I/O APIC data sheet.
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft::apic {

inline constexpr u64 local_default_address = 0xFEE0'0000;
inline constexpr u64 io_default_address = 0xFEC0'0000;

/// Register numbers.
enum Register : u32 {
    id = 0x02,
    version = 0x03,
    task_priority = 0x08,         // TPR
    arbitration_priority = 0x09,  // APR, memory-mapped only
    processor_priority = 0x0A,    // PPR
    end_of_interrupt = 0x0B,      // EOI
    remote_read = 0x0C,
    logical_destination = 0x0D,  // LDR
    destination_format = 0x0E,   // DFR, memory-mapped only
    spurious_vector = 0x0F,      // SVR
    in_service_first = 0x10,     // ISR, 8 registers
    trigger_mode_first = 0x18,   // TMR
    request_first = 0x20,        // IRR
    error_status = 0x28,         // ESR
    lvt_machine_check = 0x2F,    // CMCI
    interrupt_command = 0x30,    // ICR; 64 bits in x2APIC mode
    interrupt_command_high = 0x31,
    lvt_timer = 0x32,
    lvt_thermal = 0x33,
    lvt_performance = 0x34,
    lvt_lint0 = 0x35,
    lvt_lint1 = 0x36,
    lvt_error = 0x37,
    timer_initial_count = 0x38,
    timer_current_count = 0x39,
    timer_divide = 0x3E,
    self_ipi = 0x3F,  // x2APIC only
};

/// APIC_BASE MSR.
namespace base_bit {
inline constexpr u64 bootstrap = u64{1} << 8;
inline constexpr u64 x2apic = u64{1} << 10;
inline constexpr u64 enable = u64{1} << 11;
inline constexpr u64 address_mask = 0x000F'FFFF'FFFF'F000;
}  // namespace base_bit

inline constexpr u32 spurious_software_enable = 1u << 8;
inline constexpr u32 lvt_masked = 1u << 16;

enum class DeliveryMode : u8 { fixed = 0, lowest_priority = 1, smi = 2, nmi = 4, init = 5, startup = 6, external = 7 };
enum class Shorthand : u8 { none = 0, self = 1, all = 2, all_but_self = 3 };
enum class TimerMode : u8 { one_shot = 0, periodic = 1, tsc_deadline = 2 };

/// The interrupt command register's low half.
struct Command {
    u32 raw;
    constexpr u8 vector() const { return static_cast<u8>(raw); }
    constexpr DeliveryMode mode() const { return static_cast<DeliveryMode>((raw >> 8) & 7); }
    constexpr bool logical() const { return (raw & (1u << 11)) != 0; }
    constexpr bool assert_level() const { return (raw & (1u << 14)) != 0; }
    constexpr bool level_triggered() const { return (raw & (1u << 15)) != 0; }
    constexpr Shorthand shorthand() const { return static_cast<Shorthand>((raw >> 18) & 3); }
    static constexpr u32 delivery_pending = 1u << 12;
    static constexpr u32 assert_bit = 1u << 14;
    static constexpr u32 level_bit = 1u << 15;
};

/// Bits of the error status register.
namespace error_bit {
inline constexpr u32 send_illegal_vector = 1u << 5;
inline constexpr u32 receive_illegal_vector = 1u << 6;
inline constexpr u32 illegal_register = 1u << 7;
}  // namespace error_bit

/// I/O APIC: index register at +0, data window at +10h.
namespace io {
inline constexpr u64 select_offset = 0x00;
inline constexpr u64 window_offset = 0x10;
inline constexpr u32 id_register = 0x00;
inline constexpr u32 version_register = 0x01;   ///< highest entry in bits 23:16
inline constexpr u32 redirection_first = 0x10;  ///< two registers an entry
inline constexpr u32 redirection_masked = 1u << 16;
inline constexpr u32 redirection_level = 1u << 15;
inline constexpr u32 redirection_active_low = 1u << 13;
}  // namespace io

}  // namespace undercroft::apic
