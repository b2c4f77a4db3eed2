// Identify data.
#include "storage/frontends/nvme/identity.hpp"

#include <algorithm>
#include <cstring>

#include "kernel/spec/nvme_commands.hpp"
#include "kernel/spec/nvme_registers.hpp"

namespace undercroft::nvme {

namespace {

void copy_padded(std::span<char> into, std::string_view text) {
    usize length = std::min(text.size(), into.size());
    std::fill(into.begin(), into.end(), ' ');
    std::copy_n(text.begin(), length, into.begin());
}

/// Blocks of `bytes`, zero's based, as the 16-bit fields want it.
u16 blocks_minus_one(u64 bytes, const Namespace& source) {
    u64 blocks = std::max<u64>(bytes >> source.block_shift, 1);
    return static_cast<u16>(std::min<u64>(blocks - 1, 0xffff));
}

constexpr u8 entry_sizes(u32 log2) { return static_cast<u8>(log2 | log2 << 4); }

/// 32 MiB in pages, log2: what a command without data may cover at any block size from 512 bytes on.
constexpr u8 no_data_pages_log2 = 13;

}  // namespace

IdentityFields::IdentityFields(const Identity& identity)
    : vendor_id_(identity.vendor_id), controller_id_(identity.controller_id) {
    copy_padded(serial_, identity.serial);
    copy_padded(model_, identity.model);
    copy_padded(firmware_, identity.firmware);
    usize length = std::min(identity.subsystem_name.size(), sizeof subsystem_name_ - 1);
    std::copy_n(identity.subsystem_name.begin(), length, subsystem_name_);
}

void IdentityFields::fill(IdentifyController& data, const NamespaceTable& namespaces) const {
    data.pci_vendor_id = vendor_id_;
    data.pci_subsystem_vendor_id = vendor_id_;
    std::memcpy(data.serial_number, serial_, sizeof serial_);
    std::memcpy(data.model_number, model_, sizeof model_);
    std::memcpy(data.firmware_revision, firmware_, sizeof firmware_);
    data.recommended_arbitration_burst = 6;
    data.transfer_size_max_log2 = transfer_pages_log2;
    data.controller_id = controller_id_;
    data.version = version_2_0;
    data.events_supported = event_configuration::namespace_attribute;
    data.controller_type = controller_type_io;
    data.admin_commands_supported = optional_admin::doorbell_buffer;
    data.abort_limit_minus_one = aborts_max - 1;
    data.event_request_limit_minus_one = event_requests_max - 1;
    data.firmware_updates = 1u << 0 | 1u << 1;  // slot 1 is read-only, one slot
    data.log_attributes =
        log_attribute::command_effects | log_attribute::extended_data | log_attribute::supported_pages;
    data.error_log_entries_minus_one = error_log_entries - 1;
    data.warning_temperature_kelvin = 343;
    data.critical_temperature_kelvin = 353;
    for (const Namespace& entry : namespaces.all()) {
        data.total_capacity_bytes.low = data.total_capacity_bytes.low + (entry.blocks() << entry.block_shift);
    }
    data.submission_entry_sizes = entry_sizes(submission_entry_log2);
    data.completion_entry_sizes = entry_sizes(completion_entry_log2);
    data.namespace_id_max = namespaces.id_max();
    data.io_commands_supported = optional_io::compare | optional_io::dataset_management | optional_io::write_zeroes |
                                 optional_io::timestamp | optional_io::verify;
    data.volatile_write_cache = write_cache::present | write_cache::flush_all_supported;
    data.sgl_support = sgl_support::supported_byte_aligned | sgl_support::longer_than_data;
    data.namespaces_max = namespaces_max;
    std::memcpy(data.subsystem_qualified_name, subsystem_name_, sizeof subsystem_name_);
    data.power_states[0].maximum_power = 500;
}

void fill(IdentifyNamespace& data, const Namespace& source) {
    const DiskFacts& facts = source.disk.facts();
    u64 blocks = source.blocks();
    data.size_blocks = blocks;
    data.capacity_blocks = blocks;
    data.used_blocks = blocks;
    data.features = namespace_feature::optimal_io | namespace_feature::ids_not_reused;
    if (facts.unmap == UnmapBehavior::zeroes) {
        data.deallocate_features = deallocate_feature::reads_zeroes | deallocate_feature::write_zeroes_deallocates;
    }
    data.capacity_bytes.low = blocks << source.block_shift;
    data.preferred_write_granularity_minus_one = blocks_minus_one(facts.physical_sector_size, source);
    data.preferred_write_alignment_minus_one = blocks_minus_one(facts.physical_sector_size, source);
    u64 unmap_bytes = u64{facts.optimal_unmap_sectors} << source.block_shift;
    data.preferred_deallocate_granularity_minus_one = blocks_minus_one(unmap_bytes, source);
    data.preferred_deallocate_alignment_minus_one = blocks_minus_one(unmap_bytes, source);
    data.attributes = facts.read_only ? namespace_write_protected : 0;
    std::memcpy(data.nguid, source.nguid.data(), source.nguid.size());
    std::memcpy(data.eui64, source.eui64.data(), source.eui64.size());
    data.lba_formats[0].data_bytes_log2 = static_cast<u8>(source.block_shift);
}

void fill(IdentifyIndependentNamespace& data, const Namespace& source) {
    data.features = namespace_feature::ids_not_reused;
    data.attributes = source.disk.facts().read_only ? namespace_write_protected : 0;
    data.status = 1;
}

void fill(IdentifyNvmController& data) {
    data.verify_size_max_log2 = transfer_pages_log2;
    data.write_zeroes_size_max_log2 = no_data_pages_log2;
    // Never zero: some drivers take that for "none at all".
    data.dataset_ranges_max = dataset_ranges_max - 1;
    data.dataset_range_blocks_max = 0xffff'ffff;
    data.dataset_blocks_max = u64{dataset_ranges_max} * 0xffff'ffff;
}

void fill_descriptors(std::span<std::byte> data, const Namespace& source) {
    auto append = [&data](NamespaceIdType type, std::span<const u8> id) {
        NamespaceDescriptorHeader header{.type = static_cast<u8>(type), .length = static_cast<u8>(id.size())};
        std::memcpy(data.data(), &header, sizeof header);
        std::memcpy(data.data() + sizeof header, id.data(), id.size());
        data = data.subspan(sizeof header + id.size());
    };
    append(NamespaceIdType::nguid, source.nguid);
    if (source.eui64 != std::array<u8, 8>{}) {
        append(NamespaceIdType::eui64, source.eui64);
    }
    append(NamespaceIdType::command_set, std::array<u8, 1>{nvm_command_set});
}

void fill(NamespaceList& data, const NamespaceTable& namespaces, u32 after) {
    usize count = 0;
    for (const Namespace& entry : namespaces.all()) {
        if (entry.id > after && count < std::size(data.ids)) {
            data.ids[count++] = entry.id;
        }
    }
}

}  // namespace undercroft::nvme
