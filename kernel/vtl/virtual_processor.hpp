// One virtual processor as VTL2 sees it: its index, the pages it shares with the monitor, its local APIC, and the
// vectors of its interrupts. Interrupts only mark their vector as pending; the handlers run later, on the executor's
// own turn, so none of them has to be safe against interruption.
// Left out: running the guest (vp_executor.hpp) and what the guest's intercepts mean (guest_intercepts.hpp).
#pragma once

#include <atomic>

#include "kernel/async/executor.hpp"
#include "kernel/base/result.hpp"
#include "kernel/spec/tlfs_messages.hpp"
#include "kernel/vtl/address_map.hpp"
#include "kernel/vtl/hypercalls.hpp"

namespace undercroft {

/// Whoever wants to know of an interrupt. Called on the processor the vector belongs to, between two turns of its
/// executor.
class InterruptHandler {
public:
    virtual ~InterruptHandler() = default;
    virtual void on_interrupt() = 0;
};

/// Who writes the local APIC's EOI register. Device interrupts need none (vtl2_extension.hpp); the processor's own
/// timer and IPIs do.
enum class EndOfInterrupt : u8 { automatic, by_us };

class VirtualProcessor {
public:
    /// The page-sized pieces that a processor shares with the monitor, in VTL2's memory and page-aligned.
    struct SharedPages {
        std::byte* hypercall_input;
        std::byte* hypercall_output;
        std::byte* assist;
        std::byte* registers;
    };
    static constexpr u8 first_vector = 32;

    constexpr VirtualProcessor() = default;
    VirtualProcessor(const VirtualProcessor&) = delete;
    VirtualProcessor& operator=(const VirtualProcessor&) = delete;

    /// The processor that runs this. It must have been bound.
    static VirtualProcessor& current() { return *static_cast<VirtualProcessor*>(cpu_current()); }

    /// Gives the processor its identity and its pages. From any processor, once, before `bind`.
    void initialise(u32 index, u32 apic_id, const SharedPages& pages, const AddressMap& addresses);
    /// Makes this the calling processor. From then on `current` and hypercalls work on it.
    void bind();
    /// Tells the monitor of assist and register page, and switches the local APIC on. On the processor itself, after
    /// `bind`.
    Result<void> enable();

    u32 index() const { return index_; }
    u32 apic_id() const { return apic_id_; }
    Executor*& executor_slot() { return executor_; }
    hypercalls::Pages& hypercall_pages() { return hypercall_pages_; }

    /// Why VTL2 was entered last, and the guest's message if it was an intercept.
    tlfs::VtlEntryReason entry_reason() const { return static_cast<tlfs::VtlEntryReason>(assist().vtl_entry_reason); }
    void clear_entry_reason() { assist().vtl_entry_reason = 0; }
    const tlfs::MessageHeader& intercept_message() const;
    /// The guest's registers on this processor, valid whenever VTL2 runs; changes need their `dirty` bit.
    tlfs::RegisterPage& guest_registers() { return *register_page_; }

    /// A vector of this processor for `handler`, which must outlive it. `out_of_memory` when all are taken. On the
    /// processor itself.
    Result<u8> allocate_vector(InterruptHandler& handler, EndOfInterrupt end_of_interrupt);
    /// Gives a vector back; its interrupts must have been masked.
    void release_vector(u8 vector);
    /// From the interrupt entry: marks `vector`.
    void note_interrupt(u8 vector) { pending_[vector / 64] |= u64{1} << (vector % 64); }
    /// Runs the handlers of all marked vectors. Between two turns of the executor, interrupts off. Returns whether
    /// there were any.
    bool dispatch_interrupts();
    /// Interrupts that came on vectors nobody has.
    u64 stray_interrupts() const { return stray_interrupts_; }

    /// Local APIC: fires the vector given to `enable_timer` when the TSC reaches `tsc`; 0 disarms.
    void set_timer(u64 tsc);
    void enable_timer(u8 vector);
    /// Interrupts another processor of VTL2.
    void send_interrupt(u32 apic_id, u8 vector);

private:
    static void* cpu_current();
    tlfs::VpAssistPage& assist() const { return *assist_page_; }

    VirtualProcessor* self_ = nullptr;  // GS base points here
    Executor* executor_ = nullptr;
    u32 index_ = 0;
    u32 apic_id_ = 0;
    hypercalls::Pages hypercall_pages_;
    tlfs::VpAssistPage* assist_page_ = nullptr;
    tlfs::RegisterPage* register_page_ = nullptr;
    u64 assist_address_ = 0;
    u64 register_address_ = 0;
    u64 pending_[4] = {};
    u64 needs_eoi_[4] = {};
    u64 stray_interrupts_ = 0;
    InterruptHandler* handlers_[256] = {};
};

}  // namespace undercroft
