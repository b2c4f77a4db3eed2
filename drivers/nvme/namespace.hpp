// One namespace of a controller: reads, writes and the rest, from any of the driver's executors. Requests larger than
// the controller takes are split, and the pieces run in parallel. What the device cannot reach, or PRP rules forbid,
// goes through bounce memory. NVM Command Set Specification 1.0, section 3.2.
#pragma once

#include "drivers/nvme/driver.hpp"
#include "drivers/nvme/segment_view.hpp"

namespace undercroft::nvme::host {

/// Told of changes, on executors[0].
class NamespaceObserver {
public:
    virtual ~NamespaceObserver() = default;
    /// The namespace has another size now, in blocks; 0 where it is not there at the moment.
    virtual void size_changed(u64 blocks) = 0;
    /// The driver has given the controller up, or was closed.
    virtual void controller_gone() = 0;
};

class Namespace {
public:
    static Result<std::shared_ptr<Namespace>> create(Driver& driver, const NamespaceFacts& facts);
    Namespace(const Namespace&) = delete;
    Namespace& operator=(const Namespace&) = delete;

    u32 id() const { return facts_.id; }
    /// As of when it was opened, but for `blocks`.
    const NamespaceFacts& facts() const { return facts_; }
    u64 blocks() const { return blocks_.load(std::memory_order_acquire); }

    /// At most one observer, which outlives the driver or is taken away with null. On executors[0].
    void observe(NamespaceObserver* observer) { observer_ = observer; }

    /// How unmapped blocks read afterwards: zeros, for certain.
    bool deallocate_zeroes() const;
    /// Whether the controller can be told of unused blocks at all.
    bool can_deallocate() const;

    // Ranges are in blocks and must lie within the namespace; `lba_out_of_range` otherwise. Each ends within
    // `DriverOptions::request_bound_ns` for every `parallel_commands_max` commands it takes. The first piece that
    // failed gives the outcome.

    Task<Outcome> read(u64 lba, SegmentList into, CancelToken cancel);
    Task<Outcome> write(u64 lba, SegmentList from, bool force_unit_access, CancelToken cancel);
    /// Makes completed writes durable. Nothing to do where the controller has no volatile cache.
    Task<Outcome> flush(CancelToken cancel);
    /// The blocks read as zeros afterwards. Writes them where the controller has no Write Zeroes.
    Task<Outcome> write_zeroes(u64 lba, u64 blocks, bool may_deallocate, bool force_unit_access, CancelToken cancel);
    /// The blocks are not needed. Zeros afterwards where `deallocate_zeroes`; else they may be anything that they were.
    Task<Outcome> deallocate(u64 lba, u64 blocks, CancelToken cancel);

private:
    friend class Driver;
    enum class Kind : u8 { read, write, write_zeroes, write_zero_pages, deallocate };
    /// What was asked for, before it is split.
    struct Operation {
        Kind kind;
        u64 lba;
        u64 blocks;
        SegmentList segments;
        bool force_unit_access = false;
        bool may_deallocate = false;
        CancelToken cancel = {};
    };
    struct Split;
    enum class Direction : u8 { none, to_device, from_device };
    /// One command, tried until it succeeds, fails for good, or time is up.
    struct Command {
        SubmissionEntry entry;
        Direction direction = Direction::none;
        SegmentView data;
    };

    Namespace(Driver& driver, const NamespaceFacts& facts);

    /// On executors[0]: what a new Identify said, or that it is not there any more.
    void update(const Result<NamespaceFacts>& facts);
    void report_gone();
    void detach();

    u64 blocks_per_command(Kind kind) const;
    bool in_range(u64 lba, u64 blocks) const;
    Task<Outcome> run(Operation operation);
    Task<Outcome> run_split(Operation operation, u64 step);
    Task<void> run_pieces(Split& split);
    Task<Outcome> run_piece(const Operation& operation, u64 offset, u64 blocks);
    Task<Outcome> deallocate_piece(u64 lba, u64 blocks, CancelToken cancel);
    Task<Outcome> execute(Command command, CancelToken cancel);
    Task<Outcome> execute_elsewhere(Driver::Channel& channel, Command command);
    Task<Outcome> execute_here(Driver& driver, Command command, CancelToken cancel);
    Task<Outcome> execute_bounced(Driver::Channel& channel, const Command& command, WaitLimits limits);
    SubmissionEntry io_entry(IoOpcode opcode, u64 lba, u64 blocks) const;

    std::atomic<Driver*> driver_;
    NamespaceFacts facts_;
    std::atomic<u64> blocks_;
    NamespaceObserver* observer_ = nullptr;
    // What `write_zeroes` writes where the controller cannot: one page of zeros, over and over.
    DmaBuffer zero_page_;
    std::vector<MemorySegment> zero_segments_;
};

}  // namespace undercroft::nvme::host
