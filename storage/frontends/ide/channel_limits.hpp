// Bounds of a channel's memory.
#pragma once

#include "storage/frontends/ide/drive.hpp"

namespace undercroft::ide {

/// Data between the registers and a disk.
inline constexpr usize buffer_bytes_max = 64 * kib;
static_assert(buffer_bytes_max >= usize{Drive::multiple_max} * Drive::sector_size_max);
/// What one access to a disk moves by bus master at most.
inline constexpr u64 bus_master_piece_bytes = 1 * mib;

}  // namespace undercroft::ide
