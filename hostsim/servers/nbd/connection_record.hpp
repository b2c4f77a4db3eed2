// What `inspect` knows of a connection: shared with whoever looks, who may come from any thread, and outlive it.
#pragma once

#include "hostsim/servers/nbd/export.hpp"
#include "hostsim/servers/nbd/protocol.hpp"
#include "kernel/inspect/activity.hpp"

namespace undercroft::nbd {

/// What `command` is to the counters.
inline inspect::IoKind kind_of(Command command) {
    switch (command) {
    case Command::read:
        return inspect::IoKind::read;
    case Command::write:
        return inspect::IoKind::write;
    case Command::flush:
        return inspect::IoKind::flush;
    case Command::trim:
        return inspect::IoKind::unmap;
    case Command::write_zeroes:
        return inspect::IoKind::write_zeroes;
    default:
        return inspect::IoKind::other;
    }
}

struct ConnectionRecord {
    explicit ConnectionRecord(u32 requests) : activity(requests) {}
    inspect::Activity activity;
    /// Null until one was chosen. The server's, which outlives its records.
    std::atomic<const Export*> target{nullptr};
    // Set before anybody else knows the record.
    u64 number = 0;
    usize thread = 0;
    u64 since_ns = 0;
};

}  // namespace undercroft::nbd
