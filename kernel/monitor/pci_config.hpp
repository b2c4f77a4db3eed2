// Configuration space through ports CF8h and CFCh, for the monitor only. Callers serialise. Source: PCI Local Bus 3.0
// section 3.2.2.3.2.
#pragma once

#include "arch/x86_64/cpu.hpp"

namespace undercroft::monitor {

inline constexpr u16 pci_address_port = 0xCF8;
inline constexpr u16 pci_data_port = 0xCFC;
inline constexpr u32 pci_address_enable = 0x8000'0000;

/// The 32-bit register at `offset` (multiple of 4, below 256) of `function` (bus 15:8, device 7:3, function 2:0).
inline u32 pci_read(u16 function, u16 offset) {
    arch::out32(pci_address_port, pci_address_enable | (u32{function} << 8) | offset);
    return arch::in32(pci_data_port);
}
/// As `pci_read`, all 32 bits.
inline void pci_write(u16 function, u16 offset, u32 value) {
    arch::out32(pci_address_port, pci_address_enable | (u32{function} << 8) | offset);
    arch::out32(pci_data_port, value);
}

}  // namespace undercroft::monitor
