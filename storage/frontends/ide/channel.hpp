// One IDE channel: two places for drives, the command block and control registers that they share, a bus master, and
// the enlightened INT 13h port.
//
// Threads: register accesses come from any virtual processor at any time and never wait; one lock orders them. Disks
// are asked by a coroutine on the channel's own executor, a step at a time: what the guest has to do in between (take
// or bring a block of data, start the bus master) is waited for by nobody. A reset, or stopping the bus master, asks
// the step that is under way to end; until it has, the channel is busy, and a processor that stopped the bus master does
// not run its guest. So nothing is written into memory that the guest has taken back.
//
// Sources: ATA/ATAPI-7 volume 2 (registers, protocols, 9.16 for a lone device 0); ACS chapter 7.
// Left out: queued commands, overlap, two drives busy at the same time.
#pragma once

#include <array>

#include "kernel/async/lone_task.hpp"
#include "kernel/base/spinlock.hpp"
#include "kernel/guest/device.hpp"
#include "storage/frontends/ide/bus_master.hpp"
#include "storage/frontends/ide/drive.hpp"
#include "storage/frontends/ide/errors.hpp"

namespace undercroft::ide {

/// What a channel needs; what is referred to must outlive it.
struct ChannelConfig {
    const GuestMemory& memory;
    InterruptLine& interrupt;
    GuestPause& pause;
    Executor& executor;                                  ///< where its disks are asked
    u64 step_deadline_ns = 60 * nanoseconds_per_second;  ///< for one access to a disk: longer than guests wait
};

class Channel final : public PortDevice, private LoneTask::Owner {
public:
    static constexpr usize drives_max = 2;

    explicit Channel(const ChannelConfig& config);
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;
    /// After `close` has ended, or where the guest never touched it.
    ~Channel() override = default;

    /// Memory for data; `out_of_memory`. Before everything else.
    Result<void> allocate();
    /// Puts a drive at place 0 or 1. Before the guest runs.
    void attach(usize place, std::unique_ptr<Drive> drive) { drives_[place] = std::move(drive); }
    /// Ends what is under way and answers nothing from then on. On the channel's executor, once.
    Task<void> close() { return task_.close(); }

    // Command block ports, by offset from the first; data are words or dwords, the rest bytes.
    u64 read_port(u16 port, AccessSize size) override;
    void write_port(u16 port, AccessSize size, u64 value) override;
    void read_port_string(u16 port, AccessSize size, std::span<std::byte> into) override;
    void write_port_string(u16 port, AccessSize size, std::span<const std::byte> from) override;

    u8 read_alternate_status();
    void write_control(u8 value);
    /// The dword at port 1E0h or 160h: the guest address of a packet.
    void write_int13(u32 guest_address);

    u32 read_bus_master(u16 offset, AccessSize size);
    void write_bus_master(u16 offset, AccessSize size, u32 value);
    /// The PCI function's: whether the ports answer, whether the bus master may reach memory.
    void set_decoding(bool on);
    void set_mastering(bool on);

private:
    /// What the channel waits for.
    enum class Phase : u8 {
        idle,
        data_to_guest,    ///< the guest takes a block from the buffer
        data_from_guest,  ///< the guest brings a block into the buffer
        bus_master,       ///< the guest has to start the bus master
        working,          ///< the executor has it
    };
    enum class Action : u8 { read, write, verify, flush, trim, packet };
    enum class Job : u8 { none, reset, step, int13 };

    /// The command that is under way.
    struct Operation {
        Action action = Action::read;
        bool is_ext = false;
        bool is_dma = false;
        bool is_durable = false;  ///< FUA, or the write cache is off
        u32 block_sectors = 1;    ///< PIO: of one block of data
        u64 lba = 0;
        u64 sectors_left = 0;                       ///< TRIM: blocks of ranges
        PowerMode power_after = PowerMode::active;  ///< a flush
    };
    /// Of a packet command: what was sent, and how far it is.
    struct Packet {
        std::array<std::byte, 12> cdb = {};
        bool has_cdb = false;
        usize out_bytes = 0;    ///< of parameters that the guest brings first
        usize block_limit = 0;  ///< bytes of one block of data
        u32 blocks_left = 0;    ///< of a long READ, behind what the buffer holds
        u32 next_block = 0;
        std::optional<scsi::Completion> sense;  ///< of the command before, for REQUEST SENSE
    };
    struct Transfer;  // how a data command moves what; see commands.cpp

    // Registers; all with the lock held.
    Drive* selected() { return drives_[selected_].get(); }
    bool has_drives() const { return drives_[0] != nullptr || drives_[1] != nullptr; }
    u8 read_register(u16 offset);
    u8 read_status();
    void write_register(u16 offset, u8 value);
    u8 visible_status();
    void update_line();
    void raise(Drive& drive);

    // Commands; all with the lock held.
    void start_command(u8 opcode);
    void run_immediate(Drive& drive, u8 opcode);
    bool start_transfer(Drive& drive, u8 opcode);
    void start_flush(Drive& drive, PowerMode power_after);
    void start_trim(Drive& drive);
    void change_features(Drive& drive);
    void run_smart(Drive& drive);
    void run_diagnostic();
    void run_read_native_max(Drive& drive, bool is_ext);
    void answer_with_data(Drive& drive);
    void complete(Drive& drive);
    void complete_with(Drive& drive, const ErrorReport& report);
    void abort_command(Drive& drive) { complete_with(drive, {.error = ata::error_bit::aborted}); }
    void begin_reset();
    void start_or_stop(BusMasterEdge edge);
    void begin_operation(Drive& drive);
    void begin_step();
    void wait_for_bus_master();
    void expect_data(Drive& drive, bool with_interrupt);

    // Packet commands (packet.cpp); the first ones with the lock held.
    void start_packet(Drive& drive);
    bool run_packet_immediate(Drive& drive, u8 opcode);
    void offer_packet_block(Drive& drive, bool to_guest);
    void end_packet_block(Drive& drive);
    void complete_packet(Drive& drive, const scsi::Completion& completion);
    bool answer_sense(scsi::Completion& completion);
    Task<DiskResult<void>> run_packet(const Drive& drive, CancelToken token);
    void finish_packet(Drive& drive, bool was_cancelled);
    void take_cdb();

    // Data between guest and buffer; all with the lock held.
    usize move_data(std::byte* into, const std::byte* from, usize bytes);
    void offer_block(Drive& drive, bool with_interrupt);
    void end_block();

    // The executor's side.
    bool take_job() override;
    Task<void> do_job() override;
    void rest() override { resume_guests(); }
    Task<void> run_step();
    Task<DiskResult<void>> access_disk(const Drive& drive, SegmentList segments, u64 sectors, CancelToken token);
    Task<DiskResult<void>> run_buffered(const Drive& drive, CancelToken token);
    Task<DiskResult<void>> run_bus_master(const Drive& drive, CancelToken token);
    Task<DiskResult<void>> run_trim(const Drive& drive, CancelToken token);
    Task<DiskResult<void>> run_bounded(const Drive& drive);
    void start_walk();
    void finish_reset();
    void finish_step(Drive& drive, DiskResult<void> outcome);
    void fail_step(Drive& drive, DiskError error);
    void pause_guest();
    void resume_guests();
    Task<void> run_int13();
    Task<u8> carry_out_int13(const ata::Int13Packet& packet);
    Drive* select_for_int13(const ata::Int13Packet& packet);

    const GuestMemory& memory_;
    InterruptLine& interrupt_;
    GuestPause& pause_;
    u64 step_deadline_ns_;

    Spinlock lock_;
    LoneTask task_;
    std::array<std::unique_ptr<Drive>, drives_max> drives_;
    BusMaster bus_master_;
    bool decoding_ = true;
    bool mastering_ = false;
    usize selected_ = 0;
    u8 control_ = 0;
    bool line_high_ = false;

    Phase phase_ = Phase::idle;
    usize active_ = 0;  // the drive whose command is under way
    Operation operation_;
    Packet packet_;
    scsi::Completion packet_outcome_;
    bool reset_keeps_selection_ = false;
    std::unique_ptr<std::byte[]> buffer_;
    usize buffer_bytes_ = 0;  // that hold data, or will
    usize buffer_at_ = 0;     // what the guest has taken or brought
    usize block_end_ = 0;

    bool reset_wanted_ = false;
    bool step_wanted_ = false;
    std::optional<u32> int13_wanted_;
    std::array<u32, 4> paused_ = {};
    usize paused_count_ = 0;

    // The executor alone.
    Job job_ = Job::none;
    RegionWalker walker_;
};

}  // namespace undercroft::ide
