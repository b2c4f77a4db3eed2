// SectorOracle.
#include "hostsim/simulation/oracle.hpp"

#include <algorithm>

namespace undercroft::simulation {

namespace {
/// Histories are looked through for what cannot matter any more when they are this long.
constexpr usize prune_at = 12;
}  // namespace

SectorOracle::SectorOracle(u64 sectors, Unwritten unwritten) : unwritten_(unwritten) {
    sectors_.assign(sectors, Sector{{SectorOracle::unwritten()}});
}

SectorOracle::Write SectorOracle::unwritten() {
    Write write;
    write.unspecified = unwritten_ == Unwritten::unspecified;
    write.began = write.ended = now();
    write.succeeded = write.durable = true;
    return write;
}

SectorOracle::WriteId SectorOracle::begin(u64 sector, u64 count, Contents contents, bool unspecified) {
    Write write;
    write.id = ++last_id_;
    write.contents = contents;
    write.unspecified = unspecified;
    write.began = now();
    for (u64 index = sector; index < sector + count; ++index) {
        sectors_[index].history.push_back(write);
    }
    return write.id;
}

SectorOracle::WriteId SectorOracle::begin_write(u64 sector, u64 count, Contents contents) {
    return begin(sector, count, contents, false);
}

SectorOracle::WriteId SectorOracle::begin_unspecified(u64 sector, u64 count) {
    return begin(sector, count, zeros, true);
}

void SectorOracle::end_write(WriteId id, u64 sector, u64 count, bool succeeded, bool durable) {
    u64 ended = now();
    for (u64 index = sector; index < sector + count; ++index) {
        std::vector<Write>& history = sectors_[index].history;
        // It is not there any more where the size changed or the power went meanwhile.
        auto write = std::find_if(history.rbegin(), history.rend(), [id](const Write& one) { return one.id == id; });
        if (write != history.rend()) {
            write->ended = ended;
            write->succeeded = succeeded;
            write->durable = succeeded && durable;
            prune(sectors_[index]);
        }
    }
}

bool SectorOracle::matches(const Write& write, Contents contents) {
    if (!write.unspecified || write.learned) {
        return write.contents == contents;
    }
    return !is_misplaced(contents);
}

bool SectorOracle::is_durable(const Write& write) const {
    return write.durable || (write.succeeded && write.ended < flushed_);
}

/// Whether a write that succeeded began after `write` had ended, and itself ended before `before`.
bool SectorOracle::is_replaced(const Sector& sector, const Write& write, u64 before) const {
    return std::any_of(sector.history.rbegin(), sector.history.rend(), [&](const Write& other) {
        return other.succeeded && other.began > write.ended && other.ended < before;
    });
}

bool SectorOracle::check_read(u64 sector_index, Contents contents, u64 began) {
    Sector& sector = sectors_[sector_index];
    Write* found = nullptr;
    usize matching = 0;
    for (usize index = sector.history.size(); index-- > 0;) {
        Write& write = sector.history[index];
        if (matches(write, contents) && write.overwritten > began && !is_replaced(sector, write, began)) {
            found = &write;
            ++matching;
        }
    }
    if (found == nullptr) {
        return false;
    }
    if (matching > 1) {
        return true;  // which of them it was, nobody knows
    }
    if (found->unspecified && !found->learned) {
        found->learned = true;
        found->contents = contents;
    }
    for (Write& write : sector.history) {
        if (&write != found && write.ended < began) {
            write.overwritten = std::min(write.overwritten, now());
        }
    }
    return true;
}

bool SectorOracle::may_settle(u64 sector_index, Contents contents) const {
    const Sector& sector = sectors_[sector_index];
    return std::any_of(sector.history.begin(), sector.history.end(), [&](const Write& write) {
        bool gone = std::any_of(sector.history.begin(), sector.history.end(),
                                [&](const Write& other) { return is_durable(other) && other.began > write.ended; });
        return matches(write, contents) && !gone;
    });
}

void SectorOracle::settle(u64 sector_index, Contents contents) {
    bool never_written = is_unwritten(sector_index);
    Write write = unwritten();
    write.unspecified = write.learned = false;
    write.id = never_written ? 0 : ++last_id_;
    write.contents = contents;
    sectors_[sector_index].history.assign(1, write);
}

bool SectorOracle::is_unwritten(u64 sector) const {
    const std::vector<Write>& history = sectors_[sector].history;
    return history.size() == 1 && history.front().id == 0;
}

void SectorOracle::forget_all() {
    for (Sector& sector : sectors_) {
        sector.history.assign(1, unwritten());
    }
}

void SectorOracle::dropped(u64 first, u64 end) {
    for (u64 index = first; index < std::min(end, sector_count()); ++index) {
        sectors_[index].history.push_back(unwritten());
    }
}

u64 SectorOracle::begin_read() {
    reads_.push_back(now());
    return reads_.back();
}

void SectorOracle::end_read(u64 began) { std::erase(reads_, began); }

/// Forgets what was replaced for good: neither a read, one that runs already included, nor a power loss can bring it
/// back.
void SectorOracle::prune(Sector& sector) {
    if (sector.history.size() < prune_at) {
        return;
    }
    u64 oldest_read = reads_.empty() ? still_running : reads_.front();
    u64 newest_durable = 0;
    for (const Write& write : sector.history) {
        if (is_durable(write) && write.ended < oldest_read) {
            newest_durable = std::max(newest_durable, write.began);
        }
    }
    std::erase_if(sector.history, [newest_durable](const Write& write) { return write.ended < newest_durable; });
}

std::string SectorOracle::describe(u64 sector) const {
    std::string text;
    for (const Write& write : sectors_[sector].history) {
        text += text.empty() ? "" : ", ";
        text += write.unspecified && !write.learned ? "unspecified" : to_string(write.contents);
        if (write.ended == still_running) {
            text += " (running)";
        } else if (!write.succeeded) {
            text += " (failed)";
        } else if (is_durable(write)) {
            text += " (durable)";
        }
        text += write.overwritten != still_running ? " (overwritten)" : "";
    }
    return text;
}

std::string to_string(Contents contents) {
    if (contents == zeros) {
        return "zeros";
    }
    if (is_garbage(contents)) {
        return "garbage";
    }
    if (is_misplaced(contents)) {
        return "what belongs to sector " + std::to_string(contents & ~misplaced_flag);
    }
    return "write " + std::to_string(contents);
}

}  // namespace undercroft::simulation
