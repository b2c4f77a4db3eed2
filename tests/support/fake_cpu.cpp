// See fake_cpu.hpp.
#include "tests/support/fake_cpu.hpp"

#include <sys/mman.h>

#include <cstring>

#include "kernel/base/assert.hpp"

namespace undercroft {

namespace {
FakeCpu* installed = nullptr;

/// The image's place in the address space; nothing else of a host program is there.
std::byte* image_memory() {
    static std::byte* memory = [] {
        void* wanted = reinterpret_cast<void*>(vtl2::image_virtual);
        void* mapped = mmap(wanted, FakeCpu::pages * page_size, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        ASSERT(mapped == wanted);
        return static_cast<std::byte*>(mapped);
    }();
    return memory;
}
}  // namespace

FakeCpu::FakeCpu() {
    ASSERT(installed == nullptr);
    installed = this;
    std::memset(image_memory(), 0, pages * page_size);
}
FakeCpu::~FakeCpu() { installed = nullptr; }
FakeCpu& FakeCpu::instance() { return *installed; }
std::byte* FakeCpu::page(usize index) { return image_memory() + index * page_size; }

FakeProcessor::FakeProcessor() {
    vtl2::BootInfo boot_info = {};
    boot_info.memory_bytes = FakeCpu::pages * page_size;
    boot_info.memory_device_address = 0x1000'0000;
    boot_info.guest_range_count = 1;
    boot_info.guest_ranges[0] = {.guest_address = 0, .size_bytes = 64 * mib, .device_address = 0x2000'0000};
    addresses = AddressMap(boot_info);
    processor.initialise(0, 0, {FakeCpu::page(0), FakeCpu::page(1), FakeCpu::page(2), FakeCpu::page(3)}, addresses);
    processor.bind();
    ASSERT(processor.enable().has_value());
}

tlfs::VpAssistPage& FakeProcessor::assist() { return *reinterpret_cast<tlfs::VpAssistPage*>(FakeCpu::page(2)); }

namespace cpu {

HypercallOutcome hypercall(u64 input, u64 rdx, u64 r8) { return installed->on_hypercall(input, rdx, r8); }
void vtl_return() { installed->on_vtl_return(); }
void wait_for_interrupt() { installed->on_wait(); }
void take_pending_interrupts() {}
u64 read_tsc() { return installed->tsc; }
u64 read_msr(u32 msr) { return installed->msrs[msr]; }
void write_msr(u32 msr, u64 value) { installed->msrs[msr] = value; }
u8 read_port8(u16 port) { return installed->on_read_port(port); }
void write_port8(u16 port, u8 value) { installed->on_write_port(port, value); }
void* current_pointer() { return installed->current; }
void set_current_pointer(void* pointer) { installed->current = pointer; }

}  // namespace cpu

}  // namespace undercroft
