// Ports of a PC that hold a byte or just take time: the POST code (80h), delays (EDh), and system control port A
// (92h) with its fast reset. The A20 gate is always open, whatever is written.
// Source: 82371SB (PIIX3) datasheet; PC/AT convention for the delay port.
#pragma once

#include <atomic>

#include "kernel/guest/bus.hpp"
#include "kernel/guest/chipset/services.hpp"

namespace undercroft {

class SimplePorts : public PortDevice {
public:
    explicit SimplePorts(PowerControl& power) : power_(power) {}

    Result<void> add_to(GuestBus& bus);

    /// What was last written to port 80h.
    u8 post_code() const { return post_code_.load(std::memory_order_relaxed); }

    u64 read_port(u16 port, AccessSize size) override;
    void write_port(u16 port, AccessSize size, u64 value) override;

private:
    PowerControl& power_;
    std::atomic<u8> post_code_{0};
};

}  // namespace undercroft
