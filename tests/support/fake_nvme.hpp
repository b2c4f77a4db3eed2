// An NVMe controller that lies on request. The project's own controller never does, so what a driver makes of wrong
// command ids, phases, registers and Identify data is tested with this one. Just enough of a device to be driven: one
// namespace in memory, I/O queues, no events but those a test sends.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "hostsim/devices/dma_arena.hpp"
#include "hostsim/devices/interrupts.hpp"
#include "kernel/spec/nvme.hpp"

namespace undercroft::test {

class FakeNvme final : public DeviceHost, private RegisterSpace {
public:
    /// What becomes of a command.
    enum class Fate : u8 {
        complete,      ///< as asked
        fail,          ///< with `status`
        ignore,        ///< never answered
        late,          ///< answered `late_ns` later, if the controller still runs
        wrong_id,      ///< done, but answered with an id of no command
        huge_id,       ///< answered with id FFFFh
        wrong_queue,   ///< answered as if from another queue
        twice,         ///< answered twice
        wrong_phase,   ///< answered, but with the phase tag of the last round
        no_interrupt,  ///< answered, but nobody is told
        fatal,         ///< CSTS.CFS instead of an answer
        vanish,        ///< the device is pulled out
    };
    struct Verdict {
        Fate fate = Fate::complete;
        nvme::Status status = nvme::Status::internal_error;
        bool do_not_retry = true;
        u64 late_ns = 0;
    };
    using Judge = std::function<Verdict(u16 queue_id, const nvme::SubmissionEntry& entry)>;

    explicit FakeNvme(usize blocks = 256);
    ~FakeNvme() override;

    DmaArena arena{4 * mib};
    nvme::Capabilities capabilities;
    nvme::IdentifyController controller;
    nvme::IdentifyNamespace name_space;
    Judge judge;                       ///< empty: everything completes
    bool never_ready = false;          ///< CSTS.RDY stays 0
    bool never_idle = false;           ///< CSTS.RDY stays 1
    u64 idle_after_ns = 0;             ///< how long CSTS.RDY stays 1, and commands go on, after CC.EN was cleared
    bool never_shut_down = false;      ///< CSTS.SHST never completes
    bool present = true;               ///< false: reads are all ones
    u32 granted_queues = 0x003f'003f;  ///< result of Set Features, Number of Queues
    bool aborts_work = false;          ///< Abort ends an ignored command with Abort Requested
    usize vectors = 9;

    std::vector<std::byte> blocks;  ///< the medium, 512 bytes a block
    u32 enables = 0;                ///< how often CC.EN was set
    u32 shutdowns = 0;
    u32 commands_seen = 0;
    u32 aborts_seen = 0;
    bool bus_master = false;
    bool touched_memory_while_off = false;  ///< our own bug if ever true

    /// Completes a parked asynchronous event request, if there is one.
    bool send_event(nvme::EventResult event);
    void raise_interrupt(u16 vector) { interrupts_.raise(vector); }

    // DeviceHost
    RegisterSpace& registers() override { return *this; }
    Result<DmaBuffer> allocate_dma(usize size_bytes) override { return arena.allocate(size_bytes); }
    Result<DeviceRange> device_range(const std::byte* data, usize size_bytes) override {
        return arena.find(data, size_bytes);
    }
    u16 interrupt_count() const override { return static_cast<u16>(vectors); }
    Result<std::unique_ptr<InterruptBinding>> bind_interrupt(u16 index) override { return interrupts_.bind(index); }
    Result<void> set_bus_master(bool enabled) override {
        bus_master = enabled;
        return {};
    }

private:
    struct Queue {
        u64 submission = 0;
        u64 completion = 0;
        u32 submission_entries = 0;
        u32 completion_entries = 0;
        u16 vector = 0;
        u32 head = 0;
        u32 tail = 0;
        u32 completion_tail = 0;
        bool phase = true;
    };
    struct Ignored {
        u16 queue_id;
        u16 command_id;
    };
    struct LateAnswer;
    struct LateIdle;

    u64 size_bytes() const override { return 0x4000; }
    u32 read32(u64 offset_bytes) override;
    u64 read64(u64 offset_bytes) override;
    void write32(u64 offset_bytes, u32 value) override;
    void write64(u64 offset_bytes, u64 value) override;

    void write_configuration(u32 value);
    void become_idle();
    void ring(u16 queue_id, u32 tail);
    void take(u16 queue_id, const nvme::SubmissionEntry& entry);
    void carry_out(u16 queue_id, const nvme::SubmissionEntry& entry, Verdict verdict);
    nvme::Status run_admin(const nvme::SubmissionEntry& entry, u32& result);
    nvme::Status run_io(const nvme::SubmissionEntry& entry);
    nvme::Status transfer(const nvme::SubmissionEntry& entry, std::span<std::byte> data, bool to_host);
    void answer(u16 queue_id, u16 command_id, nvme::StatusField status, u32 result, Fate fate);
    bool can_reach_memory() const { return present && bus_master && ready_; }

    SimulatedInterrupts interrupts_{16};
    std::map<u16, Queue> queues_;
    std::vector<Ignored> ignored_;
    std::vector<u16> parked_events_;
    std::vector<std::unique_ptr<LateAnswer>> late_;
    std::unique_ptr<LateIdle> late_idle_;
    u32 configuration_ = 0;
    bool ready_ = false;
    bool fatal_ = false;
    nvme::ShutdownStatus shutdown_ = nvme::ShutdownStatus::none;
    u32 admin_attributes_ = 0;
    u64 admin_submission_ = 0;
    u64 admin_completion_ = 0;
    u32 epoch_ = 0;
};

}  // namespace undercroft::test
