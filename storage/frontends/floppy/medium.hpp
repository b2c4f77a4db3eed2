// Formats of floppy disks, known by the size of their image, and a drive that holds one.
#pragma once

#include <optional>

#include "storage/disk.hpp"

namespace undercroft::floppy {

inline constexpr u32 sector_bytes = 512;
inline constexpr u8 heads = 2;

struct Format {
    const char* name;
    u8 cylinders;
    u8 sectors_per_track;
    bool is_high_density;  ///< 500 kbit/s; else 250, or 300 in a drive that turns faster
    u8 cmos_type;          ///< of the drive that takes it, as the PC's CMOS has it
    u64 sectors() const { return u64{cylinders} * heads * sectors_per_track; }
};

inline constexpr Format formats[] = {
    {"360K", 40, 9, false, 1},  {"720K", 80, 9, false, 3},  {"1.2M", 80, 15, true, 2},
    {"1.44M", 80, 18, true, 4}, {"1.68M", 80, 21, true, 4}, {"1.72M", 82, 21, true, 4},
};
inline constexpr u8 sectors_per_track_max = 21;

/// The format of a disk; null where its size is none's, or its sectors are not 512 bytes.
const Format* format_of(const Disk& disk);

struct Drive {
    bool exists = false;
    std::optional<Disk> medium;
    const Format* format = nullptr;
    u8 cylinder = 0;      ///< where the heads are
    bool changed = true;  ///< the disk change line: until a step with a medium in
    bool has_medium() const { return medium.has_value(); }
};

}  // namespace undercroft::floppy
