// What the guest did that the CPU alone could not do: the monitor's intercept messages become accesses of the guest's
// bus, and the results go back into the guest's registers. Messages come from the monitor, which is trusted; what they
// say of the guest (ports, addresses, instructions) is input.
// Sources: TLFS 15.10 (intercepts); AMD64 Architecture Programmer's Manual volume 2 section 15.9-15.10.
#pragma once

#include "kernel/guest/emulator/emulator.hpp"
#include "kernel/vtl/vp_executor.hpp"

namespace undercroft {

/// Events of the guest's processors that are no bus accesses.
class GuestEvents {
public:
    virtual ~GuestEvents() = default;
    /// A local APIC acknowledged a level-triggered vector.
    virtual void end_of_interrupt(u8 vector) = 0;
    /// The processor cannot go on (a triple fault): it does not run again.
    virtual void processor_stopped(VirtualProcessor& processor, const char* reason) = 0;
    /// The 8259's request, if it has one now and `processor` is where it goes: the vector to deliver. Called when the
    /// processor can take it.
    virtual bool has_external_interrupt(const VirtualProcessor& processor) = 0;
    virtual u8 acknowledge_external_interrupt() = 0;
};

class GuestIntercepts final : public InterceptHandler {
public:
    GuestIntercepts(GuestBus& bus, InstructionEmulator& emulator, GuestEvents& events)
        : bus_(bus), emulator_(emulator), events_(events) {}

    void on_intercept(VirtualProcessor& processor) override;
    void before_guest(VirtualProcessor& processor) override;

private:
    void on_port(VirtualProcessor& processor, const tlfs::IoPortIntercept& message);
    void on_port_string(VirtualProcessor& processor, const tlfs::IoPortIntercept& message);
    void on_memory(VirtualProcessor& processor, const tlfs::MemoryIntercept& message);
    void finish(VirtualProcessor& processor, const CpuState& cpu, const EmulationResult& result);
    void refuse(VirtualProcessor& processor, const EmulationResult& result);
    void ask_for_deliverability();

    GuestBus& bus_;
    InstructionEmulator& emulator_;
    GuestEvents& events_;
    /// The monitor will tell when the guest can take an external interrupt. Of the one processor that gets them.
    bool asked_deliverability_ = false;
};

}  // namespace undercroft
