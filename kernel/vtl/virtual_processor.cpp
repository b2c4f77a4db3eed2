// Identity, local APIC and interrupt vectors of a processor. Sources: TLFS 15 (assist page), Intel SDM volume 3 chapter
// 11 (x2APIC).
#include "kernel/vtl/virtual_processor.hpp"

#include <bit>
#include <utility>

#include "kernel/base/assert.hpp"
#include "kernel/vtl/cpu.hpp"

namespace undercroft {

namespace {
constexpr u32 msr_apic_base = 0x1B;
constexpr u64 apic_base_x2apic = u64{1} << 10;
constexpr u64 apic_base_enable = u64{1} << 11;
constexpr u32 msr_tsc_deadline = 0x6E0;
constexpr u32 msr_x2apic_eoi = 0x80B;
constexpr u32 msr_x2apic_spurious = 0x80F;
constexpr u32 msr_x2apic_icr = 0x830;
constexpr u32 msr_x2apic_lvt_timer = 0x832;
constexpr u64 spurious_enable = u64{1} << 8;
constexpr u8 spurious_vector = 255;
constexpr u64 lvt_tsc_deadline = u64{2} << 17;
constexpr u64 overlay_enable = 1;
}  // namespace

void* VirtualProcessor::cpu_current() { return cpu::current_pointer(); }

void VirtualProcessor::initialise(u32 index, u32 apic_id, const SharedPages& pages, const AddressMap& addresses) {
    self_ = this;
    index_ = index;
    apic_id_ = apic_id;
    hypercall_pages_ = {.input = pages.hypercall_input,
                        .input_address = addresses.guest_physical(pages.hypercall_input),
                        .output = pages.hypercall_output,
                        .output_address = addresses.guest_physical(pages.hypercall_output)};
    // SAFETY: the pages are page-aligned, zeroed, and live as long as the image.
    assist_page_ = reinterpret_cast<tlfs::VpAssistPage*>(pages.assist);
    register_page_ = reinterpret_cast<tlfs::RegisterPage*>(pages.registers);
    assist_address_ = addresses.guest_physical(pages.assist);
    register_address_ = addresses.guest_physical(pages.registers);
}

void VirtualProcessor::bind() { cpu::set_current_pointer(static_cast<void*>(&self_)); }

Result<void> VirtualProcessor::enable() {
    static_assert(sizeof(tlfs::VpAssistPage) == page_size);
    cpu::write_msr(tlfs::msr_vp_assist_page, assist_address_ | overlay_enable);
    RegisterPair page{tlfs::RegisterName::register_page, {register_address_ | overlay_enable, 0}};
    TRY(hypercalls::set_registers(tlfs::vp_self, TargetVtl::guest, std::span(&page, 1)));
    constexpr u64 wanted = apic_base_enable | apic_base_x2apic;
    if (u64 base = cpu::read_msr(msr_apic_base); (base & wanted) != wanted) {
        cpu::write_msr(msr_apic_base, base | wanted);
    }
    cpu::write_msr(msr_x2apic_spurious, spurious_enable | spurious_vector);
    return {};
}

const tlfs::MessageHeader& VirtualProcessor::intercept_message() const {
    // SAFETY: the message begins with its header; the field is 16-byte aligned in a page-aligned structure.
    return *reinterpret_cast<const tlfs::MessageHeader*>(assist_page_->intercept_message);
}

Result<u8> VirtualProcessor::allocate_vector(InterruptHandler& handler, EndOfInterrupt end_of_interrupt) {
    for (u32 vector = first_vector; vector < spurious_vector; ++vector) {
        if (handlers_[vector] == nullptr) {
            handlers_[vector] = &handler;
            u64 bit = u64{1} << (vector % 64);
            pending_[vector / 64] &= ~bit;
            needs_eoi_[vector / 64] = end_of_interrupt == EndOfInterrupt::by_us ? needs_eoi_[vector / 64] | bit
                                                                                : needs_eoi_[vector / 64] & ~bit;
            return static_cast<u8>(vector);
        }
    }
    return fail(Error::out_of_memory);
}

void VirtualProcessor::release_vector(u8 vector) { handlers_[vector] = nullptr; }

bool VirtualProcessor::dispatch_interrupts() {
    bool any = false;
    for (u32 word = 0; word < 4; ++word) {
        u64 bits = std::exchange(pending_[word], 0);
        any = any || bits != 0;
        for (; bits != 0; bits &= bits - 1) {
            u32 vector = word * 64 + static_cast<u32>(std::countr_zero(bits));
            if ((needs_eoi_[word] >> (vector % 64)) & 1) {
                cpu::write_msr(msr_x2apic_eoi, 0);
            }
            if (handlers_[vector] != nullptr) {
                handlers_[vector]->on_interrupt();
            } else {
                ++stray_interrupts_;
            }
        }
    }
    return any;
}

void VirtualProcessor::set_timer(u64 tsc) { cpu::write_msr(msr_tsc_deadline, tsc); }

void VirtualProcessor::enable_timer(u8 vector) { cpu::write_msr(msr_x2apic_lvt_timer, lvt_tsc_deadline | vector); }

void VirtualProcessor::send_interrupt(u32 apic_id, u8 vector) {
    cpu::write_msr(msr_x2apic_icr, (u64{apic_id} << 32) | vector);
}

}  // namespace undercroft
