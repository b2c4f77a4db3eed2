// Why a command did not end well: sense data in one compact form, its two encodings (SPC-4 4.5), and the one table from
// disk errors to it.
#pragma once

#include <optional>
#include <span>

#include "kernel/spec/scsi.hpp"
#include "storage/disk_error.hpp"

namespace undercroft::scsi {

/// SPC-4 4.5.2 and 4.5.3, before it is encoded.
struct Sense {
    SenseKey key = SenseKey::no_sense;
    AdditionalSense code = AdditionalSense::none;
    /// Encode in descriptor format: the mode page's D_SENSE, or DESC of REQUEST SENSE.
    bool as_descriptors = false;
    std::optional<u64> information = std::nullopt;  ///< the INFORMATION field: for blocks an LBA or an offset

    /// SENSE KEY SPECIFIC of an ILLEGAL REQUEST: which byte of what is wrong.
    bool names_field = false;
    bool field_is_in_cdb = true;  ///< else in the parameter list
    u16 field_byte = 0;
    /// SENSE KEY SPECIFIC of a NOT READY: how much is done, in 65536ths.
    std::optional<u16> progress = std::nullopt;
};

inline constexpr usize fixed_sense_bytes = 18;
/// Of either format: header, information descriptor, sense key specific descriptor.
inline constexpr usize sense_bytes_max = 28;

/// Writes `sense` as it goes to the initiator. `into` is at least `sense_bytes_max`; returns the bytes used.
usize encode_sense(const Sense& sense, std::span<std::byte> into);

/// A disk error as SCSI says it.
struct ErrorReport {
    Status status;
    SenseKey key;
    AdditionalSense code;
};

/// What the initiator is told of `error`.
const ErrorReport& report_of(DiskError error);

}  // namespace undercroft::scsi
