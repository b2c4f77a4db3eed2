// The page at FEE00000h of a guest whose local APICs are memory-mapped: each register is read and written with the
// monitor's copy, on the processor that made the access.
// Registers lie 16 bytes apart; anything but an aligned 32-bit access is undefined on a CPU, and gives zero here.
// Source: Intel SDM volume 3 section 11.4.1.
#pragma once

#include "kernel/guest/bus.hpp"

namespace undercroft {

class LocalApicWindow final : public MmioDevice {
public:
    static constexpr u64 address = 0xFEE0'0000;
    static constexpr u64 window_bytes = 0x1000;

    Result<void> add_to(GuestBus& bus);
    u64 read_mmio(u64 offset_bytes, AccessSize size) override;
    void write_mmio(u64 offset_bytes, AccessSize size, u64 value) override;
};

}  // namespace undercroft
