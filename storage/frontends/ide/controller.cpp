// Configuration space and ports.
#include "storage/frontends/ide/controller.hpp"

#include <new>

#include "kernel/spec/pci.hpp"

namespace undercroft::ide {

namespace {

constexpr u32 ids = 0x7111'8086;
constexpr u32 class_revision = 0x010180'01;  // IDE, both channels in compatibility mode, bus master
constexpr u16 status_fixed = 0x0280;         // fast back-to-back, medium device select
constexpr usize bus_master_bar = 4;
constexpr u32 bus_master_bytes = 16;
constexpr u32 slave_timing_mask = 0xFF;
constexpr u32 ultra_dma_mask = 0x3333'000F;
constexpr u16 command_mask = pci::command_bit::bus_master;
constexpr unsigned latency_shift = 8;

u32 merge(u32 before, u32 value, u32 mask) { return (before & ~mask) | (value & mask); }

}  // namespace

Controller::Controller(const ControllerConfig& config)
    : channels_{
          Channel({config.memory, *config.interrupts[0], config.pause, *config.executors[0], config.step_deadline_ns}),
          Channel(
              {config.memory, *config.interrupts[1], config.pause, *config.executors[1], config.step_deadline_ns})} {}

Result<std::unique_ptr<Controller>> Controller::create(const ControllerConfig& config) {
    std::unique_ptr<Controller> controller(new (std::nothrow) Controller(config));
    if (controller == nullptr) {
        return fail(Error::out_of_memory);
    }
    for (Channel& channel : controller->channels_) {
        TRY(channel.allocate());
    }
    return controller;
}

Result<void> Controller::attach_disk(usize channel, usize place, Disk disk, DriveIdentity identity) {
    if (channel >= channels || place >= Channel::drives_max || disk.sector_size() > Drive::sector_size_max) {
        return fail(Error::invalid_argument);
    }
    if (has_drive_[channel][place]) {
        return fail(Error::busy);
    }
    has_drive_[channel][place] = true;
    channels_[channel].attach(place, std::make_unique<Drive>(std::move(disk), std::move(identity), place == 1));
    return {};
}

Result<void> Controller::attach_packet(usize channel, usize place, std::shared_ptr<scsi::LogicalUnit> unit,
                                       DriveIdentity identity) {
    if (channel >= channels || place >= Channel::drives_max || unit == nullptr) {
        return fail(Error::invalid_argument);
    }
    if (std::exchange(has_drive_[channel][place], true)) {
        return fail(Error::busy);
    }
    channels_[channel].attach(place, std::make_unique<Drive>(std::move(unit), std::move(identity), place == 1));
    return {};
}

Result<void> Controller::add_to(GuestBus& bus) {
    constexpr u32 command_ports = 8;
    constexpr u32 int13_ports = 4;
    TRY(bus.add_ports(channels_[0], ata::primary_command_ports, command_ports, AccessSize::dword));
    TRY(bus.add_ports(channels_[1], ata::secondary_command_ports, command_ports, AccessSize::dword));
    TRY(bus.add_ports(*this, ata::primary_control_port, 1));
    TRY(bus.add_ports(*this, ata::secondary_control_port, 1));
    TRY(bus.add_ports(*this, ata::primary_int13_port, int13_ports, AccessSize::dword));
    TRY(bus.add_ports(*this, ata::secondary_int13_port, int13_ports, AccessSize::dword));
    return {};
}

Task<void> Controller::close() {
    for (Channel& channel : channels_) {
        co_await channel.close();
    }
}

u64 Controller::read_port(u16 port, AccessSize size) {
    switch (port) {
    case ata::primary_control_port:
        return channels_[0].read_alternate_status();
    case ata::secondary_control_port:
        return channels_[1].read_alternate_status();
    default:
        return all_ones(size);
    }
}

void Controller::write_port(u16 port, AccessSize size, u64 value) {
    switch (port) {
    case ata::primary_control_port:
        return channels_[0].write_control(static_cast<u8>(value));
    case ata::secondary_control_port:
        return channels_[1].write_control(static_cast<u8>(value));
    default:
        break;
    }
    if (size == AccessSize::dword && (port == ata::primary_int13_port || port == ata::secondary_int13_port)) {
        channels_[port == ata::primary_int13_port ? 0 : 1].write_int13(static_cast<u32>(value));
    }
}

u32 Controller::read_config(u16 offset_bytes) {
    switch (offset_bytes) {
    case pci::config_offset::ids:
        return ids;
    case pci::config_offset::command_status:
        return command_ | (u32{status_fixed} << 16);
    case pci::config_offset::revision_class:
        return class_revision;
    case pci::config_offset::header:
        return u32{latency_} << latency_shift;
    case pci::config_offset::interrupt:
        return interrupt_line_;
    case ata::piix_offset::timing:
        return timing_;
    case ata::piix_offset::slave_timing:
        return slave_timing_;
    case ata::piix_offset::ultra_dma_control:
        return ultra_dma_;
    default:
        return 0;
    }
}

void Controller::write_config(u16 offset_bytes, u32 value, u32 mask) {
    switch (offset_bytes) {
    case pci::config_offset::command_status:
        command_ = static_cast<u16>(merge(command_, value, mask & command_mask));
        for (Channel& channel : channels_) {
            channel.set_mastering((command_ & pci::command_bit::bus_master) != 0);
        }
        break;
    case pci::config_offset::header:
        latency_ = static_cast<u8>(merge(u32{latency_} << latency_shift, value, mask & 0xF000) >> latency_shift);
        break;
    case pci::config_offset::interrupt:
        interrupt_line_ = static_cast<u8>(merge(interrupt_line_, value, mask & 0xFF));
        break;
    case ata::piix_offset::timing:
        timing_ = merge(timing_, value, mask);
        for (usize index = 0; index < channels; ++index) {
            channels_[index].set_decoding((timing_ >> (16 * index) & ata::piix_decode_enable) != 0);
        }
        break;
    case ata::piix_offset::slave_timing:
        slave_timing_ = static_cast<u8>(merge(slave_timing_, value, mask & slave_timing_mask));
        break;
    case ata::piix_offset::ultra_dma_control:
        ultra_dma_ = merge(ultra_dma_, value, mask & ultra_dma_mask);
        break;
    default:
        break;
    }
}

PciBar Controller::bar(usize index) const {
    return index == bus_master_bar ? PciBar{.size_bytes = bus_master_bytes, .is_io = true} : PciBar{};
}

u64 Controller::read_bar(usize, u64 offset_bytes, AccessSize size) {
    Channel& channel = channels_[offset_bytes / ata::bus_master_offset::channel_stride];
    return channel.read_bus_master(static_cast<u16>(offset_bytes % ata::bus_master_offset::channel_stride), size);
}

void Controller::write_bar(usize, u64 offset_bytes, AccessSize size, u64 value) {
    Channel& channel = channels_[offset_bytes / ata::bus_master_offset::channel_stride];
    channel.write_bus_master(static_cast<u16>(offset_bytes % ata::bus_master_offset::channel_stride), size,
                             static_cast<u32>(value));
}

}  // namespace undercroft::ide
