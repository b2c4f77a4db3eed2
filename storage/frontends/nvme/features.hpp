// Features: one table says what each is, one set of values what it is now. Nothing is saved: SV is refused. Source:
// base 2.0 section 5.27.
#pragma once

#include <atomic>
#include <span>

#include "kernel/spec/nvme_commands.hpp"
#include "storage/frontends/nvme/completion_queue.hpp"
#include "storage/frontends/nvme/status.hpp"

namespace undercroft::nvme {

/// Data of the largest feature.
inline constexpr usize feature_data_max = 512;

class FeatureStore {
public:
    /// Back to the defaults: controller reset.
    void reset(u64 now_ns);

    /// Bytes of data that Get or Set of this feature carries; 0 for most.
    static usize data_bytes(Feature feature);
    static bool is_supported(u8 feature);
    static bool is_namespace_specific(u8 feature);

    /// Get Features, without what other parts know (asynchronous event configuration). Fills `data` with `data_bytes`.
    Outcome get(const SubmissionEntry& entry, u64 now_ns, std::span<std::byte> data) const;
    /// Set Features; `data` holds what the host sent. `has_io_queues`: the number of queues cannot change any more.
    Outcome set(const SubmissionEntry& entry, u64 now_ns, std::span<const std::byte> data, bool has_io_queues);

    /// Volatile write cache; read by every processor.
    const std::atomic<bool>& write_cache_enabled() const { return write_cache_enabled_; }
    const InterruptCoalescing& coalescing() const { return coalescing_; }
    u32 event_configuration() const { return word(Feature::asynchronous_event_configuration); }

private:
    static constexpr usize words_max = 0x20;
    u32 word(Feature feature) const { return words_[static_cast<usize>(feature)]; }
    Outcome get_current(const SubmissionEntry& entry, u64 now_ns, std::span<std::byte> data) const;
    Outcome set_word(const SubmissionEntry& entry, Feature feature, u32 value, bool has_io_queues);

    u32 words_[words_max] = {};
    u32 under_temperature_ = 0;
    u32 software_progress_ = 0;
    InterruptCoalescing coalescing_;
    u64 timestamp_ms_ = 0;
    u64 timestamp_set_at_ns_ = 0;
    bool timestamp_was_set_ = false;
    std::byte host_behavior_[feature_data_max] = {};
    std::atomic<bool> write_cache_enabled_{true};
};

}  // namespace undercroft::nvme
