// What a unit has to tell each initiator before it carries out the next command (SAM-5 5.14): one bit a condition, told
// in the order of the list, each once. Leaves out counting: a condition that comes twice before it is told is told once.
#pragma once

#include <atomic>
#include <bit>
#include <optional>

#include "kernel/spec/scsi.hpp"

namespace undercroft::scsi {

/// In the order of precedence (SAM-5 table 32).
enum class UnitAttention : u8 {
    power_on,
    bus_reset,
    device_reset,
    nexus_loss,
    commands_cleared,
    medium_changed,
    reported_luns_changed,
    capacity_changed,
    mode_parameters_changed,
    reservations_preempted,
    reservations_released,
    registrations_preempted,
};

constexpr AdditionalSense sense_of(UnitAttention attention) {
    constexpr AdditionalSense codes[] = {
        AdditionalSense::power_on,
        AdditionalSense::bus_reset,
        AdditionalSense::device_reset,
        AdditionalSense::nexus_loss,
        AdditionalSense::commands_cleared_by_another_initiator,
        AdditionalSense::medium_may_have_changed,
        AdditionalSense::reported_luns_changed,
        AdditionalSense::capacity_changed,
        AdditionalSense::mode_parameters_changed,
        AdditionalSense::reservations_preempted,
        AdditionalSense::reservations_released,
        AdditionalSense::registrations_preempted,
    };
    return codes[static_cast<u8>(attention)];
}

/// The conditions of one initiator. Any processor.
class AttentionQueue {
public:
    void raise(UnitAttention attention) { pending_.fetch_or(bit_of(attention), std::memory_order_release); }
    void clear(UnitAttention attention) { pending_.fetch_and(~bit_of(attention), std::memory_order_release); }
    /// Forgets everything but that there was a reset, which says it all (SAM-5 5.14.1).
    void reset_to(UnitAttention attention) { pending_.store(bit_of(attention), std::memory_order_release); }
    bool is_empty() const { return pending_.load(std::memory_order_relaxed) == 0; }
    /// Takes the first out.
    std::optional<UnitAttention> take() {
        u32 pending = pending_.load(std::memory_order_acquire);
        while (pending != 0) {
            if (pending_.compare_exchange_weak(pending, pending & (pending - 1))) {
                return static_cast<UnitAttention>(std::countr_zero(pending));
            }
        }
        return std::nullopt;
    }

private:
    static constexpr u32 bit_of(UnitAttention attention) { return 1U << static_cast<u8>(attention); }
    std::atomic<u32> pending_{0};
};

}  // namespace undercroft::scsi
