// The instructions that were decoded last. The few places in a guest's drivers that touch registers do so again and
// again, and decoding costs more than all the rest of an emulation. What is kept depends on an instruction's bytes and
// the decoder's mode alone, so nothing has to be invalidated: the bytes are fetched each time, and compared.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernel/base/spinlock.hpp"
#include "kernel/guest/emulator/decode.hpp"

namespace undercroft {

/// Any number of processors may use one at the same time: who finds an entry in use decodes for itself.
class DecodeCache {
public:
    static constexpr usize entries_max = 32;

    /// Looks for the instruction that `decoded.bytes` begin with, decoded in `mode`; fills in the rest of `decoded`,
    /// whose bytes become those of back then: the instruction's own are the same.
    bool find(ZydisMachineMode mode, u64 rip, DecodedInstruction& decoded) {
        Entry& entry = entry_for(rip);
        if (!entry.lock.try_lock()) {
            return false;
        }
        const DecodedInstruction& kept = entry.decoded;
        bool found = entry.is_used && entry.mode == mode && kept.length <= decoded.byte_count &&
                     std::memcmp(kept.bytes, decoded.bytes, kept.length) == 0;
        if (found) {
            decoded = kept;
        }
        entry.lock.unlock();
        return found;
    }

    void store(ZydisMachineMode mode, u64 rip, const DecodedInstruction& decoded) {
        Entry& entry = entry_for(rip);
        if (!entry.lock.try_lock()) {
            return;
        }
        entry.is_used = true;
        entry.mode = mode;
        entry.decoded = decoded;
        entry.lock.unlock();
    }

private:
    struct Entry {
        Spinlock lock;
        bool is_used = false;
        ZydisMachineMode mode = ZYDIS_MACHINE_MODE_LONG_64;
        DecodedInstruction decoded;
    };

    Entry& entry_for(u64 rip) { return entries_[(rip ^ (rip >> 5) ^ (rip >> 10)) % entries_max]; }

    Entry entries_[entries_max];
};

}  // namespace undercroft
