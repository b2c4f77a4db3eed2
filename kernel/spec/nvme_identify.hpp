// Data that Identify returns. Sources: base 2.0 section 5.17; NVM 1.0 section 4.1.5.
#pragma once

#include "kernel/base/endian.hpp"
#include "kernel/spec/bits.hpp"

namespace undercroft::nvme {

inline constexpr usize identify_bytes = 4096;

/// CNS: which structure Identify returns.
enum class IdentifyStructure : u8 {
    name_space = 0x00,
    controller = 0x01,
    active_namespaces = 0x02,
    namespace_descriptors = 0x03,
    nvm_set_list = 0x04,
    command_set_namespace = 0x05,
    command_set_controller = 0x06,
    command_set_active_namespaces = 0x07,
    independent_namespace = 0x08,
    allocated_namespaces = 0x10,
    allocated_namespace = 0x11,
    namespace_controllers = 0x12,
    controllers = 0x13,
    primary_controller_capabilities = 0x14,
    secondary_controllers = 0x15,
    namespace_granularity = 0x16,
    uuid_list = 0x17,
    command_sets = 0x1c,
};

/// CSI: command set identifier.
inline constexpr u8 nvm_command_set = 0;

/// 128-bit little-endian integer.
struct Le128 {
    Le<u64> low;
    Le<u64> high;
};

struct PowerStateDescriptor {
    Le<u16> maximum_power;  ///< MP, in centiwatts unless bit 24 says otherwise
    u8 reserved2 = 0;
    u8 flags = 0;
    Le<u32> entry_latency_us;
    Le<u32> exit_latency_us;
    u8 relative_read_throughput = 0;
    u8 relative_read_latency = 0;
    u8 relative_write_throughput = 0;
    u8 relative_write_latency = 0;
    Le<u16> idle_power;
    u8 idle_power_scale = 0;
    u8 reserved19 = 0;
    Le<u16> active_power;
    u8 active_power_workload = 0;
    u8 reserved23[9] = {};
};
static_assert(sizeof(PowerStateDescriptor) == 32 && offsetof(PowerStateDescriptor, reserved23) == 23);

/// CNS 01h. Field order and names: base 2.0 figure 275.
struct IdentifyController {
    Le<u16> pci_vendor_id;                 ///< VID
    Le<u16> pci_subsystem_vendor_id;       ///< SSVID
    char serial_number[20] = {};           ///< SN, ASCII padded with spaces
    char model_number[40] = {};            ///< MN
    char firmware_revision[8] = {};        ///< FR
    u8 recommended_arbitration_burst = 0;  ///< RAB
    u8 ieee_oui[3] = {};                   ///< IEEE
    u8 multi_path = 0;                     ///< CMIC
    u8 transfer_size_max_log2 = 0;         ///< MDTS, in pages of CAP.MPSMIN; 0 is no limit
    Le<u16> controller_id;                 ///< CNTLID
    Le<u32> version;                       ///< VER
    Le<u32> resume_latency_us;             ///< RTD3R
    Le<u32> entry_latency_us;              ///< RTD3E
    Le<u32> events_supported;              ///< OAES, `event_configuration`
    Le<u32> attributes;                    ///< CTRATT
    Le<u16> read_recovery_levels;          ///< RRLS
    u8 reserved102[9] = {};
    u8 controller_type = 0;        ///< CNTRLTYPE: 1 is an I/O controller
    u8 fru_guid[16] = {};          ///< FGUID
    Le<u16> retry_delay_100ms[3];  ///< CRDT1 to CRDT3
    u8 reserved134[106] = {};
    u8 reserved240[13] = {};
    u8 subsystem_report = 0;                 ///< NVMSR
    u8 vpd_write_cycles = 0;                 ///< VWCI
    u8 management_endpoint = 0;              ///< MEC
    Le<u16> admin_commands_supported;        ///< OACS, `optional_admin`
    u8 abort_limit_minus_one = 0;            ///< ACL
    u8 event_request_limit_minus_one = 0;    ///< AERL
    u8 firmware_updates = 0;                 ///< FRMW
    u8 log_attributes = 0;                   ///< LPA, `log_attribute`
    u8 error_log_entries_minus_one = 0;      ///< ELPE
    u8 power_states_minus_one = 0;           ///< NPSS
    u8 vendor_admin_format = 0;              ///< AVSCC
    u8 autonomous_power_transitions = 0;     ///< APSTA
    Le<u16> warning_temperature_kelvin;      ///< WCTEMP
    Le<u16> critical_temperature_kelvin;     ///< CCTEMP
    Le<u16> firmware_activation_time_100ms;  ///< MTFA
    Le<u32> host_memory_preferred;           ///< HMPRE
    Le<u32> host_memory_minimum;             ///< HMMIN
    Le128 total_capacity_bytes;              ///< TNVMCAP
    Le128 unallocated_capacity_bytes;        ///< UNVMCAP
    Le<u32> replay_protected_memory;         ///< RPMBS
    Le<u16> self_test_minutes;               ///< EDSTT
    u8 self_test_options = 0;                ///< DSTO
    u8 firmware_update_granularity = 0;      ///< FWUG
    Le<u16> keep_alive_granularity_100ms;    ///< KAS; 0 is no keep alive
    Le<u16> thermal_management;              ///< HCTMA
    Le<u16> thermal_minimum_kelvin;          ///< MNTMT
    Le<u16> thermal_maximum_kelvin;          ///< MXTMT
    Le<u32> sanitize_capabilities;           ///< SANICAP
    Le<u32> host_memory_descriptor_minimum;  ///< HMMINDS
    Le<u16> host_memory_descriptors_max;     ///< HMMAXD
    Le<u16> nvm_set_id_max;                  ///< NSETIDMAX
    Le<u16> endurance_group_id_max;          ///< ENDGIDMAX
    u8 ana_transition_seconds = 0;           ///< ANATT
    u8 ana_capabilities = 0;                 ///< ANACAP
    Le<u32> ana_group_id_max;                ///< ANAGRPMAX
    Le<u32> ana_groups;                      ///< NANAGRPID
    Le<u32> persistent_event_log_size;       ///< PELS
    Le<u16> domain_id;
    u8 reserved358[10] = {};
    Le128 endurance_group_capacity_max;  ///< MEGCAP
    u8 reserved384[128] = {};
    u8 submission_entry_sizes = 0;                    ///< SQES: required 3:0, maximum 7:4, both log2
    u8 completion_entry_sizes = 0;                    ///< CQES: required 3:0, maximum 7:4, both log2
    Le<u16> outstanding_commands_max;                 ///< MAXCMD
    Le<u32> namespace_id_max;                         ///< NN
    Le<u16> io_commands_supported;                    ///< ONCS, `optional_io`
    Le<u16> fused_operations;                         ///< FUSES: bit 0 is Compare and Write
    u8 format_attributes = 0;                         ///< FNA
    u8 volatile_write_cache = 0;                      ///< VWC: bit 0 present; 2:1 flush with all namespaces
    Le<u16> atomic_write_unit_minus_one;              ///< AWUN
    Le<u16> atomic_write_unit_power_fail_minus_one;   ///< AWUPF
    u8 vendor_io_format = 0;                          ///< ICSVSCC
    u8 write_protection = 0;                          ///< NWPC
    Le<u16> atomic_compare_and_write_unit_minus_one;  ///< ACWU
    Le<u16> copy_formats;                             ///< OCFS
    Le<u32> sgl_support;                              ///< SGLS, `sgl_support`
    Le<u32> namespaces_max;                           ///< MNAN
    Le128 domain_attachments_max;                     ///< MAXDNA
    Le<u32> controller_attachments_max;               ///< MAXCNA
    u8 reserved564[204] = {};
    char subsystem_qualified_name[256] = {};  ///< SUBNQN, UTF-8, null-terminated
    u8 reserved1024[768] = {};
    u8 fabrics[256] = {};
    PowerStateDescriptor power_states[32];
    u8 vendor[1024] = {};
};
static_assert(sizeof(IdentifyController) == identify_bytes && offsetof(IdentifyController, vendor) == 3072);
static_assert(offsetof(IdentifyController, controller_type) == 111 &&
              offsetof(IdentifyController, admin_commands_supported) == 256);
static_assert(offsetof(IdentifyController, sanitize_capabilities) == 328 &&
              offsetof(IdentifyController, ana_group_id_max) == 344);
static_assert(offsetof(IdentifyController, submission_entry_sizes) == 512 &&
              offsetof(IdentifyController, sgl_support) == 536);
static_assert(offsetof(IdentifyController, subsystem_qualified_name) == 768 &&
              offsetof(IdentifyController, power_states) == 2048);

/// CNTRLTYPE.
inline constexpr u8 controller_type_io = 1;

/// VWC of Identify Controller.
namespace write_cache {
inline constexpr u8 present = 1u << 0;
inline constexpr u8 flush_all_unsupported = 2u << 1;  ///< Flush with NSID FFFFFFFFh fails
inline constexpr u8 flush_all_supported = 3u << 1;
}  // namespace write_cache

/// Bits of OACS.
namespace optional_admin {
inline constexpr u16 security = 1u << 0;
inline constexpr u16 format = 1u << 1;
inline constexpr u16 firmware = 1u << 2;
inline constexpr u16 namespace_management = 1u << 3;
inline constexpr u16 device_self_test = 1u << 4;
inline constexpr u16 directives = 1u << 5;
inline constexpr u16 doorbell_buffer = 1u << 8;
inline constexpr u16 get_lba_status = 1u << 9;
}  // namespace optional_admin

/// Bits of ONCS.
namespace optional_io {
inline constexpr u16 compare = 1u << 0;
inline constexpr u16 write_uncorrectable = 1u << 1;
inline constexpr u16 dataset_management = 1u << 2;
inline constexpr u16 write_zeroes = 1u << 3;
inline constexpr u16 feature_save = 1u << 4;
inline constexpr u16 reservations = 1u << 5;
inline constexpr u16 timestamp = 1u << 6;
inline constexpr u16 verify = 1u << 7;
inline constexpr u16 copy = 1u << 8;
}  // namespace optional_io

/// Bits of LPA.
namespace log_attribute {
inline constexpr u8 smart_per_namespace = 1u << 0;
inline constexpr u8 command_effects = 1u << 1;
inline constexpr u8 extended_data = 1u << 2;  ///< 32-bit length and offset of Get Log Page
inline constexpr u8 telemetry = 1u << 3;
inline constexpr u8 supported_pages = 1u << 5;  ///< logs 00h and 12h
}  // namespace log_attribute

/// Bits of SGLS.
namespace sgl_support {
inline constexpr u32 supported_byte_aligned = 1u << 0;
inline constexpr u32 supported_dword_aligned = 2u << 0;
inline constexpr u32 bit_bucket = 1u << 16;
inline constexpr u32 longer_than_data = 1u << 18;
}  // namespace sgl_support

struct LbaFormat {
    Le<u16> metadata_bytes;       ///< MS
    u8 data_bytes_log2 = 0;       ///< LBADS
    u8 relative_performance = 0;  ///< RP
};
static_assert(sizeof(LbaFormat) == 4 && offsetof(LbaFormat, relative_performance) == 3);
inline constexpr usize lba_formats_max = 64;

/// CNS 00h and 11h for the NVM command set. NVM 1.0 figure 97.
struct IdentifyNamespace {
    Le<u64> size_blocks;                                 ///< NSZE
    Le<u64> capacity_blocks;                             ///< NCAP
    Le<u64> used_blocks;                                 ///< NUSE
    u8 features = 0;                                     ///< NSFEAT, `namespace_feature`
    u8 lba_formats_minus_one = 0;                        ///< NLBAF
    u8 formatted_lba_size = 0;                           ///< FLBAS: index 3:0, high bits of it 6:5, extended metadata 4
    u8 metadata_capabilities = 0;                        ///< MC
    u8 protection_capabilities = 0;                      ///< DPC
    u8 protection_settings = 0;                          ///< DPS
    u8 sharing = 0;                                      ///< NMIC: bit 0 may be attached to more than one controller
    u8 reservation_capabilities = 0;                     ///< RESCAP, `reservation_capability`
    u8 format_progress = 0;                              ///< FPI
    u8 deallocate_features = 0;                          ///< DLFEAT, `deallocate_feature`
    Le<u16> atomic_write_unit_minus_one;                 ///< NAWUN
    Le<u16> atomic_write_unit_power_fail_minus_one;      ///< NAWUPF
    Le<u16> atomic_compare_and_write_unit_minus_one;     ///< NACWU
    Le<u16> atomic_boundary_minus_one;                   ///< NABSN
    Le<u16> atomic_boundary_offset;                      ///< NABO
    Le<u16> atomic_boundary_power_fail_minus_one;        ///< NABSPF
    Le<u16> optimal_io_boundary_blocks;                  ///< NOIOB
    Le128 capacity_bytes;                                ///< NVMCAP
    Le<u16> preferred_write_granularity_minus_one;       ///< NPWG, in blocks
    Le<u16> preferred_write_alignment_minus_one;         ///< NPWA
    Le<u16> preferred_deallocate_granularity_minus_one;  ///< NPDG
    Le<u16> preferred_deallocate_alignment_minus_one;    ///< NPDA
    Le<u16> optimal_write_size_minus_one;                ///< NOWS
    Le<u16> copy_range_blocks_max;                       ///< MSSRL
    Le<u32> copy_blocks_max;                             ///< MCL
    u8 copy_ranges_max_minus_one = 0;                    ///< MSRC
    u8 reserved81[11] = {};
    Le<u32> ana_group_id;  ///< ANAGRPID
    u8 reserved96[3] = {};
    u8 attributes = 0;           ///< NSATTR: bit 0 write protected
    Le<u16> nvm_set_id;          ///< NVMSETID
    Le<u16> endurance_group_id;  ///< ENDGID
    u8 nguid[16] = {};           ///< NGUID, big-endian
    u8 eui64[8] = {};            ///< EUI64, big-endian
    LbaFormat lba_formats[lba_formats_max];
    u8 vendor[3712] = {};

    /// Index of the format in use.
    constexpr usize lba_format_index() const {
        return get_bits(formatted_lba_size, 0, 4) | get_bits(formatted_lba_size, 5, 2) << 4;
    }
};
static_assert(sizeof(IdentifyNamespace) == identify_bytes && offsetof(IdentifyNamespace, vendor) == 384);
static_assert(offsetof(IdentifyNamespace, atomic_write_unit_minus_one) == 34 &&
              offsetof(IdentifyNamespace, nguid) == 104);

/// Bits of NSFEAT.
namespace namespace_feature {
inline constexpr u8 thin = 1u << 0;               ///< THINP
inline constexpr u8 atomics = 1u << 1;            ///< NSABP: NAWUN, NAWUPF, NACWU are this namespace's
inline constexpr u8 deallocated_error = 1u << 2;  ///< DAE
inline constexpr u8 ids_not_reused = 1u << 3;     ///< UIDREUSE
inline constexpr u8 optimal_io = 1u << 4;         ///< OPTPERF: NPWG, NPWA, NPDG, NPDA, NOWS are valid
}  // namespace namespace_feature

/// DLFEAT.
namespace deallocate_feature {
inline constexpr u8 reads_unknown = 0;
inline constexpr u8 reads_zeroes = 1;
inline constexpr u8 reads_ones = 2;
inline constexpr u8 read_mask = 7;
inline constexpr u8 write_zeroes_deallocates = 1u << 3;
}  // namespace deallocate_feature

/// Bits of NSATTR.
inline constexpr u8 namespace_write_protected = 1u << 0;

/// CNS 02h, 07h and 10h, and log 04h: ascending ids, zero-terminated where shorter.
struct NamespaceList {
    Le<u32> ids[1024];
};
static_assert(sizeof(NamespaceList) == identify_bytes);

/// CNS 12h and 13h.
struct ControllerList {
    Le<u16> count;
    Le<u16> ids[2047];
};
static_assert(sizeof(ControllerList) == identify_bytes && offsetof(ControllerList, ids) == 2);

/// CNS 03h: a list of these headers, each followed by its id; ends with a zero length.
struct NamespaceDescriptorHeader {
    u8 type = 0;    ///< NIDT, `NamespaceIdType`
    u8 length = 0;  ///< NIDL, of what follows, in bytes
    u8 reserved2[2] = {};
};
static_assert(sizeof(NamespaceDescriptorHeader) == 4 && offsetof(NamespaceDescriptorHeader, reserved2) == 2);
enum class NamespaceIdType : u8 { eui64 = 1, nguid = 2, uuid = 3, command_set = 4 };

/// CNS 05h for the NVM command set: all zero without protection information.
struct IdentifyNvmNamespace {
    Le<u64> storage_tag_mask;  ///< LBSTM
    u8 protection_capabilities = 0;
    u8 reserved9[3] = {};
    Le<u32> extended_formats[lba_formats_max];
    u8 reserved268[3828] = {};
};
static_assert(sizeof(IdentifyNvmNamespace) == identify_bytes && offsetof(IdentifyNvmNamespace, reserved268) == 268);

/// CNS 06h for the NVM command set. Sizes are log2 of pages of CAP.MPSMIN, 0 is no limit. NVM 1.0 figure 102.
struct IdentifyNvmController {
    u8 verify_size_max_log2 = 0;               ///< VSL
    u8 write_zeroes_size_max_log2 = 0;         ///< WZSL
    u8 write_uncorrectable_size_max_log2 = 0;  ///< WUSL
    u8 dataset_ranges_max = 0;                 ///< DMRL
    Le<u32> dataset_range_blocks_max;          ///< DMRSL
    Le<u64> dataset_blocks_max;                ///< DMSL
    u8 reserved16[4080] = {};
};
static_assert(sizeof(IdentifyNvmController) == identify_bytes && offsetof(IdentifyNvmController, reserved16) == 16);

/// CNS 08h: what is true of a namespace whatever its command set.
struct IdentifyIndependentNamespace {
    u8 features = 0;  ///< NSFEAT: bit 3 ids not reused
    u8 sharing = 0;   ///< NMIC
    u8 reservation_capabilities = 0;
    u8 format_progress = 0;
    Le<u32> ana_group_id;
    u8 attributes = 0;  ///< NSATTR
    u8 reserved9 = 0;
    Le<u16> nvm_set_id;
    Le<u16> endurance_group_id;
    u8 status = 0;  ///< NSTAT: bit 0 ready
    u8 reserved15[4081] = {};
};
static_assert(sizeof(IdentifyIndependentNamespace) == identify_bytes &&
              offsetof(IdentifyIndependentNamespace, reserved15) == 15);

/// CNS 1Ch: combinations of command sets, each a bit vector of CSIs.
struct IdentifyCommandSets {
    Le<u64> combinations[512];
};
static_assert(sizeof(IdentifyCommandSets) == identify_bytes);

}  // namespace undercroft::nvme
