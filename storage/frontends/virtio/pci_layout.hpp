// Where things are in the virtio PCI function's BARs and configuration space, and its list of capabilities.
#pragma once

#include "kernel/base/types.hpp"
#include "kernel/spec/virtio_pci.hpp"

namespace undercroft::virtio {

namespace pci_place {
inline constexpr u8 memory_bar = 0;  ///< 64 bits wide: takes 1 as well
inline constexpr u8 port_bar = 2;
inline constexpr u64 port_bar_bytes = 16;

inline constexpr u32 common = 0x0000;
inline constexpr u32 isr = 0x1000;
inline constexpr u32 device = 0x2000;
inline constexpr u32 notify = 0x3000;
inline constexpr u32 msix_table = 0x4000;
inline constexpr u32 msix_pending = 0x6000;
inline constexpr u64 memory_bar_bytes = 0x8000;
inline constexpr u32 region_bytes = 0x1000;
}  // namespace pci_place

/// The capabilities behind MSI-X, as they lie in configuration space from `first` on.
struct PciCapabilities {
    static constexpr u8 msix = 0x40;
    static constexpr u8 first = msix + pci::msix_capability::size_bytes;

    PciCapability common;
    PciCapability isr;
    PciCapability device;
    PciNotifyCapability notify_port;
    PciNotifyCapability notify_memory;
    PciAccessCapability access;
    Le<u32> advanced_abilities;
    Le<u32> advanced_control;

    PciCapabilities();
};
static_assert(sizeof(PciCapabilities) % 4 == 0 &&
              PciCapabilities::first + sizeof(PciCapabilities) <= pci::config_space_bytes);

}  // namespace undercroft::virtio
