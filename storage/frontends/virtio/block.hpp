// The virtio block device without its transport (virtio 1.2, section 5.2): configuration, features, and a request from
// a chain of descriptors carried out on a disk. Leaves out secure erase and zoned disks.
#pragma once

#include <string>

#include "storage/disk.hpp"
#include "storage/frontends/virtio/queue.hpp"

namespace undercroft::virtio {

struct BlockIdentity {
    std::string serial;      ///< at most `block_id_bytes` are shown
    bool read_only = false;  ///< although the disk would take writes
    u16 queues = 1;
};

/// The features a device over `disk` has, beside those of its transport.
u64 block_features(const Disk& disk, const BlockIdentity& identity);
/// The configuration space as it is now.
BlockConfig block_config(const Disk& disk, const BlockIdentity& identity);

/// What to tell the driver of `error`.
BlockStatusCode block_status_code(DiskError error);

/// Carries out the request in `chain` and writes its status byte. The number of bytes written, for `Queue::complete`;
/// `malformed` where there is not even room for a status: then the queue cannot go on.
Task<Result<u32>> execute_block_request(const Disk& disk, const BlockIdentity& identity, const Chain& chain,
                                        CancelToken cancel);

}  // namespace undercroft::virtio
