// Checks on Identify data.
#include "drivers/nvme/identify.hpp"

#include <algorithm>
#include <cstring>

namespace undercroft::nvme::host {

namespace {

constexpr u32 block_size_log2_min = 9;
constexpr u32 block_size_log2_max = 16;
constexpr u64 namespace_bytes_max = u64{1} << 62;
/// A namespace that claims a larger granularity than this claims nonsense; it is then taken as the block size.
constexpr u64 physical_block_size_max = 1 * mib;
/// Log2 sizes in units of pages beyond which there is no limit in practice.
constexpr u32 pages_log2_max = 32;

/// A size limit in units of the controller's smallest page, log2; 0 is none.
u64 bytes_of_limit(u32 pages_log2, Capabilities capabilities) {
    if (pages_log2 == 0 || pages_log2 > pages_log2_max) {
        return u64{1} << (pages_log2_max + capabilities.page_size_min_log2());
    }
    return u64{1} << (pages_log2 + capabilities.page_size_min_log2());
}

/// Device text as something that can be logged.
template <usize Size>
void copy_text(std::array<char, Size>& into, const char (&from)[Size - 1]) {
    usize length = Size - 1;
    while (length > 0 && (from[length - 1] == ' ' || from[length - 1] == 0)) {
        --length;
    }
    for (usize index = 0; index < length; ++index) {
        into[index] = from[index] >= ' ' && from[index] <= '~' ? from[index] : '?';
    }
    into[length] = 0;
}

template <usize Size>
bool is_zero(const u8 (&bytes)[Size]) {
    return std::all_of(bytes, bytes + Size, [](u8 byte) { return byte == 0; });
}

template <usize Size>
std::array<std::byte, 16> id_of(const u8 (&bytes)[Size]) {
    std::array<std::byte, 16> id{};
    std::memcpy(id.data(), bytes, Size);
    return id;
}

}  // namespace

Result<ControllerFacts> check_controller(const IdentifyController& data, Capabilities capabilities) {
    bool entries_fit = (data.submission_entry_sizes & 0xf) <= submission_entry_log2 &&
                       (data.submission_entry_sizes >> 4) >= submission_entry_log2 &&
                       (data.completion_entry_sizes & 0xf) <= completion_entry_log2 &&
                       (data.completion_entry_sizes >> 4) >= completion_entry_log2;
    bool serves_io = data.controller_type == 0 || data.controller_type == controller_type_io;
    if (!entries_fit || !serves_io || data.namespace_id_max == 0) {
        return fail(Error::malformed);
    }
    ControllerFacts facts;
    facts.transfer_bytes_max =
        std::min<u64>(transfer_bytes_max, bytes_of_limit(data.transfer_size_max_log2, capabilities));
    facts.namespace_id_max = data.namespace_id_max;
    facts.volatile_write_cache = (data.volatile_write_cache & write_cache::present) != 0;
    facts.dataset_management = (data.io_commands_supported & optional_io::dataset_management) != 0;
    facts.write_zeroes = (data.io_commands_supported & optional_io::write_zeroes) != 0;
    facts.namespace_events = (data.events_supported & event_configuration::namespace_attribute) != 0;
    facts.shutdown_ns = u64{data.entry_latency_us} * nanoseconds_per_microsecond;
    facts.version = data.version;
    copy_text(facts.serial_number, data.serial_number);
    copy_text(facts.model_number, data.model_number);
    return facts;
}

RangeLimits check_range_limits(const IdentifyNvmController* data, Capabilities capabilities,
                               const ControllerFacts& controller) {
    RangeLimits limits;
    limits.deallocate_ranges_max = dataset_ranges_max;
    limits.deallocate_range_blocks_max = ~u32{0};
    limits.deallocate_blocks_max = ~u64{0};
    // Before 2.0 nothing said whether MDTS binds Write Zeroes; some controllers act as if it did.
    limits.write_zeroes_bytes_max = controller.transfer_bytes_max;
    if (data != nullptr) {
        limits.write_zeroes_bytes_max = bytes_of_limit(data->write_zeroes_size_max_log2, capabilities);
        if (data->dataset_ranges_max != 0) {
            limits.deallocate_ranges_max = data->dataset_ranges_max;
        }
        if (data->dataset_range_blocks_max != 0) {
            limits.deallocate_range_blocks_max = data->dataset_range_blocks_max;
        }
        if (data->dataset_blocks_max != 0) {
            limits.deallocate_blocks_max = data->dataset_blocks_max;
        }
    }
    limits.deallocate_range_blocks_max = std::min(limits.deallocate_range_blocks_max, limits.deallocate_blocks_max);
    return limits;
}

Result<NamespaceFacts> check_namespace(const IdentifyNamespace& data, u32 id) {
    if (data.size_blocks == 0) {
        return fail(Error::not_found);
    }
    usize format_index = data.lba_format_index();
    if (format_index > data.lba_formats_minus_one || format_index >= lba_formats_max) {
        return fail(Error::malformed);
    }
    const LbaFormat& format = data.lba_formats[format_index];
    if (format.metadata_bytes != 0 || format.data_bytes_log2 < block_size_log2_min ||
        format.data_bytes_log2 > block_size_log2_max) {
        return fail(Error::unsupported);
    }
    if (data.size_blocks > namespace_bytes_max >> format.data_bytes_log2) {
        return fail(Error::malformed);
    }
    NamespaceFacts facts;
    facts.id = id;
    facts.block_size = u32{1} << format.data_bytes_log2;
    facts.blocks = data.size_blocks;
    facts.physical_block_size = facts.block_size;
    facts.read_only = (data.attributes & namespace_write_protected) != 0;
    facts.deallocate.reads_zeroes =
        (data.deallocate_features & deallocate_feature::read_mask) == deallocate_feature::reads_zeroes;
    facts.deallocate.write_zeroes_may_deallocate =
        (data.deallocate_features & deallocate_feature::write_zeroes_deallocates) != 0;
    if ((data.features & namespace_feature::optimal_io) != 0) {
        u64 blocks = u64{data.preferred_write_granularity_minus_one} + 1;
        u64 bytes = std::bit_floor(blocks) * facts.block_size;
        facts.physical_block_size = bytes <= physical_block_size_max ? static_cast<u32>(bytes) : facts.block_size;
        facts.deallocate_granularity = u32{data.preferred_deallocate_granularity_minus_one} + 1;
    }
    if (!is_zero(data.nguid)) {
        facts.unique_id = id_of(data.nguid);
    } else if (!is_zero(data.eui64)) {
        facts.unique_id = id_of(data.eui64);
    }
    return facts;
}

std::optional<std::array<std::byte, 16>> find_unique_id(std::span<const std::byte> descriptors) {
    std::optional<std::array<std::byte, 16>> best;
    while (descriptors.size() >= sizeof(NamespaceDescriptorHeader)) {
        NamespaceDescriptorHeader header;
        std::memcpy(&header, descriptors.data(), sizeof(header));
        descriptors = descriptors.subspan(sizeof(header));
        if (header.length == 0 || header.length > descriptors.size()) {
            break;
        }
        NamespaceIdType type = static_cast<NamespaceIdType>(header.type);
        bool is_long = (type == NamespaceIdType::nguid || type == NamespaceIdType::uuid) && header.length == 16;
        bool is_short = type == NamespaceIdType::eui64 && header.length == 8;
        if (is_long || (is_short && !best)) {
            std::array<std::byte, 16> id{};
            std::memcpy(id.data(), descriptors.data(), header.length);
            best = id;
        }
        descriptors = descriptors.subspan(header.length);
    }
    return best;
}

}  // namespace undercroft::nvme::host
