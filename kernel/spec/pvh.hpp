// The PVH boot protocol: what EBX points to at the 32-bit entry. Source: Xen x86/HVM direct boot ABI, start_info
// version 1.
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft::pvh {

inline constexpr u32 start_magic = 0x336E'C578;

struct StartInfo {
    u32 magic;
    u32 version;
    u32 flags;
    u32 module_count;
    u64 module_list;
    u64 command_line;
    u64 root_pointer;  ///< ACPI RSDP
    u64 memory_map;
    u32 memory_map_entries;
    u32 reserved;
};
static_assert(sizeof(StartInfo) == 56);

struct MemoryMapEntry {
    u64 address;
    u64 size_bytes;
    u32 type;  ///< as E820: 1 usable
    u32 reserved;
};
static_assert(sizeof(MemoryMapEntry) == 24);

inline constexpr u32 memory_usable = 1;

}  // namespace undercroft::pvh
