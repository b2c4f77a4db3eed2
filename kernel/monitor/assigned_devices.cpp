// PCI functions of VTL2: see assigned_devices.hpp.
#include "kernel/monitor/assigned_devices.hpp"

#include <algorithm>

#include "arch/x86_64/cpu.hpp"
#include "kernel/monitor/log.hpp"
#include "kernel/monitor/machine.hpp"
#include "kernel/monitor/pci_config.hpp"
#include "kernel/spec/pci.hpp"

namespace undercroft::monitor {

namespace {

constexpr u32 no_device = 0xFFFF'FFFF;
constexpr u32 functions_per_bus = 256;
constexpr u32 buses = 256;
constexpr u32 multi_function_bit = 1u << 23;
constexpr u32 header_type_mask = 0x7F;
constexpr u32 capabilities_max = 48;
/// COM1's, and that of the port that VTL2 is looked into through.
constexpr u32 image_lines[] = {4, 5};
constexpr u64 message_address = 0xFEE0'0000;
/// What VTL2 may change in the command register; the monitor keeps the rest.
constexpr u16 command_writable = pci::command_bit::memory_space | pci::command_bit::bus_master;
constexpr u16 command_kept_on = pci::command_bit::interrupt_disable;

bool overlaps(u64 page, u64 begin, u64 size) { return page + page_size > begin && page < begin + size; }

}  // namespace

void AssignedDevices::scan() {
    // Bus 0 alone unless a bridge is there; every bus costs 32 reads.
    u32 last_bus = 0;
    for (u32 bus = 0; bus <= last_bus && bus < buses; ++bus) {
        for (u32 function = 0; function < functions_per_bus; ++function) {
            auto id = static_cast<u16>((bus << 8) | function);
            if (pci_read(id, pci::config_offset::ids) == no_device) {
                if ((function & 7) == 0) {
                    function += 7;
                }
                continue;
            }
            u32 header = pci_read(id, pci::config_offset::header);
            if (((header >> 16) & header_type_mask) == 1) {
                u32 subordinate = (pci_read(id, 0x18) >> 16) & 0xFF;
                last_bus = subordinate > last_bus ? subordinate : last_bus;
            } else if ((pci_read(id, pci::config_offset::revision_class) >> 8) == pci::class_nvme) {
                add(id);
            }
            if ((function & 7) == 0 && (header & multi_function_bit) == 0) {
                function += 7;
            }
        }
    }
}

void AssignedDevices::add(u16 function) {
    if (count_ == vtl2::devices_max) {
        log("PCI function %x left out: more than %zu assigned devices", function, vtl2::devices_max);
        return;
    }
    Device& device = devices_[count_++];
    device = {};
    device.function = function;
    u32 ids = pci_read(function, pci::config_offset::ids);
    device.vendor_id = static_cast<u16>(ids);
    device.device_id = static_cast<u16>(ids >> 16);
    device.class_code = pci_read(function, pci::config_offset::revision_class) >> 8;
    read_bars(device);
    read_capabilities(device);
    u32 command = pci_read(function, pci::config_offset::command_status) & 0xFFFF;
    command = (command & pci::command_bit::memory_space) | command_kept_on;
    pci_write(function, pci::config_offset::command_status, command);
    restrict_dma(device);
    log("PCI %x:%x.%x %x:%x is VTL2's, %u interrupts", function >> 8, (function >> 3) & 31, function & 7,
        device.vendor_id, device.device_id, device.msix_entries);
}

/// Sizes the BARs that firmware placed. Decoding is off while they hold all ones.
void AssignedDevices::read_bars(Device& device) {
    u32 command = pci_read(device.function, pci::config_offset::command_status) & 0xFFFF;
    pci_write(device.function, pci::config_offset::command_status, command & ~u32{pci::command_bit::memory_space});
    for (usize i = 0; i < vtl2::device_bars_max; ++i) {
        auto offset = static_cast<u16>(pci::config_offset::bar0 + 4 * i);
        u32 low = pci_read(device.function, offset);
        if ((low & pci::bar_bit::io_space) != 0) {
            continue;
        }
        bool wide = (low & pci::bar_bit::memory_64bit) != 0 && i + 1 < vtl2::device_bars_max;
        u32 high = wide ? pci_read(device.function, static_cast<u16>(offset + 4)) : 0;
        pci_write(device.function, offset, 0xFFFF'FFFF);
        u64 mask = pci_read(device.function, offset) & ~u64{pci::bar_bit::memory_flags};
        pci_write(device.function, offset, low);
        if (wide) {
            pci_write(device.function, static_cast<u16>(offset + 4), 0xFFFF'FFFF);
            mask |= u64{pci_read(device.function, static_cast<u16>(offset + 4))} << 32;
            pci_write(device.function, static_cast<u16>(offset + 4), high);
        } else {
            mask |= mask == 0 ? 0 : ~u64{0xFFFF'FFFF};
        }
        u64 address = (low & ~u64{pci::bar_bit::memory_flags}) | (u64{high} << 32);
        u64 size = mask == 0 ? 0 : ~mask + 1;
        // Less than a page would show VTL2 somebody else's registers as well.
        if (size >= page_size && is_aligned(address, page_size) && address >= machine.memory.vtl2.end) {
            device.bars[i] = {address, size, 0};
        }
        i += wide ? 1 : 0;
    }
    pci_write(device.function, pci::config_offset::command_status, command);
}

void AssignedDevices::read_capabilities(Device& device) {
    u32 status = pci_read(device.function, pci::config_offset::command_status) >> 16;
    if ((status & pci::status_bit::capabilities_list) == 0) {
        return;
    }
    u32 next = pci_read(device.function, pci::config_offset::capabilities) & 0xFC;
    for (u32 i = 0; next >= 0x40 && i < capabilities_max; ++i) {
        auto offset = static_cast<u16>(next);
        u32 head = pci_read(device.function, offset);
        auto id = static_cast<u8>(head);
        if (id == pci::capability_id::msix) {
            device.msix_offset = offset;
            u32 entries = pci::MsixControl{static_cast<u16>(head >> 16)}.entries();
            device.msix_entries = static_cast<u16>(entries < entries_max ? entries : entries_max);
            u32 table = pci_read(device.function, static_cast<u16>(offset + pci::msix_capability::table));
            u32 pending = pci_read(device.function, static_cast<u16>(offset + pci::msix_capability::pending));
            device.table_bar = table & pci::msix_capability::bar_index_mask;
            device.table_offset = table & ~pci::msix_capability::bar_index_mask;
            device.pending_bar = pending & pci::msix_capability::bar_index_mask;
            device.pending_offset = pending & ~pci::msix_capability::bar_index_mask;
            pci_write(device.function, offset, head & ~(u32{pci::MsixControl::enable_bit} << 16));
        } else if (id == pci::capability_id::msi) {
            pci_write(device.function, offset, head & ~(u32{1} << 16));
        }
        next = (head >> 8) & 0xFC;
    }
}

/// Where an IOMMU will get this function's translation table: VTL2's memory and guest RAM, nothing else. Until then a
/// VTL2 that was taken over can aim the function's DMA at the monitor (docs/architecture.md names this limit).
void AssignedDevices::restrict_dma(const Device&) {}

vtl2::AssignedDevice AssignedDevices::describe(usize index) const {
    const Device& device = devices_[index];
    vtl2::AssignedDevice result{};
    result.bus_device_function = device.function;
    result.vendor_id = device.vendor_id;
    result.device_id = device.device_id;
    result.interrupt_count = device.msix_entries;
    result.class_code = device.class_code;
    for (usize i = 0; i < vtl2::device_bars_max; ++i) {
        result.bar_bytes[i] = device.bars[i].size_bytes;
    }
    return result;
}

Result<u32> AssignedDevices::read_config(vtl2::PciConfigAddress address) {
    u32 size = address.size();
    u32 offset = address.offset();
    if (address.device() >= count_) {
        return fail(Error::not_found);
    }
    if ((size != 1 && size != 2 && size != 4) || offset % size != 0 || offset + size > pci::config_space_bytes) {
        return fail(Error::invalid_argument);
    }
    SpinlockGuard guard(lock_);
    u32 word = pci_read(devices_[address.device()].function, static_cast<u16>(offset & ~3u));
    return size == 4 ? word : (word >> (8 * (offset & 3))) & ((1u << (8 * size)) - 1);
}

Result<void> AssignedDevices::write_config(vtl2::PciConfigAddress address, u32 value) {
    u32 size = address.size();
    u32 offset = address.offset();
    if (address.device() >= count_) {
        return fail(Error::not_found);
    }
    if ((size != 1 && size != 2 && size != 4) || offset % size != 0 || offset + size > pci::config_space_bytes) {
        return fail(Error::invalid_argument);
    }
    // BARs, capabilities and interrupt pins stay as they are: only the command register is VTL2's.
    if (offset != pci::config_offset::command_status || size < 2) {
        return fail(Error::access_denied);
    }
    SpinlockGuard guard(lock_);
    u32 command = (value & command_writable) | command_kept_on;
    pci_write(devices_[address.device()].function, pci::config_offset::command_status, command);
    return {};
}

Result<u64> AssignedDevices::map_memory(u64 index, u64 bar_index) {
    if (index >= count_ || bar_index >= vtl2::device_bars_max || devices_[index].bars[bar_index].size_bytes == 0) {
        return fail(Error::not_found);
    }
    SpinlockGuard guard(lock_);
    Device& device = devices_[index];
    Bar& bar = device.bars[bar_index];
    if (bar.window_offset != 0) {
        return bar.window_offset - 1;
    }
    if (bar.size_bytes > vtl2::device_window_bytes - window_next_) {
        return fail(Error::out_of_memory);
    }
    u64 offset = window_next_;
    u64 table_bytes = u64{device.msix_entries} * pci::msix_entry::size_bytes;
    u64 pending_bytes = (u64{device.msix_entries} + 63) / 64 * 8;
    SpinlockGuard view(machine.view_lock);
    for (u64 page = 0; page < bar.size_bytes; page += page_size) {
        bool kept = device.msix_offset != 0 &&
                    ((bar_index == device.table_bar && overlaps(page, device.table_offset, table_bytes)) ||
                     (bar_index == device.pending_bar && overlaps(page, device.pending_offset, pending_bytes)));
        if (!kept) {
            TRY(machine.image.map(vtl2::device_base + offset + page, bar.machine_address + page, page_size,
                                  access_device));
        }
    }
    window_next_ += bar.size_bytes;
    bar.window_offset = offset + 1;
    return offset;
}

/// Maps the MSI-X table for the monitor and masks every entry.
Result<void> AssignedDevices::map_table(Device& device) {
    if (device.table != nullptr) {
        return {};
    }
    if (device.table_bar >= vtl2::device_bars_max) {
        return fail(Error::unsupported);
    }
    const Bar& bar = device.bars[device.table_bar];
    u64 bytes = u64{device.msix_entries} * pci::msix_entry::size_bytes;
    if (device.msix_entries == 0 || device.table_offset + bytes > bar.size_bytes) {
        return fail(Error::unsupported);
    }
    u64 address = bar.machine_address + device.table_offset;
    u64 first = align_down(address, page_size);
    TRY(machine.own.map(first, first, align_up(address + bytes, page_size) - first, access_device));
    // SAFETY: the table's registers, mapped uncached for the monitor just now.
    device.table = reinterpret_cast<volatile u32*>(address);
    for (u32 entry = 0; entry < device.msix_entries; ++entry) {
        device.table[entry * 4 + pci::msix_entry::vector_control / 4] = pci::msix_entry::vector_mask;
    }
    u32 control = pci_read(device.function, device.msix_offset);
    pci_write(device.function, device.msix_offset, control | (u32{pci::MsixControl::enable_bit} << 16));
    return {};
}

Result<void> AssignedDevices::unbind(Entry& entry) {
    if (entry.vector != 0) {
        machine.vps[entry.vp].bind_vector(entry.vector, 0);
        entry = {};
    }
    return {};
}

Result<void> AssignedDevices::map_interrupt(const vtl2::MapInterruptInput& input) {
    if (input.device >= count_ || input.entry >= devices_[input.device].msix_entries) {
        return fail(Error::not_found);
    }
    SpinlockGuard guard(lock_);
    Device& device = devices_[input.device];
    TRY(map_table(device));
    volatile u32* registers = device.table + u32{input.entry} * 4;
    registers[pci::msix_entry::vector_control / 4] = pci::msix_entry::vector_mask;
    Entry& entry = device.entries[input.entry];
    TRY(unbind(entry));
    if (input.enable == 0) {
        return {};
    }
    VirtualProcessor& vp = machine.vps[input.vp_index];
    u8 vector = vp.free_vector();
    if (vector == 0) {
        return fail(Error::out_of_memory);
    }
    entry = {static_cast<u8>(input.vp_index), vector};
    vp.bind_vector(vector, input.vector);
    registers[pci::msix_entry::address_low / 4] = static_cast<u32>(message_address) | (vp.machine_apic_id() << 12);
    registers[pci::msix_entry::address_high / 4] = 0;
    registers[pci::msix_entry::data / 4] = vector;
    registers[pci::msix_entry::vector_control / 4] = 0;
    return {};
}

Result<void> AssignedDevices::map_line(const vtl2::MapInterruptInput& input) {
    const u32* found = std::ranges::find(image_lines, input.device);
    if (found == std::end(image_lines)) {
        return fail(Error::access_denied);
    }
    u32 interrupt = machine.firmware.isa_line_interrupt[*found];
    Entry& line = lines_[found - image_lines];
    if (interrupt >= machine.io_apic.entries()) {
        return fail(Error::unsupported);
    }
    SpinlockGuard guard(lock_);
    machine.io_apic.mask(interrupt);
    TRY(unbind(line));
    if (input.enable == 0) {
        return {};
    }
    VirtualProcessor& vp = machine.vps[input.vp_index];
    u8 vector = vp.free_vector();
    if (vector == 0) {
        return fail(Error::out_of_memory);
    }
    line = {static_cast<u8>(input.vp_index), vector};
    vp.bind_vector(vector, input.vector);
    u16 flags = machine.firmware.isa_line_flags[*found];
    constexpr u16 polarity_low = 3;
    constexpr u16 trigger_level = 3;
    machine.io_apic.route(interrupt, vector, vp.machine_apic_id(), ((flags >> 2) & 3) == trigger_level,
                          (flags & 3) == polarity_low);
    return {};
}

}  // namespace undercroft::monitor
