// Look-up and splitting of accesses to the guest's devices.
#include "kernel/guest/bus.hpp"

#include "kernel/base/log.hpp"

namespace undercroft {

namespace {
constexpr u32 port_space = 0x10000;

constexpr unsigned bytes(AccessSize size) { return static_cast<unsigned>(size); }
}  // namespace

Result<GuestBus::PortRangeId> GuestBus::append_ports(PortDevice& device, u32 first, u32 count, AccessSize widest) {
    usize index = port_count_.load(std::memory_order_relaxed);
    if (index == port_ranges_max) {
        return fail(Error::out_of_memory);
    }
    PortRange& range = ports_[index];
    range.count = count;
    range.device = &device;
    range.widest = widest;
    range.first.store(first, std::memory_order_relaxed);
    port_count_.store(index + 1, std::memory_order_release);
    return PortRangeId{static_cast<u16>(index)};
}

Result<GuestBus::PortRangeId> GuestBus::add_ports(PortDevice& device, u16 first_port, u32 count, AccessSize widest) {
    if (count == 0 || count > port_space - first_port) {
        return fail(Error::invalid_argument);
    }
    for (usize i = 0; i < port_count_.load(std::memory_order_relaxed); ++i) {
        u32 other = ports_[i].first.load(std::memory_order_relaxed);
        if (first_port < other + ports_[i].count && other < first_port + count) {
            return fail(Error::invalid_argument);
        }
    }
    return append_ports(device, first_port, count, widest);
}

Result<GuestBus::PortRangeId> GuestBus::add_movable_ports(PortDevice& device, u32 count, AccessSize widest) {
    if (count == 0 || count > port_space) {
        return fail(Error::invalid_argument);
    }
    return append_ports(device, hidden_port, count, widest);
}

void GuestBus::move_ports(PortRangeId id, u16 first_port) {
    ports_[id.index].first.store(first_port, std::memory_order_relaxed);
}

void GuestBus::hide_ports(PortRangeId id) { ports_[id.index].first.store(hidden_port, std::memory_order_relaxed); }

Result<GuestBus::MmioRangeId> GuestBus::append_mmio(MmioDevice& device, u64 first, u64 size_bytes) {
    usize index = mmio_count_.load(std::memory_order_relaxed);
    if (index == mmio_ranges_max) {
        return fail(Error::out_of_memory);
    }
    MmioRange& range = mmio_[index];
    range.size_bytes = size_bytes;
    range.device = &device;
    range.first.store(first, std::memory_order_relaxed);
    mmio_count_.store(index + 1, std::memory_order_release);
    return MmioRangeId{static_cast<u16>(index)};
}

Result<GuestBus::MmioRangeId> GuestBus::add_mmio(MmioDevice& device, u64 guest_address, u64 size_bytes) {
    if (size_bytes == 0 || guest_address >= hidden_address || size_bytes > hidden_address - guest_address) {
        return fail(Error::invalid_argument);
    }
    for (usize i = 0; i < mmio_count_.load(std::memory_order_relaxed); ++i) {
        u64 other = mmio_[i].first.load(std::memory_order_relaxed);
        if (guest_address < other + mmio_[i].size_bytes && other < guest_address + size_bytes) {
            return fail(Error::invalid_argument);
        }
    }
    return append_mmio(device, guest_address, size_bytes);
}

Result<GuestBus::MmioRangeId> GuestBus::add_movable_mmio(MmioDevice& device, u64 size_bytes) {
    if (size_bytes == 0 || size_bytes > hidden_address) {
        return fail(Error::invalid_argument);
    }
    return append_mmio(device, hidden_address, size_bytes);
}

void GuestBus::move_mmio(MmioRangeId id, u64 guest_address) {
    // An address that no processor can form would meet the hidden ranges.
    u64 first = guest_address < hidden_address ? guest_address : hidden_address;
    mmio_[id.index].first.store(first, std::memory_order_relaxed);
}

void GuestBus::hide_mmio(MmioRangeId id) { mmio_[id.index].first.store(hidden_address, std::memory_order_relaxed); }

PortDevice* GuestBus::find_ports(u16 port, AccessSize size, bool& splits) const {
    usize count = port_count_.load(std::memory_order_acquire);
    for (usize i = 0; i < count; ++i) {
        const PortRange& range = ports_[i];
        u32 offset = port - range.first.load(std::memory_order_relaxed);
        if (offset < range.count) {
            splits = size > range.widest || bytes(size) > range.count - offset;
            return range.device;
        }
    }
    splits = size != AccessSize::byte;  // a higher port of the access may be somebody's
    return nullptr;
}

MmioDevice* GuestBus::find_mmio(u64 guest_address, AccessSize size, u64& offset_bytes, bool& splits) const {
    usize count = mmio_count_.load(std::memory_order_acquire);
    for (usize i = 0; i < count; ++i) {
        const MmioRange& range = mmio_[i];
        u64 offset = guest_address - range.first.load(std::memory_order_relaxed);
        if (offset < range.size_bytes) {
            offset_bytes = offset;
            splits = bytes(size) > range.size_bytes - offset;
            return range.device;
        }
    }
    splits = false;
    return nullptr;
}

u64 GuestBus::read_port(u16 port, AccessSize size) {
    bool splits = false;
    PortDevice* device = find_ports(port, size, splits);
    if (splits) {
        u64 value = 0;
        for (unsigned i = 0; i < bytes(size); ++i) {
            value |= read_port(static_cast<u16>(port + i), AccessSize::byte) << (8 * i);
        }
        return value;
    }
    if (device == nullptr) {
        log_debug("port %#x: nobody answers a read", port);
        return all_ones(size);
    }
    return device->read_port(port, size) & all_ones(size);
}

void GuestBus::write_port(u16 port, AccessSize size, u64 value) {
    bool splits = false;
    PortDevice* device = find_ports(port, size, splits);
    if (splits) {
        for (unsigned i = 0; i < bytes(size); ++i) {
            write_port(static_cast<u16>(port + i), AccessSize::byte, (value >> (8 * i)) & 0xFF);
        }
        return;
    }
    if (device == nullptr) {
        log_debug("port %#x: nobody takes a write", port);
        return;
    }
    device->write_port(port, size, value & all_ones(size));
}

void GuestBus::read_port_string(u16 port, AccessSize size, std::span<std::byte> into) {
    bool splits = false;
    if (PortDevice* device = find_ports(port, size, splits); device != nullptr && !splits) {
        return device->read_port_string(port, size, into);
    }
    for (usize at = 0; at < into.size(); at += bytes(size)) {
        u64 value = read_port(port, size);
        std::memcpy(into.data() + at, &value, bytes(size));
    }
}

void GuestBus::write_port_string(u16 port, AccessSize size, std::span<const std::byte> from) {
    bool splits = false;
    if (PortDevice* device = find_ports(port, size, splits); device != nullptr && !splits) {
        return device->write_port_string(port, size, from);
    }
    for (usize at = 0; at < from.size(); at += bytes(size)) {
        u64 value = 0;
        std::memcpy(&value, from.data() + at, bytes(size));
        write_port(port, size, value);
    }
}

u64 GuestBus::read_mmio(u64 guest_address, AccessSize size) {
    u64 offset = 0;
    bool splits = false;
    MmioDevice* device = find_mmio(guest_address, size, offset, splits);
    if (device == nullptr) {
        log_debug("memory %#llx: nobody answers a read", static_cast<unsigned long long>(guest_address));
        return all_ones(size);
    }
    if (splits) {
        u64 value = 0;
        for (unsigned i = 0; i < bytes(size); ++i) {
            value |= read_mmio(guest_address + i, AccessSize::byte) << (8 * i);
        }
        return value;
    }
    return device->read_mmio(offset, size) & all_ones(size);
}

void GuestBus::write_mmio(u64 guest_address, AccessSize size, u64 value) {
    u64 offset = 0;
    bool splits = false;
    MmioDevice* device = find_mmio(guest_address, size, offset, splits);
    if (device == nullptr) {
        log_debug("memory %#llx: nobody takes a write", static_cast<unsigned long long>(guest_address));
        return;
    }
    if (splits) {
        for (unsigned i = 0; i < bytes(size); ++i) {
            write_mmio(guest_address + i, AccessSize::byte, (value >> (8 * i)) & 0xFF);
        }
        return;
    }
    device->write_mmio(offset, size, value & all_ones(size));
}

bool GuestBus::has_mmio(u64 guest_address) const {
    u64 offset = 0;
    bool splits = false;
    return find_mmio(guest_address, AccessSize::byte, offset, splits) != nullptr;
}

}  // namespace undercroft
