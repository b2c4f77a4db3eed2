// Registers of the 8237, and its transfers.
#include "storage/frontends/floppy/dma_controller.hpp"

namespace undercroft::floppy {

namespace {

constexpr u16 ports = 16;
constexpr u16 page_ports[] = {0x87, 0x83, 0x81, 0x82};  // of channels 0 to 3

constexpr unsigned register_status_command = 8;
constexpr unsigned register_single_mask = 10;
constexpr unsigned register_mode = 11;
constexpr unsigned register_clear_pointer = 12;
constexpr unsigned register_master_clear = 13;
constexpr unsigned register_clear_masks = 14;
constexpr unsigned register_all_masks = 15;

constexpr u8 command_disabled = 1u << 2;
constexpr u8 mask_set = 1u << 2;
constexpr u8 mode_type = 3u << 2;
constexpr u8 mode_to_memory = 1u << 2;
constexpr u8 mode_from_memory = 2u << 2;
constexpr u8 mode_autoinitialize = 1u << 4;
constexpr u8 mode_decrement = 1u << 5;

}  // namespace

Result<void> DmaController::add_to(GuestBus& bus) {
    TRY(bus.add_ports(*this, 0, ports));
    for (u16 port : page_ports) {
        TRY(bus.add_ports(*this, port, 1));
    }
    return {};
}

u64 DmaController::read_port(u16 port, AccessSize) {
    SpinlockGuard guard(lock_);
    for (unsigned index = 0; index < channels; ++index) {
        if (page_ports[index] == port) {
            return channels_[index].page;
        }
    }
    return read_register(port);
}

void DmaController::write_port(u16 port, AccessSize, u64 value) {
    SpinlockGuard guard(lock_);
    for (unsigned index = 0; index < channels; ++index) {
        if (page_ports[index] == port) {
            channels_[index].page = static_cast<u8>(value);
            return;
        }
    }
    write_register(port, static_cast<u8>(value));
}

u8 DmaController::read_half(u16 value) {
    high_byte_ = !high_byte_;
    return static_cast<u8>(high_byte_ ? value : value >> 8);
}

void DmaController::write_half(u16& base, u16& current, u8 value) {
    base = high_byte_ ? static_cast<u16>((base & 0x00FF) | (value << 8)) : static_cast<u16>((base & 0xFF00) | value);
    current = base;
    high_byte_ = !high_byte_;
}

u8 DmaController::read_register(unsigned offset) {
    if (offset < register_status_command) {
        const Channel& channel = channels_[offset / 2];
        return read_half(offset % 2 == 0 ? channel.address : channel.count);
    }
    if (offset == register_status_command) {
        u8 status = status_;
        status_ = 0;
        return status;
    }
    if (offset == register_all_masks) {
        u8 masks = 0xF0;
        for (unsigned index = 0; index < channels; ++index) {
            masks |= static_cast<u8>((channels_[index].is_masked ? 1u : 0u) << index);
        }
        return masks;
    }
    return 0;
}

void DmaController::write_register(unsigned offset, u8 value) {
    if (offset < register_status_command) {
        Channel& channel = channels_[offset / 2];
        return offset % 2 == 0 ? write_half(channel.base_address, channel.address, value)
                               : write_half(channel.base_count, channel.count, value);
    }
    Channel& named = channels_[value % channels];
    switch (offset) {
    case register_status_command:
        command_ = value;
        break;
    case register_single_mask:
        named.is_masked = (value & mask_set) != 0;
        break;
    case register_mode:
        named.mode = value;
        break;
    case register_clear_pointer:
        high_byte_ = false;
        break;
    case register_master_clear:
        high_byte_ = false;
        status_ = command_ = 0;
        for (Channel& channel : channels_) {
            channel.is_masked = true;
        }
        break;
    case register_clear_masks:
    case register_all_masks:
        for (unsigned index = 0; index < channels; ++index) {
            channels_[index].is_masked = offset == register_all_masks && ((value >> index) & 1) != 0;
        }
        break;
    default:
        break;
    }
}

u32 DmaController::bytes_left(unsigned index) {
    SpinlockGuard guard(lock_);
    const Channel& channel = channels_[index];
    return channel.is_masked || (command_ & command_disabled) != 0 ? 0 : channel.count + 1u;
}

template <typename Access>
DmaController::Moved DmaController::move(unsigned index, usize bytes, Access access) {
    SpinlockGuard guard(lock_);
    Channel& channel = channels_[index];
    Moved moved;
    while (moved.bytes < bytes && !channel.is_masked && (command_ & command_disabled) == 0) {
        // The page register does not count: addresses wrap within 64 KiB.
        access(channel, (u64{channel.page} << 16) | channel.address, moved.bytes);
        ++moved.bytes;
        channel.address =
            static_cast<u16>((channel.mode & mode_decrement) != 0 ? channel.address - 1 : channel.address + 1);
        if (channel.count-- != 0) {
            continue;
        }
        moved.terminal_count = true;
        status_ |= static_cast<u8>(1u << index);
        if ((channel.mode & mode_autoinitialize) != 0) {
            channel.address = channel.base_address;
            channel.count = channel.base_count;
        } else {
            channel.is_masked = true;
        }
        break;
    }
    return moved;
}

DmaController::Moved DmaController::to_memory(unsigned index, std::span<const std::byte> from) {
    return move(index, from.size(), [&](const Channel& channel, u64 address, u32 at) {
        if ((channel.mode & mode_type) == mode_to_memory) {
            Result<void> written = memory_.write(address, from.subspan(at, 1));
            static_cast<void>(written);  // as a bus does with what nobody takes
        }
    });
}

DmaController::Moved DmaController::from_memory(unsigned index, std::span<std::byte> into) {
    return move(index, into.size(), [&](const Channel& channel, u64 address, u32 at) {
        into[at] = std::byte{0xFF};
        if ((channel.mode & mode_type) == mode_from_memory) {
            Result<void> read = memory_.read(address, into.subspan(at, 1));
            static_cast<void>(read);
        }
    });
}

}  // namespace undercroft::floppy
