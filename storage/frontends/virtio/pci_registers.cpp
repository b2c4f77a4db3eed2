// What the guest sees of the virtio PCI function: configuration space, common configuration, ISR, device configuration,
// notification. Nothing here waits.
#include <cstring>

#include "kernel/base/log.hpp"
#include "storage/frontends/virtio/pci_controller.hpp"

namespace undercroft::virtio {

namespace {

constexpr u8 place_of(usize offset) { return static_cast<u8>(PciCapabilities::first + offset); }

constexpr u8 access_place = place_of(offsetof(PciCapabilities, access));
constexpr u8 access_data_place = access_place + offsetof(PciAccessCapability, data);
constexpr u8 advanced_place = place_of(offsetof(PciCapabilities, advanced_abilities));

PciCapability capability(PciCapabilityType type, usize next_offset, u8 bar, u32 offset, u32 length, u8 length_bytes) {
    PciCapability made;
    made.next = place_of(next_offset);
    made.length_bytes = length_bytes;
    made.type = type;
    made.bar = bar;
    made.offset = offset;
    made.length = length;
    return made;
}

constexpr u64 queue_address_offset = offsetof(CommonConfig, queue_descriptors);
constexpr u64 queue_addresses_end = offsetof(CommonConfig, queue_notify_data);

}  // namespace

PciCapabilities::PciCapabilities() {
    using Type = PciCapabilityType;
    constexpr u8 plain = sizeof(PciCapability);
    constexpr u8 extended = sizeof(PciNotifyCapability);
    common = capability(Type::common, offsetof(PciCapabilities, isr), pci_place::memory_bar, pci_place::common,
                        sizeof(CommonConfig), plain);
    isr = capability(Type::isr, offsetof(PciCapabilities, device), pci_place::memory_bar, pci_place::isr, 1, plain);
    device = capability(Type::device, offsetof(PciCapabilities, notify_port), pci_place::memory_bar, pci_place::device,
                        pci_place::region_bytes, plain);
    notify_port.base = capability(Type::notify, offsetof(PciCapabilities, notify_memory), pci_place::port_bar, 0,
                                  static_cast<u32>(pci_place::port_bar_bytes), extended);
    notify_memory.base = capability(Type::notify, offsetof(PciCapabilities, access), pci_place::memory_bar,
                                    pci_place::notify, pci_place::region_bytes, extended);
    access.base = capability(Type::pci_access, offsetof(PciCapabilities, advanced_abilities), 0, 0, 0, extended);
    advanced_abilities = u32{pci::capability_id::advanced_features} | u32{pci::advanced_features::length} << 16 |
                         pci::advanced_features::transactions_pending_capable |
                         pci::advanced_features::function_reset_capable;
}

// --- Configuration space ---------------------------------------------------------------------------------------------

u32 PciController::read_config(u16 offset_bytes) {
    if (offset_bytes < PciCapabilities::msix) {
        return header_.read(offset_bytes);
    }
    if (offset_bytes < PciCapabilities::first) {
        return msix_.read_capability(offset_bytes - PciCapabilities::msix, PciCapabilities::first);
    }
    if (offset_bytes == access_data_place) {
        return read_access_capability();
    }
    if (offset_bytes == advanced_place + pci::advanced_features::control) {
        SpinlockGuard guard(lock_);
        return reset_requested_ ? pci::advanced_features::transactions_pending : 0;
    }
    u32 value = 0;
    u64 offset = offset_bytes - PciCapabilities::first;
    if (offset + sizeof(value) <= sizeof(capabilities_)) {
        SpinlockGuard guard(lock_);
        std::memcpy(&value, reinterpret_cast<const std::byte*>(&capabilities_) + offset, sizeof(value));
    }
    return value;
}

void PciController::write_config(u16 offset_bytes, u32 value, u32 mask) {
    if (offset_bytes < PciCapabilities::msix) {
        header_.write(offset_bytes, value, mask);
    } else if (offset_bytes < PciCapabilities::first) {
        msix_.write_capability(offset_bytes - PciCapabilities::msix, value, mask);
    } else if (offset_bytes >= access_place && offset_bytes <= access_data_place) {
        write_access_capability(offset_bytes, value, mask);
    } else if (offset_bytes == advanced_place + pci::advanced_features::control &&
               (value & mask & pci::advanced_features::initiate_function_reset) != 0) {
        msix_.reset();
        header_.reset();
        request_reset();
    }
}

/// The data of the access capability stands for a register of a BAR: that of the place and width written before.
u32 PciController::read_access_capability() {
    u32 offset = 0;
    u32 length = 0;
    u8 bar = 0;
    {
        SpinlockGuard guard(lock_);
        bar = capabilities_.access.base.bar;
        offset = capabilities_.access.base.offset;
        length = capabilities_.access.base.length;
    }
    bool sound = (length == 1 || length == 2 || length == 4) && offset % length == 0;
    return sound ? static_cast<u32>(read_bar(bar, offset, static_cast<AccessSize>(length))) : 0;
}

void PciController::write_access_capability(u16 offset_bytes, u32 value, u32 mask) {
    u32 offset = 0;
    u32 length = 0;
    u8 bar = 0;
    {
        SpinlockGuard guard(lock_);
        PciCapability& base = capabilities_.access.base;
        auto merge = [&](u32 old) { return (old & ~mask) | (value & mask); };
        switch (offset_bytes - access_place) {
        case offsetof(PciCapability, bar):
            base.bar = static_cast<u8>(merge(base.bar));
            return;
        case offsetof(PciCapability, offset):
            base.offset = merge(base.offset);
            return;
        case offsetof(PciCapability, length):
            base.length = merge(base.length);
            return;
        case offsetof(PciAccessCapability, data):
            bar = base.bar;
            offset = base.offset;
            length = base.length;
            break;
        default:
            return;
        }
    }
    if ((length == 1 || length == 2 || length == 4) && offset % length == 0) {
        auto size = static_cast<AccessSize>(length);
        write_bar(bar, offset, size, value & all_ones(size));
    }
}

// --- Base address registers ------------------------------------------------------------------------------------------

PciBar PciController::bar(usize index) const {
    if (index == pci_place::memory_bar) {
        return {.size_bytes = pci_place::memory_bar_bytes, .is_64bit = true};
    }
    return index == pci_place::port_bar ? PciBar{.size_bytes = pci_place::port_bar_bytes, .is_io = true} : PciBar{};
}

u64 PciController::read_bar(usize index, u64 offset, AccessSize size) {
    u64 bytes = static_cast<u64>(size);
    if (index != pci_place::memory_bar || offset % bytes != 0 || offset >= pci_place::memory_bar_bytes) {
        return index == pci_place::port_bar ? 0 : all_ones(size);
    }
    u64 value = 0;
    auto into = std::as_writable_bytes(std::span(&value, 1)).first(bytes);
    u64 at = offset % pci_place::region_bytes;
    switch (offset - at) {
    case pci_place::common:
        if (at + bytes <= sizeof(CommonConfig)) {
            CommonConfig snapshot = common_snapshot();
            std::memcpy(&value, reinterpret_cast<const std::byte*>(&snapshot) + at, bytes);
        }
        return value;
    case pci_place::isr:
        return at == 0 ? isr_.exchange(0) : 0;
    case pci_place::device:
        device_->read_configuration(static_cast<u32>(at), into);
        return value;
    default:
        break;
    }
    if (bytes < 4 || offset < pci_place::msix_table) {
        return 0;
    }
    auto dword = [&](u64 place) {
        return place >= pci_place::msix_pending ? msix_.read_pending(place - pci_place::msix_pending)
                                                : msix_.read_entry(place - pci_place::msix_table);
    };
    return size == AccessSize::qword ? dword(offset) | u64{dword(offset + 4)} << 32 : dword(offset);
}

void PciController::write_bar(usize index, u64 offset, AccessSize size, u64 value) {
    // First what happens for each request.
    bool notifies = index == pci_place::port_bar || (index == pci_place::memory_bar && offset == pci_place::notify);
    if (notifies) {
        u64 queue = value & 0xffff;
        if (queue < queue_count_ && running_.load(std::memory_order_acquire)) {
            queues_[queue].notify();
        }
        return;
    }
    u64 bytes = static_cast<u64>(size);
    if (index != pci_place::memory_bar || offset % bytes != 0 || offset >= pci_place::memory_bar_bytes ||
        closed_.load(std::memory_order_acquire)) {
        return;
    }
    if (offset < sizeof(CommonConfig)) {
        write_common(offset, size, value);
    } else if (offset >= pci_place::device && offset < pci_place::notify) {
        device_->write_configuration(static_cast<u32>(offset - pci_place::device),
                                     std::as_bytes(std::span(&value, 1)).first(bytes));
    } else if (offset >= pci_place::msix_table && offset < pci_place::msix_pending && bytes >= 4) {
        msix_.write_entry(offset - pci_place::msix_table, static_cast<u32>(value));
        if (size == AccessSize::qword) {
            msix_.write_entry(offset - pci_place::msix_table + 4, static_cast<u32>(value >> 32));
        }
    }
}

// --- Common configuration --------------------------------------------------------------------------------------------

CommonConfig PciController::common_snapshot() {
    u64 offered = offered_features();
    SpinlockGuard guard(lock_);
    CommonConfig config;
    config.device_feature_select = device_feature_select_;
    config.device_feature = device_feature_select_ < 2 ? static_cast<u32>(offered >> (32 * device_feature_select_)) : 0;
    config.driver_feature_select = driver_feature_select_;
    config.driver_feature =
        driver_feature_select_ < 2 ? static_cast<u32>(driver_features_ >> (32 * driver_feature_select_)) : 0;
    config.config_vector = config_vector_;
    config.queue_count = queue_count_;
    config.status = status_;
    config.generation = generation_;
    config.queue_select = queue_select_;
    if (queue_select_ < queue_count_) {
        const QueueRegisters& queue = queue_registers_[queue_select_];
        config.queue_size = queue.size;
        config.queue_vector = queues_[queue_select_].vector();
        config.queue_enable = queue.enabled ? 1 : 0;
        config.queue_descriptors = queue.descriptors;
        config.queue_driver = queue.driver;
        config.queue_device = queue.device;
    }
    return config;
}

void PciController::write_common(u64 offset, AccessSize size, u64 value) {
    // A 64-bit register may be written in halves; all others are written whole, and a write of another width is none.
    if (offset >= queue_address_offset && offset < queue_addresses_end) {
        SpinlockGuard guard(lock_);
        return write_queue_register(offset, size, value);
    }
    auto is_register = [&](u64 place, AccessSize width) { return offset == place && size == width; };
    if (is_register(offsetof(CommonConfig, status), AccessSize::byte)) {
        return write_status(static_cast<u8>(value));
    }
    SpinlockGuard guard(lock_);
    u16 vector = value < msix_.vectors() ? static_cast<u16>(value) : no_vector;
    if (is_register(offsetof(CommonConfig, device_feature_select), AccessSize::dword)) {
        device_feature_select_ = static_cast<u32>(value);
    } else if (is_register(offsetof(CommonConfig, driver_feature_select), AccessSize::dword)) {
        driver_feature_select_ = static_cast<u32>(value);
    } else if (is_register(offsetof(CommonConfig, driver_feature), AccessSize::dword)) {
        write_features(static_cast<u32>(value));
    } else if (is_register(offsetof(CommonConfig, config_vector), AccessSize::word)) {
        config_vector_ = vector;
    } else if (is_register(offsetof(CommonConfig, queue_select), AccessSize::word)) {
        queue_select_ = static_cast<u16>(value);
    } else if (queue_select_ >= queue_count_) {
        return;
    } else if (is_register(offsetof(CommonConfig, queue_vector), AccessSize::word)) {
        queues_[queue_select_].set_vector(vector);
    } else if (is_register(offsetof(CommonConfig, queue_size), AccessSize::word)) {
        QueueRegisters& queue = queue_registers_[queue_select_];
        if (!queue.enabled && value > 0 && value <= PciQueue::size_max) {
            queue.size = static_cast<u16>(value);
        }
    } else if (is_register(offsetof(CommonConfig, queue_enable), AccessSize::word) && value == 1) {
        enable_queue(queue_select_);
    }
}

void PciController::write_queue_register(u64 offset, AccessSize size, u64 value) {
    if (queue_select_ >= queue_count_ || queue_registers_[queue_select_].enabled || size < AccessSize::dword) {
        return;
    }
    QueueRegisters& queue = queue_registers_[queue_select_];
    u64* registers[] = {&queue.descriptors, &queue.driver, &queue.device};
    u64& target = *registers[(offset - queue_address_offset) / sizeof(u64)];
    if (size == AccessSize::qword) {
        target = value;
    } else {
        unsigned shift = offset % sizeof(u64) == 0 ? 0 : 32;
        target = with_bits(target, shift, 32, value);
    }
}

void PciController::write_features(u32 value) {
    if (driver_feature_select_ < 2 && (status_ & status_features_ok) == 0) {
        driver_features_ = with_bits(driver_features_, 32 * driver_feature_select_, 32, u64{value});
    }
}

}  // namespace undercroft::virtio
