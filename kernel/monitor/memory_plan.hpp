// Who gets which machine memory: monitor, VTL2, guest. Pure arithmetic over the firmware's memory map.
//
// From the bottom: first MiB (untouched but for the AP trampoline), monitor image and its page pool, VTL2, guest RAM.
// Everything of ours ends on a 2 MiB boundary, so that guest address 0 is a large page. Left out: NUMA, memory hot
// plug.
#pragma once

#include <span>

#include "kernel/base/result.hpp"
#include "kernel/spec/vtl2_extension.hpp"

namespace undercroft::monitor {

/// A piece of machine memory that the firmware calls usable.
struct MemoryRange {
    u64 begin;
    u64 end;
    constexpr u64 size() const { return end - begin; }
};
inline constexpr usize memory_ranges_max = 32;

/// Guest RAM: guest addresses [guest_address, + size_bytes) are machine addresses from `machine_address`.
struct GuestPiece {
    u64 guest_address;
    u64 machine_address;
    u64 size_bytes;
};

struct MemoryPlan {
    MemoryRange monitor;       ///< image and pool
    MemoryRange monitor_pool;  ///< the part behind the image
    MemoryRange vtl2;
    GuestPiece guest[vtl2::guest_ranges_max];
    usize guest_count;
    u64 machine_end;  ///< first address behind all usable memory

    std::span<const GuestPiece> guest_pieces() const { return {guest, guest_count}; }
    u64 guest_bytes() const;
    /// Machine address of guest address `address`, where [address, + size) lies in one piece.
    Result<u64> guest_to_machine(u64 address, u64 size_bytes) const;
};

/// Guest RAM below the hole of a PC's devices ends here at the latest; the rest starts at 4 GiB.
inline constexpr u64 guest_low_end = 3 * gib;
inline constexpr u64 guest_high_begin = 4 * gib;
/// What ends here is also at the end of the first 4 GiB, to be read and executed: a PC's firmware.
inline constexpr u64 guest_firmware_end = mib;
inline constexpr u64 guest_firmware_bytes = 256 * kib;

/// Bytes the monitor wants behind its image for `vp_count` VPs and `ram_bytes` of RAM.
u64 monitor_pool_bytes(u32 vp_count, u64 ram_bytes);

/// Divides `usable` (sorted, disjoint). `image_end` is the first byte behind the monitor's image. `out_of_memory`
/// where there is too little,
/// `malformed` where the map makes no sense.
Result<MemoryPlan> plan_memory(std::span<const MemoryRange> usable, u64 image_begin, u64 image_end, u32 vp_count);

}  // namespace undercroft::monitor
