// ELF64 file and program headers. Source: System V ABI, AMD64 supplement.
#pragma once

#include "kernel/base/endian.hpp"

namespace undercroft::elf {

struct FileHeader {
    u8 identification[16] = {};
    Le<u16> type;
    Le<u16> machine;
    Le<u32> version;
    Le<u64> entry;
    Le<u64> program_header_offset;
    Le<u64> section_header_offset;
    Le<u32> flags;
    Le<u16> header_size;
    Le<u16> program_header_size;
    Le<u16> program_header_count;
    Le<u16> section_header_size;
    Le<u16> section_header_count;
    Le<u16> section_name_index;
};
static_assert(sizeof(FileHeader) == 64);

struct ProgramHeader {
    Le<u32> type;
    Le<u32> flags;
    Le<u64> file_offset;
    Le<u64> virtual_address;
    Le<u64> physical_address;
    Le<u64> file_size;
    Le<u64> memory_size;
    Le<u64> alignment;
};
static_assert(sizeof(ProgramHeader) == 56);

inline constexpr u8 magic[4] = {0x7F, 'E', 'L', 'F'};
inline constexpr u8 class_64 = 2;
inline constexpr u8 data_little_endian = 1;
inline constexpr u16 type_executable = 2;
inline constexpr u16 machine_x86_64 = 62;
inline constexpr u32 segment_load = 1;
inline constexpr u32 flag_execute = 1;
inline constexpr u32 flag_write = 2;
inline constexpr u32 flag_read = 4;

}  // namespace undercroft::elf
