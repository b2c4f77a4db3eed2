// What the chipset needs of the place it runs in, beyond device.hpp: the interrupt request towards the boot processor's
// LINT0, wall time, the machine's end, and the other side of a serial line.
#pragma once

#include <span>

#include "kernel/base/result.hpp"

namespace undercroft {

/// The 8259's INTR output, wired to LINT0 (ExtINT) of the boot processor's APIC.
class ExternalInterruptSink {
public:
    virtual ~ExternalInterruptSink() = default;
    /// The line's level changed. Whoever takes the interrupt then asks `InterruptControllerPair::acknowledge` for the
    /// vector. Called with the 8259's lock held, from any processor: note it, do not call back.
    virtual void set_requested(bool requested) = 0;
};

/// Ends or restarts the machine. Called from any processor, with the calling device's lock held; need not return.
class PowerControl {
public:
    virtual ~PowerControl() = default;
    /// ACPI S5.
    virtual void power_off() = 0;
    /// Keyboard controller, port 92h, port CF9h or the ACPI reset register.
    virtual void reset() = 0;
};

/// The time of day, from any processor.
class WallClock {
public:
    virtual ~WallClock() = default;
    /// Nanoseconds since 1970-01-01 00:00 UTC.
    virtual u64 unix_time_ns() = 0;
};

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
