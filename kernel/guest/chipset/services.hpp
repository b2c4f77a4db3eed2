// What the chipset needs of the place it runs in, beyond device.hpp: the interrupt request towards the boot processor's
// LINT0, wall time, and the machine's end.
#pragma once

#include "kernel/base/serial_line.hpp"
#include "kernel/base/types.hpp"

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

}  // namespace undercroft
