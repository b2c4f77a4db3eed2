// Every command's way to its unit.
#include "storage/scsi/target.hpp"

namespace undercroft::scsi {

Task<Completion> Target::execute(u32 lun, const Request& request) {
    if (Slot* slot = slot_of(lun)) [[likely]] {
        return execute_in(*slot, request);
    }
    return (lun == report_luns_unit ? report_luns_ : missing_).execute(request);
}

Task<Completion> Target::execute_in(Slot& slot, const Request& request) {
    InFlight flight(request.cancel, request.nexus, request.tag);
    LogicalUnit* unit = nullptr;
    if (!slot.tasks.enter(flight, [&] { return (unit = slot.unit.get()) != nullptr; })) {
        co_return co_await missing_.execute(request);
    }
    Request inner = request;
    inner.cancel = flight.token();
    Completion completion = co_await unit->execute(inner);
    if (u8 aborted_as = slot.tasks.leave(flight); aborted_as != 0) [[unlikely]] {
        co_await slot.tasks.finish_abort(flight);
        completion.status = Status::task_aborted;
        completion.delivery = static_cast<Delivery>(aborted_as);
    }
    co_return completion;
}

}  // namespace undercroft::scsi
