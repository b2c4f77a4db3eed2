// The Intel 82077AA in a PC/AT: registers at 3F0h to 3F5h and 3F7h, interrupt 6, DMA channel 2 (or data through the
// FIFO), two drives over disks.
//
// Threads: registers are accessed from any virtual processor and never wait; one lock orders them. A disk is asked by a
// coroutine on the controller's executor. Data go through a buffer of the controller's, so a reset only has to make the
// coroutine forget what it has: nothing reaches the guest's memory after it.
//
// Source: Intel 82077AA data sheet; drives step and turn in no time. Left out: FM, other sector sizes than 512 bytes,
// deleted address marks (writing them writes data), scanning; PART ID, SAVE and RESTORE are the 82078's, and invalid.
#pragma once

#include <array>

#include "kernel/async/lone_task.hpp"
#include "kernel/spec/floppy.hpp"
#include "storage/frontends/floppy/dma_controller.hpp"
#include "storage/frontends/floppy/medium.hpp"

namespace undercroft::floppy {

inline constexpr usize drives_max = 2;

/// What is referred to must outlive the controller.
struct ControllerConfig {
    InterruptLine& interrupt;
    DmaController& dma;
    Executor& executor;
    u64 step_deadline_ns = 10 * nanoseconds_per_second;  ///< for one access to a disk
};

class Controller final : public PortDevice, private LoneTask::Owner {
public:
    explicit Controller(const ControllerConfig& config);
    Controller(const Controller&) = delete;
    Controller& operator=(const Controller&) = delete;
    /// After `close` has ended, or where the guest never touched it.
    ~Controller() override = default;

    /// A drive at `place` (0 or 1), empty. Before the guest runs.
    void add_drive(usize place) { drives_[place].exists = true; }
    /// Puts a medium into a drive; the guest sees the change line. `invalid_argument` for a size that no floppy disk
    /// has, `not_found` without a drive. Any executor.
    Result<void> insert(usize place, Disk medium);
    /// Takes it out. What is under way with it still ends.
    Result<void> remove(usize place);
    bool has_medium(usize place) const;
    /// The drive's type for the CMOS; 0 without a drive.
    u8 cmos_type(usize place) const;

    Result<void> add_to(GuestBus& bus);
    /// Ends what is under way and answers nothing from then on. On the controller's executor, once.
    Task<void> close() { return task_.close(); }

    u64 read_port(u16 port, AccessSize size) override;
    void write_port(u16 port, AccessSize size, u64 value) override;

private:
    enum class Phase : u8 { command, working, data_to_host, data_from_host, result, reset };
    enum class Action : u8 { read, write, verify, format };
    static constexpr usize command_bytes_max = 9;
    static constexpr usize result_bytes_max = 10;
    static constexpr usize drive_selects = 4;
    static constexpr usize buffer_bytes = usize{heads} * sectors_per_track_max * sector_bytes;

    struct CommandRow;
    struct Operation {
        Action action = Action::read;
        usize place = 0;
        u8 cylinder = 0;
        u8 head = 0;
        u8 sector = 1;
        u8 last_sector = 1;
        bool is_multitrack = false;
        bool terminal_count = false;  ///< of what was taken for writing
        bool is_dma = true;
        u8 fill = 0;         ///< FORMAT TRACK
        u8 end_status2 = 0;  ///< what a good end has in ST2
        u32 sectors = 0;     ///< that the buffer holds, or will
        u64 first = 0;       ///< of the disk
        /// That the command was checked against, whatever the drive holds later; until the work takes it.
        std::optional<Disk> medium = std::nullopt;
        u8 sectors_per_track = sectors_per_track_max;  ///< of it
    };

    // Registers; with the lock held.
    u8 main_status() const;
    u8 read_fifo();
    void write_fifo(u8 value);
    void write_output(u8 value);
    void enter_reset();
    void leave_reset();
    void set_interrupt(bool on);
    u8 digital_input() const;

    // Commands; with the lock held.
    void run_command();
    void run_simple(fdc::Command command);
    void answer(std::initializer_list<u8> bytes);
    void finish_silently();
    void refuse();
    void seek_to(usize select, u8 cylinder, u8 position);
    void sense_drives();
    void dump();
    void start_data(fdc::Command command);
    void start_format();
    void find_id();
    u8 check_medium(usize place) const;
    void end_with(u8 status0, u8 status1, u8 status2);
    void advance(u32 sectors);
    u32 sectors_to_move() const;
    void start_work();
    void take_medium(const Drive& drive);
    std::optional<Disk> unneeded_medium();
    Drive* drive_at(usize place) { return place < drives_max ? &drives_[place] : nullptr; }
    void end_data(bool terminal_count);

    // The executor's side.
    bool take_job() override { return std::exchange(work_wanted_, false); }
    Task<void> do_job() override;
    void rest() override;
    Task<DiskResult<void>> access_disk(CancelToken token);
    bool fill_for_writing();
    void finish_work(DiskResult<void> outcome);

    InterruptLine& interrupt_;
    DmaController& dma_;
    u64 step_deadline_ns_;

    mutable Spinlock lock_;
    LoneTask task_;
    std::array<Drive, drives_max> drives_;
    Phase phase_ = Phase::command;
    u8 output_ = fdc::output_bit::not_reset | fdc::output_bit::dma_gate;
    u8 tape_ = 0;
    u8 rate_ = 2;

    std::array<u8, command_bytes_max> command_ = {};
    usize command_count_ = 0;
    std::array<u8, result_bytes_max> result_ = {};
    usize result_count_ = 0;
    usize result_at_ = 0;

    // What commands leave behind.
    std::array<u8, drive_selects> pending_status_ = {};  ///< ST0 for SENSE INTERRUPT STATUS
    u8 pending_ = 0;                                     ///< a bit for each of them
    u8 busy_drives_ = 0;                                 ///< seeks that were not sensed yet
    std::array<u8, drive_selects> cylinders_ = {};       ///< PCN
    u8 specify_[2] = {};
    u8 configure_ = fdc::configure_bit::fifo_off;
    u8 precompensation_ = 0;
    u8 perpendicular_ = 0;
    u8 end_of_track_ = 0;
    bool is_locked_ = false;

    Operation operation_;
    std::array<std::byte, buffer_bytes> buffer_ = {};
    usize buffer_at_ = 0;
    bool work_wanted_ = false;
    bool leaves_reset_ = false;  ///< as soon as nothing is under way
};

}  // namespace undercroft::floppy
