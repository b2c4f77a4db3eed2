// Get and Set Features.
#include "storage/frontends/nvme/features.hpp"

#include <algorithm>
#include <cstring>

#include "kernel/base/endian.hpp"

namespace undercroft::nvme {

namespace {

struct FeatureDescription {
    Feature id = Feature::arbitration;
    u32 default_value = 0;
    u32 writable_bits = 0xffff'ffff;  ///< of dword 11; others must be zero
    u32 capabilities = feature_capability::changeable;
    usize data_bytes = 0;
};

constexpr u32 queue_count_default = (io_queues_max - 1) | (io_queues_max - 1) << 16;
constexpr u32 temperature_over_default = 343;

constexpr FeatureDescription descriptions[] = {
    {.id = Feature::arbitration, .default_value = 7, .writable_bits = 0xffff'ff07},
    {.id = Feature::power_management, .writable_bits = 0xe0},  // power state 0 alone; any workload hint
    {.id = Feature::temperature_threshold, .default_value = temperature_over_default, .writable_bits = 0x003f'ffff},
    {.id = Feature::error_recovery, .writable_bits = 0xffff},
    {.id = Feature::volatile_write_cache, .default_value = 1, .writable_bits = 1},
    {.id = Feature::number_of_queues, .default_value = queue_count_default},
    {.id = Feature::interrupt_coalescing, .writable_bits = 0xffff},
    {.id = Feature::interrupt_vector_configuration, .writable_bits = 0x1'ffff},
    {.id = Feature::write_atomicity, .writable_bits = 1},
    {.id = Feature::asynchronous_event_configuration},
    {.id = Feature::timestamp, .data_bytes = 8},
    {.id = Feature::host_behavior_support, .data_bytes = 512},
    {.id = Feature::command_set_profile, .writable_bits = 0},
    {.id = Feature::software_progress_marker, .writable_bits = 0xff},
};

const FeatureDescription* describe(u8 id) {
    for (const FeatureDescription& description : descriptions) {
        if (static_cast<u8>(description.id) == id) {
            return &description;
        }
    }
    return nullptr;
}

/// Timestamp, feature 0Eh: milliseconds, then where they came from.
struct TimestampData {
    Le<u32> low;
    Le<u16> high;
    u8 attributes = 0;
    u8 reserved7 = 0;
};
static_assert(sizeof(TimestampData) == 8 && offsetof(TimestampData, reserved7) == 7);
constexpr u8 timestamp_set_by_host = 1u << 1;

}  // namespace

bool FeatureStore::is_supported(u8 feature) { return describe(feature) != nullptr; }

bool FeatureStore::is_namespace_specific(u8 feature) {
    const FeatureDescription* description = describe(feature);
    return description != nullptr && (description->capabilities & feature_capability::namespace_specific) != 0;
}

usize FeatureStore::data_bytes(Feature feature) {
    const FeatureDescription* description = describe(static_cast<u8>(feature));
    return description == nullptr ? 0 : description->data_bytes;
}

void FeatureStore::reset(u64 now_ns) {
    for (const FeatureDescription& description : descriptions) {
        if (static_cast<usize>(description.id) < words_max) {
            words_[static_cast<usize>(description.id)] = description.default_value;
        }
    }
    under_temperature_ = 0;
    coalescing_.threshold_minus_one.store(0, std::memory_order_relaxed);
    coalescing_.time_100us.store(0, std::memory_order_relaxed);
    for (std::atomic<bool>& disabled : coalescing_.disabled) {
        disabled.store(false, std::memory_order_relaxed);
    }
    timestamp_ms_ = 0;
    timestamp_set_at_ns_ = now_ns;
    timestamp_was_set_ = false;
    std::ranges::fill(host_behavior_, std::byte{0});
    write_cache_enabled_.store(true, std::memory_order_relaxed);
}

Outcome FeatureStore::get(const SubmissionEntry& entry, u64 now_ns, std::span<std::byte> data) const {
    const FeatureDescription* description = describe(static_cast<u8>(entry.dword10));
    if (description == nullptr) {
        return failure(Status::invalid_field);
    }
    switch (static_cast<FeatureSelect>(get_bits(u32{entry.dword10}, 8, 3))) {
    case FeatureSelect::current:
        return get_current(entry, now_ns, data);
    case FeatureSelect::default_value:
    case FeatureSelect::saved:  // nothing is saved, so the default is what a reset brings
        std::ranges::fill(data, std::byte{0});
        return success(description->default_value);
    case FeatureSelect::capabilities:
        std::ranges::fill(data, std::byte{0});
        return success(description->capabilities);
    }
    return failure(Status::invalid_field);
}

Outcome FeatureStore::get_current(const SubmissionEntry& entry, u64 now_ns, std::span<std::byte> data) const {
    Feature feature{static_cast<u8>(entry.dword10)};
    switch (feature) {
    case Feature::temperature_threshold: {
        u32 sensor = get_bits(u32{entry.dword11}, 16, 4);
        u32 kind = get_bits(u32{entry.dword11}, 20, 2);
        if (sensor != 0 || kind > 1) {
            return failure(Status::invalid_field);
        }
        return success(kind == 0 ? word(feature) : under_temperature_);
    }
    case Feature::volatile_write_cache:
        return success(write_cache_enabled_.load(std::memory_order_relaxed) ? 1 : 0);
    case Feature::interrupt_vector_configuration: {
        u32 vector = get_bits(u32{entry.dword11}, 0, 16);
        if (vector >= vectors_max) {
            return failure(Status::invalid_field);
        }
        return success(vector | u32{coalescing_.disabled[vector].load(std::memory_order_relaxed)} << 16);
    }
    case Feature::timestamp: {
        u64 now_ms = timestamp_ms_ + (now_ns - timestamp_set_at_ns_) / nanoseconds_per_millisecond;
        TimestampData timestamp{.low = static_cast<u32>(now_ms),
                                .high = static_cast<u16>(now_ms >> 32),
                                .attributes = timestamp_was_set_ ? timestamp_set_by_host : u8{0}};
        std::memcpy(data.data(), &timestamp, sizeof timestamp);
        return success();
    }
    case Feature::host_behavior_support:
        std::memcpy(data.data(), host_behavior_, sizeof host_behavior_);
        return success();
    case Feature::software_progress_marker:
        return success(software_progress_);
    default:
        return success(word(feature));
    }
}

Outcome FeatureStore::set(const SubmissionEntry& entry, u64 now_ns, std::span<const std::byte> data,
                          bool has_io_queues) {
    u32 dword10 = entry.dword10;
    const FeatureDescription* description = describe(static_cast<u8>(dword10));
    if (description == nullptr) {
        return failure(Status::invalid_field);
    }
    if ((dword10 & feature_save) != 0) {
        return failure(Status::feature_not_saveable);
    }
    u32 value = entry.dword11;
    if (description->data_bytes == 0 && (value & ~description->writable_bits) != 0) {
        return failure(Status::invalid_field);
    }
    switch (description->id) {
    case Feature::timestamp: {
        TimestampData timestamp;
        std::memcpy(&timestamp, data.data(), sizeof timestamp);
        timestamp_ms_ = u64{timestamp.low} | u64{timestamp.high} << 32;
        timestamp_set_at_ns_ = now_ns;
        timestamp_was_set_ = true;
        return success();
    }
    case Feature::host_behavior_support:
        std::memcpy(host_behavior_, data.data(), sizeof host_behavior_);
        return success();
    default:
        return set_word(entry, description->id, value, has_io_queues);
    }
}

Outcome FeatureStore::set_word(const SubmissionEntry& entry, Feature feature, u32 value, bool has_io_queues) {
    switch (feature) {
    case Feature::temperature_threshold: {
        u32 sensor = get_bits(value, 16, 4);
        u32 kind = get_bits(value, 20, 2);
        if ((sensor != 0 && sensor != 0xf) || kind > 1) {
            return failure(Status::invalid_field);
        }
        (kind == 0 ? words_[static_cast<usize>(feature)] : under_temperature_) = value & 0xffff;
        return success();
    }
    case Feature::volatile_write_cache:
        write_cache_enabled_.store(value != 0, std::memory_order_relaxed);
        return success();
    case Feature::number_of_queues: {
        u32 submission = get_bits(value, 0, 16);
        u32 completion = get_bits(value, 16, 16);
        if (submission == 0xffff || completion == 0xffff) {
            return failure(Status::invalid_field);
        }
        if (has_io_queues) {
            return failure(Status::command_sequence_error);
        }
        u32 granted = std::min(submission, io_queues_max - 1) | std::min(completion, io_queues_max - 1) << 16;
        words_[static_cast<usize>(feature)] = granted;
        return success(granted);
    }
    case Feature::interrupt_coalescing:
        coalescing_.threshold_minus_one.store(static_cast<u8>(get_bits(value, 0, 8)), std::memory_order_relaxed);
        coalescing_.time_100us.store(static_cast<u8>(get_bits(value, 8, 8)), std::memory_order_relaxed);
        words_[static_cast<usize>(feature)] = value;
        return success();
    case Feature::interrupt_vector_configuration: {
        u32 vector = get_bits(value, 0, 16);
        if (vector >= vectors_max) {
            return failure(Status::invalid_field);
        }
        coalescing_.disabled[vector].store(get_bits(value, 16, 1) != 0, std::memory_order_relaxed);
        return success();
    }
    case Feature::software_progress_marker:
        software_progress_ = value;
        return success();
    case Feature::command_set_profile:
        // One combination there is, and it is chosen.
        return entry.dword11 == 0 ? success() : failure(Status::command_set_combination_rejected);
    default:
        words_[static_cast<usize>(feature)] = value;
        return success();
    }
}

}  // namespace undercroft::nvme
