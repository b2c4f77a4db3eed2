// What the driver takes from Identify data, checked: the data come from the device, which may say anything. Pure
// functions. Base 2.0 section 5.17, NVM 1.0 sections 4.1.5 and 5.8.
#pragma once

#include <array>
#include <optional>
#include <span>

#include "drivers/nvme/options.hpp"
#include "kernel/base/result.hpp"
#include "kernel/spec/nvme_commands.hpp"
#include "kernel/spec/nvme_identify.hpp"
#include "kernel/spec/nvme_registers.hpp"

namespace undercroft::nvme::host {

/// Limits of Dataset Management and Write Zeroes.
struct RangeLimits {
    u32 deallocate_ranges_max = 1;        ///< a command; at least 1, at most 256
    u64 deallocate_range_blocks_max = 1;  ///< a range; at least 1
    u64 deallocate_blocks_max = 1;        ///< a command; at least 1
    u64 write_zeroes_bytes_max = 0;       ///< a command; at least a page
};

/// What the driver needs to know of a controller.
struct ControllerFacts {
    usize transfer_bytes_max = page_size;  ///< MDTS and our own limit; a multiple of the page size
    u32 namespace_id_max = 0;              ///< NN
    bool volatile_write_cache = false;
    bool dataset_management = false;
    bool write_zeroes = false;
    bool namespace_events = false;  ///< it reports changed namespace attributes
    u64 shutdown_ns = 0;            ///< RTD3E; 0 where it says nothing
    u32 version = 0;
    std::array<char, 21> serial_number{};  ///< printable, null-terminated, trailing spaces cut
    std::array<char, 41> model_number{};
};

/// `malformed` where the data cannot be those of a controller that the driver can use.
Result<ControllerFacts> check_controller(const IdentifyController& data, Capabilities capabilities);

/// Limits from the I/O command set's own Identify data (absent before base 2.0: `data` null).
RangeLimits check_range_limits(const IdentifyNvmController* data, Capabilities capabilities,
                               const ControllerFacts& controller);

/// What Write Zeroes and Dataset Management leave behind. NVM 1.0, DLFEAT.
struct DeallocateFacts {
    bool reads_zeroes = false;
    bool write_zeroes_may_deallocate = false;
};

/// What the driver needs to know of a namespace. All but `blocks` never change while it is open.
struct NamespaceFacts {
    u32 id = 0;
    u32 block_size = 512;            ///< bytes: 512 to 64 KiB
    u64 blocks = 0;                  ///< size; block_size * blocks fits an i64
    u32 physical_block_size = 512;   ///< NPWG, as a power of two of at least `block_size`
    u32 deallocate_granularity = 1;  ///< NPDG, in blocks
    bool read_only = false;
    DeallocateFacts deallocate;
    std::optional<std::array<std::byte, 16>> unique_id;  ///< NGUID, or EUI64 and zeros
};

/// `not_found`: the namespace is not active. `unsupported`: its format has metadata, or blocks outside 512 to 64 KiB.
/// `malformed`: nonsense.
Result<NamespaceFacts> check_namespace(const IdentifyNamespace& data, u32 id);

/// The 16 bytes of a UUID or NGUID, or 8 of an EUI64 and zeros, from a list of namespace descriptors; nothing where the
/// list has none or is broken.
std::optional<std::array<std::byte, 16>> find_unique_id(std::span<const std::byte> descriptors);

}  // namespace undercroft::nvme::host
