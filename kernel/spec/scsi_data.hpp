// Layouts of what SCSI commands return and take (SPC-4; SBC-3). Fields of a few bits are bytes here, with their bits
// named beside them.
#pragma once

#include <cstddef>

#include "kernel/base/endian.hpp"

namespace undercroft::scsi {

/// SPC-4 table 141, with the version descriptors that follow it.
struct StandardInquiry {
    u8 peripheral = 0;  ///< qualifier (bits 5 to 7), device type
    u8 removable = 0;   ///< bit 7
    u8 version = 0x06;  ///< SPC-4
    u8 format = 0x12;   ///< HISUP, response data format 2
    u8 additional_bytes = 0;
    u8 features[3] = {0, 0, 0x02};  ///< CMDQUE
    u8 vendor[8] = {};
    u8 product[16] = {};
    u8 revision[4] = {};
    u8 vendor_specific[20] = {};
    u8 reserved[2] = {};
    Be<u16> version_descriptors[8] = {};
    u8 reserved_too[22] = {};
};
static_assert(sizeof(StandardInquiry) == 96 && offsetof(StandardInquiry, version_descriptors) == 58);

inline constexpr u8 peripheral_not_here = 0x60;  ///< qualifier 011b: no unit can be at this LUN

/// Version descriptors, SPC-4 table 144.
inline constexpr u16 version_sam_5 = 0x00a0;
inline constexpr u16 version_spc_4 = 0x0460;
inline constexpr u16 version_sbc_3 = 0x04c0;
inline constexpr u16 version_mmc_6 = 0x04e0;

/// Pages of vital product data, SPC-4 table 596, SBC-3 table 204.
enum class VitalPage : u8 {
    supported_pages = 0x00,
    unit_serial_number = 0x80,
    device_identification = 0x83,
    extended_inquiry = 0x86,
    block_limits = 0xb0,
    block_characteristics = 0xb1,
    provisioning = 0xb2,
};

/// SPC-4 table 597.
struct VitalPageHeader {
    u8 peripheral = 0;
    u8 page = 0;
    Be<u16> page_bytes = 0;  ///< of what follows
};
static_assert(sizeof(VitalPageHeader) == 4 && offsetof(VitalPageHeader, page_bytes) == 2);

/// SPC-4 table 598.
struct DesignatorHeader {
    u8 code_set = 0;  ///< 1 binary, 2 ASCII, 3 UTF-8
    u8 type = 0;      ///< association (bits 4, 5; 0: the unit, 1: the port), type
    u8 reserved = 0;
    u8 bytes = 0;
};
static_assert(sizeof(DesignatorHeader) == 4 && offsetof(DesignatorHeader, bytes) == 3);

/// SPC-4 table 609, without its header.
struct ExtendedInquiry {
    u8 checks = 0;  ///< ACTIVATE MICROCODE, SPT, guard, application tag, reference tag
    u8 task_attributes = 0;
    u8 write_uncorrectable = 0;
    u8 cache = 0;  ///< bit 0: V_SUP
    u8 progress = 0;
    u8 multi_nexus_microcode = 0;
    Be<u16> self_test_minutes = 0;
    u8 power = 0;
    u8 sense_bytes_max = 0;
    u8 reserved[50] = {};
};
static_assert(sizeof(ExtendedInquiry) == 60 && offsetof(ExtendedInquiry, reserved) == 10);

inline constexpr u8 extended_simple_tasks = 0x01;  ///< SIMPSUP
inline constexpr u8 extended_volatile_cache = 0x01;

/// SBC-3 table 206 (with the atomic fields of SBC-4), without its header.
struct BlockLimits {
    u8 flags = 0;                     ///< WSNZ
    u8 compare_and_write_blocks = 0;  ///< MAXIMUM COMPARE AND WRITE LENGTH
    Be<u16> optimal_granularity = 0;
    Be<u32> transfer_blocks_max = 0;
    Be<u32> optimal_transfer_blocks = 0;
    Be<u32> prefetch_blocks_max = 0;
    Be<u32> unmap_blocks_max = 0;
    Be<u32> unmap_descriptors_max = 0;
    Be<u32> optimal_unmap_granularity = 0;
    Be<u32> unmap_alignment = 0;  ///< bit 31: valid
    Be<u64> write_same_blocks_max = 0;
    Be<u32> atomic_blocks_max = 0;
    Be<u32> atomic_alignment = 0;
    Be<u32> atomic_granularity = 0;
    Be<u32> atomic_boundary_blocks_max = 0;
    Be<u32> atomic_boundary_size_max = 0;
};
static_assert(sizeof(BlockLimits) == 60 && offsetof(BlockLimits, atomic_boundary_size_max) == 56);

/// SBC-3 table 208, without its header.
struct BlockCharacteristics {
    Be<u16> rotation_rate = 0;  ///< 1: does not rotate
    u8 product_type = 0;
    u8 form_factor = 0;
    u8 flags = 0;
    u8 reserved[55] = {};
};
static_assert(sizeof(BlockCharacteristics) == 60 && offsetof(BlockCharacteristics, reserved) == 5);

/// SBC-3 table 215, without its header and without descriptors.
struct ProvisioningPage {
    u8 threshold_exponent = 0;
    u8 flags = 0;  ///< LBPU 80h, LBPWS 40h, LBPWS10 20h, LBPRZ 04h (bits 2 to 4), ANC_SUP 02h, DP 01h
    u8 type = 0;   ///< 1 resource provisioned, 2 thin
    u8 threshold_percentage = 0;
};
static_assert(sizeof(ProvisioningPage) == 4 && offsetof(ProvisioningPage, threshold_percentage) == 3);

/// SBC-3 table 66.
struct ReadCapacity10 {
    Be<u32> last_lba = 0;
    Be<u32> block_bytes = 0;
};
static_assert(sizeof(ReadCapacity10) == 8 && offsetof(ReadCapacity10, block_bytes) == 4);

/// SBC-3 table 68.
struct ReadCapacity16 {
    Be<u64> last_lba = 0;
    Be<u32> block_bytes = 0;
    u8 protection = 0;
    u8 exponents = 0;   ///< bits 0 to 3: logical blocks of a physical one, log2
    Be<u16> flags = 0;  ///< LBPME bit 15, LBPRZ bit 14; the rest is the lowest aligned LBA
    u8 reserved[16] = {};
};
static_assert(sizeof(ReadCapacity16) == 32 && offsetof(ReadCapacity16, flags) == 14);

inline constexpr u16 capacity_provisioning_managed = 0x8000;  ///< LBPME
inline constexpr u16 capacity_unmapped_reads_zeros = 0x4000;  ///< LBPRZ

}  // namespace undercroft::scsi
