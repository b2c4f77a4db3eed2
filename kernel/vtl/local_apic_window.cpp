// Register numbers are the window's offsets in units of 16 bytes (TLFS: HvX64RegisterApicId and on).
#include "kernel/vtl/local_apic_window.hpp"

#include "kernel/vtl/hypercalls.hpp"

namespace undercroft {

namespace {
constexpr u64 register_stride = 16;

tlfs::RegisterName register_at(u64 offset_bytes) {
    return static_cast<tlfs::RegisterName>(static_cast<u32>(tlfs::RegisterName::apic_first) +
                                           static_cast<u32>(offset_bytes / register_stride));
}
}  // namespace

Result<void> LocalApicWindow::add_to(GuestBus& bus) {
    TRY(bus.add_mmio(*this, address, window_bytes));
    return {};
}

u64 LocalApicWindow::read_mmio(u64 offset_bytes, AccessSize size) {
    RegisterPair pair{register_at(offset_bytes), {}};
    if (!is_aligned(offset_bytes, register_stride) || size == AccessSize::qword ||
        !hypercalls::get_registers(tlfs::vp_self, TargetVtl::guest, std::span(&pair, 1))) {
        return 0;
    }
    return pair.value.low & all_ones(size);
}

void LocalApicWindow::write_mmio(u64 offset_bytes, AccessSize size, u64 value) {
    if (is_aligned(offset_bytes, register_stride) && size == AccessSize::dword) {
        RegisterPair pair{register_at(offset_bytes), {value, 0}};
        (void)hypercalls::set_registers(tlfs::vp_self, TargetVtl::guest, std::span(&pair, 1));
    }
}

}  // namespace undercroft
