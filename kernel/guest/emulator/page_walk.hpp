// The guest's own address translation: linear to guest physical, in each paging mode, with permission checks and
// accessed and dirty bits as the CPU would. Tables are guest memory: each entry is read once, and updated by compare
// and exchange. Left out: protection keys, shadow stacks.
// Source: AMD64 Architecture Programmer's Manual volume 2, chapter 5.
#pragma once

#include "kernel/guest/emulator/cpu_state.hpp"
#include "kernel/guest/memory.hpp"

namespace undercroft {

enum class MemoryAccess : u8 { read, write, execute };

/// Why a translation failed.
struct PageFault {
    u32 error_code;       ///< as pushed with #PF
    bool is_unreachable;  ///< a table lies outside RAM: the CPU's behaviour is not ours to guess
};

/// Bits of the page fault error code.
enum PageFaultBit : u32 {
    page_fault_present = 1u << 0,
    page_fault_write = 1u << 1,
    page_fault_user = 1u << 2,
    page_fault_reserved = 1u << 3,
    page_fault_fetch = 1u << 4,
};

/// Guest physical address of `linear` for `access` by the code that runs in `cpu`. Sets accessed and dirty bits.
Result<u64, PageFault> translate(const GuestMemory& memory, const CpuState& cpu, u64 linear, MemoryAccess access);

}  // namespace undercroft
