// What the sectors of a simulated disk hold, and how to tell: a stamp that is drawn once for each write, and the sector
// it was written to, over and over, so that one that is torn, misplaced or made up is recognised.
#pragma once

#include <cstring>
#include <span>

#include "kernel/base/types.hpp"

namespace undercroft::simulation {

/// One sector's contents in a word: a stamp (1 up to `stamp_max`), or one of what follows.
using Contents = u64;

inline constexpr Contents zeros = 0;
inline constexpr Contents stamp_max = (u64{1} << 62) - 1;
/// Nobody wrote this: the low bits tell one piece of garbage from another.
inline constexpr Contents garbage_flag = u64{1} << 63;
/// Written, but to another sector.
inline constexpr Contents misplaced_flag = u64{1} << 62;

constexpr bool is_garbage(Contents contents) { return (contents & garbage_flag) != 0; }
constexpr bool is_misplaced(Contents contents) { return !is_garbage(contents) && (contents & misplaced_flag) != 0; }

/// Marks a sector's bytes, so that what is not a sector of ours is not taken for one.
inline constexpr u64 contents_mark = 0x756e'6465'7263'726f;

/// Makes `sector_bytes` (a multiple of 16, not less than 512) the contents of `sector` with `stamp`.
inline void fill_sector(std::span<std::byte> sector_bytes, Contents stamp, u64 sector) {
    u64 words[2] = {stamp, sector ^ contents_mark};
    std::memcpy(sector_bytes.data(), words, sizeof(words));
    for (usize done = sizeof(words); done < sector_bytes.size(); done *= 2) {
        std::memcpy(sector_bytes.data() + done, sector_bytes.data(), done);
    }
}

/// What `sector_bytes`, read from `sector`, are.
inline Contents contents_of(std::span<const std::byte> sector_bytes, u64 sector) {
    u64 words[2];
    std::memcpy(words, sector_bytes.data(), sizeof(words));
    bool uniform =
        std::memcmp(sector_bytes.data(), sector_bytes.data() + sizeof(words), sector_bytes.size() - sizeof(words)) == 0;
    if (uniform && words[0] == 0 && words[1] == 0) {
        return zeros;
    }
    if (uniform && words[0] != 0 && words[0] <= stamp_max && words[1] == (sector ^ contents_mark)) {
        return words[0];
    }
    u64 other = words[1] ^ contents_mark;
    if (uniform && words[0] != 0 && words[0] <= stamp_max && other < (u64{1} << 40)) {
        return misplaced_flag | other;
    }
    // A piece of garbage is known by its first bytes.
    return garbage_flag | ((words[0] ^ words[1] * 0x9e37'79b9'7f4a'7c15) >> 1);
}

}  // namespace undercroft::simulation
