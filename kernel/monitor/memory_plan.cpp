// Carving of machine memory: see memory_plan.hpp.
#include "kernel/monitor/memory_plan.hpp"

namespace undercroft::monitor {

namespace {

constexpr u64 vtl2_base_bytes = 10 * mib;
constexpr u32 vtl2_base_vps = 2;
constexpr u64 vtl2_bytes_per_further_vp = 512 * kib;
constexpr u64 guest_bytes_min = 32 * mib;

/// Pages of one VP's control blocks, state areas and stacks (virtual_processor.cpp allocates them), with room.
constexpr u64 pool_pages_per_vp = 24;
/// Nested tables: both levels map all RAM with 2 MiB pages; the monitor's own tables map it once more.
constexpr u64 tables_per_gib = 3;
/// Top levels, device windows, and large pages that are split for protections.
constexpr u64 pool_pages_fixed = 160;

class GuestLayout {
public:
    explicit GuestLayout(MemoryPlan& plan) : plan_(plan) {}

    /// Hands out [begin, end) of machine memory at the next guest addresses.
    void add(u64 begin, u64 end) {
        while (begin < end && plan_.guest_count < vtl2::guest_ranges_max) {
            u64 room = next_ < guest_low_end ? guest_low_end - next_ : end - begin;
            u64 size = end - begin < room ? end - begin : room;
            plan_.guest[plan_.guest_count++] = {next_, begin, size};
            begin += size;
            next_ += size;
            if (next_ == guest_low_end) {
                next_ = guest_high_begin;
            }
        }
    }

private:
    MemoryPlan& plan_;
    u64 next_ = 0;
};

bool is_sorted(std::span<const MemoryRange> ranges) {
    u64 last = 0;
    for (const MemoryRange& range : ranges) {
        if (range.begin < last || range.end < range.begin) {
            return false;
        }
        last = range.end;
    }
    return true;
}

}  // namespace

u64 MemoryPlan::guest_bytes() const {
    u64 total = 0;
    for (const GuestPiece& piece : guest_pieces()) {
        total += piece.size_bytes;
    }
    return total;
}

Result<u64> MemoryPlan::guest_to_machine(u64 address, u64 size_bytes) const {
    for (const GuestPiece& piece : guest_pieces()) {
        u64 offset = address - piece.guest_address;
        if (address >= piece.guest_address && offset <= piece.size_bytes && size_bytes <= piece.size_bytes - offset) {
            return piece.machine_address + offset;
        }
    }
    return fail(Error::out_of_range);
}

u64 monitor_pool_bytes(u32 vp_count, u64 ram_bytes) {
    u64 pages = pool_pages_fixed + vp_count * pool_pages_per_vp + tables_per_gib * (ram_bytes / gib + 1);
    return pages * page_size;
}

Result<MemoryPlan> plan_memory(std::span<const MemoryRange> usable, u64 image_begin, u64 image_end, u32 vp_count) {
    if (!is_sorted(usable) || image_end <= image_begin || vp_count == 0) {
        return fail(Error::malformed);
    }
    MemoryPlan plan{};
    u64 ram_bytes = 0;
    const MemoryRange* home = nullptr;
    for (const MemoryRange& range : usable) {
        ram_bytes += range.size();
        plan.machine_end = range.end;
        if (range.begin <= image_begin && image_end <= range.end) {
            home = &range;
        }
    }
    if (home == nullptr) {
        return fail(Error::malformed);
    }
    u64 pool_begin = align_up(image_end, page_size);
    u64 monitor_end = align_up(pool_begin + monitor_pool_bytes(vp_count, ram_bytes), large_page_size);
    u64 further_vps = vp_count > vtl2_base_vps ? vp_count - vtl2_base_vps : 0;
    u64 vtl2_bytes = align_up(vtl2_base_bytes + further_vps * vtl2_bytes_per_further_vp, large_page_size);
    u64 vtl2_end = monitor_end + vtl2_bytes;
    if (vtl2_end > home->end) {
        return fail(Error::out_of_memory);
    }
    plan.monitor = {image_begin, monitor_end};
    plan.monitor_pool = {pool_begin, monitor_end};
    plan.vtl2 = {monitor_end, vtl2_end};

    GuestLayout layout(plan);
    for (usize i = 0; i < usable.size(); ++i) {
        if (usable[i].end <= vtl2_end) {
            continue;
        }
        u64 begin = align_up(usable[i].begin < vtl2_end ? vtl2_end : usable[i].begin, large_page_size);
        // Only the last piece may end within a large page: what follows must start on a boundary.
        bool is_last = i + 1 == usable.size();
        u64 end = align_down(usable[i].end, is_last ? page_size : large_page_size);
        if (begin < end) {
            layout.add(begin, end);
        }
    }
    if (plan.guest_bytes() < guest_bytes_min) {
        return fail(Error::out_of_memory);
    }
    return plan;
}

}  // namespace undercroft::monitor
