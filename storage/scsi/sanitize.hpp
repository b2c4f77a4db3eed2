// What a SANITIZE command asks for, checked (SBC-3 4.11 and clause 5).
#pragma once

#include "storage/scsi/request.hpp"

namespace undercroft::scsi {

struct SanitizePlan {
    /// Whole blocks of the initialization pattern; null for a block erase, which leaves zeros.
    std::unique_ptr<std::byte[]> pattern = nullptr;
    usize pattern_bytes = 0;
    u8 passes = 1;
    bool inverts = false;          ///< every second pass writes the pattern's complement
    bool is_unrestricted = false;  ///< AUSE: after a failure, EXIT FAILURE MODE is enough
    bool is_waited_for = false;    ///< not IMMED: the command ends when the operation has
    u64 parameter_bytes = 0;       ///< taken from the initiator
};

}  // namespace undercroft::scsi
