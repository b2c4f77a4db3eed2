// The PCI transport of virtio 1.2 (OASIS, "Virtual I/O Device"), section 4.1. Left out: legacy interface, administration
// queues, shared memory.
#pragma once

#include <cstddef>

#include "kernel/base/endian.hpp"
#include "kernel/spec/pci.hpp"

namespace undercroft::virtio {

inline constexpr u16 pci_vendor_id = 0x1af4;
inline constexpr u16 pci_device_id_base = 0x1040;  ///< plus the device type
inline constexpr u16 pci_subsystem_id_min = 0x40;  ///< from here on: a device without the legacy interface

enum class PciCapabilityType : u8 { common = 1, notify = 2, isr = 3, device = 4, pci_access = 5 };

struct PciCapability {
    u8 id = pci::capability_id::vendor_specific;
    u8 next = 0;
    u8 length_bytes = 0;
    PciCapabilityType type{};
    u8 bar = 0;
    u8 index = 0;
    u8 padding[2]{};
    Le<u32> offset;
    Le<u32> length;
};
static_assert(sizeof(PciCapability) == 16 && offsetof(PciCapability, length) == 12);

/// `multiplier` 0: one place for all queues; the number that is written says which.
struct PciNotifyCapability {
    PciCapability base;
    Le<u32> multiplier;
};
static_assert(sizeof(PciNotifyCapability) == 20 && offsetof(PciNotifyCapability, multiplier) == 16);

/// A window on the BARs for who cannot map them: bar, offset and length are written, then `data` read or written.
struct PciAccessCapability {
    PciCapability base;
    Le<u32> data;
};
static_assert(sizeof(PciAccessCapability) == 20 && offsetof(PciAccessCapability, data) == 16);

struct CommonConfig {
    Le<u32> device_feature_select;
    Le<u32> device_feature;
    Le<u32> driver_feature_select;
    Le<u32> driver_feature;
    Le<u16> config_vector;
    Le<u16> queue_count;
    u8 status = 0;
    u8 generation = 0;
    Le<u16> queue_select;
    Le<u16> queue_size;
    Le<u16> queue_vector;
    Le<u16> queue_enable;
    Le<u16> queue_notify_offset;
    Le<u64> queue_descriptors;
    Le<u64> queue_driver;
    Le<u64> queue_device;
    Le<u16> queue_notify_data;
    Le<u16> queue_reset;
};
static_assert(sizeof(CommonConfig) == 60 && offsetof(CommonConfig, queue_reset) == 58);

inline constexpr u16 no_vector = 0xffff;

inline constexpr u8 status_acknowledge = 1U << 0;
inline constexpr u8 status_driver = 1U << 1;
inline constexpr u8 status_driver_ok = 1U << 2;
inline constexpr u8 status_features_ok = 1U << 3;
inline constexpr u8 status_needs_reset = 1U << 6;
inline constexpr u8 status_failed = 1U << 7;

inline constexpr u8 isr_queue = 1U << 0;
inline constexpr u8 isr_config = 1U << 1;

}  // namespace undercroft::virtio
