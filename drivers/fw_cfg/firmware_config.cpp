// The directory's layout is big-endian: a count, then 64 bytes a file.
#include "drivers/fw_cfg/firmware_config.hpp"

#include <cstring>

#include "kernel/spec/fw_cfg.hpp"

namespace undercroft {

static_assert(sizeof(fw_cfg::DirectoryEntry::name) == FirmwareConfig::name_bytes_max);

Result<FirmwareConfig> FirmwareConfig::open(FirmwareConfigTransport& transport) {
    FirmwareConfig config(transport);
    Be<u32> count;
    TRY(transport.read(fw_cfg::selector_directory, 0, std::as_writable_bytes(std::span(&count, 1))));
    if (count > files_max) {
        return fail(Error::malformed);
    }
    for (u32 index = 0; index < count; ++index) {
        fw_cfg::DirectoryEntry raw;
        TRY(transport.read(fw_cfg::selector_directory, sizeof(count) + u64{index} * sizeof(raw),
                           std::as_writable_bytes(std::span(&raw, 1))));
        Entry entry{.file = {.selector = raw.selector, .size_bytes = raw.size_bytes}, .name = {}};
        std::memcpy(entry.name, raw.name, sizeof(entry.name) - 1);
        config.entries_.push_back(entry);
    }
    return config;
}

Result<FirmwareFile> FirmwareConfig::find(std::string_view name) const {
    for (const Entry& entry : entries_) {
        if (name == std::string_view(entry.name)) {
            return entry.file;
        }
    }
    return fail(Error::not_found);
}

Result<void> FirmwareConfig::read(const FirmwareFile& file, u64 offset_bytes, std::span<std::byte> into) const {
    if (offset_bytes > file.size_bytes || into.size() > file.size_bytes - offset_bytes) {
        return fail(Error::out_of_range);
    }
    if (into.empty()) {
        return {};
    }
    return transport_->read(file.selector, offset_bytes, into);
}

Result<std::vector<std::byte>> FirmwareConfig::read_file(std::string_view name, usize bytes_max) const {
    FirmwareFile file = TRY(find(name));
    if (file.size_bytes > bytes_max) {
        return fail(Error::out_of_range);
    }
    std::vector<std::byte> bytes(file.size_bytes);
    TRY(read(file, 0, bytes));
    return bytes;
}

}  // namespace undercroft
