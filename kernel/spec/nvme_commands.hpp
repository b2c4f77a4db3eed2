// NVMe submission and completion queue entries, opcodes, status codes, data pointers, and the data that commands carry
// from the host.
// Left out: fabrics, other I/O command sets, directives, end-to-end protection. Sources: base 2.0 sections 3.3.3, 4.1,
// 5; NVM 1.0 section 3.
#pragma once

#include "kernel/base/endian.hpp"
#include "kernel/spec/bits.hpp"

namespace undercroft::nvme {

/// The namespace id that means all of them.
inline constexpr u32 all_namespaces = 0xffff'ffff;

enum class AdminOpcode : u8 {
    delete_submission_queue = 0x00,
    create_submission_queue = 0x01,
    get_log_page = 0x02,
    delete_completion_queue = 0x04,
    create_completion_queue = 0x05,
    identify = 0x06,
    abort = 0x08,
    set_features = 0x09,
    get_features = 0x0a,
    asynchronous_event_request = 0x0c,
    namespace_management = 0x0d,
    firmware_commit = 0x10,
    firmware_image_download = 0x11,
    device_self_test = 0x14,
    namespace_attachment = 0x15,
    keep_alive = 0x18,
    directive_send = 0x19,
    directive_receive = 0x1a,
    virtualization_management = 0x1c,
    management_interface_send = 0x1d,
    management_interface_receive = 0x1e,
    capacity_management = 0x20,
    lockdown = 0x24,
    doorbell_buffer_config = 0x7c,
    format_nvm = 0x80,
    security_send = 0x81,
    security_receive = 0x82,
    sanitize = 0x84,
    get_lba_status = 0x86,
};

enum class IoOpcode : u8 {
    flush = 0x00,
    write = 0x01,
    read = 0x02,
    write_uncorrectable = 0x04,
    compare = 0x05,
    write_zeroes = 0x08,
    dataset_management = 0x09,
    verify = 0x0c,
    reservation_register = 0x0d,
    reservation_report = 0x0e,
    reservation_acquire = 0x11,
    reservation_release = 0x15,
    copy = 0x19,
};

/// FUSE of command dword 0.
enum class FusedOperation : u8 { normal = 0, first = 1, second = 2, reserved = 3 };

/// PSDT of command dword 0.
enum class DataPointerKind : u8 { prp = 0, sgl_contiguous_metadata = 1, sgl_segment_metadata = 2, reserved = 3 };

/// Where the data of a command lies: two PRP entries, or one SGL descriptor.
struct DataPointer {
    Le<u64> prp1;  ///< or the SGL descriptor's address
    Le<u64> prp2;  ///< or the SGL descriptor's length and identifier
};
static_assert(sizeof(DataPointer) == 16 && offsetof(DataPointer, prp2) == 8);

struct SubmissionEntry {
    u8 opcode = 0;         ///< OPC, `AdminOpcode` or `IoOpcode`
    u8 flags = 0;          ///< FUSE 1:0, PSDT 7:6
    Le<u16> command_id;    ///< CID
    Le<u32> namespace_id;  ///< NSID
    Le<u32> dword2;
    Le<u32> dword3;
    Le<u64> metadata_pointer;  ///< MPTR
    DataPointer data_pointer;  ///< DPTR
    Le<u32> dword10;
    Le<u32> dword11;
    Le<u32> dword12;
    Le<u32> dword13;
    Le<u32> dword14;
    Le<u32> dword15;

    constexpr FusedOperation fused() const { return static_cast<FusedOperation>(flags & 3); }
    constexpr DataPointerKind data_pointer_kind() const { return static_cast<DataPointerKind>(flags >> 6); }
    /// Starting LBA of Read, Write, Compare, Verify, Write Zeroes: dwords 10 and 11.
    constexpr u64 starting_lba() const { return u64{dword10} | u64{dword11} << 32; }
    constexpr void set_starting_lba(u64 lba) {
        dword10 = static_cast<u32>(lba);
        dword11 = static_cast<u32>(lba >> 32);
    }
};
static_assert(sizeof(SubmissionEntry) == 64 && offsetof(SubmissionEntry, dword15) == 60);

/// Dword 12 of Read, Write, Compare, Verify, Write Zeroes. NVM section 3.2.
struct IoControl {
    u32 raw = 0;
    constexpr u32 blocks() const { return get_bits(raw, 0, 16) + 1; }               ///< NLB, zero's based
    constexpr bool deallocate() const { return get_bits(raw, 25, 1) != 0; }         ///< DEAC, Write Zeroes
    constexpr u32 protection_information() const { return get_bits(raw, 26, 4); }   ///< PRINFO
    constexpr bool force_unit_access() const { return get_bits(raw, 30, 1) != 0; }  ///< FUA
    constexpr bool limited_retry() const { return get_bits(raw, 31, 1) != 0; }      ///< LR
    constexpr IoControl with_blocks(u32 value) const { return {with_bits(raw, 0, 16, value - 1)}; }
    constexpr IoControl with_deallocate(bool value) const { return {with_bits(raw, 25, 1, u32{value})}; }
    constexpr IoControl with_force_unit_access(bool value) const { return {with_bits(raw, 30, 1, u32{value})}; }
};

/// Largest number of blocks that one Read or Write can name (NLB has 16 bits, zero's based).
inline constexpr u32 io_blocks_max = 65536;

/// Status code type in bits 10:8, status code in bits 7:0: the way features.md and this tree write a status.
enum class Status : u16 {
    success = 0x000,
    invalid_opcode = 0x001,
    invalid_field = 0x002,
    command_id_conflict = 0x003,
    data_transfer_error = 0x004,
    aborted_power_loss = 0x005,
    internal_error = 0x006,
    abort_requested = 0x007,
    aborted_queue_deleted = 0x008,
    aborted_failed_fused = 0x009,
    aborted_missing_fused = 0x00a,
    invalid_namespace_or_format = 0x00b,
    command_sequence_error = 0x00c,
    invalid_sgl_segment_descriptor = 0x00d,
    invalid_number_of_sgl_descriptors = 0x00e,
    data_sgl_length_invalid = 0x00f,
    metadata_sgl_length_invalid = 0x010,
    sgl_descriptor_type_invalid = 0x011,
    invalid_use_of_controller_memory = 0x012,
    prp_offset_invalid = 0x013,
    atomic_write_unit_exceeded = 0x014,
    operation_denied = 0x015,
    sgl_offset_invalid = 0x016,
    host_identifier_inconsistent = 0x018,
    keep_alive_expired = 0x019,
    keep_alive_timeout_invalid = 0x01a,
    aborted_by_preempt = 0x01b,
    sanitize_failed = 0x01c,
    sanitize_in_progress = 0x01d,
    namespace_write_protected = 0x020,
    command_interrupted = 0x021,
    transient_transport_error = 0x022,
    lba_out_of_range = 0x080,
    capacity_exceeded = 0x081,
    namespace_not_ready = 0x082,
    reservation_conflict = 0x083,
    format_in_progress = 0x084,

    completion_queue_invalid = 0x100,
    invalid_queue_identifier = 0x101,
    invalid_queue_size = 0x102,
    abort_limit_exceeded = 0x103,
    event_request_limit_exceeded = 0x105,
    invalid_firmware_slot = 0x106,
    invalid_firmware_image = 0x107,
    invalid_interrupt_vector = 0x108,
    invalid_log_page = 0x109,
    invalid_format = 0x10a,
    invalid_queue_deletion = 0x10c,
    feature_not_saveable = 0x10d,
    feature_not_changeable = 0x10e,
    feature_not_namespace_specific = 0x10f,
    namespace_insufficient_capacity = 0x115,
    namespace_id_unavailable = 0x116,
    namespace_already_attached = 0x118,
    namespace_is_private = 0x119,
    namespace_not_attached = 0x11a,
    controller_list_invalid = 0x11c,
    invalid_controller_id = 0x11f,
    command_set_not_supported = 0x129,
    command_set_not_enabled = 0x12a,
    command_set_combination_rejected = 0x12b,
    invalid_command_set = 0x12c,
    conflicting_attributes = 0x180,
    invalid_protection_information = 0x181,
    write_to_read_only_range = 0x182,
    command_size_limit_exceeded = 0x183,

    write_fault = 0x280,
    unrecovered_read_error = 0x281,
    guard_check_error = 0x282,
    application_tag_check_error = 0x283,
    reference_tag_check_error = 0x284,
    compare_failure = 0x285,
    access_denied = 0x286,
    deallocated_block = 0x287,
};

/// The status field of a completion with its phase tag: the last 16 bits of the entry. Base section 3.3.3.2.1.
struct StatusField {
    u16 raw = 0;
    constexpr bool phase() const { return get_bits(raw, 0, 1) != 0; }                      ///< P
    constexpr Status status() const { return static_cast<Status>(get_bits(raw, 1, 11)); }  ///< SCT and SC
    constexpr u32 retry_delay_index() const { return get_bits(raw, 12, 2); }               ///< CRD
    constexpr bool more() const { return get_bits(raw, 14, 1) != 0; }                      ///< M
    constexpr bool do_not_retry() const { return get_bits(raw, 15, 1) != 0; }              ///< DNR
    static constexpr StatusField make(Status status, bool do_not_retry, bool phase) {
        return {static_cast<u16>(u32{phase} | static_cast<u32>(status) << 1 | u32{do_not_retry} << 15)};
    }
};

struct CompletionEntry {
    Le<u32> result;           ///< DW0: command specific
    Le<u32> result_high;      ///< DW1
    Le<u16> submission_head;  ///< SQHD
    Le<u16> submission_id;    ///< SQID
    Le<u16> command_id;       ///< CID
    Le<u16> status;           ///< `StatusField`

    constexpr StatusField status_field() const { return {status}; }
};
static_assert(sizeof(CompletionEntry) == 16 && offsetof(CompletionEntry, status) == 14);

inline constexpr u32 submission_entry_log2 = 6;
inline constexpr u32 completion_entry_log2 = 4;

/// High nibble of an SGL descriptor's identifier byte. Base section 4.1.2.
enum class SglType : u8 {
    data_block = 0,
    bit_bucket = 1,
    segment = 2,
    last_segment = 3,
    keyed_data_block = 4,
    transport = 5
};

struct SglDescriptor {
    Le<u64> address;
    Le<u32> length_bytes;
    u8 reserved[3] = {};
    u8 identifier = 0;  ///< subtype 3:0, `SglType` 7:4

    constexpr SglType type() const { return static_cast<SglType>(identifier >> 4); }
    constexpr u8 subtype() const { return identifier & 0xf; }
};
static_assert(sizeof(SglDescriptor) == 16 && offsetof(SglDescriptor, identifier) == 15);

/// One range of Dataset Management. NVM section 3.2.3.
struct DatasetRange {
    Le<u32> context_attributes;
    Le<u32> blocks;  ///< not zero's based
    Le<u64> starting_lba;
};
static_assert(sizeof(DatasetRange) == 16 && offsetof(DatasetRange, starting_lba) == 8);
inline constexpr u32 dataset_ranges_max = 256;
/// Dword 11 of Dataset Management.
namespace dataset_attribute {
inline constexpr u32 integral_read = 1u << 0;
inline constexpr u32 integral_write = 1u << 1;
inline constexpr u32 deallocate = 1u << 2;  ///< AD
}  // namespace dataset_attribute

/// One source range of Copy, descriptor format 0. NVM section 3.2.2.
struct CopyRange {
    u8 reserved0[8] = {};
    Le<u64> starting_lba;
    Le<u16> blocks_minus_one;
    u8 reserved18[6] = {};
    Le<u32> expected_reference_tag;
    Le<u16> expected_application_tag;
    Le<u16> expected_application_tag_mask;
};
static_assert(sizeof(CopyRange) == 32 && offsetof(CopyRange, expected_application_tag_mask) == 30);

/// Dword 10 of Create I/O Submission Queue and Create I/O Completion Queue.
struct CreateQueueSize {
    u32 raw = 0;
    constexpr u16 queue_id() const { return static_cast<u16>(get_bits(raw, 0, 16)); }
    constexpr u32 entries() const { return get_bits(raw, 16, 16) + 1; }  ///< QSIZE, zero's based
    static constexpr CreateQueueSize make(u16 queue_id, u32 entries) { return {u32{queue_id} | (entries - 1) << 16}; }
};

/// Dword 11 of Create I/O Completion Queue.
struct CreateCompletionQueue {
    u32 raw = 0;
    constexpr bool contiguous() const { return get_bits(raw, 0, 1) != 0; }            ///< PC
    constexpr bool interrupts_enabled() const { return get_bits(raw, 1, 1) != 0; }    ///< IEN
    constexpr u16 vector() const { return static_cast<u16>(get_bits(raw, 16, 16)); }  ///< IV
    static constexpr CreateCompletionQueue make(bool interrupts_enabled, u16 vector) {
        return {1u | u32{interrupts_enabled} << 1 | u32{vector} << 16};
    }
};

/// Dword 11 of Create I/O Submission Queue.
struct CreateSubmissionQueue {
    u32 raw = 0;
    constexpr bool contiguous() const { return get_bits(raw, 0, 1) != 0; }                         ///< PC
    constexpr u32 priority() const { return get_bits(raw, 1, 2); }                                 ///< QPRIO
    constexpr u16 completion_queue_id() const { return static_cast<u16>(get_bits(raw, 16, 16)); }  ///< CQID
    static constexpr CreateSubmissionQueue make(u16 completion_queue_id) {
        return {1u | u32{completion_queue_id} << 16};
    }
};

enum class Feature : u8 {
    arbitration = 0x01,
    power_management = 0x02,
    lba_range_type = 0x03,
    temperature_threshold = 0x04,
    error_recovery = 0x05,
    volatile_write_cache = 0x06,
    number_of_queues = 0x07,
    interrupt_coalescing = 0x08,
    interrupt_vector_configuration = 0x09,
    write_atomicity = 0x0a,
    asynchronous_event_configuration = 0x0b,
    autonomous_power_state_transition = 0x0c,
    host_memory_buffer = 0x0d,
    timestamp = 0x0e,
    keep_alive_timer = 0x0f,
    host_controlled_thermal_management = 0x10,
    non_operational_power_state = 0x11,
    read_recovery_level = 0x12,
    host_behavior_support = 0x16,
    command_set_profile = 0x19,
    software_progress_marker = 0x80,
    host_identifier = 0x81,
    reservation_notification_mask = 0x82,
    reservation_persistence = 0x83,
    namespace_write_protection = 0x84,
};

/// SEL of Get Features.
enum class FeatureSelect : u8 { current = 0, default_value = 1, saved = 2, capabilities = 3 };

/// Result of Get Features with `FeatureSelect::capabilities`.
namespace feature_capability {
inline constexpr u32 saveable = 1u << 0;
inline constexpr u32 namespace_specific = 1u << 1;
inline constexpr u32 changeable = 1u << 2;
}  // namespace feature_capability

/// Bit 31 of Set Features dword 10: SV.
inline constexpr u32 feature_save = 1u << 31;

/// Asynchronous event configuration, and OAES of Identify Controller.
namespace event_configuration {
inline constexpr u32 smart_mask = 0xff;
inline constexpr u32 namespace_attribute = 1u << 8;
inline constexpr u32 firmware_activation = 1u << 9;
}  // namespace event_configuration

enum class EventType : u8 { error = 0, smart = 1, notice = 2, io_command_set = 6, vendor = 7 };
namespace event_information {
inline constexpr u8 error_invalid_doorbell_register = 0;
inline constexpr u8 error_invalid_doorbell_value = 1;
inline constexpr u8 error_persistent_internal = 3;
inline constexpr u8 error_transient_internal = 4;
inline constexpr u8 notice_namespace_attribute_changed = 0;
inline constexpr u8 notice_firmware_activation_starting = 1;
inline constexpr u8 io_reservation_log_available = 0;
}  // namespace event_information

/// Dword 0 of the completion of an Asynchronous Event Request.
struct EventResult {
    u32 raw = 0;
    constexpr EventType type() const { return static_cast<EventType>(get_bits(raw, 0, 3)); }
    constexpr u8 information() const { return static_cast<u8>(get_bits(raw, 8, 8)); }
    constexpr u8 log_page() const { return static_cast<u8>(get_bits(raw, 16, 8)); }
    static constexpr EventResult make(EventType type, u8 information, u8 log_page) {
        return {static_cast<u32>(type) | u32{information} << 8 | u32{log_page} << 16};
    }
};

}  // namespace undercroft::nvme
