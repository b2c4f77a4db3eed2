// In-flight tracking of split rings: which requests were taken and not completed, in memory that outlives this process,
// so that the next one carries them out (vhost-user.rst, "Inflight I/O tracking"); and the memory itself, for both kinds
// of ring.
#pragma once

#include <memory>
#include <vector>

#include "hostsim/platform/mapping_guard.hpp"
#include "hostsim/servers/vhost_user/channel.hpp"
#include "hostsim/servers/vhost_user/inflight_packed.hpp"
#include "kernel/base/result.hpp"

namespace undercroft::vhost_user {

/// One queue's part. Fields are read back after a crash of whoever wrote them: order matters, and is as the standard
/// has it.
class InflightQueue {
public:
    InflightQueue() = default;
    InflightQueue(std::byte* memory, u16 queue_size) : memory_(memory), queue_size_(queue_size) {}
    bool is_tracked() const { return memory_ != nullptr; }

    /// Settles what happened to the last completion before a crash, with the driver's view `published_used`, and
    /// returns the heads that were taken and not completed, oldest first.
    std::vector<u16> recover(u16 published_used);
    void taken(u16 head);
    /// Before and after the used ring says so.
    void completing(u16 head);
    void completed(u16 head, u16 published_used);

private:
    std::byte* memory_ = nullptr;
    u16 queue_size_ = 0;
    u64 counter_ = 0;
};

class InflightMemory {
public:
    /// New memory for `queues` queues of `queue_size` entries.
    static Result<std::unique_ptr<InflightMemory>> create(u16 queues, u16 queue_size);
    /// Memory that was given before.
    static Result<std::unique_ptr<InflightMemory>> open(const Inflight& layout, Descriptor file);
    InflightMemory(const InflightMemory&) = delete;
    InflightMemory& operator=(const InflightMemory&) = delete;
    ~InflightMemory();

    Inflight layout() const;
    int descriptor() const { return file_.get(); }
    /// The part of queue `index`, where there is one with room for `queue_size`; else untracked.
    InflightQueue queue(usize index, u16 queue_size) const;
    InflightPacked packed_queue(usize index, u16 queue_size) const;
    /// False where the frontend has made the file smaller: what is noted is noted for nobody.
    bool is_intact() const { return !guard_->is_broken(); }

private:
    InflightMemory(u16 queues, u16 queue_size) : queues_(queues), queue_size_(queue_size) {}
    Result<void> map(u64 offset, u64 bytes);
    std::byte* part(usize index, u16 queue_size, u64 part_bytes) const;
    u16 queues_;
    u16 queue_size_;
    Descriptor file_;
    std::byte* memory_ = nullptr;
    std::unique_ptr<MappingGuard> guard_;
    void* base_ = nullptr;
    u64 base_bytes_ = 0;
};

}  // namespace undercroft::vhost_user
