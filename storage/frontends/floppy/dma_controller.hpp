// The 8237 DMA controller of a PC's byte-wide channels 0 to 3 and its page registers, for the one device that still
// asks for it. Registers are complete; transfers are on demand of the device. Left out: memory to memory, the
// word-wide controller, requests by software.
// Source: Intel 8237A data sheet; IBM PC/AT Technical Reference (page registers).
#pragma once

#include <array>
#include <span>

#include "kernel/base/spinlock.hpp"
#include "kernel/guest/bus.hpp"
#include "kernel/guest/memory.hpp"

namespace undercroft::floppy {

class DmaController final : public PortDevice {
public:
    explicit DmaController(const GuestMemory& memory) : memory_(memory) {}

    /// Ports 00h to 0Fh, and the page registers 81h to 83h and 87h.
    Result<void> add_to(GuestBus& bus);

    u64 read_port(u16 port, AccessSize size) override;
    void write_port(u16 port, AccessSize size, u64 value) override;

    /// Bytes until the channel's terminal count; 0 where it is masked.
    u32 bytes_left(unsigned channel);
    /// What a transfer came to.
    struct Moved {
        u32 bytes = 0;
        bool terminal_count = false;
    };
    /// The device gives bytes, or takes them, one after the other until all are moved or the count ends. The channel's
    /// mode decides whether memory is written (read); in verify mode, or the other direction, nothing is moved, but it
    /// counts. Addresses that are no RAM read as ones.
    Moved to_memory(unsigned channel, std::span<const std::byte> from);
    Moved from_memory(unsigned channel, std::span<std::byte> into);

private:
    struct Channel {
        u16 base_address = 0;
        u16 base_count = 0;
        u16 address = 0;
        u16 count = 0;
        u8 mode = 0;
        u8 page = 0;
        bool is_masked = true;
    };
    static constexpr unsigned channels = 4;

    u8 read_register(unsigned offset);
    void write_register(unsigned offset, u8 value);
    void write_half(u16& base, u16& current, u8 value);
    u8 read_half(u16 value);
    template <typename Access>
    Moved move(unsigned channel, usize bytes, Access access);

    const GuestMemory& memory_;
    Spinlock lock_;
    std::array<Channel, channels> channels_;
    u8 status_ = 0;  // channels that reached their terminal count
    u8 command_ = 0;
    bool high_byte_ = false;  // the byte pointer
};

}  // namespace undercroft::floppy
