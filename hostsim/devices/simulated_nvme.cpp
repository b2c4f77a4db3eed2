// SimulatedNvme.
#include "hostsim/devices/simulated_nvme.hpp"

#include "kernel/spec/nvme_registers.hpp"
#include "kernel/spec/pci.hpp"
#include "storage/frontends/nvme/limits.hpp"

namespace undercroft {

namespace {
/// Where MSI-X messages of the simulated device go; the data are the vector.
constexpr u64 message_address = 0xfee0'0000;
}  // namespace

SimulatedNvme::SimulatedNvme(const Config& config)
    : own_arena_(config.memory == nullptr ? std::make_unique<DmaArena>(config.memory_bytes) : nullptr),
      arena_(config.memory == nullptr ? own_arena_.get() : config.memory), interrupts_(config.vectors),
      tamper_(config.tamper != nullptr ? *config.tamper : default_tamper_) {}

Result<std::unique_ptr<SimulatedNvme>> SimulatedNvme::create(const Config& config) {
    std::unique_ptr<SimulatedNvme> device(new SimulatedNvme(config));
    device->controller_ = TRY(nvme::Controller::create({.memory = device->device_view_,
                                                        .messages = *device,
                                                        .executors = config.executors,
                                                        .namespaces = config.namespaces}));
    return device;
}

SimulatedNvme::~SimulatedNvme() = default;

Task<void> SimulatedNvme::close() { co_await controller_->close(); }

Result<std::unique_ptr<InterruptBinding>> SimulatedNvme::bind_interrupt(u16 index) {
    std::unique_ptr<InterruptBinding> binding = TRY(interrupts_.bind(index));
    u64 entry = nvme::msix_table_offset + u64{index} * pci::msix_entry::size_bytes;
    controller_->write_bar(0, entry + pci::msix_entry::address_low, AccessSize::dword, message_address);
    controller_->write_bar(0, entry + pci::msix_entry::address_high, AccessSize::dword, 0);
    controller_->write_bar(0, entry + pci::msix_entry::data, AccessSize::dword, index);
    controller_->write_bar(0, entry + pci::msix_entry::vector_control, AccessSize::dword, 0);
    return binding;
}

Result<void> SimulatedNvme::set_bus_master(bool enabled) {
    u64 status = controller_->read_bar(0, nvme::register_offset::status, AccessSize::dword);
    if (!enabled && nvme::ControllerStatus{static_cast<u32>(status)}.ready()) {
        arena_->stop_tracking();
    }
    bus_master_ = enabled;
    device_view_ = enabled ? arena_->memory() : GuestMemory{};
    u32 command = pci::command_bit::memory_space | (enabled ? u32{pci::command_bit::bus_master} : 0);
    controller_->write_config(pci::config_offset::command_status, command, 0xffff);
    // The only capability; its message control is the upper half of its first dword.
    u16 msix = static_cast<u16>(controller_->read_config(pci::config_offset::capabilities));
    controller_->write_config(msix, u32{pci::MsixControl::enable_bit} << 16, 0xffff'0000);
    return {};
}

u64 SimulatedNvme::size_bytes() const { return controller_->bar(0).size_bytes; }

u32 SimulatedNvme::read32(u64 offset_bytes) {
    if (!tamper_.is_present()) {
        return ~u32{0};
    }
    u64 value = controller_->read_bar(0, offset_bytes, AccessSize::dword);
    return tamper_.read_register(offset_bytes, static_cast<u32>(value));
}

u64 SimulatedNvme::read64(u64 offset_bytes) {
    u64 low = read32(offset_bytes);
    return low | u64{read32(offset_bytes + sizeof(u32))} << 32;
}

void SimulatedNvme::write32(u64 offset_bytes, u32 value) {
    if (tamper_.is_present() && tamper_.allow_write(offset_bytes, value)) {
        controller_->write_bar(0, offset_bytes, AccessSize::dword, value);
    }
}

void SimulatedNvme::write64(u64 offset_bytes, u64 value) {
    if (tamper_.is_present() && tamper_.allow_write(offset_bytes, value)) {
        controller_->write_bar(0, offset_bytes, AccessSize::qword, value);
    }
}

void SimulatedNvme::deliver(u64 address, u32 data) {
    if (address == message_address && bus_master_ && tamper_.is_present() && tamper_.allow_interrupt(data)) {
        interrupts_.raise(data);
    }
}

}  // namespace undercroft
