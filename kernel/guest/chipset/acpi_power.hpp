// ACPI fixed hardware: PM1 event and control blocks and the power management timer, at I/O ports from 600h; always in
// ACPI mode. The general-purpose event block is empty. S5 ends the machine; the other sleep states do not exist. Left
// out: SMI, sleep button, real-time clock wake.
// Source: ACPI 6.4 section 4.8.
#pragma once

#include "kernel/base/spinlock.hpp"
#include "kernel/guest/bus.hpp"
#include "kernel/guest/chipset/device_timer.hpp"
#include "kernel/guest/chipset/fixed_rate.hpp"
#include "kernel/guest/chipset/interrupt_lines.hpp"
#include "kernel/guest/chipset/services.hpp"

namespace undercroft {

class AcpiPower : public PortDevice {
public:
    static constexpr FixedRate rate{3'579'545};
    static constexpr u16 base_port = 0x600;
    static constexpr u16 event_offset = 0;
    static constexpr u16 control_offset = 4;
    static constexpr u16 timer_offset = 8;
    static constexpr u16 port_count = 12;
    /// SLP_TYP of S5, as \_S5 in the DSDT says.
    static constexpr u8 sleep_type_s5 = 5;

    AcpiPower(Executor& timers, PowerControl& power, const InterruptLines::User& line);

    /// Ports 600h-60Bh.
    Result<void> add_to(GuestBus& bus);
    /// The power button: asks the guest to shut down. From any processor.
    void press_power_button();

    u64 read_port(u16 port, AccessSize size) override;
    void write_port(u16 port, AccessSize size, u64 value) override;

private:
    static void on_expired(void* self);
    u64 now_ticks() { return rate.ticks(timer_.now_ns()); }
    void update();
    u8 read_byte(u16 offset, u32 timer_value);
    void write_byte(u16 offset, u8 value);

    Spinlock lock_;
    DeviceTimer timer_;
    PowerControl& power_;
    InterruptLines::User line_;
    u16 status_ = 0;
    u16 enable_ = 0;
    u16 control_ = 0;
    u64 looked_at_tick_ = 0;
};

}  // namespace undercroft
