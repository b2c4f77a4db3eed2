// The 8254 interval timer (ports 40h-43h) and the part of port 61h that belongs to it: channel 0 is the timer
// interrupt, channel 1 nothing, channel 2 the speaker, whose gate and output port 61h shows and which kernels calibrate
// their clocks with. Counters are computed from the time when they are asked for. Left out: BCD counting (the bit is
// kept, the count stays binary) and sound.
// Sources: Intel 8254 datasheet; 82371SB (PIIX3) datasheet for port 61h.
#pragma once

#include "kernel/base/spinlock.hpp"
#include "kernel/guest/bus.hpp"
#include "kernel/guest/chipset/device_timer.hpp"
#include "kernel/guest/chipset/fixed_rate.hpp"
#include "kernel/guest/chipset/interrupt_lines.hpp"

namespace undercroft {

class IntervalTimer : public PortDevice {
public:
    static constexpr FixedRate rate{1'193'182};

    IntervalTimer(Executor& timers, const InterruptLines::User& line);

    /// Ports 40h-43h and 61h.
    Result<void> add_to(GuestBus& bus);

    u64 read_port(u16 port, AccessSize size) override;
    void write_port(u16 port, AccessSize size, u64 value) override;

private:
    static constexpr unsigned channels = 3;

    /// How a count is read and written.
    enum class AccessMode : u8 { latch = 0, low = 1, high = 2, low_then_high = 3 };

    struct Channel {
        u8 mode = 3;
        AccessMode access = AccessMode::low_then_high;
        bool is_bcd = false;
        bool gate = true;
        bool is_counting = false;  // a count was written (and, in modes 1 and 5, the gate triggered)
        bool is_null_count = true;
        bool writes_high = false;
        bool reads_high = false;
        u8 low_byte = 0;
        u32 reload = 0x10000;
        u64 start_tick = 0;     // when the present count began
        u64 paused_ticks = 0;   // what had elapsed when the gate closed
        u8 latched_counts = 0;  // bytes of `latch` still to be read
        u16 latch = 0;
        bool has_latched_status = false;
        u8 latched_status = 0;

        bool is_periodic() const { return mode == 2 || mode == 3; }
        bool needs_trigger() const { return mode == 1 || mode == 5; }
        bool is_gated_off() const { return !gate && !needs_trigger(); }
        u64 elapsed(u64 now) const;
        u16 count(u64 now) const;
        bool output(u64 now) const;
        /// The tick of the next rising edge of the output after `now`, or `no_deadline`.
        u64 next_rise(u64 now) const;
        void load(u32 value, u64 now);
        void set_gate(bool high, u64 now);
        void write_count(u8 value, u64 now);
        u8 read_count(u64 now);
        void latch_count(u64 now);
        void latch_status(u64 now);
    };

    static void on_expired(void* self);
    u64 now_ticks() { return rate.ticks(timer_.now_ns()); }
    void write_control(u8 value, u64 now);
    void schedule(u64 now);

    Spinlock lock_;
    DeviceTimer timer_;
    InterruptLines::User line_;
    Channel channels_[channels];
    u64 armed_rise_ = no_deadline;
    u64 last_interrupt_ns_ = 0;
    bool speaker_ = false;
};

}  // namespace undercroft
