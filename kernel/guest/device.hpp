// What an emulated device of the guest looks like to the machine around it, and the machine to the device: ports,
// memory-mapped windows, PCI functions, interrupt lines and messages. Frontends implement these; the guest platform (or
// a test) calls them. All calls come from the executor that runs the virtual processor whose access it is: several may
// come at the same time, on different processors.
#pragma once

#include <cstring>
#include <span>

#include "kernel/base/result.hpp"

namespace undercroft {

/// An access of 1, 2, 4 or 8 bytes.
enum class AccessSize : u8 { byte = 1, word = 2, dword = 4, qword = 8 };

/// All ones of the given size: what a bus returns where nobody answers.
constexpr u64 all_ones(AccessSize size) {
    return size == AccessSize::qword ? ~u64{0} : (u64{1} << (8 * static_cast<unsigned>(size))) - 1;
}

/// A device that answers I/O ports.
class PortDevice {
public:
    virtual ~PortDevice() = default;
    virtual u64 read_port(u16 port, AccessSize size) = 0;
    virtual void write_port(u16 port, AccessSize size, u64 value) = 0;
    /// What a repeated INS reads: as many accesses of `size` to the one port as fill `into`, a multiple of it.
    virtual void read_port_string(u16 port, AccessSize size, std::span<std::byte> into) {
        for (usize at = 0; at < into.size(); at += static_cast<usize>(size)) {
            u64 value = read_port(port, size);
            std::memcpy(into.data() + at, &value, static_cast<usize>(size));
        }
    }
    /// What a repeated OUTS writes, in the same way.
    virtual void write_port_string(u16 port, AccessSize size, std::span<const std::byte> from) {
        for (usize at = 0; at < from.size(); at += static_cast<usize>(size)) {
            u64 value = 0;
            std::memcpy(&value, from.data() + at, static_cast<usize>(size));
            write_port(port, size, value);
        }
    }
};

/// A device that answers a window of guest physical addresses. Offsets are bytes from the window's start.
class MmioDevice {
public:
    virtual ~MmioDevice() = default;
    virtual u64 read_mmio(u64 offset_bytes, AccessSize size) = 0;
    virtual void write_mmio(u64 offset_bytes, AccessSize size, u64 value) = 0;
};

/// A level- or edge-triggered interrupt line into the guest's interrupt controllers.
class InterruptLine {
public:
    virtual ~InterruptLine() = default;
    virtual void set_level(bool high) = 0;
};

/// Keeps a virtual processor from running its guest while a device does what an access asked for, and the access must
/// not seem to be over before.
class GuestPause {
public:
    virtual ~GuestPause() = default;
    /// The calling processor, whose guest's access the device is answering, does not return to its guest until as many
    /// calls of `resume` name it as of this. Returns its name. Its executor goes on.
    virtual u32 pause() = 0;
    /// From any processor.
    virtual void resume(u32 processor) = 0;
};

/// Where message-signalled interrupts go: an address and data as the guest wrote them into an MSI capability or MSI-X
/// table. Unusable ones are dropped.
class MessageSink {
public:
    virtual ~MessageSink() = default;
    virtual void deliver(u64 address, u32 data) = 0;
};

/// One base address register of a PCI function. Size 0: not there.
struct PciBar {
    u64 size_bytes = 0;  ///< power of two
    bool is_64bit = false;
    bool is_prefetchable = false;
    bool is_io = false;
};

inline constexpr usize pci_bars_max = 6;

/// A PCI function of the guest. The host bridge keeps base addresses and the command register's decode bits (it asks
/// `bar`), and routes accesses that hit a BAR here with the BAR's index; everything else of configuration space is the
/// function's.
class PciFunction {
public:
    virtual ~PciFunction() = default;
    /// Configuration space, aligned dword at `offset_bytes` (0..FCh).
    virtual u32 read_config(u16 offset_bytes) = 0;
    /// `mask` has ones in the bytes that are written.
    virtual void write_config(u16 offset_bytes, u32 value, u32 mask) = 0;
    virtual PciBar bar(usize index) const = 0;
    virtual u64 read_bar(usize index, u64 offset_bytes, AccessSize size) = 0;
    virtual void write_bar(usize index, u64 offset_bytes, AccessSize size, u64 value) = 0;
};

}  // namespace undercroft
