// A submission and a completion queue as a guest's driver keeps them: rings in its memory, doorbells or shadow
// doorbells, command ids, and the waiting for completions. It knows nothing of how the controller is made, and takes
// down every lie that it is told. NVM Express Base Specification 2.0, sections 3.3 and 5.8 (Doorbell Buffer Config).
#pragma once

#include <vector>

#include "hostsim/devices/dma_arena.hpp"
#include "hostsim/simulation/report.hpp"
#include "kernel/async/semaphore.hpp"
#include "kernel/guest/device.hpp"
#include "kernel/spec/nvme.hpp"

namespace undercroft::simulation {

class GuestQueue {
public:
    /// Rings of `entries` entries each, at least 2. `memory` and `recorder` outlive the queue.
    GuestQueue(DmaArena& memory, Recorder& recorder, u16 id, u32 entries);

    u16 id() const { return id_; }
    u32 entries() const { return entries_; }
    u64 submission_address() const { return rings_.device_address(); }
    u64 completion_address() const { return rings_.device_address() + completion_offset_; }
    /// Commands that the controller has.
    usize under_way() const;

    /// The controller has the rings now, empty.
    void attach(PciFunction& device);
    /// Doorbells are in memory from now on: pages at `doorbells`, and `events` where the controller says when to ring.
    void use_shadow(std::byte* doorbells, std::byte* events);
    /// After a reset, or the queue's deletion: nobody answers any more. Ends every wait.
    void detach();

    using Slot = u32;
    /// Waits for a place in the ring.
    Task<Result<Slot>> acquire(WaitLimits limits);
    /// Puts a command there and rings. `gone` where the queue was detached meanwhile.
    Result<u16> submit(Slot slot, nvme::SubmissionEntry entry);
    /// What came back; nothing where the queue was detached, `timed_out` where it is late: then it is still under way.
    Task<Result<std::optional<nvme::CompletionEntry>>> wait(Slot slot, u64 deadline_ns);
    void release(Slot slot);

    /// Takes new completions out of the ring; how many.
    usize poll();
    /// Whether there are some.
    bool has_new() const { return device_ != nullptr && next_completion().status_field().phase() == phase_; }
    /// How many were taken since the queue exists.
    u64 taken() const { return taken_; }

private:
    struct Command {
        enum class State : u8 { free, held, under_way, completed, lost };
        State state = State::free;
        u16 generation = 0;
        nvme::CompletionEntry completion;
        WaitQueue ended;
    };
    u16 command_id(Slot slot) const { return static_cast<u16>(slot | u32{commands_[slot]->generation} << 8); }
    void ring(u64 doorbell_offset, usize shadow_index, u32 old_value, u32 value);
    nvme::CompletionEntry next_completion() const;
    void take(const nvme::CompletionEntry& entry);

    Recorder& recorder_;
    u16 id_;
    u32 entries_;
    u64 completion_offset_;
    DmaBuffer rings_;
    PciFunction* device_ = nullptr;
    std::byte* shadow_ = nullptr;
    std::byte* events_ = nullptr;
    u32 tail_ = 0;
    u32 head_ = 0;
    bool phase_ = true;
    u64 taken_ = 0;
    std::vector<std::unique_ptr<Command>> commands_;
    Semaphore free_;
};

}  // namespace undercroft::simulation
