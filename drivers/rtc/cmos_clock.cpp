// Two equal readings outside an update are a time; a clock that does not give them within a bound is broken.
#include "drivers/rtc/cmos_clock.hpp"

#include <chrono>

#include "kernel/vtl/cpu.hpp"

namespace undercroft {

namespace {

constexpr u16 index_port = 0x70;
constexpr u16 data_port = 0x71;
constexpr u8 status_a = 0x0A;
constexpr u8 status_b = 0x0B;
constexpr u8 update_in_progress = 1 << 7;
constexpr u8 mode_binary = 1 << 2;
constexpr u8 mode_24_hours = 1 << 1;
constexpr u8 hour_is_afternoon = 1 << 7;
constexpr int attempts_max = 100'000;  // an update takes 2 ms, a port access about one microsecond

struct Reading {
    u8 second, minute, hour, day, month, year, century;
    bool operator==(const Reading&) const = default;
};

u8 read_register(u8 index) {
    cpu::write_port8(index_port, index);
    return cpu::read_port8(data_port);
}

Reading read_all() {
    return {.second = read_register(0x00),
            .minute = read_register(0x02),
            .hour = read_register(0x04),
            .day = read_register(0x07),
            .month = read_register(0x08),
            .year = read_register(0x09),
            .century = read_register(0x32)};
}

Result<Reading> read_stable() {
    for (int attempt = 0; attempt < attempts_max; ++attempt) {
        if ((read_register(status_a) & update_in_progress) != 0) {
            continue;
        }
        Reading first = read_all();
        if ((read_register(status_a) & update_in_progress) == 0 && read_all() == first) {
            return first;
        }
    }
    return fail(Error::device_error);
}

unsigned decode(u8 value, u8 mode) { return (mode & mode_binary) != 0 ? value : (value >> 4) * 10u + (value & 15u); }

unsigned decode_hour(u8 value, u8 mode) {
    if ((mode & mode_24_hours) != 0) {
        return decode(value, mode);
    }
    unsigned hour = decode(static_cast<u8>(value & ~hour_is_afternoon), mode) % 12;
    return (value & hour_is_afternoon) != 0 ? hour + 12 : hour;
}

}  // namespace

Result<u64> read_cmos_clock() {
    Reading reading = TRY(read_stable());
    u8 mode = read_register(status_b);
    unsigned century = decode(reading.century, mode);
    constexpr unsigned century_min = 19;
    constexpr unsigned century_max = 29;
    // A machine without the register has anything there.
    century = century < century_min || century > century_max ? 20 : century;
    using namespace std::chrono;
    year_month_day date{year(static_cast<int>(century * 100 + decode(reading.year, mode))),
                        month(decode(reading.month, mode)), day(decode(reading.day, mode))};
    unsigned hour = decode_hour(reading.hour, mode);
    unsigned minute = decode(reading.minute, mode);
    unsigned second = decode(reading.second, mode);
    if (!date.ok() || date.year() < year(1970) || hour > 23 || minute > 59 || second > 59) {
        return fail(Error::device_error);
    }
    u64 days_since_epoch = static_cast<u64>(sys_days(date).time_since_epoch().count());
    return ((days_since_epoch * 24 + hour) * 60 + minute) * 60 + second;
}

}  // namespace undercroft
