// Sense data: the two formats, and the table of disk errors.
#include "storage/scsi/sense.hpp"

#include <cstring>

#include "kernel/base/endian.hpp"

namespace undercroft::scsi {

namespace {

/// SPC-4 table 53: fixed format, current error.
struct FixedSense {
    u8 response_code = 0x70;  // bit 7: INFORMATION is valid
    u8 obsolete = 0;
    u8 key = 0;
    Be<u32> information = 0;
    u8 additional_bytes = fixed_sense_bytes - 8;
    Be<u32> command_specific = 0;
    Be<u16> code = 0;
    u8 unit_code = 0;
    u8 key_specific[3] = {};
};
static_assert(sizeof(FixedSense) == fixed_sense_bytes && offsetof(FixedSense, key_specific) == 15);

/// SPC-4 table 27, followed by descriptors.
struct DescriptorSense {
    u8 response_code = 0x72;
    u8 key = 0;
    Be<u16> code = 0;
    u8 reserved[3] = {};
    u8 additional_bytes = 0;
};
static_assert(sizeof(DescriptorSense) == 8 && offsetof(DescriptorSense, additional_bytes) == 7);

/// SPC-4 table 30.
struct InformationDescriptor {
    u8 type = 0x00;
    u8 additional_bytes = 0x0a;
    u8 valid = 0x80;
    u8 reserved = 0;
    Be<u64> information = 0;
};
static_assert(sizeof(InformationDescriptor) == 12 && offsetof(InformationDescriptor, information) == 4);

/// SPC-4 table 32.
struct KeySpecificDescriptor {
    u8 type = 0x02;
    u8 additional_bytes = 0x06;
    u8 reserved[2] = {};
    u8 key_specific[3] = {};
    u8 reserved_too = 0;
};
static_assert(sizeof(KeySpecificDescriptor) == 8 && offsetof(KeySpecificDescriptor, key_specific) == 4);

/// SPC-4 tables 34 and 36: the field pointer, or the progress indication. The bit within the byte is not told. Returns
/// whether there is either.
bool put_key_specific(const Sense& sense, u8 (&into)[3]) {
    if (!sense.names_field && !sense.progress) {
        return false;
    }
    u16 value = sense.names_field ? sense.field_byte : *sense.progress;
    into[0] = static_cast<u8>(0x80 | (sense.names_field && sense.field_is_in_cdb ? 0x40 : 0));
    into[1] = static_cast<u8>(value >> 8);
    into[2] = static_cast<u8>(value);
    return true;
}

template <typename T>
usize append(std::span<std::byte> into, usize at, const T& part) {
    std::memcpy(into.data() + at, &part, sizeof(part));
    return at + sizeof(part);
}

usize encode_fixed(const Sense& sense, std::span<std::byte> into) {
    FixedSense data;
    data.key = static_cast<u8>(sense.key);
    data.code = static_cast<u16>(sense.code);
    // What does not fit is not valid (SPC-4 4.5.3).
    if (sense.information && *sense.information <= 0xffff'ffff) {
        data.response_code |= 0x80;
        data.information = static_cast<u32>(*sense.information);
    }
    (void)put_key_specific(sense, data.key_specific);
    return append(into, 0, data);
}

usize encode_descriptors(const Sense& sense, std::span<std::byte> into) {
    DescriptorSense data;
    data.key = static_cast<u8>(sense.key);
    data.code = static_cast<u16>(sense.code);
    usize used = sizeof(data);
    if (sense.information) {
        InformationDescriptor part;
        part.information = *sense.information;
        used = append(into, used, part);
    }
    if (KeySpecificDescriptor part; put_key_specific(sense, part.key_specific)) {
        used = append(into, used, part);
    }
    data.additional_bytes = static_cast<u8>(used - sizeof(data));
    (void)append(into, 0, data);
    return used;
}

}  // namespace

usize encode_sense(const Sense& sense, std::span<std::byte> into) {
    return sense.as_descriptors ? encode_descriptors(sense, into) : encode_fixed(sense, into);
}

const ErrorReport& report_of(DiskError error) {
    using enum SenseKey;
    using enum AdditionalSense;
    // In the order of `DiskError`.
    static constexpr ErrorReport table[] = {
        {Status::task_aborted, no_sense, none},                                         // aborted_by_preempt
        {Status::check_condition, illegal_request, lba_out_of_range},                   // illegal_block
        {Status::check_condition, illegal_request, invalid_field_in_cdb},               // invalid_input
        {Status::check_condition, hardware_error, internal_target_failure},             // io
        {Status::check_condition, medium_error, guard_check_failed},                    // medium_guard
        {Status::check_condition, medium_error, reference_tag_check_failed},            // medium_reference_tag
        {Status::check_condition, medium_error, application_tag_check_failed},          // medium_application_tag
        {Status::check_condition, medium_error, unrecovered_read_error},                // medium_read
        {Status::check_condition, medium_error, write_fault},                           // medium_write
        {Status::check_condition, illegal_request, invalid_field_in_cdb},               // memory_access
        {Status::check_condition, data_protect, write_protected},                       // read_only
        {Status::reservation_conflict, no_sense, none},                                 // reservation_conflict
        {Status::check_condition, illegal_request, invalid_operation_code},             // unsupported_eject
        {Status::check_condition, aborted_command, command_timeout_during_processing},  // timed_out
        {Status::check_condition, not_ready, medium_not_present},                       // gone
        {Status::task_aborted, no_sense, none},                                         // cancelled
    };
    static_assert(std::size(table) == disk_error_count);
    static constexpr ErrorReport unknown{Status::check_condition, hardware_error, internal_target_failure};
    auto index = static_cast<usize>(error);
    return index < disk_error_count ? table[index] : unknown;
}

}  // namespace undercroft::scsi
