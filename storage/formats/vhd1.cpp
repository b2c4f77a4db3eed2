// Writing and checking the footer. Every field that decides where data lies is checked before it is used; those that
// only describe (geometry, time, creator) are taken as they are.
#include "storage/formats/vhd1.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "kernel/config/identifiers.hpp"

namespace undercroft {

namespace {

constexpr std::array<char, 8> cookie{'c', 'o', 'n', 'e', 'c', 't', 'i', 'x'};
constexpr u32 features_reserved = 2;
constexpr u32 format_version_1_0 = 0x0001'0000;
constexpr u32 format_major_shift = 16;
constexpr u64 no_data_offset = ~u64{0};
// Readers choose by the creator which field holds the size: for this one it is `current_size`, exact to the sector; for
// names that they do not know some round it down to what the geometry can say.
constexpr std::array<char, 4> creator_application{'w', 'i', 'n', ' '};
constexpr u32 creator_version = 0x0006'0003;
constexpr std::array<char, 4> creator_host{'W', 'i', '2', 'k'};

// Bounds of the geometry (specification, appendix "CHS Calculation").
constexpr u64 geometry_sectors_max = u64{65535} * 16 * 255;
constexpr u64 large_disk_sectors = u64{65535} * 16 * 63;
constexpr u64 heads_max = 16;
constexpr u64 cylinders_per_head_max = 1024;

std::string text_of(std::array<char, 4> name) {
    std::string text(name.begin(), name.end());
    std::replace_if(text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    return text;
}

std::string type_problem(u32 type) {
    switch (static_cast<Vhd1DiskType>(type)) {
    case Vhd1DiskType::fixed:
        return {};
    case Vhd1DiskType::dynamic:
        return "this is a dynamic VHD; only fixed ones are read: convert it first (qemu-img convert -O vpc -o "
               "subformat=fixed)";
    case Vhd1DiskType::differencing:
        return "this is a differencing VHD; only fixed ones are read: merge it with its parent and convert it first";
    }
    return "the VHD footer names disk type " + decimal(type) + ", which does not exist: the file is damaged";
}

std::string size_problem(const Vhd1Footer& footer, u64 file_bytes) {
    u64 size = footer.current_size;
    if (size == 0 || size % vhd1_sector_bytes != 0 || size > vhd1_size_bytes_max) {
        return "the VHD footer gives a size of " + decimal(size) + " bytes, which no VHD can have: the file is damaged";
    }
    u64 data_bytes = file_bytes - vhd1_footer_bytes;
    if (size != data_bytes) {
        return "the VHD footer gives a size of " + decimal(size) + " bytes, but " + decimal(data_bytes) +
               " lie before it: the file was cut or extended";
    }
    return {};
}

}  // namespace

u32 vhd1_checksum(const Vhd1Footer& footer) {
    Vhd1Footer copy = footer;
    copy.checksum = 0;
    auto bytes = std::bit_cast<std::array<u8, sizeof(Vhd1Footer)>>(copy);
    u32 sum = 0;
    for (u8 byte : bytes) {
        sum += byte;
    }
    return ~sum;
}

Vhd1Geometry vhd1_geometry(u64 sectors) {
    u64 total = std::min(sectors, geometry_sectors_max);
    u64 sectors_per_track = 17;
    u64 tracks = total / sectors_per_track;
    u64 heads = std::max<u64>((tracks + cylinders_per_head_max - 1) / cylinders_per_head_max, 4);
    if (total >= large_disk_sectors) {
        sectors_per_track = 255;
        heads = heads_max;
    } else {
        for (u64 wider : {u64{31}, u64{63}}) {
            if (heads <= heads_max && tracks < heads * cylinders_per_head_max) {
                break;
            }
            sectors_per_track = wider;
            heads = heads_max;
            tracks = total / sectors_per_track;
        }
    }
    return {.cylinders = static_cast<u16>(total / sectors_per_track / heads),
            .heads = static_cast<u8>(heads),
            .sectors_per_track = static_cast<u8>(sectors_per_track)};
}

Vhd1Footer make_vhd1_footer(u64 size_bytes, const std::array<std::byte, 16>& unique_id, u32 time_stamp) {
    Vhd1Footer footer{.cookie = cookie,
                      .features = features_reserved,
                      .format_version = format_version_1_0,
                      .data_offset = no_data_offset,
                      .time_stamp = time_stamp,
                      .creator_application = creator_application,
                      .creator_version = creator_version,
                      .creator_host = creator_host,
                      .original_size = size_bytes,
                      .current_size = size_bytes,
                      .geometry = vhd1_geometry(size_bytes / vhd1_sector_bytes),
                      .disk_type = static_cast<u32>(Vhd1DiskType::fixed),
                      .checksum = {},
                      .unique_id = unique_id};
    footer.checksum = vhd1_checksum(footer);
    return footer;
}

Result<Vhd1Info, std::string> parse_vhd1_footer(std::span<const std::byte, vhd1_footer_bytes> bytes, u64 file_bytes) {
    Vhd1Footer footer;
    std::memcpy(&footer, bytes.data(), sizeof(footer));
    if (footer.cookie != cookie) {
        return fail(std::string("no VHD footer in the last 512 bytes: this is no VHD, or its end is missing"));
    }
    if (footer.checksum != vhd1_checksum(footer)) {
        return fail(std::string("the VHD footer's checksum is wrong: the file is damaged"));
    }
    if (footer.format_version >> format_major_shift != format_version_1_0 >> format_major_shift) {
        return fail("the VHD footer has version " + decimal(footer.format_version >> format_major_shift) +
                    "; only version 1 is known");
    }
    if (std::string problem = type_problem(footer.disk_type); !problem.empty()) {
        return fail(std::move(problem));
    }
    if (file_bytes < vhd1_footer_bytes) {
        return fail(std::string("the file is too short for a VHD footer"));
    }
    if (std::string problem = size_problem(footer, file_bytes); !problem.empty()) {
        return fail(std::move(problem));
    }
    return Vhd1Info{.size_bytes = footer.current_size,
                    .unique_id = footer.unique_id,
                    .time_stamp = footer.time_stamp,
                    .creator = text_of(footer.creator_application),
                    .geometry = footer.geometry,
                    .saved_state = footer.saved_state != 0};
}

}  // namespace undercroft
