// Counting modes and registers of the 8254.
#include "kernel/guest/chipset/interval_timer.hpp"

#include <algorithm>

namespace undercroft {

namespace {

constexpr u16 port_first_channel = 0x40;
constexpr u16 port_control = 0x43;
constexpr u16 port_system_control = 0x61;
constexpr unsigned speaker_channel = 2;

constexpr u8 system_control_gate = 0x01;
constexpr u8 system_control_speaker = 0x02;
constexpr u8 system_control_refresh = 0x10;
constexpr u8 system_control_output = 0x20;
/// Half the period of the memory refresh that bit 4 of port 61h shows.
constexpr u64 refresh_ns = 15'085;
/// Interrupts come at most this often: a guest that asks for more has some of them merged, instead of keeping our
/// processor busy.
constexpr u64 interrupt_interval_min_ns = 20'000;

}  // namespace

u64 IntervalTimer::Channel::elapsed(u64 now) const {
    if (is_gated_off()) {
        return paused_ticks;
    }
    return now - start_tick;
}

u16 IntervalTimer::Channel::count(u64 now) const {
    if (!is_counting) {
        return static_cast<u16>(reload);
    }
    u64 ticks = elapsed(now);
    switch (mode) {
    case 2:
        return static_cast<u16>(reload - ticks % reload);
    case 3:
        // Counts down by two, twice each period.
        return static_cast<u16>(reload - (2 * ticks) % reload);
    default:
        return static_cast<u16>(reload - ticks);  // goes on below zero, modulo 65536
    }
}

bool IntervalTimer::Channel::output(u64 now) const {
    if (!is_counting) {
        return mode != 0;
    }
    u64 ticks = elapsed(now);
    switch (mode) {
    case 0:
    case 1:
        return ticks >= reload;
    case 2:
        return is_gated_off() || ticks % reload != reload - 1;
    case 3:
        return is_gated_off() || ticks % reload < (reload + 1) / 2;
    default:
        return ticks != reload;  // modes 4 and 5: low for one tick
    }
}

u64 IntervalTimer::Channel::next_rise(u64 now) const {
    if (!is_counting || is_gated_off()) {
        return no_deadline;
    }
    u64 ticks = elapsed(now);
    if (is_periodic()) {
        return start_tick + (ticks / reload + 1) * reload;
    }
    u64 rise = start_tick + reload + (mode >= 4 ? 1 : 0);
    return rise > now ? rise : no_deadline;
}

void IntervalTimer::Channel::load(u32 value, u64 now) {
    reload = value == 0 ? 0x10000 : value;
    if (mode == 2 && reload == 1) {
        reload = 2;  // a period of one is illegal
    }
    is_null_count = false;
    if (needs_trigger()) {
        return;
    }
    // Periodic modes take a new count at the end of the period; taking it at once is what drivers expect no less.
    is_counting = true;
    start_tick = now;
    paused_ticks = 0;
}

void IntervalTimer::Channel::set_gate(bool high, u64 now) {
    if (high == gate) {
        return;
    }
    if (!high && is_counting && !needs_trigger()) {
        paused_ticks = now - start_tick;
    }
    gate = high;
    if (!high) {
        return;
    }
    if (needs_trigger()) {
        is_counting = !is_null_count;
        start_tick = now;
    } else if (is_periodic()) {
        start_tick = now;
    } else {
        start_tick = now - paused_ticks;
    }
}

void IntervalTimer::Channel::write_count(u8 value, u64 now) {
    switch (access) {
    case AccessMode::low:
        load(value, now);
        break;
    case AccessMode::high:
        load(u32{value} << 8, now);
        break;
    default:
        if (!writes_high) {
            low_byte = value;
            is_null_count = true;
            if (mode == 0) {
                is_counting = false;  // the first byte stops the count and lowers the output
            }
        } else {
            load((u32{value} << 8) | low_byte, now);
        }
        writes_high = !writes_high;
        break;
    }
}

void IntervalTimer::Channel::latch_count(u64 now) {
    if (latched_counts != 0) {
        return;
    }
    latch = count(now);
    latched_counts = access == AccessMode::low_then_high ? 2 : 1;
}

void IntervalTimer::Channel::latch_status(u64 now) {
    if (has_latched_status) {
        return;
    }
    has_latched_status = true;
    latched_status = static_cast<u8>((output(now) ? 0x80 : 0) | (is_null_count ? 0x40 : 0) |
                                     (static_cast<u8>(access) << 4) | (mode << 1) | (is_bcd ? 1 : 0));
}

u8 IntervalTimer::Channel::read_count(u64 now) {
    if (has_latched_status) {
        has_latched_status = false;
        return latched_status;
    }
    u16 value = latched_counts != 0 ? latch : count(now);
    bool high = access == AccessMode::high;
    if (access == AccessMode::low_then_high) {
        high = reads_high;
        reads_high = !reads_high;
    }
    if (latched_counts != 0) {
        --latched_counts;
    }
    return static_cast<u8>(high ? value >> 8 : value);
}

IntervalTimer::IntervalTimer(Executor& timers, const InterruptLines::User& line)
    : timer_(timers, &IntervalTimer::on_expired, this), line_(line) {
    channels_[speaker_channel].gate = false;
}

Result<void> IntervalTimer::add_to(GuestBus& bus) {
    TRY(bus.add_ports(*this, port_first_channel, 4));
    TRY(bus.add_ports(*this, port_system_control, 1));
    return {};
}

/// Channel 0's line follows its output; a timer waits for the next rise, of which the one tick low in front is not
/// shown.
void IntervalTimer::schedule(u64 now) {
    armed_rise_ = channels_[0].next_rise(now);
    u64 earliest = last_interrupt_ns_ + interrupt_interval_min_ns;
    timer_.set(armed_rise_ == no_deadline ? no_deadline : std::max(rate.time_ns(armed_rise_), earliest));
}

void IntervalTimer::on_expired(void* self) {
    auto& timer = *static_cast<IntervalTimer*>(self);
    SpinlockGuard guard(timer.lock_);
    u64 now = timer.now_ticks();
    // Rises that were missed meanwhile become one: a processor that could not run cannot have taken them.
    if (timer.armed_rise_ <= now) {
        timer.last_interrupt_ns_ = timer.timer_.now_ns();
        timer.line_.set_level(false);
        timer.line_.set_level(true);
    }
    timer.schedule(now);
}

void IntervalTimer::write_control(u8 value, u64 now) {
    unsigned index = value >> 6;
    if (index == 3) {  // read-back
        for (unsigned i = 0; i < channels; ++i) {
            if ((value & (2u << i)) == 0) {
                continue;
            }
            if ((value & 0x20) == 0) {
                channels_[i].latch_count(now);
            }
            if ((value & 0x10) == 0) {
                channels_[i].latch_status(now);
            }
        }
        return;
    }
    Channel& channel = channels_[index];
    auto access = static_cast<AccessMode>((value >> 4) & 3);
    if (access == AccessMode::latch) {
        channel.latch_count(now);
        return;
    }
    channel.access = access;
    channel.mode = (value >> 1) & 7;
    if (channel.mode > 5) {
        channel.mode &= 3;  // 6 and 7 are 2 and 3
    }
    channel.is_bcd = (value & 1) != 0;
    channel.is_counting = false;
    channel.is_null_count = true;
    channel.writes_high = channel.reads_high = false;
    channel.latched_counts = 0;
    channel.has_latched_status = false;
    if (index == 0) {
        line_.set_level(channel.output(now));
    }
}

u64 IntervalTimer::read_port(u16 port, AccessSize) {
    SpinlockGuard guard(lock_);
    u64 now = now_ticks();
    if (port == port_system_control) {
        Channel& channel = channels_[speaker_channel];
        u8 value = static_cast<u8>((channel.gate ? system_control_gate : 0) | (speaker_ ? system_control_speaker : 0));
        value |= ((timer_.now_ns() / refresh_ns) & 1) != 0 ? system_control_refresh : 0;
        value |= channel.output(now) ? system_control_output : 0;
        return value;
    }
    if (port == port_control) {
        return 0xFF;  // write-only
    }
    return channels_[port - port_first_channel].read_count(now);
}

void IntervalTimer::write_port(u16 port, AccessSize, u64 value) {
    SpinlockGuard guard(lock_);
    u64 now = now_ticks();
    u8 byte = static_cast<u8>(value);
    if (port == port_system_control) {
        channels_[speaker_channel].set_gate((byte & system_control_gate) != 0, now);
        speaker_ = (byte & system_control_speaker) != 0;
        return;
    }
    if (port == port_control) {
        write_control(byte, now);
    } else {
        channels_[port - port_first_channel].write_count(byte, now);
        if (port == port_first_channel && channels_[0].is_counting) {
            line_.set_level(channels_[0].output(now));
        }
    }
    schedule(now);
}

}  // namespace undercroft
