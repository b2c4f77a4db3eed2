// The table of units, and task management: what is rare.
#include "storage/scsi/target.hpp"

namespace undercroft::scsi {

namespace {

UnitIdentity identity_for(u32 nexuses) { return {.product = "Undercroft", .nexuses = nexuses}; }

}  // namespace

u32 decode_lun(std::span<const u8, 8> address) {
    for (usize byte = 4; byte < 8; ++byte) {
        if (address[byte] != 0) {
            return no_lun;
        }
    }
    u32 first = u32{address[0]} << 8 | address[1];
    u32 second = u32{address[2]} << 8 | address[3];
    switch (first >> 14) {
    case 0:  // peripheral: bus 0 alone
    case 1:  // flat
        return second == 0 && (first >> 8 == 0 || first >> 14 == 1) ? first & 0x3fff : no_lun;
    case 3:
        if (first == report_luns_unit && second == 0) {
            return report_luns_unit;
        }
        // Extended flat, two bytes long (D2h): the number is 24 bits.
        return address[0] == 0xd2 ? u32{address[1]} << 16 | second : no_lun;
    default:
        return no_lun;
    }
}

Target::Target(UnitListener* listener, u32 nexuses)
    : listener_(listener), nexuses_(nexuses), missing_(UnitKind::missing, DeviceType::none, identity_for(nexuses)),
      report_luns_(UnitKind::well_known, DeviceType::well_known, identity_for(nexuses)),
      storage_(std::make_unique<std::array<Slot, luns_max>>()), slots_(*storage_) {
    missing_.attach(no_lun, nullptr, this);
    report_luns_.attach(report_luns_unit, nullptr, this);
}

Target::~Target() {
    for (const Slot& slot : slots_) {
        ASSERT(slot.unit == nullptr);  // `close` comes first
    }
}

Result<void> Target::add(u32 lun, std::shared_ptr<LogicalUnit> unit) {
    Slot* slot = slot_of(lun);
    if (slot == nullptr) {
        return fail(Error::out_of_range);
    }
    if (unit == nullptr || unit->identity().nexuses < nexuses_) {
        return fail(Error::invalid_argument);
    }
    if (slot->unit != nullptr) {
        return fail(Error::busy);
    }
    unit->attach(lun, this, this);
    slot->watcher = std::make_unique<TaskGroup>();
    slot->tasks.locked([&] { slot->unit = unit; });
    slot->watcher->spawn(unit->watch(slot->watcher->token()));
    luns_changed(lun);
    unit_event(lun, UnitEvent::added);
    return {};
}

Task<Result<void>> Target::remove(u32 lun) {
    Slot* slot = slot_of(lun);
    if (slot == nullptr || slot->unit == nullptr) {
        co_return fail(Error::not_found);
    }
    std::shared_ptr<LogicalUnit> leaving;
    slot->tasks.locked([&] { leaving = std::move(slot->unit); });
    slot->tasks.abort([](const InFlight&) { return true; }, static_cast<u8>(Delivery::aborted));
    (void)co_await slot->tasks.wait_for_aborted({});  // each ends within a bound: the contract of `Disk`
    slot->watcher->stop();
    (void)co_await slot->watcher->join();
    slot->watcher = nullptr;
    leaving->attach(0, nullptr, nullptr);
    luns_changed(lun);
    unit_event(lun, UnitEvent::removed);
    co_return Result<void>{};
}

Task<void> Target::close() {
    for (u32 lun = 0; lun < luns_max; ++lun) {
        if (slots_[lun].unit != nullptr) {
            (void)co_await remove(lun);
        }
    }
}

std::shared_ptr<LogicalUnit> Target::unit(u32 lun) const {
    std::shared_ptr<LogicalUnit> found;
    if (Slot* slot = slot_of(lun)) {
        slot->tasks.locked([&] { found = slot->unit; });
    }
    return found;
}

Task<void> Target::abort_in(Slot& slot, TaskManagement function, u32 nexus, u64 tag, CancelToken cancel) {
    bool all_nexuses = function == TaskManagement::clear_task_set || function == TaskManagement::logical_unit_reset ||
                       function == TaskManagement::target_reset;
    bool is_reset = all_nexuses && function != TaskManagement::clear_task_set;
    auto matches = [&](const InFlight& task) {
        return (all_nexuses || task.owner() == nexus) && (function != TaskManagement::abort_task || task.tag() == tag);
    };
    std::shared_ptr<LogicalUnit> unit;
    slot.tasks.locked([&] { unit = slot.unit; });
    if (unit != nullptr && function == TaskManagement::clear_task_set &&
        slot.tasks.has([&](const InFlight& task) { return task.owner() != nexus; })) {
        unit->raise(UnitAttention::commands_cleared, nexus);
    }
    slot.tasks.abort(matches, static_cast<u8>(is_reset ? Delivery::reset : Delivery::aborted));
    (void)co_await slot.tasks.wait_for_aborted(cancel);
    if (unit != nullptr && is_reset) {
        unit->reset(function == TaskManagement::target_reset ? UnitAttention::bus_reset : UnitAttention::device_reset);
    } else if (unit != nullptr && function == TaskManagement::i_t_nexus_reset) {
        unit->lose_nexus(nexus);
    }
}

Task<TaskManagementResponse> Target::reset_all(TaskManagement function, u32 nexus, CancelToken cancel) {
    for (Slot& slot : slots_) {
        if (slot.unit != nullptr) {
            co_await abort_in(slot, function, nexus, 0, cancel);
        }
    }
    co_return TaskManagementResponse::complete;
}

Task<TaskManagementResponse> Target::manage(u32 lun, TaskManagement function, u32 nexus, u64 tag, CancelToken cancel) {
    using enum TaskManagement;
    if (nexus >= nexuses_) {
        co_return TaskManagementResponse::rejected;
    }
    if (function == target_reset || function == i_t_nexus_reset) {
        co_return co_await reset_all(function, nexus, cancel);
    }
    Slot* slot = slot_of(lun);
    if (unit(lun) == nullptr) {
        co_return lun == report_luns_unit ? TaskManagementResponse::complete : TaskManagementResponse::incorrect_lun;
    }
    switch (function) {
    case query_task:
    case query_task_set: {
        bool found = slot->tasks.has([&](const InFlight& task) {
            return task.owner() == nexus && (function == query_task_set || task.tag() == tag);
        });
        co_return found ? TaskManagementResponse::succeeded : TaskManagementResponse::complete;
    }
    case clear_aca:
        co_return TaskManagementResponse::rejected;  // NORMACA is 0: there is no ACA to clear
    default:
        co_await abort_in(*slot, function, nexus, tag, cancel);
        co_return TaskManagementResponse::complete;
    }
}

i32 Target::next_lun(i32 lun) const {
    for (++lun; lun < static_cast<i32>(luns_max); ++lun) {
        bool is_there = false;
        Slot& slot = slots_[static_cast<u32>(lun)];
        slot.tasks.locked([&] { is_there = slot.unit != nullptr; });
        if (is_there) {
            return lun;
        }
    }
    return -1;
}

void Target::reported(u32 nexus) {
    for (u32 lun = 0; lun < luns_max; ++lun) {
        if (std::shared_ptr<LogicalUnit> there = unit(lun)) {
            there->clear_for(nexus, UnitAttention::reported_luns_changed);
        }
    }
}

usize Target::commands_of(u32 lun) const { return lun < luns_max ? slots_[lun].tasks.count() : 0; }

void Target::reset() {
    for (u32 lun = 0; lun < luns_max; ++lun) {
        if (std::shared_ptr<LogicalUnit> there = unit(lun)) {
            there->reset(UnitAttention::bus_reset);
        }
    }
}

void Target::luns_changed(u32 except) {
    for (u32 lun = 0; lun < luns_max; ++lun) {
        if (std::shared_ptr<LogicalUnit> there = unit(lun); there != nullptr && lun != except) {
            there->raise(UnitAttention::reported_luns_changed);
        }
    }
}

void Target::unit_event(u32 lun, UnitEvent event) {
    if (listener_ != nullptr) {
        listener_->unit_event(lun, event);
    }
}

}  // namespace undercroft::scsi
