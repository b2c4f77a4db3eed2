// Registers and delivery of the I/O APIC.
#include "kernel/guest/chipset/io_apic.hpp"

#include <algorithm>

namespace undercroft {

namespace {

constexpr u64 offset_select = 0x00;
constexpr u64 offset_window = 0x10;
constexpr u64 offset_end = 0x40;

constexpr u8 register_id = 0x00;
constexpr u8 register_version = 0x01;
constexpr u8 register_arbitration = 0x02;
constexpr u8 register_first_entry = 0x10;
constexpr u32 version = 0x20;

constexpr u64 entry_logical = u64{1} << 11;
constexpr u64 entry_delivery_pending = u64{1} << 12;
constexpr u64 entry_remote_irr = u64{1} << 14;
constexpr u64 entry_level = u64{1} << 15;
constexpr u64 entry_masked = u64{1} << 16;
constexpr u64 entry_read_only = entry_delivery_pending | entry_remote_irr;
constexpr u64 entry_low_writable = 0x1'FFFF & ~entry_read_only;
constexpr u64 entry_high_writable = u64{0xFF} << 56;

constexpr u64 message_base = 0xFEE0'0000;
constexpr u32 delivery_lowest_priority = 1;

u64 message_address(u64 entry) {
    u64 address = message_base | ((entry >> 56) << 12);
    address |= (entry & entry_logical) != 0 ? 1u << 2 : 0;
    address |= ((entry >> 8) & 7) == delivery_lowest_priority ? 1u << 3 : 0;
    return address;
}

u32 message_data(u64 entry) {
    // Vector and delivery mode are where a message has them; level-triggered messages say "assert".
    u32 data = static_cast<u32>(entry & 0x7FF);
    return data | ((entry & entry_level) != 0 ? (1u << 15) | (1u << 14) : 0);
}

}  // namespace

IoApic::IoApic(MessageSink& messages) : messages_(messages) { std::ranges::fill(entries_, entry_masked); }

Result<void> IoApic::add_to(GuestBus& bus) {
    TRY(bus.add_mmio(*this, base_address, window_bytes));
    return {};
}

/// Sends what pin `pin` has to send, if it may.
void IoApic::service(unsigned pin) {
    u64& entry = entries_[pin];
    u32 bit = 1u << pin;
    if ((entry & entry_masked) != 0) {
        return;
    }
    if ((entry & entry_level) != 0) {
        if ((lines_ & bit) == 0 || (entry & entry_remote_irr) != 0) {
            return;
        }
        entry |= entry_remote_irr;
    } else {
        if ((pending_ & bit) == 0) {
            return;
        }
        pending_ &= ~bit;
    }
    messages_.deliver(message_address(entry), message_data(entry));
}

void IoApic::set_level(unsigned pin, bool asserted) {
    if (pin >= pins) {
        return;
    }
    SpinlockGuard guard(lock_);
    u32 bit = 1u << pin;
    bool rises = asserted && (lines_ & bit) == 0;
    lines_ = asserted ? lines_ | bit : lines_ & ~bit;
    if (rises && (entries_[pin] & entry_level) == 0) {
        pending_ |= bit;
    }
    if (rises) {
        service(pin);
    }
}

void IoApic::end_locked(u8 vector) {
    for (unsigned pin = 0; pin < pins; ++pin) {
        u64& entry = entries_[pin];
        if ((entry & entry_remote_irr) != 0 && static_cast<u8>(entry) == vector) {
            entry &= ~entry_remote_irr;
            service(pin);
        }
    }
}

void IoApic::end_of_interrupt(u8 vector) {
    SpinlockGuard guard(lock_);
    end_locked(vector);
}

u32 IoApic::read_register() const {
    switch (selected_) {
    case register_id:
    case register_arbitration:
        return u32{id_} << 24;
    case register_version:
        return version | ((pins - 1) << 16);
    default:
        break;
    }
    unsigned index = selected_ - register_first_entry;
    if (selected_ < register_first_entry || index >= 2 * pins) {
        return 0;
    }
    return static_cast<u32>(entries_[index / 2] >> (index % 2 != 0 ? 32 : 0));
}

void IoApic::write_register(u32 value) {
    if (selected_ == register_id) {
        id_ = (value >> 24) & 0xF;
        return;
    }
    unsigned index = selected_ - register_first_entry;
    if (selected_ < register_first_entry || index >= 2 * pins) {
        return;
    }
    u64& entry = entries_[index / 2];
    if (index % 2 != 0) {
        entry = (entry & ~entry_high_writable) | ((u64{value} << 32) & entry_high_writable);
    } else {
        entry = (entry & ~entry_low_writable) | (value & entry_low_writable);
        if ((entry & entry_level) == 0) {
            // Guests clear a stuck remote IRR by switching the entry to edge and back.
            entry &= ~entry_remote_irr;
        } else {
            pending_ &= ~(1u << (index / 2));
        }
    }
    service(index / 2);
}

u64 IoApic::read_mmio(u64 offset_bytes, AccessSize) {
    SpinlockGuard guard(lock_);
    switch (offset_bytes) {
    case offset_select:
        return selected_;
    case offset_window:
        return read_register();
    default:
        return 0;
    }
}

void IoApic::write_mmio(u64 offset_bytes, AccessSize, u64 value) {
    SpinlockGuard guard(lock_);
    switch (offset_bytes) {
    case offset_select:
        selected_ = static_cast<u8>(value);
        break;
    case offset_window:
        write_register(static_cast<u32>(value));
        break;
    case offset_end:
        end_locked(static_cast<u8>(value));
        break;
    default:
        break;
    }
}

}  // namespace undercroft
