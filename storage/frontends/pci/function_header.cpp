// Fields of the header.
#include "storage/frontends/pci/function_header.hpp"

namespace undercroft {

namespace {
constexpr u16 command_writable = pci::command_bit::io_space | pci::command_bit::memory_space |
                                 pci::command_bit::bus_master | pci::command_bit::parity_error_response |
                                 pci::command_bit::serr_enable | pci::command_bit::interrupt_disable;
}

u32 PciFunctionHeader::read(u16 offset_bytes) const {
    switch (offset_bytes) {
    case pci::config_offset::ids:
        return u32{identity_.device_id} << 16 | identity_.vendor_id;
    case pci::config_offset::command_status: {
        u32 status = first_capability_ != 0 ? pci::status_bit::capabilities_list : 0;
        return status << 16 | command_.load(std::memory_order_relaxed);
    }
    case pci::config_offset::revision_class:
        return identity_.class_code << 8 | identity_.revision;
    case pci::config_offset::subsystem_ids:
        return u32{identity_.subsystem_id} << 16 | identity_.subsystem_vendor_id;
    case pci::config_offset::capabilities:
        return first_capability_;
    case pci::config_offset::interrupt:
        return interrupt_line_.load(std::memory_order_relaxed);  // no pin
    default:
        return 0;
    }
}

void PciFunctionHeader::write(u16 offset_bytes, u32 value, u32 mask) {
    if (offset_bytes == pci::config_offset::command_status) {
        u16 writable = static_cast<u16>(command_writable & mask);
        u16 old = command_.load(std::memory_order_relaxed);
        command_.store(static_cast<u16>((old & ~writable) | (value & writable)), std::memory_order_relaxed);
    } else if (offset_bytes == pci::config_offset::interrupt && (mask & 0xff) != 0) {
        interrupt_line_.store(static_cast<u8>(value), std::memory_order_relaxed);
    }
}

void PciFunctionHeader::reset() {
    command_.store(0, std::memory_order_relaxed);
    interrupt_line_.store(0, std::memory_order_relaxed);
}

}  // namespace undercroft
