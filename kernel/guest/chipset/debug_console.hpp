// The debug console at port E9h: what the guest writes there reaches the log, line by line. A convention of Bochs and
// QEMU, for boot loaders, kernels under construction and benchmarks. Reading gives E9h, which tells that it is there.
// Firmware looks for one of its own at port 402h.
#pragma once

#include <string_view>

#include "kernel/base/spinlock.hpp"
#include "kernel/guest/bus.hpp"

namespace undercroft {

/// Receives each line. From any processor, one call at a time.
class DebugLineSink {
public:
    virtual ~DebugLineSink() = default;
    virtual void debug_line(std::string_view line) = 0;
};

class DebugConsole : public PortDevice {
public:
    static constexpr u16 port = 0xE9;
    static constexpr u16 firmware_port = 0x402;
    /// Longer lines are cut.
    static constexpr usize line_bytes_max = 80;
    /// After so many lines the rest is dropped: a guest must not fill the log's disk.
    static constexpr u32 lines_max = 4096;

    explicit DebugConsole(DebugLineSink& sink) : sink_(sink) {}

    Result<void> add_to(GuestBus& bus, u16 at_port = port) {
        TRY(bus.add_ports(*this, at_port, 1));
        return {};
    }

    u64 read_port(u16, AccessSize) override { return port; }
    void write_port(u16, AccessSize, u64 value) override;

private:
    DebugLineSink& sink_;
    Spinlock lock_;
    char line_[line_bytes_max] = {};
    usize size_ = 0;
    u32 lines_ = 0;
};

}  // namespace undercroft
