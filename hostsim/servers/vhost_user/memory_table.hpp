// The guest's memory, as the frontend handed it over: mapped files, known by guest addresses and by the frontend's own.
#pragma once

#include <memory>
#include <optional>

#include "hostsim/platform/mapping_guard.hpp"
#include "hostsim/servers/vhost_user/channel.hpp"
#include "kernel/guest/memory.hpp"

namespace undercroft::vhost_user {

class MemoryTable {
public:
    /// Maps what `message` (set_memory_table) describes. `malformed` where it contradicts itself, `out_of_range` where
    /// a file is smaller than its region.
    static Result<std::unique_ptr<MemoryTable>> create(const Received& message);
    MemoryTable(const MemoryTable&) = delete;
    MemoryTable& operator=(const MemoryTable&) = delete;
    /// Nothing may use the memory any more.
    ~MemoryTable();

    const GuestMemory& guest() const { return guest_; }
    /// False where the frontend has made a file smaller than it was, and something was missed: what was read since is
    /// nothing that the guest wrote.
    bool is_intact() const;
    /// The guest address of `user_address`, an address in the frontend.
    std::optional<u64> guest_address_of(u64 user_address) const;

private:
    MemoryTable() = default;
    struct Mapping {
        MemoryRegion region;
        void* base;
        usize bytes;
        std::unique_ptr<MappingGuard> guard;
    };
    Mapping mappings_[memory_regions_max] = {};
    usize count_ = 0;
    GuestMemory guest_;
};

}  // namespace undercroft::vhost_user
