// Workers that use a disk from several processors, and tell the oracle what they do and what they find. Each goes through
// its own list of operations; what they draw does not depend on how operations end.
#pragma once

#include <functional>

#include "hostsim/simulation/oracle.hpp"
#include "hostsim/simulation/stack.hpp"
#include "kernel/async/task_group.hpp"

namespace undercroft::simulation {

/// Memory of one operation: in the machine's arena, where devices reach it and late writes are noticed; or, where the
/// plan has no guest, somewhere that no device reaches.
class OperationBuffer {
public:
    /// `size_bytes` of memory, cut into segments as `random` has it.
    OperationBuffer(const Machine& machine, DmaArena& unreachable, usize size_bytes, SeededRandom& random);

    std::span<std::byte> bytes() const { return bytes_; }
    SegmentList segments() const { return segments_; }

private:
    void cut(bool at_pages, SeededRandom& random);

    DmaBuffer memory_;
    std::span<std::byte> bytes_;
    std::vector<MemorySegment> segments_;
};

class Workload {
public:
    Workload(const Machine& machine, SectorOracle& oracle);

    /// Runs the workers on `disk` until they are through with their lists, or `done` says so after a step.
    void run(const Disk& disk, SeededRandom random, const std::function<bool()>& done);
    /// Waits for what they have under way. No operation may take longer than `bound_ns`.
    void stop();

    /// Writes all of `disk` once, durably.
    void write_all(const Disk& disk);
    /// Reads all of `disk` after a power loss.
    void settle_all(const Disk& disk);
    /// No operation takes longer.
    u64 bound_ns() const { return bound_ns_; }
    /// Sectors that the disk had at least since the machine was started.
    u64 smallest_sectors = 0;
    /// Whether nothing was written to memory after it was given back.
    bool memory_is_sound() const;

private:
    struct Worker {
        SeededRandom random{0};
        u64 index = 0;
        u64 first_sector = 0;
    };
    /// One operation that is under way.
    struct Operation {
        const Disk& disk;
        SeededRandom random{0};
        u64 worker = 0;
        SectorRange range = {};
        CancelToken cancel = {};
    };
    using OperationResult = DiskResult<void>;

    Task<void> work(const Disk& disk, Worker worker);
    Task<OperationResult> carry_out(Operation operation, u64 choice);
    Task<OperationResult> carry_out_cancelled(Operation operation, u64 choice);
    Task<OperationResult> write(Operation operation, bool durable);
    Task<OperationResult> read(Operation operation);
    Task<OperationResult> compare(Operation operation);
    Task<OperationResult> flush(Operation operation);
    Task<OperationResult> unmap(Operation operation);
    Task<OperationResult> write_zeroes(Operation operation, bool durable);
    Task<OperationResult> check_status(Operation operation);
    void check_result(const Operation& operation, const char* what, const OperationResult& result,
                      bool durable = false);
    /// `fence`: what excluded the operation when it began, `now` what does now; 0 where nothing does.
    void check_fence(const char* what, const OperationResult& result, u64 fence, u64 now);
    void check_contents(u64 sector, std::span<const std::byte> bytes, u64 began);
    void check_late_writes();

    const Machine& machine_;
    const Plan& plan_;
    Recorder& recorder_;
    SectorOracle& oracle_;
    DmaArena unreachable_;
    std::vector<std::unique_ptr<TaskGroup>> groups_;
    Contents last_stamp_ = 0;
    u64 started_ = 0;
    u64 running_ = 0;
    bool stopping_ = false;
    u64 bound_ns_;
};

}  // namespace undercroft::simulation
