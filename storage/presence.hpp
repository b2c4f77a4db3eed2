// What a layer says of sectors: the vocabulary of storage/layers/layer.hpp that what stores sectors needs as well.
#pragma once

#include <bitset>

#include "kernel/base/types.hpp"

namespace undercroft {

enum class Presence : u8 {
    absent,   ///< not mine
    data,     ///< here
    zero,     ///< here, and all zero
    unknown,  ///< here, and who knows whether all zero: from `presence`, never from `read`
};

/// What `read` found, sector by sector from the start of the call. Lives in coroutine frames; all absent at first.
class PresenceMap {
public:
    static constexpr usize sectors_max = 256;

    void set(usize first, usize count, Presence presence) {
        for (usize sector = first; sector < first + count; ++sector) {
            data_[sector] = presence == Presence::data || presence == Presence::unknown;
            zero_[sector] = presence == Presence::zero;
        }
    }
    Presence at(usize sector) const {
        return data_[sector] ? Presence::data : zero_[sector] ? Presence::zero : Presence::absent;
    }
    /// How many sectors from `first`, at most up to `end`, are as `first` is.
    usize run_length(usize first, usize end) const {
        usize sector = first + 1;
        while (sector < end && at(sector) == at(first)) {
            ++sector;
        }
        return sector - first;
    }

private:
    std::bitset<sectors_max> data_;
    std::bitset<sectors_max> zero_;
};

/// `sectors` (at least one) from the asked-for start share `presence`.
struct PresenceRun {
    u64 sectors;
    Presence presence;
};

enum class Overwrite : u8 {
    everything,
    only_absent,  ///< leave what is there
};

}  // namespace undercroft
