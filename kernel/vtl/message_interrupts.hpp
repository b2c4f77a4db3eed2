// Message-signalled interrupts of the guest's devices: an address and data become one asserted interrupt. Source: Intel
// SDM volume 3 section 11.11.
#pragma once

#include <atomic>

#include "kernel/guest/device.hpp"
#include "kernel/vtl/hypercalls.hpp"

namespace undercroft {

/// The interrupt that a message asks for; `invalid_argument` where address or data are not those of one (wrong window,
/// reserved delivery mode, vector below 16).
Result<AssertedInterrupt> decode_message(u64 address, u32 data);

class MessageInterrupts final : public MessageSink {
public:
    void deliver(u64 address, u32 data) override;
    /// Messages that were none, or that the monitor refused.
    u64 dropped() const { return dropped_.load(std::memory_order_relaxed); }

private:
    std::atomic<u64> dropped_{0};
};

}  // namespace undercroft
