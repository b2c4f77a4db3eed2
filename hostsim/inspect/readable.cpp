// Numbers for people.
#include "hostsim/inspect/readable.hpp"

#include "kernel/config/identifiers.hpp"

namespace undercroft {

std::string readable_size(u64 bytes) {
    constexpr const char* units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    usize unit = 0;
    u64 tenths = bytes;
    bool whole = true;
    for (u64 rest = bytes; rest >= kib; rest /= kib) {
        whole = whole && rest % kib == 0;
        tenths = unit == 0 ? bytes * 10 / kib : tenths / kib;
        ++unit;
    }
    if (unit == 0) {
        return decimal(bytes) + " bytes";
    }
    std::string text = decimal(tenths / 10);
    return (whole ? text : text + "." + decimal(tenths % 10)) + " " + units[unit];
}

std::string readable_time(u64 nanoseconds) {
    constexpr const char* units[] = {"ns", "us", "ms", "s"};
    u64 seconds = nanoseconds / nanoseconds_per_second;
    if (seconds >= 3600) {
        return decimal(seconds / 3600) + " h " + decimal(seconds / 60 % 60) + " min";
    }
    if (seconds >= 60) {
        return decimal(seconds / 60) + " min " + decimal(seconds % 60) + " s";
    }
    usize unit = 0;
    u64 scale = 1;
    while (unit + 1 < std::size(units) && nanoseconds / scale >= 1000) {
        scale *= 1000;
        ++unit;
    }
    std::string text = decimal(nanoseconds / scale);
    u64 tenth = scale == 1 ? 0 : nanoseconds / (scale / 10) % 10;
    return (tenth == 0 ? text : text + "." + decimal(tenth)) + " " + units[unit];
}

}  // namespace undercroft
