// The VTL2 image: its ELF file is copied by program headers into VTL2's memory, and its first page tables are built
// there.
// Left out: relocation, sections. Everything in the file is checked, although it was linked with us.
#pragma once

#include <span>

#include "kernel/base/result.hpp"
#include "kernel/spec/vtl2_extension.hpp"

namespace undercroft::monitor {

/// One part of the image in VTL2's memory, by offset from its start; page-aligned.
struct ImageSegment {
    u64 begin;
    u64 end;
    bool write;
    bool execute;
};

inline constexpr usize image_segments_max = 8;

struct LoadedImage {
    u64 entry;  ///< virtual
    u64 end;    ///< offset of the first byte behind the image, page-aligned
    ImageSegment segments[image_segments_max];
    usize segment_count;
};

/// Copies `file`'s segments to `memory`, which is zeroed. The image must be linked at vtl2::image_virtual and lie
/// within its first 2 MiB multiples of `memory`.
/// `malformed` for anything a linker would not have made, `out_of_memory` where it does not fit.
Result<LoadedImage> load_image(std::span<const u8> file, std::span<u8> memory);

/// What VTL2's first page tables are made of.
struct TablePlan {
    u64 memory_bytes;  ///< VTL2's memory
    std::span<const vtl2::GuestRange> guest;
};
/// Bytes that the tables take, at the end of VTL2's memory.
u64 table_bytes(const TablePlan& plan);
/// Builds the tables of vtl2_extension.hpp in `memory` from offset `begin` on; returns the root's guest physical
/// address.
Result<u64> build_tables(const TablePlan& plan, const LoadedImage& image, std::span<u8> memory, u64 begin);

}  // namespace undercroft::monitor
