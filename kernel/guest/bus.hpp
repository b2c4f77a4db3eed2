// The guest's address spaces of devices: I/O ports and memory-mapped windows. Whoever runs a virtual processor turns an
// intercepted access into one call here; the bus finds the device. Nothing is locked: several processors may be in it,
// and in the same device, at the same time, so a device that has shared state locks it itself. Windows of PCI functions
// move while others look them up; each is looked up through one atomic word, so an access sees the old place or the new
// one. Left out: guest RAM (GuestMemory) and the local APICs (the monitor).
#pragma once

#include <atomic>

#include "kernel/guest/device.hpp"

namespace undercroft {

class GuestBus {
public:
    static constexpr usize port_ranges_max = 48;
    static constexpr usize mmio_ranges_max = 64;

    /// Names a range that was added; stays valid for the bus's life.
    struct PortRangeId {
        u16 index;
    };
    struct MmioRangeId {
        u16 index;
    };

    GuestBus() = default;
    GuestBus(const GuestBus&) = delete;
    GuestBus& operator=(const GuestBus&) = delete;

    /// Gives `device`, which must outlive the bus, the ports [`first_port`, + `count`). Accesses wider than `widest`,
    /// or that leave the range, are split into bytes, lowest port first. `invalid_argument` where the range leaves the
    /// port space or overlaps another, `out_of_memory` past `port_ranges_max`. Adding is for one processor at a time;
    /// accesses may go on meanwhile.
    Result<PortRangeId> add_ports(PortDevice& device, u16 first_port, u32 count, AccessSize widest = AccessSize::byte);
    /// As `add_ports`, for a window that has no place yet (a PCI I/O BAR).
    Result<PortRangeId> add_movable_ports(PortDevice& device, u32 count, AccessSize widest = AccessSize::dword);
    /// Gives a range another place. It may overlap others: what was added first answers.
    void move_ports(PortRangeId id, u16 first_port);
    void hide_ports(PortRangeId id);

    /// Gives `device`, which must outlive the bus, the guest physical addresses [`guest_address`, + `size_bytes`).
    /// Accesses that leave the range are split into bytes. Errors and concurrency as `add_ports`.
    Result<MmioRangeId> add_mmio(MmioDevice& device, u64 guest_address, u64 size_bytes);
    /// As `add_mmio`, for a window that has no place yet (a PCI memory BAR).
    Result<MmioRangeId> add_movable_mmio(MmioDevice& device, u64 size_bytes);
    /// Gives a window another place. It may overlap others: what was added first answers.
    void move_mmio(MmioRangeId id, u64 guest_address);
    void hide_mmio(MmioRangeId id);

    /// One port access of 1, 2 or 4 bytes. Where nobody answers, reads give all ones and writes are dropped.
    u64 read_port(u16 port, AccessSize size);
    void write_port(u16 port, AccessSize size, u64 value);
    /// As many accesses of `size` to one port as the bytes are, which are a multiple of it: a repeated INS or OUTS.
    void read_port_string(u16 port, AccessSize size, std::span<std::byte> into);
    void write_port_string(u16 port, AccessSize size, std::span<const std::byte> from);

    /// One memory access of 1, 2, 4 or 8 bytes at any alignment. Where nobody answers, reads give all ones and writes
    /// are dropped.
    u64 read_mmio(u64 guest_address, AccessSize size);
    void write_mmio(u64 guest_address, AccessSize size, u64 value);
    /// Whether some device answers at `guest_address`.
    bool has_mmio(u64 guest_address) const;

private:
    /// Where a range that has no place lies: no access comes near it, so the one comparison of the look-up fails.
    static constexpr u32 hidden_port = u32{1} << 31;
    static constexpr u64 hidden_address = u64{1} << 63;

    struct PortRange {
        std::atomic<u32> first{hidden_port};
        u32 count = 0;
        PortDevice* device = nullptr;
        AccessSize widest = AccessSize::byte;
    };
    struct MmioRange {
        std::atomic<u64> first{hidden_address};
        u64 size_bytes = 0;
        MmioDevice* device = nullptr;
    };

    Result<PortRangeId> append_ports(PortDevice& device, u32 first, u32 count, AccessSize widest);
    Result<MmioRangeId> append_mmio(MmioDevice& device, u64 first, u64 size_bytes);
    PortDevice* find_ports(u16 port, AccessSize size, bool& splits) const;
    MmioDevice* find_mmio(u64 guest_address, AccessSize size, u64& offset_bytes, bool& splits) const;

    PortRange ports_[port_ranges_max];
    MmioRange mmio_[mmio_ranges_max];
    std::atomic<usize> port_count_{0};
    std::atomic<usize> mmio_count_{0};
};

}  // namespace undercroft
