// The MC146818 real-time clock and its CMOS memory (ports 70h, 71h): date and time from a wall clock plus what the
// guest set, alarm, periodic and update-ended interrupts on ISA line 8, and the memory sizes that firmware leaves in
// the CMOS. Left out: daylight saving, square wave output, NMI masking.
// Sources: Motorola MC146818A datasheet; the PC/AT's and SeaBIOS's use of CMOS bytes 15h-18h, 30h-35h, 5Bh-5Dh, 5Fh.
#pragma once

#include "kernel/base/spinlock.hpp"
#include "kernel/guest/bus.hpp"
#include "kernel/guest/chipset/device_timer.hpp"
#include "kernel/guest/chipset/fixed_rate.hpp"
#include "kernel/guest/chipset/interrupt_lines.hpp"
#include "kernel/guest/chipset/services.hpp"

namespace undercroft {

class RealTimeClock : public PortDevice {
public:
    RealTimeClock(Executor& timers, WallClock& clock, const InterruptLines::User& line);

    /// Ports 70h and 71h.
    Result<void> add_to(GuestBus& bus);
    /// RAM below and above 4 GiB, in bytes: fills in the CMOS bytes that say so.
    void set_memory_size(u64 below_4gib, u64 above_4gib);
    /// How many processors firmware is to wait for, 1 to 256.
    void set_processor_count(usize count);
    /// Types of the two floppy drives, 0 for none: 1 360K, 2 1.2M, 3 720K, 4 1.44M.
    void set_floppy_types(u8 first, u8 second);

    u64 read_port(u16 port, AccessSize size) override;
    void write_port(u16 port, AccessSize size, u64 value) override;

private:
    static constexpr FixedRate oscillator{32'768};
    static constexpr usize cmos_bytes = 128;

    /// A calendar date and time of day.
    struct Calendar {
        unsigned second, minute, hour, weekday, day, month, year;
    };

    static void on_expired(void* self);
    static Calendar calendar_of(i64 unix_seconds);
    static i64 unix_seconds_of(const Calendar& calendar);

    u64 now_ns() { return clock_.unix_time_ns() + static_cast<u64>(offset_ns_); }
    u8 encode(unsigned value) const;
    unsigned decode(u8 value) const;
    u8 encode_hour(unsigned hour) const;
    unsigned decode_hour(u8 value) const;
    u8 read_time(u8 index);
    void write_time(u8 index, u8 value);
    void store_calendar(const Calendar& calendar);
    Calendar stored_calendar() const;
    bool is_stopped() const;
    u64 period_ticks() const;
    bool alarm_matches(const Calendar& calendar) const;
    void update(u64 now);
    void schedule(u64 now);
    void update_line();
    u8 read_register(u8 index);
    void write_register(u8 index, u8 value);

    Spinlock lock_;
    DeviceTimer timer_;
    WallClock& clock_;
    InterruptLines::User line_;
    u8 index_ = 0;
    u8 memory_[cmos_bytes] = {};
    i64 offset_ns_ = 0;     // guest's time minus wall time
    u64 looked_at_ns_ = 0;  // up to when flags have been computed
};

}  // namespace undercroft
