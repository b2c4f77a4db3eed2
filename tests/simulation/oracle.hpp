// What every sector may hold: told of each write, flush and power loss, it says whether what was read can be right.
//
// A write that succeeded makes its value the only one; one that failed may have happened or not, now or until the next
// write that succeeds. After a power loss a sector holds the last value that a flush or FUA made durable, or any that
// was written since. A flush covers the writes that had ended when it began.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "kernel/base/types.hpp"

namespace undercroft::test {

/// What a sector holds, drawn once for each write of it.
using Stamp = u64;

class SectorOracle {
public:
    SectorOracle(u64 sectors, Stamp initial) : sectors_(sectors, Sector{{{initial, 0, true}}}) {}

    u64 sector_count() const { return sectors_.size(); }
    /// A moment, for `flushed`.
    u64 now() { return ++clock_; }

    void written(u64 sector, Stamp stamp, bool durable) {
        sectors_[sector].history.push_back({stamp, now(), true});
        if (durable) {
            forget_before(sectors_[sector], sectors_[sector].history.size() - 1);
        }
    }
    /// The write failed: it may have happened.
    void maybe_written(u64 sector, Stamp stamp) { sectors_[sector].history.push_back({stamp, now(), false}); }
    /// A flush that began at `began` has succeeded.
    void flushed(u64 began) {
        for (Sector& sector : sectors_) {
            for (usize index = sector.history.size(); index-- > 0;) {
                if (sector.history[index].certain && sector.history[index].when < began) {
                    forget_before(sector, index);
                    break;
                }
            }
        }
    }
    /// Whether `stamp` can be what a read of `sector` finds.
    bool may_read(u64 sector, Stamp stamp) const {
        const std::vector<Write>& history = sectors_[sector].history;
        for (usize index = history.size(); index-- > 0;) {
            if (history[index].stamp == stamp) {
                return true;
            }
            if (history[index].certain) {
                return false;
            }
        }
        return false;
    }
    /// Whether `stamp` can be what is found after a power loss; if so, it is what the sector holds from now on,
    /// durably.
    bool settle(u64 sector, Stamp stamp) {
        std::vector<Write>& history = sectors_[sector].history;
        bool possible =
            std::any_of(history.begin(), history.end(), [stamp](const Write& write) { return write.stamp == stamp; });
        history.assign(1, {stamp, now(), true});
        return possible;
    }
    std::string describe(u64 sector) const {
        std::string text;
        for (const Write& write : sectors_[sector].history) {
            text += (write.certain ? " " : " ?") + std::to_string(write.stamp);
        }
        return text;
    }

private:
    struct Write {
        Stamp stamp;
        u64 when;
        bool certain;
    };
    /// The first is durable; what follows is not, or not for certain.
    struct Sector {
        std::vector<Write> history;
    };
    static void forget_before(Sector& sector, usize index) {
        sector.history.erase(sector.history.begin(), sector.history.begin() + static_cast<std::ptrdiff_t>(index));
    }
    std::vector<Sector> sectors_;
    u64 clock_ = 0;
};

}  // namespace undercroft::test
