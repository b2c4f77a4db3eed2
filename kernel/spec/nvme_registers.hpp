// NVMe controller properties (memory-mapped registers) and doorbells: offsets, and typed snapshots of their values.
// Left out: controller memory buffer, boot partitions, persistent memory region. Source: base 2.0, section 3.1.3;
// doorbells: NVMe over PCIe Transport 1.0, section 3.1.2.
#pragma once

#include "kernel/spec/bits.hpp"

namespace undercroft::nvme {

/// Offsets in bytes from the start of BAR0.
namespace register_offset {
inline constexpr u64 capabilities = 0x00;                ///< CAP, 8 bytes
inline constexpr u64 version = 0x08;                     ///< VS
inline constexpr u64 interrupt_mask_set = 0x0c;          ///< INTMS, not used with MSI-X
inline constexpr u64 interrupt_mask_clear = 0x10;        ///< INTMC, not used with MSI-X
inline constexpr u64 configuration = 0x14;               ///< CC
inline constexpr u64 status = 0x1c;                      ///< CSTS
inline constexpr u64 subsystem_reset = 0x20;             ///< NSSR
inline constexpr u64 admin_queue_attributes = 0x24;      ///< AQA
inline constexpr u64 admin_submission_queue = 0x28;      ///< ASQ, 8 bytes
inline constexpr u64 admin_completion_queue = 0x30;      ///< ACQ, 8 bytes
inline constexpr u64 controller_memory_location = 0x38;  ///< CMBLOC
inline constexpr u64 controller_memory_size = 0x3c;      ///< CMBSZ
inline constexpr u64 subsystem_shutdown = 0x64;          ///< NSSD
inline constexpr u64 ready_timeouts = 0x68;              ///< CRTO
inline constexpr u64 doorbells = 0x1000;
}  // namespace register_offset

/// Offset of the tail doorbell of submission queue `queue_id`; `stride` is CAP.DSTRD.
constexpr u64 submission_doorbell_offset(u16 queue_id, u32 stride) {
    return register_offset::doorbells + (u64{2} * queue_id) * (u64{4} << stride);
}
/// Offset of the head doorbell of completion queue `queue_id`; `stride` is CAP.DSTRD.
constexpr u64 completion_doorbell_offset(u16 queue_id, u32 stride) {
    return register_offset::doorbells + (u64{2} * queue_id + 1) * (u64{4} << stride);
}

/// VS of a controller that follows base 2.0.
inline constexpr u32 version_2_0 = 0x0002'0000;
inline constexpr u32 version_1_4 = 0x0001'0400;
/// What is read from a function that was removed.
inline constexpr u32 register_gone = 0xffff'ffff;

/// Bits of CAP.CSS.
namespace capability_command_set {
inline constexpr u32 nvm = 1u << 0;
inline constexpr u32 one_or_more = 1u << 6;  ///< CC.CSS may be `all`
inline constexpr u32 none = 1u << 7;         ///< admin commands alone
}  // namespace capability_command_set

/// CAP: controller capabilities. Read-only.
struct Capabilities {
    u64 raw = 0;

    /// MQES, zero's based: the largest I/O queue has one entry more.
    constexpr u32 queue_entries_max_minus_one() const { return field(0, 16); }
    constexpr u32 queue_entries_max() const { return field(0, 16) + 1; }
    constexpr bool contiguous_queues_required() const { return field(16, 1) != 0; }  ///< CQR
    constexpr u32 arbitration() const { return field(17, 2); }                       ///< AMS
    constexpr u32 timeout_500ms() const { return field(24, 8); }                     ///< TO, in units of 500 ms
    constexpr u64 timeout_ns() const { return u64{timeout_500ms()} * 500 * nanoseconds_per_millisecond; }
    constexpr u32 doorbell_stride() const { return field(32, 4); }          ///< DSTRD: stride is 4 << this, in bytes
    constexpr bool subsystem_reset() const { return field(36, 1) != 0; }    ///< NSSRS
    constexpr u32 command_sets() const { return field(37, 8); }             ///< CSS, `capability_command_set`
    constexpr bool boot_partition() const { return field(45, 1) != 0; }     ///< BPS
    constexpr u32 page_size_min_log2() const { return field(48, 4) + 12; }  ///< MPSMIN
    constexpr u32 page_size_max_log2() const { return field(52, 4) + 12; }  ///< MPSMAX
    constexpr bool persistent_memory() const { return field(56, 1) != 0; }  ///< PMRS
    constexpr bool controller_memory() const { return field(57, 1) != 0; }  ///< CMBS

    constexpr Capabilities with_queue_entries_max_minus_one(u32 value) const { return with(0, 16, value); }
    constexpr Capabilities with_contiguous_queues_required(bool value) const { return with(16, 1, value); }
    constexpr Capabilities with_timeout_500ms(u32 value) const { return with(24, 8, value); }
    constexpr Capabilities with_doorbell_stride(u32 value) const { return with(32, 4, value); }
    constexpr Capabilities with_command_sets(u32 value) const { return with(37, 8, value); }
    constexpr Capabilities with_page_size_min_log2(u32 value) const { return with(48, 4, value - 12); }
    constexpr Capabilities with_page_size_max_log2(u32 value) const { return with(52, 4, value - 12); }

private:
    constexpr u32 field(unsigned low, unsigned width) const { return static_cast<u32>(get_bits(raw, low, width)); }
    constexpr Capabilities with(unsigned low, unsigned width, u64 value) const {
        return {with_bits(raw, low, width, value)};
    }
};

/// CC.CSS.
enum class CommandSetSelected : u8 { nvm = 0, all = 6, admin_only = 7 };
/// CC.SHN.
enum class ShutdownNotification : u8 { none = 0, normal = 1, abrupt = 2, reserved = 3 };
/// CSTS.SHST.
enum class ShutdownStatus : u8 { none = 0, in_progress = 1, complete = 2, reserved = 3 };

/// CC: controller configuration.
struct Configuration {
    u32 raw = 0;

    constexpr bool enable() const { return get_bits(raw, 0, 1) != 0; }         ///< EN
    constexpr u32 command_set() const { return get_bits(raw, 4, 3); }          ///< CSS, `CommandSetSelected`
    constexpr u32 page_size_log2() const { return get_bits(raw, 7, 4) + 12; }  ///< MPS
    constexpr u32 arbitration() const { return get_bits(raw, 11, 3); }         ///< AMS; 0 is round robin
    constexpr ShutdownNotification shutdown() const {                          ///< SHN
        return static_cast<ShutdownNotification>(get_bits(raw, 14, 2));
    }
    constexpr u32 submission_entry_log2() const { return get_bits(raw, 16, 4); }        ///< IOSQES
    constexpr u32 completion_entry_log2() const { return get_bits(raw, 20, 4); }        ///< IOCQES
    constexpr bool ready_independent_of_media() const { return get_bits(raw, 24, 1); }  ///< CRIME

    constexpr Configuration with_enable(bool value) const { return {with_bits(raw, 0, 1, u32{value})}; }
    constexpr Configuration with_command_set(CommandSetSelected value) const {
        return {with_bits(raw, 4, 3, static_cast<u32>(value))};
    }
    constexpr Configuration with_page_size_log2(u32 value) const { return {with_bits(raw, 7, 4, value - 12)}; }
    constexpr Configuration with_arbitration(u32 value) const { return {with_bits(raw, 11, 3, value)}; }
    constexpr Configuration with_shutdown(ShutdownNotification value) const {
        return {with_bits(raw, 14, 2, static_cast<u32>(value))};
    }
    constexpr Configuration with_submission_entry_log2(u32 value) const { return {with_bits(raw, 16, 4, value)}; }
    constexpr Configuration with_completion_entry_log2(u32 value) const { return {with_bits(raw, 20, 4, value)}; }
};

/// CSTS: controller status. Read-only.
struct ControllerStatus {
    u32 raw = 0;

    constexpr bool ready() const { return get_bits(raw, 0, 1) != 0; }                                       ///< RDY
    constexpr bool fatal() const { return get_bits(raw, 1, 1) != 0; }                                       ///< CFS
    constexpr ShutdownStatus shutdown() const { return static_cast<ShutdownStatus>(get_bits(raw, 2, 2)); }  ///< SHST
    constexpr bool processing_paused() const { return get_bits(raw, 5, 1) != 0; }                           ///< PP
    /// All ones: nobody answers.
    constexpr bool gone() const { return raw == register_gone; }

    constexpr ControllerStatus with_ready(bool value) const { return {with_bits(raw, 0, 1, u32{value})}; }
    constexpr ControllerStatus with_fatal(bool value) const { return {with_bits(raw, 1, 1, u32{value})}; }
    constexpr ControllerStatus with_shutdown(ShutdownStatus value) const {
        return {with_bits(raw, 2, 2, static_cast<u32>(value))};
    }
};

/// Largest admin queue, in entries (AQA has 12 bits, zero's based).
inline constexpr u32 admin_queue_entries_max = 4096;

/// AQA: sizes of the admin queues, in entries, zero's based.
struct AdminQueueAttributes {
    u32 raw = 0;

    constexpr u32 submission_entries() const { return get_bits(raw, 0, 12) + 1; }   ///< ASQS
    constexpr u32 completion_entries() const { return get_bits(raw, 16, 12) + 1; }  ///< ACQS

    constexpr AdminQueueAttributes with_submission_entries(u32 value) const {
        return {with_bits(raw, 0, 12, value - 1)};
    }
    constexpr AdminQueueAttributes with_completion_entries(u32 value) const {
        return {with_bits(raw, 16, 12, value - 1)};
    }
};

/// CRTO: controller ready timeouts, in units of 500 ms.
struct ReadyTimeouts {
    u32 raw = 0;
    constexpr u32 with_media_500ms() const { return get_bits(raw, 0, 16); }             ///< CRWMT
    constexpr u32 independent_of_media_500ms() const { return get_bits(raw, 16, 16); }  ///< CRIMT
};

}  // namespace undercroft::nvme
