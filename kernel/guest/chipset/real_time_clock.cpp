// Registers, calendar and interrupts of the real-time clock. Flags are computed from the time that passed since they
// were last looked at.
#include "kernel/guest/chipset/real_time_clock.hpp"

#include <algorithm>

namespace undercroft {

namespace {

constexpr u16 port_index = 0x70;

enum Register : u8 {
    register_seconds = 0x00,
    register_seconds_alarm = 0x01,
    register_minutes = 0x02,
    register_minutes_alarm = 0x03,
    register_hours = 0x04,
    register_hours_alarm = 0x05,
    register_weekday = 0x06,
    register_day = 0x07,
    register_month = 0x08,
    register_year = 0x09,
    register_a = 0x0A,
    register_b = 0x0B,
    register_c = 0x0C,
    register_d = 0x0D,
    register_floppy_types = 0x10,
    register_equipment = 0x14,
    register_base_memory = 0x15,
    register_extended_memory = 0x17,
    register_extended_memory_again = 0x30,
    register_century = 0x32,
    register_memory_above_16mib = 0x34,
    register_memory_above_4gib = 0x5B,
    register_processors_minus_one = 0x5F,
};

constexpr u8 a_update_in_progress = 0x80;
constexpr u8 a_divider = 0x70;
constexpr u8 a_divider_running = 0x20;
constexpr u8 b_set = 0x80;
constexpr u8 b_binary = 0x04;
constexpr u8 b_24_hours = 0x02;
constexpr u8 c_request = 0x80;
constexpr u8 c_periodic = 0x40;  // the same bits enable their interrupts in register B
constexpr u8 c_alarm = 0x20;
constexpr u8 c_update_ended = 0x10;
constexpr u8 d_valid = 0x80;
constexpr u8 hour_pm = 0x80;
/// Alarm bytes from C0h match anything.
constexpr u8 alarm_any = 0xC0;

/// Update in progress shows from 244 us before the seconds change, and takes 1.984 ms: shown in front of the change,
/// all of it.
constexpr u64 update_ns = 2'228'000;
/// Seconds that are looked through for an alarm at most; a longer gap finds any alarm.
constexpr u64 alarm_seconds_max = 86'400;

}  // namespace

RealTimeClock::Calendar RealTimeClock::calendar_of(i64 unix_seconds) {
    i64 days = unix_seconds / 86'400;
    i64 rest = unix_seconds % 86'400;
    if (rest < 0) {
        rest += 86'400;
        --days;
    }
    // Days since 0000-03-01, so that the leap day is a year's last; then eras of 400 years.
    i64 shifted = days + 719'468;
    i64 era = (shifted >= 0 ? shifted : shifted - 146'096) / 146'097;
    i64 day_of_era = shifted - era * 146'097;
    i64 year_of_era = (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
    i64 day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    i64 month_from_march = (5 * day_of_year + 2) / 153;
    Calendar calendar = {};
    calendar.second = static_cast<unsigned>(rest % 60);
    calendar.minute = static_cast<unsigned>(rest / 60 % 60);
    calendar.hour = static_cast<unsigned>(rest / 3'600);
    calendar.weekday = static_cast<unsigned>(((days + 4) % 7 + 7) % 7) + 1;  // 1970-01-01 was a Thursday; 1 is Sunday
    calendar.day = static_cast<unsigned>(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    calendar.month = static_cast<unsigned>(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    calendar.year = static_cast<unsigned>(year_of_era + era * 400 + (calendar.month <= 2 ? 1 : 0));
    return calendar;
}

i64 RealTimeClock::unix_seconds_of(const Calendar& calendar) {
    i64 year = static_cast<i64>(calendar.year) - (calendar.month <= 2 ? 1 : 0);
    i64 era = year / 400;
    i64 year_of_era = year - era * 400;
    i64 month_from_march = (static_cast<i64>(calendar.month) + 9) % 12;
    i64 day_of_year = (153 * month_from_march + 2) / 5 + static_cast<i64>(calendar.day) - 1;
    i64 day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    i64 days = era * 146'097 + day_of_era - 719'468;
    return days * 86'400 + i64{calendar.hour} * 3'600 + i64{calendar.minute} * 60 + calendar.second;
}

RealTimeClock::RealTimeClock(Executor& timers, WallClock& clock, const InterruptLines::User& line)
    : timer_(timers, &RealTimeClock::on_expired, this), clock_(clock), line_(line) {
    memory_[register_a] = 0x26;  // oscillator on, 1024 Hz
    memory_[register_b] = b_24_hours;
    memory_[register_equipment] = 0x02;  // a coprocessor
    looked_at_ns_ = now_ns();
}

Result<void> RealTimeClock::add_to(GuestBus& bus) {
    TRY(bus.add_ports(*this, port_index, 2));
    return {};
}

void RealTimeClock::set_floppy_types(u8 first, u8 second) {
    constexpr u8 has_floppy = 0x01;
    constexpr u8 has_two = 0x40;
    SpinlockGuard guard(lock_);
    memory_[register_floppy_types] = static_cast<u8>((first << 4) | second);
    memory_[register_equipment] |= static_cast<u8>((first != 0 ? has_floppy : 0) | (second != 0 ? has_two : 0));
}

void RealTimeClock::set_processor_count(usize count) {
    SpinlockGuard guard(lock_);
    memory_[register_processors_minus_one] = static_cast<u8>(count - 1);
}

void RealTimeClock::set_memory_size(u64 below_4gib, u64 above_4gib) {
    auto store16 = [&](u8 index, u64 value) {
        value = std::min<u64>(value, 0xFFFF);
        memory_[index] = static_cast<u8>(value);
        memory_[index + 1] = static_cast<u8>(value >> 8);
    };
    SpinlockGuard guard(lock_);
    u64 extended_kib = below_4gib > mib ? (below_4gib - mib) / kib : 0;
    store16(register_base_memory, 640);
    store16(register_extended_memory, extended_kib);
    store16(register_extended_memory_again, extended_kib);
    store16(register_memory_above_16mib, below_4gib > 16 * mib ? (below_4gib - 16 * mib) / (64 * kib) : 0);
    u64 high = above_4gib / (64 * kib);
    store16(register_memory_above_4gib, high & 0xFFFF);
    memory_[register_memory_above_4gib + 2] = static_cast<u8>(high >> 16);
}

u8 RealTimeClock::encode(unsigned value) const {
    bool binary = (memory_[register_b] & b_binary) != 0;
    return static_cast<u8>(binary ? value : (value / 10) << 4 | value % 10);
}

unsigned RealTimeClock::decode(u8 value) const {
    bool binary = (memory_[register_b] & b_binary) != 0;
    return binary ? value : (value >> 4) * 10u + (value & 0xF);
}

u8 RealTimeClock::encode_hour(unsigned hour) const {
    if ((memory_[register_b] & b_24_hours) != 0) {
        return encode(hour);
    }
    unsigned of_twelve = hour % 12 == 0 ? 12 : hour % 12;
    return static_cast<u8>(encode(of_twelve) | (hour >= 12 ? hour_pm : 0));
}

unsigned RealTimeClock::decode_hour(u8 value) const {
    if ((memory_[register_b] & b_24_hours) != 0) {
        return decode(value);
    }
    unsigned of_twelve = decode(value & ~hour_pm) % 12;
    return of_twelve + ((value & hour_pm) != 0 ? 12 : 0);
}

void RealTimeClock::store_calendar(const Calendar& calendar) {
    memory_[register_seconds] = encode(calendar.second);
    memory_[register_minutes] = encode(calendar.minute);
    memory_[register_hours] = encode_hour(calendar.hour);
    memory_[register_weekday] = encode(calendar.weekday);
    memory_[register_day] = encode(calendar.day);
    memory_[register_month] = encode(calendar.month);
    memory_[register_year] = encode(calendar.year % 100);
    memory_[register_century] = encode(calendar.year / 100);
}

RealTimeClock::Calendar RealTimeClock::stored_calendar() const {
    Calendar calendar = {};
    calendar.second = decode(memory_[register_seconds]) % 60;
    calendar.minute = decode(memory_[register_minutes]) % 60;
    calendar.hour = decode_hour(memory_[register_hours]) % 24;
    calendar.weekday = decode(memory_[register_weekday]);
    calendar.day = std::clamp(decode(memory_[register_day]), 1u, 31u);
    calendar.month = std::clamp(decode(memory_[register_month]), 1u, 12u);
    calendar.year = decode(memory_[register_century]) * 100 + decode(memory_[register_year]);
    return calendar;
}

/// Set by the guest, or the divider held: the time bytes are memory, and do not move.
bool RealTimeClock::is_stopped() const {
    return (memory_[register_b] & b_set) != 0 || (memory_[register_a] & a_divider) != a_divider_running;
}

/// The periodic interrupt's period in ticks of the oscillator; 0: none.
u64 RealTimeClock::period_ticks() const {
    unsigned select = memory_[register_a] & 0xF;
    if (select == 0) {
        return 0;
    }
    return u64{1} << (select <= 2 ? select + 6 : select - 1);
}

bool RealTimeClock::alarm_matches(const Calendar& calendar) const {
    auto matches = [&](u8 index, u8 value) { return memory_[index] >= alarm_any || memory_[index] == value; };
    return matches(register_seconds_alarm, encode(calendar.second)) &&
           matches(register_minutes_alarm, encode(calendar.minute)) &&
           matches(register_hours_alarm, encode_hour(calendar.hour));
}

/// Sets the flags for everything that happened between `looked_at_ns_` and `now`.
void RealTimeClock::update(u64 now) {
    u64 before = looked_at_ns_;
    looked_at_ns_ = now;
    if (now <= before) {
        return;
    }
    u8 flags = 0;
    u64 period = period_ticks();
    if (period != 0 && oscillator.ticks(now) / period != oscillator.ticks(before) / period) {
        flags |= c_periodic;
    }
    u64 first = before / nanoseconds_per_second + 1;
    u64 last = now / nanoseconds_per_second;
    if (first <= last && !is_stopped()) {
        flags |= c_update_ended;
        if ((memory_[register_c] & c_alarm) == 0) {
            first = last - first > alarm_seconds_max ? last - alarm_seconds_max : first;
            for (u64 second = first; second <= last; ++second) {
                if (alarm_matches(calendar_of(static_cast<i64>(second)))) {
                    flags |= c_alarm;
                    break;
                }
            }
        }
    }
    memory_[register_c] |= flags;
    update_line();
}

void RealTimeClock::update_line() {
    bool requests = (memory_[register_c] & memory_[register_b] & (c_periodic | c_alarm | c_update_ended)) != 0;
    memory_[register_c] =
        static_cast<u8>(requests ? memory_[register_c] | c_request : memory_[register_c] & ~c_request);
    line_.set_level(requests);
}

/// Waits for the next event whose interrupt is enabled and not pending.
void RealTimeClock::schedule(u64 now) {
    u8 wanted = memory_[register_b] & static_cast<u8>(~memory_[register_c]);
    u64 next = no_deadline;
    u64 period = period_ticks();
    if ((wanted & c_periodic) != 0 && period != 0) {
        next = oscillator.time_ns((oscillator.ticks(now) / period + 1) * period);
    }
    if ((wanted & (c_update_ended | c_alarm)) != 0 && !is_stopped()) {
        next = std::min(next, (now / nanoseconds_per_second + 1) * nanoseconds_per_second);
    }
    timer_.set(next == no_deadline ? no_deadline : timer_.now_ns() + (next - now));
}

void RealTimeClock::on_expired(void* self) {
    auto& clock = *static_cast<RealTimeClock*>(self);
    SpinlockGuard guard(clock.lock_);
    u64 now = clock.now_ns();
    clock.update(now);
    clock.schedule(now);
}

u8 RealTimeClock::read_time(u8 index) {
    if (!is_stopped()) {
        store_calendar(calendar_of(static_cast<i64>(now_ns() / nanoseconds_per_second)));
    }
    return memory_[index];
}

void RealTimeClock::write_time(u8 index, u8 value) {
    bool runs = !is_stopped();
    u64 wall = clock_.unix_time_ns();
    u64 fraction = now_ns() % nanoseconds_per_second;
    if (runs) {
        store_calendar(calendar_of(static_cast<i64>(now_ns() / nanoseconds_per_second)));
    }
    memory_[index] = value;
    if (runs) {
        u64 set = static_cast<u64>(unix_seconds_of(stored_calendar())) * nanoseconds_per_second + fraction;
        offset_ns_ = static_cast<i64>(set - wall);
        looked_at_ns_ = now_ns();
    }
}

u8 RealTimeClock::read_register(u8 index) {
    u64 now = now_ns();
    switch (index) {
    case register_seconds:
    case register_minutes:
    case register_hours:
    case register_weekday:
    case register_day:
    case register_month:
    case register_year:
    case register_century:
        return read_time(index);
    case register_a: {
        bool updating = !is_stopped() && now % nanoseconds_per_second >= nanoseconds_per_second - update_ns;
        return static_cast<u8>(memory_[register_a] | (updating ? a_update_in_progress : 0));
    }
    case register_c: {
        update(now);
        u8 flags = memory_[register_c];
        memory_[register_c] = 0;
        update_line();
        schedule(now);
        return flags;
    }
    case register_d:
        return d_valid;
    default:
        return memory_[index];
    }
}

void RealTimeClock::write_register(u8 index, u8 value) {
    switch (index) {
    case register_seconds:
    case register_minutes:
    case register_hours:
    case register_weekday:
    case register_day:
    case register_month:
    case register_year:
    case register_century:
        write_time(index, value);
        break;
    case register_a:
    case register_b: {
        update(now_ns());
        bool was_stopped = is_stopped();
        if (!was_stopped) {
            store_calendar(calendar_of(static_cast<i64>(now_ns() / nanoseconds_per_second)));
        }
        memory_[index] = index == register_a ? value & ~a_update_in_progress : value;
        if (was_stopped && !is_stopped()) {
            u64 set = static_cast<u64>(unix_seconds_of(stored_calendar())) * nanoseconds_per_second;
            offset_ns_ = static_cast<i64>(set - clock_.unix_time_ns());
            looked_at_ns_ = set;
        }
        update_line();
        break;
    }
    case register_c:
    case register_d:
        break;  // read-only
    default:
        memory_[index] = value;  // the alarm, and plain memory
        break;
    }
    schedule(now_ns());
}

u64 RealTimeClock::read_port(u16 port, AccessSize) {
    SpinlockGuard guard(lock_);
    return port == port_index ? 0xFF : read_register(index_);
}

void RealTimeClock::write_port(u16 port, AccessSize, u64 value) {
    SpinlockGuard guard(lock_);
    if (port == port_index) {
        index_ = static_cast<u8>(value) & (cmos_bytes - 1);  // bit 7 masks NMI
    } else {
        write_register(index_, static_cast<u8>(value));
    }
}

}  // namespace undercroft
