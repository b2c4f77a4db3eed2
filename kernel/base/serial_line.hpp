// The two ends of a serial line, with flow control on both ways: an emulated UART, and whatever stands behind it.
#pragma once

#include <span>

#include "kernel/base/types.hpp"

namespace undercroft {

/// The other side of a serial line. Flow control on both ways, so no byte is lost; calls from any processor, with the
/// UART's lock held: they must not call back into the UART from inside.
class CharacterBackend {
public:
    virtual ~CharacterBackend() = default;
    /// Takes as many bytes as it can, and returns how many. Took it fewer than offered, it calls
    /// `SerialPort::transmit_ready` once it can take more.
    virtual usize write(std::span<const u8> bytes) = 0;
    /// The UART, having refused bytes in `SerialPort::receive`, can take more now.
    virtual void receive_ready() = 0;
};

/// What a back end calls on the UART; from any processor.
class SerialPort {
public:
    virtual ~SerialPort() = default;
    /// Bytes that arrived on the line. Returns how many it took; for the rest, wait for
    /// `CharacterBackend::receive_ready`.
    virtual usize receive(std::span<const u8> bytes) = 0;
    /// The back end can take bytes again.
    virtual void transmit_ready() = 0;
};

}  // namespace undercroft
