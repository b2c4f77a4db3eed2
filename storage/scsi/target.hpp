// A SCSI target device: logical units by number, and task management over them. Transports (virtio-scsi, StorVSP,
// vhost-user) give it their requests; it knows no ring and no queue.
//
// - `execute` and `manage` may be called on any executor, any number at a time. A slow unit holds up nobody but those
//   who wait for it: units share nothing but this table.
// - `add`, `remove` and `close` are called on one executor, where the units' watchers run. Units may be added and
//   removed while commands run.
// - A LUN that has no unit answers too, as SPC-4 says (6.4.1, 6.33, 6.39).
#pragma once

#include <array>

#include "kernel/async/task_group.hpp"
#include "storage/in_flight.hpp"
#include "storage/scsi/logical_unit.hpp"

namespace undercroft::scsi {

inline constexpr u32 luns_max = 256;
/// The well-known logical unit REPORT LUNS, as the first two bytes of its address (SAM-5 4.7.7.5).
inline constexpr u32 report_luns_unit = 0xc101;
/// No unit can be there.
inline constexpr u32 no_lun = 0xffff'ffff;

/// The unit that an 8-byte LUN addresses (SAM-5 4.7): peripheral, flat and extended flat addressing of a single level,
/// and the well-known unit; else `no_lun`.
u32 decode_lun(std::span<const u8, 8> address);

/// SAM-5 7.1.
enum class TaskManagement : u8 {
    abort_task,
    abort_task_set,
    clear_aca,
    clear_task_set,
    i_t_nexus_reset,
    logical_unit_reset,
    query_task,
    query_task_set,
    target_reset,
};

enum class TaskManagementResponse : u8 {
    complete,   ///< done; a query: no such task
    succeeded,  ///< a query: there is such a task
    rejected,
    incorrect_lun,
};

class Target final : private LunList, private UnitListener {
public:
    /// `listener`, which may be null, outlives the target. `nexuses`: what each unit's identity must at least have.
    explicit Target(UnitListener* listener = nullptr, u32 nexuses = 1);
    ~Target() override;

    /// Puts `unit` there and watches it from now on, on the current executor. Initiators are told. `out_of_range`;
    /// `busy` where there is one already; `invalid_argument` where it serves too few nexuses.
    Result<void> add(u32 lun, std::shared_ptr<LogicalUnit> unit);
    /// Takes the unit away: its commands are aborted and have ended when this has. `not_found`.
    Task<Result<void>> remove(u32 lun);
    /// Removes all.
    Task<void> close();
    /// The unit there now, or null; for those who change it from outside (media).
    std::shared_ptr<LogicalUnit> unit(u32 lun) const;
    /// The units, for `inspect`. Any executor.
    void describe(inspect::Node& node) const;

    /// What a reset of the transport does to every unit (SAM-5 6.3.2), where no command is under way any more.
    void reset();

    /// Carries out one command. `request` stays valid until the task has ended. `lun` as `decode_lun` gave it.
    Task<Completion> execute(u32 lun, const Request& request);
    /// Ends when the function has taken effect: of commands that it aborts, none completes later (unless `cancel` asked
    /// first). `tag` for `abort_task` and `query_task`.
    Task<TaskManagementResponse> manage(u32 lun, TaskManagement function, u32 nexus, u64 tag, CancelToken cancel = {});

private:
    struct Slot {
        InFlightList tasks;
        std::shared_ptr<LogicalUnit> unit;  // changes under the lock of `tasks`
        std::unique_ptr<TaskGroup> watcher;
    };
    i32 next_lun(i32 lun) const override;
    void reported(u32 nexus) override;
    usize commands_of(u32 lun) const override;
    void unit_event(u32 lun, UnitEvent event) override;
    void luns_changed(u32 except);
    Slot* slot_of(u32 lun) const { return lun < luns_max ? &slots_[lun] : nullptr; }
    Task<Completion> execute_in(Slot& slot, const Request& request);
    Task<void> abort_in(Slot& slot, TaskManagement function, u32 nexus, u64 tag, CancelToken cancel);
    Task<TaskManagementResponse> reset_all(TaskManagement function, u32 nexus, CancelToken cancel);

    UnitListener* listener_;
    u32 nexuses_;
    LogicalUnit missing_;
    LogicalUnit report_luns_;
    std::unique_ptr<std::array<Slot, luns_max>> storage_;
    std::array<Slot, luns_max>& slots_;
};

}  // namespace undercroft::scsi
