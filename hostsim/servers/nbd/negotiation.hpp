// The handshake: from the greeting to the chosen export (NBD protocol, "Fixed newstyle negotiation").
#pragma once

#include <optional>

#include "hostsim/servers/nbd/export.hpp"
#include "hostsim/servers/receive_buffer.hpp"

namespace undercroft::nbd {

/// What client and server agreed on.
struct Agreement {
    const Export* target = nullptr;
    bool structured_replies = false;
    bool block_status = false;  ///< the client has chosen base:allocation
};

/// The transmission flags of `subject`.
u16 transmission_flags(const Export& subject, bool structured_replies);

/// Negotiates until the client has chosen an export; nothing where it has not: it left, asked for it, or did not follow
/// the protocol. `exports` outlives the task.
Task<std::optional<Agreement>> negotiate(ByteStream& stream, ReceiveBuffer& buffer, const std::vector<Export>& exports,
                                         CancelToken cancel);

}  // namespace undercroft::nbd
