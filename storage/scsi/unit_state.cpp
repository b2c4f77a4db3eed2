// What a unit is beside its commands: what it has to tell, what a reset does, and how a command ends that fails.
#include <algorithm>

#include "kernel/base/assert.hpp"
#include "storage/scsi/logical_unit.hpp"

namespace undercroft::scsi {

LogicalUnit::LogicalUnit(UnitKind kind, DeviceType type, UnitIdentity identity, std::span<const ModePage> pages)
    : kind_(kind), type_(type), identity_(std::move(identity)), modes_(pages) {
    ASSERT(identity_.nexuses >= 1 && identity_.nexuses <= nexuses_max);
    identity_.serial.resize(std::min(identity_.serial.size(), serial_bytes_max));
    nexuses_ = std::make_unique<NexusState[]>(identity_.nexuses);
    if (kind_ == UnitKind::block || kind_ == UnitKind::optical) {
        raise(UnitAttention::power_on);
    }
}

LogicalUnit::~LogicalUnit() = default;

Completion LogicalUnit::refuse_cdb(const Request& request, const Result<const Command*, CdbFault>& command) const {
    if (kind_ == UnitKind::missing) {
        return check(request, SenseKey::illegal_request, AdditionalSense::logical_unit_not_supported);
    }
    // A command that this unit has not is unknown, whatever its fields hold.
    std::span<const Command> rows = commands_with(request.cdb.empty() ? u8{0} : static_cast<u8>(request.cdb[0]));
    bool is_known =
        std::any_of(rows.begin(), rows.end(), [this](const Command& row) { return row.is_for(kind_) && offers(row); });
    if (command || !is_known) {
        return check(request, SenseKey::illegal_request, AdditionalSense::invalid_operation_code);
    }
    return refuse_field(request, command.error().field_byte);
}

void LogicalUnit::raise(UnitAttention attention, u32 except) {
    for (u32 nexus = 0; nexus < identity_.nexuses; ++nexus) {
        if (nexus != except) {
            nexuses_[nexus].attentions.raise(attention);
        }
    }
}

void LogicalUnit::reset(UnitAttention why) {
    reserved_by_.store(0, std::memory_order_release);
    modes_.set_defaults();
    modes_changed();
    for (u32 nexus = 0; nexus < identity_.nexuses; ++nexus) {
        nexuses_[nexus].attentions.reset_to(why);
        nexuses_[nexus].prevents_removal.store(false, std::memory_order_relaxed);
    }
    prevention_changed();
}

void LogicalUnit::lose_nexus(u32 nexus) {
    u32 holder = nexus + 1;
    reserved_by_.compare_exchange_strong(holder, 0);
    nexuses_[nexus].attentions.reset_to(UnitAttention::nexus_loss);
    nexuses_[nexus].prevents_removal.store(false, std::memory_order_relaxed);
    prevention_changed();
}

Task<void> LogicalUnit::watch(CancelToken) { co_return; }

void LogicalUnit::attach(u32 lun, UnitListener* listener, LunList* neighbours) {
    lun_ = lun;
    listener_ = listener;
    neighbours_ = neighbours;
}

void LogicalUnit::tell(UnitEvent event) const {
    if (listener_ != nullptr) {
        listener_->unit_event(lun_, event);
    }
}

bool LogicalUnit::is_removal_prevented() const {
    return std::any_of(nexuses_.get(), nexuses_.get() + identity_.nexuses,
                       [](const NexusState& nexus) { return nexus.prevents_removal.load(std::memory_order_relaxed); });
}

Completion LogicalUnit::check(const Request& request, Sense sense) const {
    sense.as_descriptors = descriptor_sense_.load(std::memory_order_relaxed);
    if (identity_.keeps_sense) {
        nexuses_[request.nexus].last_sense = sense;
    }
    Completion completion = succeed(request);
    completion.status = Status::check_condition;
    completion.sense = sense;
    return completion;
}

Completion LogicalUnit::check(const Request& request, SenseKey key, AdditionalSense code) const {
    return check(request, Sense{.key = key, .code = code});
}

Completion LogicalUnit::refuse_field(const Request& request, u8 byte) const {
    return check(request, Sense{.key = SenseKey::illegal_request,
                                .code = AdditionalSense::invalid_field_in_cdb,
                                .names_field = true,
                                .field_byte = byte});
}

Completion LogicalUnit::refuse_parameter(const Request& request, u16 byte) const {
    return check(request, Sense{.key = SenseKey::illegal_request,
                                .code = AdditionalSense::invalid_field_in_parameter_list,
                                .names_field = true,
                                .field_is_in_cdb = false,
                                .field_byte = byte});
}

Completion LogicalUnit::failed(const Request& request, DiskError error) const {
    const ErrorReport& report = report_of(error);
    Completion completion = check(request, report.key, report.code);
    completion.status = report.status;
    if (error == DiskError::cancelled) {
        completion.delivery = Delivery::aborted;
    }
    return completion;
}

Completion LogicalUnit::overrun(const Request& request) const {
    Completion completion = check(request, SenseKey::illegal_request, AdditionalSense::invalid_field_in_cdb);
    completion.delivery = Delivery::overrun;
    return completion;
}

}  // namespace undercroft::scsi
