// Fixed virtual hard disks, version 1: the disk's bytes, then one footer of 512. Layout and meaning of the footer as in
// Microsoft's "Virtual Hard Disk Image Format Specification", version 1.0 (October 2006), and nothing else: no file is
// opened here. Leaves out dynamic and differencing disks, which are recognised and refused, and the 511-byte footer of
// versions before 2004.
#pragma once

#include <array>
#include <span>
#include <string>

#include "kernel/base/endian.hpp"
#include "kernel/base/result.hpp"

namespace undercroft {

inline constexpr usize vhd1_footer_bytes = 512;
inline constexpr u32 vhd1_sector_bytes = 512;
/// The format's bound on a disk: 2040 GiB.
inline constexpr u64 vhd1_size_bytes_max = 2040 * gib;

enum class Vhd1DiskType : u32 { fixed = 2, dynamic = 3, differencing = 4 };

/// "Disk Geometry" of the footer.
struct Vhd1Geometry {
    Be<u16> cylinders;
    u8 heads = 0;
    u8 sectors_per_track = 0;
};
static_assert(sizeof(Vhd1Geometry) == 4);

/// "Hard Disk Footer Format".
struct Vhd1Footer {
    std::array<char, 8> cookie{};  ///< "conectix"
    Be<u32> features;              ///< bit 1 is always set
    Be<u32> format_version;        ///< 1.0
    Be<u64> data_offset;           ///< of the next structure; all ones for fixed disks
    Be<u32> time_stamp;            ///< seconds since 2000-01-01 00:00 UTC
    std::array<char, 4> creator_application{};
    Be<u32> creator_version;
    std::array<char, 4> creator_host{};
    Be<u64> original_size;  ///< bytes
    Be<u64> current_size;   ///< bytes
    Vhd1Geometry geometry;
    Be<u32> disk_type;  ///< Vhd1DiskType
    Be<u32> checksum;   ///< ones' complement of the sum of all other bytes
    std::array<std::byte, 16> unique_id{};
    u8 saved_state = 0;  ///< 1: a suspended machine holds it
    std::array<std::byte, 427> reserved{};
};
static_assert(sizeof(Vhd1Footer) == vhd1_footer_bytes);
static_assert(offsetof(Vhd1Footer, reserved) == 85);

/// What a sound footer says.
struct Vhd1Info {
    u64 size_bytes = 0;  ///< of the disk: whole sectors of 512
    std::array<std::byte, 16> unique_id{};
    u32 time_stamp = 0;
    std::string creator;  ///< four characters, those that print
    Vhd1Geometry geometry;
    bool saved_state = false;
};

/// The checksum that `footer` must carry.
u32 vhd1_checksum(const Vhd1Footer& footer);

/// Cylinders, heads and sectors for a disk of `sectors`, as the specification's appendix computes them; their product
/// may be less than the disk has.
Vhd1Geometry vhd1_geometry(u64 sectors);

/// The footer of a fixed disk of `size_bytes` (whole sectors, at most `vhd1_size_bytes_max`).
Vhd1Footer make_vhd1_footer(u64 size_bytes, const std::array<std::byte, 16>& unique_id, u32 time_stamp);

/// Reads the last 512 bytes of a file of `file_bytes`. On failure: what is wrong, in words for a user.
Result<Vhd1Info, std::string> parse_vhd1_footer(std::span<const std::byte, vhd1_footer_bytes> bytes, u64 file_bytes);

}  // namespace undercroft
