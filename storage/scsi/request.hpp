// What a transport hands a logical unit, and what it gets back. A transport is virtio-scsi, StorVSP, or ATAPI; it moves
// CDBs, data and sense, and knows no command.
//
// - A `Request` and all it points to stay valid until the task that carries it out has ended. The CDB is read once, at
//   the start. The data are as `Disk` says of segments: read once, never touched after the end.
// - `data_out` and `data_in` are what the initiator offers; either may be empty. A command that needs more than that
//   is not carried out, and says `Delivery::overrun`; one that needs less leaves a residual.
// - Allocation lengths are no errors: what is longer is cut short (SPC-4 4.2.5.6).
#pragma once

#include "kernel/async/cancel.hpp"
#include "storage/disk.hpp"
#include "storage/scsi/sense.hpp"

namespace undercroft::scsi {

/// SAM-5 8.9. Commands are carried out in any order and side by side, as the control mode page and VPD page 86h say, so
/// all of these are treated alike; `Disk` has no order that an initiator could rely on without waiting.
enum class TaskAttribute : u8 { simple, ordered, head_of_queue, aca };

struct Request {
    std::span<const std::byte> cdb;  ///< as it came; may be longer than the command (ATAPI: always 12 bytes)
    SegmentList data_out = {};       ///< from the initiator
    SegmentList data_in = {};        ///< to the initiator
    /// Which initiator asks (an I_T nexus): less than `UnitIdentity::nexuses`. Unit attentions, reservations and
    /// PREVENT are kept for each.
    u32 nexus = 0;
    u64 tag = 0;  ///< names the command in task management; unique among those of a nexus
    TaskAttribute attribute = TaskAttribute::simple;
    CancelToken cancel = {};
};

/// How the transport should answer.
enum class Delivery : u8 {
    done,     ///< with status, and sense where that is `check_condition`
    overrun,  ///< as `done`, and the buffers were too small for what the CDB asks
    aborted,  ///< task management or the transport's own token ended it
    reset,    ///< a reset of the unit ended it
};

struct Completion {
    Status status = Status::good;
    Delivery delivery = Delivery::done;
    u64 transferred = 0;  ///< bytes put into `data_in`, or taken from `data_out`
    u64 residual = 0;     ///< of those offered, the rest
    Sense sense = {};     ///< where `status` is `check_condition`

    /// The sense data for the initiator; `into` is at least `sense_bytes_max`. Returns the bytes used, 0 without sense.
    usize encode_sense(std::span<std::byte> into) const {
        return status == Status::check_condition ? scsi::encode_sense(sense, into) : 0;
    }
};

}  // namespace undercroft::scsi
