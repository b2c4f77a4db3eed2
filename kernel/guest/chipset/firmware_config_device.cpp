// Items and their bytes.
#include "kernel/guest/chipset/firmware_config_device.hpp"

#include <algorithm>
#include <cstring>

namespace undercroft {

namespace {

constexpr std::byte signature[] = {std::byte{'Q'}, std::byte{'E'}, std::byte{'M'}, std::byte{'U'}};
/// Bit 0: the port interface. No DMA.
constexpr std::byte features[] = {std::byte{1}, std::byte{0}, std::byte{0}, std::byte{0}};

template <typename T>
void append(std::vector<std::byte>& to, const T& value) {
    std::span<const std::byte> bytes = std::as_bytes(std::span(&value, 1));
    to.insert(to.end(), bytes.begin(), bytes.end());
}

}  // namespace

Result<void> FirmwareConfigDevice::add_to(GuestBus& bus) {
    update_directory();
    TRY(bus.add_ports(*this, fw_cfg::selector_port, 2, AccessSize::word));
    return {};
}

Result<void> FirmwareConfigDevice::add_file(std::string_view name, std::span<const std::byte> content) {
    if (name.empty() || name.size() > name_bytes_max || content.size() > ~u32{0}) {
        return fail(Error::invalid_argument);
    }
    for (const fw_cfg::DirectoryEntry& entry : entries_) {
        if (name == std::string_view(entry.name)) {
            return fail(Error::busy);
        }
    }
    if (entries_.size() == files_max) {
        return fail(Error::out_of_memory);
    }
    fw_cfg::DirectoryEntry entry = {};
    entry.size_bytes = static_cast<u32>(content.size());
    entry.selector = static_cast<u16>(fw_cfg::selector_first_file + entries_.size());
    std::memcpy(entry.name, name.data(), name.size());
    entries_.push_back(entry);
    contents_.emplace_back(content.begin(), content.end());
    update_directory();
    return {};
}

Result<void> FirmwareConfigDevice::add_number(std::string_view name, u64 value) {
    Le<u64> bytes = value;
    return add_file(name, std::as_bytes(std::span(&bytes, 1)));
}

void FirmwareConfigDevice::update_directory() {
    directory_.clear();
    append(directory_, Be<u32>(static_cast<u32>(entries_.size())));
    for (const fw_cfg::DirectoryEntry& entry : entries_) {
        append(directory_, entry);
    }
}

std::span<const std::byte> FirmwareConfigDevice::selected() const {
    switch (selector_) {
    case fw_cfg::selector_signature:
        return signature;
    case fw_cfg::selector_features:
        return features;
    case fw_cfg::selector_directory:
        return directory_;
    default:
        break;
    }
    usize index = static_cast<usize>(selector_) - fw_cfg::selector_first_file;
    return index < contents_.size() ? std::span<const std::byte>(contents_[index]) : std::span<const std::byte>();
}

/// Behind the end of an item, and where there is none, everything is zero.
u8 FirmwareConfigDevice::next_byte() {
    std::span<const std::byte> item = selected();
    return offset_bytes_ < item.size() ? static_cast<u8>(item[offset_bytes_++]) : u8{0};
}

u64 FirmwareConfigDevice::read_port(u16 port, AccessSize size) {
    SpinlockGuard guard(lock_);
    return port == fw_cfg::data_port && size == AccessSize::byte ? next_byte() : all_ones(size);
}

void FirmwareConfigDevice::read_port_string(u16 port, AccessSize size, std::span<std::byte> into) {
    SpinlockGuard guard(lock_);
    bool reads_item = port == fw_cfg::data_port && size == AccessSize::byte;
    std::ranges::generate(into, [&] { return reads_item ? std::byte{next_byte()} : std::byte{0xFF}; });
}

void FirmwareConfigDevice::write_port(u16 port, AccessSize size, u64 value) {
    SpinlockGuard guard(lock_);
    if (port == fw_cfg::selector_port && size == AccessSize::word) {
        selector_ = static_cast<u16>(value);
        offset_bytes_ = 0;
    }
}

}  // namespace undercroft
