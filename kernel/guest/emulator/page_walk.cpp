// Walks of 2, 3, 4 or 5 levels; one loop, with the mode's geometry as data.
#include "kernel/guest/emulator/page_walk.hpp"

#include <atomic>

namespace undercroft {

namespace {

constexpr u64 entry_present = 1u << 0;
constexpr u64 entry_writable = 1u << 1;
constexpr u64 entry_user = 1u << 2;
constexpr u64 entry_accessed = 1u << 5;
constexpr u64 entry_dirty = 1u << 6;
constexpr u64 entry_large = 1u << 7;
constexpr u64 entry_no_execute = u64{1} << 63;
constexpr u64 address_mask = 0x000F'FFFF'FFFF'F000;

constexpr u64 cr0_write_protect = u64{1} << 16;
constexpr u64 cr4_page_size_extension = 1u << 4;
constexpr u64 cr4_physical_address_extension = 1u << 5;
constexpr u64 cr4_five_levels = 1u << 12;
constexpr u64 cr4_smep = 1u << 20;
constexpr u64 cr4_smap = 1u << 21;
constexpr u64 efer_no_execute = 1u << 11;
constexpr u64 rflags_ac = 1u << 18;

/// Tables change under our hands; a walk that keeps losing its compare and exchange starts over this often.
constexpr unsigned walk_attempts_max = 16;

/// How a paging mode cuts up a linear address.
struct Geometry {
    unsigned levels;
    unsigned index_bits;
    unsigned entry_bytes;
    u64 root;
    bool has_no_execute;
    bool root_has_no_rights;  // PAE: the four top entries carry neither rights nor accessed bits
};

Geometry geometry_of(const CpuState& cpu) {
    bool no_execute = (cpu.efer & efer_no_execute) != 0;
    if (cpu.is_long_mode()) {
        unsigned levels = (cpu.cr4 & cr4_five_levels) != 0 ? 5 : 4;
        return {levels, 9, 8, cpu.cr3 & address_mask, no_execute, false};
    }
    if ((cpu.cr4 & cr4_physical_address_extension) != 0) {
        return {3, 9, 8, cpu.cr3 & 0xFFFF'FFE0, no_execute, true};
    }
    return {2, 10, 4, cpu.cr3 & 0xFFFF'F000, false, false};
}

/// One table entry in guest memory; read once, replaced only if nobody changed it.
class TableEntry {
public:
    static Result<TableEntry> at(const GuestMemory& memory, u64 address, unsigned entry_bytes) {
        TableEntry entry;
        entry.bytes_ = entry_bytes;
        entry.memory_ = TRY(memory.resolve(address, entry_bytes)).data();
        // SAFETY: tables are page-aligned (PAE's root 32-byte aligned) and entries naturally so; guest RAM is mapped at
        // page boundaries.
        if (entry_bytes == 8) {
            entry.value_ = std::atomic_ref(*reinterpret_cast<u64*>(entry.memory_)).load(std::memory_order_acquire);
        } else {
            entry.value_ = std::atomic_ref(*reinterpret_cast<u32*>(entry.memory_)).load(std::memory_order_acquire);
        }
        return entry;
    }
    u64 value() const { return value_; }
    bool set(u64 bits) {
        if ((value_ & bits) == bits) {
            return true;
        }
        // SAFETY: as in `at`.
        if (bytes_ == 8) {
            u64 expected = value_;
            return std::atomic_ref(*reinterpret_cast<u64*>(memory_)).compare_exchange_strong(expected, expected | bits);
        }
        u32 expected = static_cast<u32>(value_);
        return std::atomic_ref(*reinterpret_cast<u32*>(memory_))
            .compare_exchange_strong(expected, expected | static_cast<u32>(bits));
    }

private:
    std::byte* memory_ = nullptr;
    unsigned bytes_ = 0;
    u64 value_ = 0;
};

enum class WalkOutcome : u8 { done, fault, raced };

class Walk {
public:
    Walk(const GuestMemory& memory, const CpuState& cpu, u64 linear, MemoryAccess access)
        : memory_(memory), cpu_(cpu), linear_(linear), access_(access), geometry_(geometry_of(cpu)) {}

    WalkOutcome run();
    u64 physical() const { return physical_; }
    PageFault fault() const { return fault_; }

private:
    bool is_user() const { return cpu_.cpl == 3; }
    bool is_large(u64 entry, unsigned level) const {
        if ((entry & entry_large) == 0 || level == 0) {
            return false;
        }
        if (geometry_.entry_bytes == 4) {
            return (cpu_.cr4 & cr4_page_size_extension) != 0;
        }
        return level <= (geometry_.root_has_no_rights ? 1u : 2u);
    }
    bool has_reserved_bits(u64 entry, unsigned level, bool large) const;
    bool is_allowed() const;
    u64 frame_of(u64 entry, u64 page_bytes) const;
    WalkOutcome fail_with(u32 bits, bool unreachable = false) {
        fault_.error_code =
            bits | (access_ == MemoryAccess::write ? page_fault_write : 0) | (is_user() ? page_fault_user : 0);
        bool reports_fetch = geometry_.has_no_execute || (cpu_.cr4 & cr4_smep) != 0;
        if (access_ == MemoryAccess::execute && reports_fetch) {
            fault_.error_code |= page_fault_fetch;
        }
        fault_.is_unreachable = unreachable;
        return WalkOutcome::fault;
    }

    const GuestMemory& memory_;
    const CpuState& cpu_;
    u64 linear_;
    MemoryAccess access_;
    Geometry geometry_;
    bool writable_ = true;
    bool user_ = true;
    bool no_execute_ = false;
    u64 physical_ = 0;
    PageFault fault_ = {};
};

bool Walk::has_reserved_bits(u64 entry, unsigned level, bool large) const {
    if (geometry_.entry_bytes == 4) {
        return large && ((entry >> 21) & 1) != 0;
    }
    if ((entry & entry_no_execute) != 0 && !geometry_.has_no_execute) {
        return true;
    }
    if (geometry_.root_has_no_rights && level == 2) {
        return (entry & (0x1E6 | entry_no_execute)) != 0;
    }
    if (large) {
        u64 page_bytes = u64{1} << (12 + 9 * level);
        return (entry & address_mask & (page_bytes - 1) & ~u64{0x1000}) != 0;  // bit 12 is PAT
    }
    return level > 2 && (entry & entry_large) != 0;
}

bool Walk::is_allowed() const {
    if (is_user()) {
        return user_ && (access_ != MemoryAccess::write || writable_) &&
               (access_ != MemoryAccess::execute || !no_execute_);
    }
    switch (access_) {
    case MemoryAccess::execute:
        return !no_execute_ && !(user_ && (cpu_.cr4 & cr4_smep) != 0);
    case MemoryAccess::write:
        if (!writable_ && (cpu_.cr0 & cr0_write_protect) != 0) {
            return false;
        }
        [[fallthrough]];
    case MemoryAccess::read:
        return !(user_ && (cpu_.cr4 & cr4_smap) != 0 && (cpu_.rflags & rflags_ac) == 0);
    }
    return false;
}

u64 Walk::frame_of(u64 entry, u64 page_bytes) const {
    if (geometry_.entry_bytes == 4 && page_bytes > page_size) {
        // PSE-36: bits 39:32 of the address are in bits 20:13 of the entry.
        return (entry & 0xFFC0'0000) | (((entry >> 13) & 0xFF) << 32);
    }
    return entry & address_mask & ~(page_bytes - 1);
}

WalkOutcome Walk::run() {
    u64 table = geometry_.root;
    for (unsigned level = geometry_.levels; level-- > 0;) {
        unsigned shift = 12 + geometry_.index_bits * level;
        u64 index = (linear_ >> shift) & ((u64{1} << geometry_.index_bits) - 1);
        if (geometry_.root_has_no_rights && level == 2) {
            index &= 3;
        }
        auto entry = TableEntry::at(memory_, table + index * geometry_.entry_bytes, geometry_.entry_bytes);
        if (!entry.has_value()) {
            return fail_with(0, true);
        }
        u64 value = entry->value();
        if ((value & entry_present) == 0) {
            return fail_with(0);
        }
        bool large = is_large(value, level);
        if (has_reserved_bits(value, level, large)) {
            return fail_with(page_fault_present | page_fault_reserved);
        }
        if (!(geometry_.root_has_no_rights && level == 2)) {
            writable_ = writable_ && (value & entry_writable) != 0;
            user_ = user_ && (value & entry_user) != 0;
            no_execute_ = no_execute_ || (geometry_.has_no_execute && (value & entry_no_execute) != 0);
        }
        if (level == 0 || large) {
            if (!is_allowed()) {
                return fail_with(page_fault_present);
            }
            if (!entry->set(entry_accessed | (access_ == MemoryAccess::write ? entry_dirty : 0))) {
                return WalkOutcome::raced;
            }
            u64 page_bytes = u64{1} << shift;
            physical_ = frame_of(value, page_bytes) | (linear_ & (page_bytes - 1));
            return WalkOutcome::done;
        }
        if (!(geometry_.root_has_no_rights && level == 2) && !entry->set(entry_accessed)) {
            return WalkOutcome::raced;
        }
        table = value & (geometry_.entry_bytes == 4 ? 0xFFFF'F000 : address_mask);
    }
    return fail_with(0, true);
}

}  // namespace

Result<u64, PageFault> translate(const GuestMemory& memory, const CpuState& cpu, u64 linear, MemoryAccess access) {
    if (!cpu.is_paging()) {
        return linear;
    }
    for (unsigned attempt = 0; attempt < walk_attempts_max; ++attempt) {
        Walk walk(memory, cpu, linear, access);
        switch (walk.run()) {
        case WalkOutcome::done:
            return walk.physical();
        case WalkOutcome::fault:
            return fail(walk.fault());
        case WalkOutcome::raced:
            break;
        }
    }
    return fail(PageFault{0, true});
}

}  // namespace undercroft
