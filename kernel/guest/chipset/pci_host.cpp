// Configuration accesses, base address registers and windows.
#include "kernel/guest/chipset/pci_host.hpp"

#include <iterator>

#include "kernel/base/log.hpp"
#include "kernel/spec/pci.hpp"

namespace undercroft {

namespace {

constexpr u32 address_enable = u32{1} << 31;
constexpr u16 decode_bits = pci::command_bit::io_space | pci::command_bit::memory_space;
constexpr u32 header_multifunction = u32{0x80} << 16;
constexpr u8 reset_control_request = 0x04;
constexpr u64 port_mask = 0xFFFF;

constexpr u32 qemu_subsystem = 0x1100'1AF4;

bool is_base_register(u16 offset_bytes) {
    return offset_bytes >= pci::config_offset::bar0 && offset_bytes < pci::config_offset::bar0 + 4 * pci_bars_max;
}

constexpr u16 aligned_register(u32 address) { return static_cast<u16>(address & 0xFC); }

}  // namespace

u32* PciHost::Bridge::stored(u16 offset_bytes) {
    usize index = static_cast<usize>(offset_bytes - identity_.stored_offset) / sizeof(u32);
    return offset_bytes >= identity_.stored_offset && index < std::size(stored_) ? &stored_[index] : nullptr;
}

u32 PciHost::Bridge::read_config(u16 offset_bytes) {
    switch (offset_bytes) {
    case pci::config_offset::ids:
        return identity_.ids;
    case pci::config_offset::command_status:
        return command_ | (u32{0x0200} << 16);  // medium device select
    case pci::config_offset::revision_class:
        return identity_.class_revision;
    case pci::config_offset::subsystem_ids:
        return identity_.subsystem_ids;
    default: {
        const u32* found = stored(offset_bytes);
        return found != nullptr ? *found : 0;
    }
    }
}

void PciHost::Bridge::write_config(u16 offset_bytes, u32 value, u32 mask) {
    constexpr u32 writable = pci::command_bit::serr_enable;
    if (offset_bytes == pci::config_offset::command_status) {
        u32 changed = mask & writable;
        command_ = static_cast<u16>((command_ & ~changed) | (value & changed));
    } else if (u32* found = stored(offset_bytes); found != nullptr) {
        *found = (*found & ~mask) | (value & mask);
    }
}

// The host bridge is an 82441FX. The subsystem is QEMU's, by which firmware made for QEMU knows the machine; PAM registers
// at 59h-5Fh. The ISA bridge is an 82371SB; PIRQRC registers at 60h-63h, none of them routed.
PciHost::PciHost(GuestBus& bus, PowerControl& power)
    : bus_(bus), power_(power), host_bridge_({.ids = 0x1237'8086,
                                              .class_revision = 0x060000'02,
                                              .subsystem_ids = qemu_subsystem,
                                              .stored_offset = 0x58,
                                              .stored_after_reset = {0, 0}}),
      isa_bridge_({.ids = 0x7000'8086,
                   .class_revision = 0x060100'00,
                   .subsystem_ids = qemu_subsystem,
                   .stored_offset = 0x60,
                   .stored_after_reset = {0x8080'8080, 0}}) {}

Result<void> PciHost::add_to_bus() {
    TRY(bus_.add_ports(*this, address_port, 8, AccessSize::dword));
    TRY(attach(0, 0, host_bridge_));
    TRY(attach(isa_bridge_device, 0, isa_bridge_));
    return {};
}

Result<void> PciHost::attach(u8 device, u8 function_number, PciFunction& function) {
    if (device >= devices_max || function_number >= 8) {
        return fail(Error::invalid_argument);
    }
    SpinlockGuard guard(lock_);
    for (usize i = 0; i < slot_count_; ++i) {
        if (slots_[i].device == device && slots_[i].number == function_number) {
            return fail(Error::busy);
        }
    }
    if (slot_count_ == functions_max) {
        return fail(Error::out_of_memory);
    }
    Slot& slot = slots_[slot_count_];
    slot.function = &function;
    slot.device = device;
    slot.number = function_number;
    TRY(add_windows(slot));
    ++slot_count_;
    return {};
}

Result<void> PciHost::add_windows(Slot& slot) {
    for (usize i = 0; i < pci_bars_max; ++i) {
        PciBar bar = slot.function->bar(i);
        if (bar.size_bytes == 0) {
            continue;
        }
        bool is_sane = (bar.size_bytes & (bar.size_bytes - 1)) == 0 && bar.size_bytes >= 16;
        bool fits = !bar.is_64bit || (i + 1 < pci_bars_max && slot.function->bar(i + 1).size_bytes == 0);
        if (!is_sane || !fits) {
            return fail(Error::invalid_argument);
        }
        Window& window = slot.windows[i];
        window.function = slot.function;
        window.index = i;
        window.bar = bar;
        if (bar.is_io) {
            window.range = TRY(bus_.add_movable_ports(window, static_cast<u32>(bar.size_bytes))).index;
        } else {
            window.range = TRY(bus_.add_movable_mmio(window, bar.size_bytes)).index;
        }
        set_base(slot, i, 0);
    }
    return {};
}

u64 PciHost::base_of(const Slot& slot, usize index) const {
    const PciBar& bar = slot.windows[index].bar;
    if (bar.is_io) {
        return slot.bases[index] & ~pci::bar_bit::io_flags & port_mask;
    }
    u64 base = slot.bases[index] & ~pci::bar_bit::memory_flags;
    return bar.is_64bit ? base | (u64{slot.bases[index + 1]} << 32) : base;
}

/// Writes the base, without its low bits that cannot change, and moves the window.
void PciHost::set_base(Slot& slot, usize index, u64 address) {
    const PciBar& bar = slot.windows[index].bar;
    address &= ~(bar.size_bytes - 1);
    u32 flags = bar.is_io ? pci::bar_bit::io_space
                          : (bar.is_64bit ? pci::bar_bit::memory_64bit : 0) |
                                (bar.is_prefetchable ? pci::bar_bit::prefetchable : 0);
    slot.bases[index] = static_cast<u32>(address) | flags;
    if (bar.is_64bit) {
        slot.bases[index + 1] = static_cast<u32>(address >> 32);
    }
    place(slot, index);
}

void PciHost::place(Slot& slot, usize index) {
    const Window& window = slot.windows[index];
    u64 base = base_of(slot, index);
    if (window.bar.is_io) {
        GuestBus::PortRangeId id{window.range};
        bool decodes = (slot.decodes & pci::command_bit::io_space) != 0;
        decodes&& base != 0 ? bus_.move_ports(id, static_cast<u16>(base)) : bus_.hide_ports(id);
    } else {
        GuestBus::MmioRangeId id{window.range};
        bool decodes = (slot.decodes & pci::command_bit::memory_space) != 0;
        decodes&& base != 0 ? bus_.move_mmio(id, base) : bus_.hide_mmio(id);
    }
}

void PciHost::write_base_register(Slot& slot, usize index, u32 value) {
    bool is_upper_half = index > 0 && slot.windows[index - 1].bar.is_64bit;
    if (is_upper_half) {
        u64 low = base_of(slot, index - 1) & 0xFFFF'FFFF;
        set_base(slot, index - 1, (u64{value} << 32) | low);
    } else if (slot.windows[index].bar.size_bytes != 0) {
        u64 high = slot.windows[index].bar.is_64bit ? u64{slot.bases[index + 1]} << 32 : 0;
        set_base(slot, index, high | value);
    }
}

/// Whether the device has more functions than one: then each says so, and drivers look for the others.
bool PciHost::is_shared(u8 device) const {
    usize functions = 0;
    for (usize i = 0; i < slot_count_; ++i) {
        functions += slots_[i].device == device ? 1 : 0;
    }
    return functions > 1;
}

u32 PciHost::read_config(Slot& slot, u16 offset_bytes) {
    if (is_base_register(offset_bytes)) {
        return slot.bases[(offset_bytes - pci::config_offset::bar0) / 4u];
    }
    u32 value = slot.function->read_config(offset_bytes);
    bool has_windows = slot.function != &host_bridge_ && slot.function != &isa_bridge_;
    if (offset_bytes == pci::config_offset::command_status && has_windows) {
        value = (value & ~u32{decode_bits}) | slot.decodes;
    }
    if (offset_bytes == pci::config_offset::header && is_shared(slot.device)) {
        value |= header_multifunction;
    }
    return value;
}

void PciHost::write_config(Slot& slot, u16 offset_bytes, u32 value, u32 mask) {
    if (is_base_register(offset_bytes)) {
        usize index = (offset_bytes - pci::config_offset::bar0) / 4u;
        write_base_register(slot, index, (slot.bases[index] & ~mask) | (value & mask));
        return;
    }
    if (offset_bytes == pci::config_offset::command_status) {
        slot.decodes = static_cast<u16>(((slot.decodes & ~mask) | (value & mask)) & decode_bits);
        for (usize i = 0; i < pci_bars_max; ++i) {
            if (slot.windows[i].bar.size_bytes != 0) {
                place(slot, i);
            }
        }
    }
    slot.function->write_config(offset_bytes, value, mask);
}

PciHost::Slot* PciHost::selected() {
    u32 bus = (address_ >> 16) & 0xFF;
    if ((address_ & address_enable) == 0 || bus != 0) {
        return nullptr;
    }
    u8 device = (address_ >> 11) & 0x1F;
    u8 number = (address_ >> 8) & 7;
    for (usize i = 0; i < slot_count_; ++i) {
        if (slots_[i].device == device && slots_[i].number == number) {
            return &slots_[i];
        }
    }
    return nullptr;
}

u64 PciHost::read_port(u16 port, AccessSize size) {
    SpinlockGuard guard(lock_);
    if (port == address_port && size == AccessSize::dword) {
        return address_;
    }
    Slot* slot = port >= data_port ? selected() : nullptr;
    if (slot == nullptr) {
        return port == reset_control_port ? 0 : all_ones(size);
    }
    return read_config(*slot, aligned_register(address_)) >> (8 * (port & 3)) & all_ones(size);
}

void PciHost::write_port(u16 port, AccessSize size, u64 value) {
    SpinlockGuard guard(lock_);
    if (port == address_port && size == AccessSize::dword) {
        address_ = static_cast<u32>(value) & ~u32{3};
        return;
    }
    if (port == reset_control_port && (value & reset_control_request) != 0) {
        power_.reset();
        return;
    }
    Slot* slot = port >= data_port ? selected() : nullptr;
    if (slot == nullptr) {
        return;
    }
    unsigned shift = 8 * (port & 3);
    u32 mask = static_cast<u32>(all_ones(size) << shift);
    write_config(*slot, aligned_register(address_), static_cast<u32>(value << shift), mask);
}

/// What firmware leaves in the interrupt line register: the GSI that the function's pin reaches.
void PciHost::assign_interrupt(Slot& slot) {
    u32 pin = (slot.function->read_config(pci::config_offset::interrupt) >> 8) & 0xFF;
    if (pin >= 1 && pin <= 4) {
        u32 gsi = first_interrupt_gsi + pci_interrupt_index(slot.device, pin - 1);
        slot.function->write_config(pci::config_offset::interrupt, gsi, 0xFF);
    }
}

void PciHost::assign_addresses(const PciWindows& windows) {
    SpinlockGuard guard(lock_);
    u64 next_memory = windows.memory_begin;
    u64 next_high = windows.high_memory_begin;
    u64 next_io = windows.io_begin;
    auto take = [](u64& next, u64 end, u64 size_bytes) -> u64 {
        u64 base = align_up(next, size_bytes);
        if (base < next || base >= end || size_bytes > end - base) {
            return 0;
        }
        next = base + size_bytes;
        return base;
    };
    for (usize i = 0; i < slot_count_; ++i) {
        Slot& slot = slots_[i];
        for (usize index = 0; index < pci_bars_max; ++index) {
            const PciBar& bar = slot.windows[index].bar;
            if (bar.size_bytes == 0) {
                continue;
            }
            u64 base = bar.is_io ? take(next_io, windows.io_end, bar.size_bytes)
                                 : take(next_memory, windows.memory_end, bar.size_bytes);
            if (base == 0 && bar.is_64bit) {
                base = take(next_high, windows.high_memory_end, bar.size_bytes);
            }
            if (base == 0) {
                log_warning("PCI 00:%02x.%u: no room for base address register %u", slot.device, slot.number,
                            static_cast<unsigned>(index));
            }
            set_base(slot, index, base);
        }
        assign_interrupt(slot);
    }
}

}  // namespace undercroft
