// Loading of the VTL2 image: see vtl2_image.hpp.
#include "kernel/monitor/vtl2_image.hpp"

#include <string.h>

#include "kernel/spec/elf.hpp"

namespace undercroft::monitor {

namespace {

constexpr u64 bit_present = u64{1} << 0;
constexpr u64 bit_write = u64{1} << 1;
constexpr u64 bit_write_through = u64{1} << 3;
constexpr u64 bit_cache_disable = u64{1} << 4;
constexpr u64 bit_large = u64{1} << 7;
constexpr u64 bit_no_execute = u64{1} << 63;
constexpr u64 address_mask = 0x000F'FFFF'FFFF'F000;
constexpr u64 data_bits = bit_present | bit_write | bit_no_execute;
constexpr u64 table_bits = bit_present | bit_write;

template <typename T>
Result<T> read_at(std::span<const u8> file, u64 offset) {
    if (offset > file.size() || sizeof(T) > file.size() - offset) {
        return fail(Error::malformed);
    }
    T value;
    memcpy(&value, file.data() + offset, sizeof(value));
    return value;
}

Result<elf::FileHeader> read_header(std::span<const u8> file) {
    auto header = TRY(read_at<elf::FileHeader>(file, 0));
    bool good = memcmp(header.identification, elf::magic, sizeof(elf::magic)) == 0 &&
                header.identification[4] == elf::class_64 && header.identification[5] == elf::data_little_endian &&
                header.type == elf::type_executable && header.machine == elf::machine_x86_64 &&
                header.program_header_size == sizeof(elf::ProgramHeader);
    if (!good) {
        return fail(Error::malformed);
    }
    return header;
}

Result<ImageSegment> load_segment(std::span<const u8> file, std::span<u8> memory, const elf::ProgramHeader& segment) {
    u64 address = segment.virtual_address;
    u64 size = segment.memory_size;
    if (address < vtl2::image_virtual || segment.file_size > size) {
        return fail(Error::malformed);
    }
    u64 offset = address - vtl2::image_virtual;
    if (offset > memory.size() || size > memory.size() - offset) {
        return fail(Error::out_of_memory);
    }
    if (segment.file_offset > file.size() || segment.file_size > file.size() - segment.file_offset) {
        return fail(Error::malformed);
    }
    memcpy(memory.data() + offset, file.data() + segment.file_offset, segment.file_size);
    return ImageSegment{align_down(offset, page_size), align_up(offset + size, page_size),
                        (segment.flags & elf::flag_write) != 0, (segment.flags & elf::flag_execute) != 0};
}

/// Builds page tables inside VTL2's memory, whose offset x is guest physical memory_base + x.
class TableBuilder {
public:
    TableBuilder(std::span<u8> memory, u64 begin) : memory_(memory), next_(begin) {}

    Result<u64> allocate() {
        if (next_ > memory_.size() || page_size > memory_.size() - next_) {
            return fail(Error::out_of_memory);
        }
        u64 offset = next_;
        next_ += page_size;
        memset(memory_.data() + offset, 0, page_size);
        return offset;
    }

    /// The table entry for `address` at `level` (0: page), tables above made where missing.
    Result<u64*> entry(u64 root, u64 address, unsigned level) {
        u64 table = root;
        for (unsigned l = 3;; --l) {
            u64* found = at(table) + ((address >> (12 + 9 * l)) & 511);
            if (l == level) {
                return found;
            }
            if (*found == 0) {
                *found = (vtl2::memory_base + TRY(allocate())) | table_bits;
            }
            table = (*found & address_mask) - vtl2::memory_base;
        }
    }

    /// Maps with 2 MiB pages.
    Result<void> map_large(u64 root, u64 address, u64 physical, u64 size_bytes, u64 bits) {
        for (u64 done = 0; done < size_bytes; done += large_page_size) {
            *TRY(entry(root, address + done, 1)) = (physical + done) | bits | bit_large;
        }
        return {};
    }

    /// Maps with 4 KiB pages.
    Result<void> map_pages(u64 root, u64 address, u64 physical, u64 size_bytes, u64 bits) {
        for (u64 done = 0; done < size_bytes; done += page_size) {
            *TRY(entry(root, address + done, 0)) = (physical + done) | bits;
        }
        return {};
    }

private:
    // SAFETY: `offset` is page-aligned and came from `allocate`, so a whole table lies there.
    u64* at(u64 offset) { return reinterpret_cast<u64*>(memory_.data() + offset); }

    std::span<u8> memory_;
    u64 next_;
};

u64 pages_for(u64 size_bytes, u64 unit) { return (size_bytes + unit - 1) / unit; }

}  // namespace

Result<LoadedImage> load_image(std::span<const u8> file, std::span<u8> memory) {
    auto header = TRY(read_header(file));
    LoadedImage image{};
    image.entry = header.entry;
    for (u16 i = 0; i < header.program_header_count; ++i) {
        auto segment =
            TRY(read_at<elf::ProgramHeader>(file, header.program_header_offset + u64{i} * sizeof(elf::ProgramHeader)));
        if (segment.type != elf::segment_load || segment.memory_size == 0) {
            continue;
        }
        if (image.segment_count == image_segments_max) {
            return fail(Error::malformed);
        }
        ImageSegment loaded = TRY(load_segment(file, memory, segment));
        if (loaded.begin < image.end) {
            return fail(Error::malformed);
        }
        image.segments[image.segment_count++] = loaded;
        image.end = loaded.end;
    }
    bool entry_inside = false;
    for (usize i = 0; i < image.segment_count; ++i) {
        const ImageSegment& segment = image.segments[i];
        u64 offset = image.entry - vtl2::image_virtual;
        entry_inside |= segment.execute && offset >= segment.begin && offset < segment.end;
    }
    if (!entry_inside) {
        return fail(Error::malformed);
    }
    return image;
}

u64 table_bytes(const TablePlan& plan) {
    // Root; for each of the three windows a pointer table and its directories; page tables for the image.
    u64 tables = 1 + 3;
    tables += pages_for(plan.memory_bytes, gib) + 1;
    tables += pages_for(plan.memory_bytes, large_page_size);
    for (const vtl2::GuestRange& range : plan.guest) {
        tables += pages_for(range.size_bytes, gib) + 2;
    }
    tables += pages_for(vtl2::device_window_bytes, gib);
    return tables * page_size;
}

Result<u64> build_tables(const TablePlan& plan, const LoadedImage& image, std::span<u8> memory, u64 begin) {
    TableBuilder builder(memory, begin);
    u64 root = TRY(builder.allocate());
    // The image's segments page by page, each with what it needs and no more; behind it large pages of data.
    u64 small_end = align_up(image.end, large_page_size);
    if (small_end > plan.memory_bytes) {
        small_end = plan.memory_bytes;
    }
    TRY(builder.map_pages(root, vtl2::image_virtual, vtl2::memory_base, small_end, data_bits));
    for (usize i = 0; i < image.segment_count; ++i) {
        const ImageSegment& segment = image.segments[i];
        u64 bits = bit_present | (segment.write ? bit_write : 0) | (segment.execute ? 0 : bit_no_execute);
        TRY(builder.map_pages(root, vtl2::image_virtual + segment.begin, vtl2::memory_base + segment.begin,
                              segment.end - segment.begin, bits));
    }
    TRY(builder.map_large(root, vtl2::image_virtual + small_end, vtl2::memory_base + small_end,
                          plan.memory_bytes - small_end, data_bits));
    for (const vtl2::GuestRange& range : plan.guest) {
        // The last large page may reach past the range; VTL2's nested table has nothing there.
        TRY(builder.map_large(root, vtl2::guest_virtual + range.guest_address, range.guest_address, range.size_bytes,
                              data_bits));
    }
    TRY(builder.map_large(root, vtl2::device_virtual, vtl2::device_base, vtl2::device_window_bytes,
                          data_bits | bit_write_through | bit_cache_disable));
    return vtl2::memory_base + root;
}

}  // namespace undercroft::monitor
