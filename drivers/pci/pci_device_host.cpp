// Hypercalls behind DeviceHost. Source for the command register: PCI Local Bus 3.0 section 6.2.2.
#include "drivers/pci/pci_device_host.hpp"

#include <cstring>

#include "kernel/base/log.hpp"

namespace undercroft {

namespace {

constexpr u16 command_offset = 0x04;
constexpr u32 command_memory = 1 << 1;
constexpr u32 command_bus_master = 1 << 2;

/// An interrupt on the processor that bound it. Its handler runs on that processor's executor, so waiting needs no
/// lock.
class DeviceInterrupt final : public InterruptBinding, private InterruptHandler {
public:
    static Result<std::unique_ptr<InterruptBinding>> bind(u16 device, u16 entry) {
        std::unique_ptr<DeviceInterrupt> interrupt(new (std::nothrow) DeviceInterrupt(device, entry));
        if (interrupt == nullptr) {
            return fail(Error::out_of_memory);
        }
        interrupt->vector_ = TRY(interrupt->processor_.allocate_vector(*interrupt, EndOfInterrupt::automatic));
        TRY(interrupt->route(true));
        return std::unique_ptr<InterruptBinding>(std::move(interrupt));
    }
    ~DeviceInterrupt() override {
        if (vector_ != 0) {
            (void)route(false);
            ASSERT(&VirtualProcessor::current() == &processor_);
            processor_.release_vector(vector_);
        }
    }

    Task<Result<void>> wait(WaitLimits limits) override {
        if (!pending_) {
            CO_TRY(co_await waiters_.wait(limits));
        }
        pending_ = false;
        co_return Result<void>{};
    }

private:
    DeviceInterrupt(u16 device, u16 entry) : processor_(VirtualProcessor::current()), device_(device), entry_(entry) {}
    void on_interrupt() override {
        pending_ = true;
        waiters_.notify_all();
    }
    Result<void> route(bool enable) {
        return hypercalls::map_device_interrupt({.device = device_,
                                                 .entry = entry_,
                                                 .vp_index = processor_.index(),
                                                 .vector = vector_,
                                                 .enable = enable,
                                                 .reserved = {}});
    }

    VirtualProcessor& processor_;
    u16 device_;
    u16 entry_;
    u8 vector_ = 0;
    bool pending_ = false;
    WaitQueue waiters_;
};

Result<void> change_command(u16 index, u32 set, u32 clear) {
    u32 command = TRY(hypercalls::read_pci_config(index, command_offset, 2));
    return hypercalls::write_pci_config(index, command_offset, 2, (command & ~clear) | set);
}

}  // namespace

PciDeviceHost::PciDeviceHost(u16 index, const vtl2::AssignedDevice& device, u64 bar_offset, PageAllocator& pages,
                             const AddressMap& addresses)
    : index_(index), interrupt_count_(device.interrupt_count),
      // SAFETY: the monitor mapped the BAR there; it stays for the machine's life.
      registers_(reinterpret_cast<volatile std::byte*>(vtl2::device_virtual + bar_offset), device.bar_bytes[0]),
      pages_(pages), addresses_(addresses) {}

Result<std::unique_ptr<PciDeviceHost>> PciDeviceHost::open(u16 index, const vtl2::AssignedDevice& device,
                                                           PageAllocator& pages, const AddressMap& addresses) {
    if (device.bar_bytes[0] == 0) {
        return fail(Error::not_found);
    }
    u64 offset = TRY(hypercalls::map_device_memory(index, 0));
    TRY(change_command(index, command_memory, command_bus_master));
    std::unique_ptr<PciDeviceHost> host(new (std::nothrow) PciDeviceHost(index, device, offset, pages, addresses));
    if (host == nullptr) {
        return fail(Error::out_of_memory);
    }
    return host;
}

Result<DmaBuffer> PciDeviceHost::allocate_dma(usize size_bytes) {
    if (size_bytes == 0 || size_bytes > dma_bytes_max) {
        return fail(Error::out_of_memory);
    }
    usize taken = usize{page_size} << PageAllocator::order_for(size_bytes);
    if (dma_bytes_.fetch_add(taken) + taken > dma_bytes_max) {
        dma_bytes_.fetch_sub(taken);
        return fail(Error::out_of_memory);
    }
    std::byte* data = pages_.allocate_bytes(size_bytes);
    if (data == nullptr) {
        dma_bytes_.fetch_sub(taken);
        return fail(Error::out_of_memory);
    }
    std::memset(data, 0, taken);
    DeviceWindow window = TRY(addresses_.device_window(data));
    return DmaBuffer(data, align_up(size_bytes, page_size), window.address, &PciDeviceHost::release_dma, this);
}

void PciDeviceHost::release_dma(void* context, std::byte* data, usize) {
    auto* host = static_cast<PciDeviceHost*>(context);
    host->dma_bytes_.fetch_sub(host->pages_.block_bytes(data));
    host->pages_.release(data);
}

Result<DeviceRange> PciDeviceHost::device_range(const std::byte* data, usize size_bytes) {
    DeviceWindow window = TRY(addresses_.device_window(data));
    return DeviceRange{window.address,
                       size_bytes < window.size_bytes ? size_bytes : static_cast<usize>(window.size_bytes)};
}

Result<std::unique_ptr<InterruptBinding>> PciDeviceHost::bind_interrupt(u16 index) {
    if (index >= interrupt_count_) {
        return fail(Error::out_of_range);
    }
    return DeviceInterrupt::bind(index_, index);
}

Result<void> PciDeviceHost::set_bus_master(bool enabled) {
    return change_command(index_, enabled ? command_bus_master : 0, enabled ? 0 : command_bus_master);
}

}  // namespace undercroft
