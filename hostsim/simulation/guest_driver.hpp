// A guest's NVMe driver, as a model: it drives our controller through registers, rings and messages alone, as Linux does
// (several queues, shadow doorbells, abort and reset of what is late) or as Windows does (guest_windows.cpp), and does on
// top what they do rarely: resets with commands in flight, deleted queues. To a workload it is a disk. What the controller must not do (complete
// what is not under way, stay enabled past CAP.TO, forget an interrupt) is taken down as a problem.
//
// NVM Express Base Specification 2.0, NVM Command Set Specification 1.0.
#pragma once

#include "hostsim/devices/interrupts.hpp"
#include "hostsim/devices/seeded_random.hpp"
#include "hostsim/simulation/guest_queue.hpp"
#include "hostsim/simulation/plan.hpp"
#include "kernel/async/task_group.hpp"
#include "storage/disk_size.hpp"

namespace undercroft::simulation {

class GuestDriver final : public DiskInterface, public MessageSink {
public:
    struct Config {
        DmaArena& memory;  ///< the guest's; all buffers lie there
        Recorder& recorder;
        std::span<Executor* const> executors;
        GuestHabits habits;
        UnmapBehavior unmap;  ///< of the disk behind the controller
        u64 seed;
    };
    explicit GuestDriver(const Config& config);
    ~GuestDriver() override;

    // On processor 0.
    /// Brings the controller up and learns of its disk.
    Task<Result<void>> start(PciFunction& device);
    /// CC.SHN: ends when the controller says that it is shut down. `timed_out` where it does not.
    Task<Result<void>> shut_down();
    /// Disables the controller, and ends what is under way. After the last operation.
    Task<Result<void>> stop();
    /// Ends resets and deletions of queues that nothing asked for.
    void calm_down() { calm_ = true; }
    /// Whether it has not given its controller up.
    bool is_alive() const { return !dead_; }
    /// Adds what was counted to the recorder's report.
    void report_counters();

    // MessageSink
    void deliver(u64 address, u32 data) override;

    // DiskInterface
    DiskFacts facts() const override { return facts_; }
    u64 sector_count() const override { return size_.get(); }
    Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel) override;
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) override;
    Task<DiskResult<void>> flush(CancelToken cancel) override;
    Task<DiskResult<void>> unmap(SectorRange range, CancelToken cancel) override;
    Task<DiskResult<void>> write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                        CancelToken cancel) override;
    Task<DiskResult<BlockStatus>> block_status(SectorRange range, CancelToken cancel) override;
    Task<DiskResult<void>> eject() override;
    Task<DiskResult<u64>> wait_for_resize(u64 known_sectors, CancelToken cancel) override;
    Task<DiskResult<Comparison>> compare(u64 sector, SegmentList with, CancelToken cancel) override;

private:
    /// A reset, or another end without an answer, is `no_status`.
    static constexpr nvme::Status no_status = static_cast<nvme::Status>(0x7ff);
    struct Answer {
        nvme::Status status = no_status;
        bool do_not_retry = false;
        u32 result = 0;
        bool succeeded() const { return status == nvme::Status::success; }
    };

    // guest_driver.cpp: registers and what lives as long as the controller is enabled
    u32 read32(u64 offset) { return static_cast<u32>(device_->read_bar(0, offset, AccessSize::dword)); }
    void write32(u64 offset, u32 value) { device_->write_bar(0, offset, AccessSize::dword, value); }
    void write64(u64 offset, u64 value) { device_->write_bar(0, offset, AccessSize::qword, value); }
    void set_messages_up();
    Task<Result<void>> wait_ready(bool ready);
    Task<Result<void>> enable();
    Task<Result<void>> bring_up();
    Task<Result<void>> create_queue(GuestQueue& queue);
    Task<Result<void>> delete_queue(GuestQueue& queue);
    Task<void> recreate_queue(GuestQueue& queue);
    void disable_now();
    Task<Result<void>> disable();
    Task<Result<void>> reset();
    Task<void> supervise();
    Task<void> service(GuestQueue& queue);
    Task<void> ask_for_events();
    Task<Result<void>> configure_events(u32 wanted);

    // guest_windows.cpp: what Windows does otherwise
    Task<Result<void>> look_around();
    void check_admin_registers();
    Task<Result<void>> try_what_is_missing();
    Task<void> keep_event_request();
    Task<void> rescan();
    Task<DiskResult<void>> unmap_in_two(SectorRange range, CancelToken cancel);
    Task<DiskResult<void>> write_zeros(SectorRange range, ForceUnitAccess fua, CancelToken cancel);
    Task<DiskResult<Comparison>> read_and_compare(u64 sector, SegmentList with, CancelToken cancel);

    // guest_commands.cpp
    Task<Answer> execute(GuestQueue& queue, nvme::SubmissionEntry entry, u64 timeout_ns);
    Task<void> look_for_lost_interrupt(GuestQueue& queue);
    Task<Answer> execute_admin(nvme::SubmissionEntry entry);
    /// With a page of memory for data.
    Task<Answer> execute_with_page(nvme::SubmissionEntry entry);
    u64 interrupt_time_ns() const;
    Task<bool> abort(u16 queue_id, u16 command_id);
    Task<Result<void>> identify_namespace();
    GuestQueue& own_queue();
    Task<DiskResult<void>> run(nvme::SubmissionEntry entry, SegmentList data, CancelToken cancel);
    Task<Answer> run_until_answered(nvme::SubmissionEntry entry, SegmentList data, CancelToken cancel);
    DmaBuffer point_at(nvme::SubmissionEntry& entry, SegmentList data);

    Config config_;
    SeededRandom random_;
    SimulatedInterrupts interrupts_;
    PciFunction* device_ = nullptr;
    DmaBuffer admin_data_;
    DmaBuffer shadow_;
    GuestQueue admin_;
    std::vector<std::unique_ptr<GuestQueue>> queues_;
    std::vector<std::unique_ptr<InterruptBinding>> bindings_;
    std::vector<bool> messages_pending_;  // per vector: delivered, and the queue not looked at since
    TaskGroup tasks_;
    Semaphore admin_data_free_{1};

    bool running_ = false;  // between bring-up and the next reset
    bool stopping_ = false;
    bool dead_ = false;  // a reset failed: every operation fails from now on
    bool calm_ = false;
    u32 epoch_ = 0;  // of the controller's life
    WaitQueue running_again_;
    Event reset_wanted_;
    DiskFacts facts_;
    DiskSize size_{0};
    u64 resets_ = 0;
    u64 aborts_ = 0;
};

}  // namespace undercroft::simulation
