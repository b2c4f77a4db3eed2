// Faults between an NVMe controller and its driver, drawn from a seed: a controller that fails (CSTS.CFS), loses
// interrupts, mixes up command ids, or is pulled out. The controller itself is the real one and never lies; all this
// happens on the way.
#pragma once

#include <map>

#include "hostsim/devices/seeded_random.hpp"
#include "hostsim/devices/simulated_nvme.hpp"

namespace undercroft {

/// How often, per thousand: of doorbell writes, interrupts, completions.
struct NvmeFaults {
    u32 fatal = 0;
    u32 lost_interrupt = 0;
    u32 wrong_id = 0;
};

class NvmeFaultPlan final : public NvmeTamper {
public:
    explicit NvmeFaultPlan(u64 seed) : random_(seed) {}

    void set_faults(const NvmeFaults& faults) { faults_ = faults; }
    /// The arena in which the driver's queues lie; needed for wrong ids.
    void watch(DmaArena* arena) { arena_ = arena; }
    void pull_out() { present_ = false; }
    void plug_in();

    u64 injected() const { return injected_; }

    bool is_present() override { return present_; }
    u32 read_register(u64 offset_bytes, u32 value) override;
    bool allow_write(u64 offset_bytes, u64 value) override;
    bool allow_interrupt(usize vector) override;

private:
    /// A completion queue, as it was created: where a wrong id can be slipped in.
    struct Ring {
        u64 address = 0;
        u32 entries = 0;
        u16 vector = 0;
        u32 head = 0;
        bool phase = true;
    };
    void look_at_admin_commands(u32 tail);
    void mix_up(Ring& ring);

    SeededRandom random_;
    NvmeFaults faults_;
    DmaArena* arena_ = nullptr;
    bool present_ = true;
    bool fatal_ = false;
    u64 injected_ = 0;
    u64 admin_submission_ = 0;
    u64 admin_completion_ = 0;
    u32 admin_attributes_ = 0;
    u32 admin_head_ = 0;
    std::map<u16, Ring> rings_;
};

}  // namespace undercroft
