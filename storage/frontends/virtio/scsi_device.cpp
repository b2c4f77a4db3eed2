// ScsiDevice.
#include "storage/frontends/virtio/scsi_device.hpp"

#include <algorithm>

#include "storage/frontends/virtio/block_device.hpp"
#include "storage/frontends/virtio/chain_part.hpp"

namespace undercroft::virtio {

namespace {

// What a driver may set.
constexpr u32 cdb_bytes_max = 260;
constexpr u32 sense_bytes_max = 252;

constexpr u32 capacity_changed_code = 0x2a | 0x09 << 8;
constexpr u32 parameters_changed_code = 0x2a | 0x01 << 8;

/// The unit that a driver means, or nothing where it is another target's.
std::optional<u32> unit_of(const ScsiLun& lun) {
    if (lun.bytes[0] == 0xc1 && lun.bytes[1] == 0x01) {
        return scsi::report_luns_unit;
    }
    if (lun.bytes[0] != 1 || lun.bytes[1] != 0) {
        return std::nullopt;
    }
    u8 address[8] = {};
    std::copy_n(lun.bytes + 2, sizeof(lun.bytes) - 2, address);
    return scsi::decode_lun(address);
}

/// Peripheral addressing as far as that goes: Linux looks for the number as it stands there.
ScsiLun lun_of(u32 unit) {
    constexpr u32 flat = 0x4000;
    u32 address = unit < 256 ? unit : unit | flat;
    return {.bytes = {1, 0, static_cast<u8>(address >> 8), static_cast<u8>(address)}};
}

ScsiResponse response_of(scsi::Delivery delivery) {
    switch (delivery) {
    case scsi::Delivery::done:
        return ScsiResponse::ok;
    case scsi::Delivery::overrun:
        return ScsiResponse::overrun;
    case scsi::Delivery::aborted:
        return ScsiResponse::aborted;
    case scsi::Delivery::reset:
        return ScsiResponse::reset;
    }
    return ScsiResponse::aborted;
}

ScsiResponse response_of(scsi::TaskManagementResponse response) {
    switch (response) {
    case scsi::TaskManagementResponse::complete:
        return ScsiResponse::ok;
    case scsi::TaskManagementResponse::succeeded:
        return ScsiResponse::function_succeeded;
    case scsi::TaskManagementResponse::rejected:
        return ScsiResponse::function_rejected;
    case scsi::TaskManagementResponse::incorrect_lun:
        return ScsiResponse::incorrect_lun;
    }
    return ScsiResponse::function_rejected;
}

}  // namespace

// --- Configuration ---------------------------------------------------------------------------------------------------

void ScsiDevice::read_configuration(u32 offset_bytes, std::span<std::byte> into) const {
    ScsiConfig config;
    config.request_queues = request_queues_;
    config.segments_max = Chain::segments_max - 2;
    config.sectors_max = 0xffff;
    config.commands_per_lun = 128;
    config.event_bytes = sizeof(ScsiEvent);
    config.sense_bytes = sense_bytes_.load();
    config.cdb_bytes = cdb_bytes_.load();
    config.lun_max = scsi::luns_max - 1;
    copy_configuration(std::as_bytes(std::span(&config, 1)), offset_bytes, into);
}

void ScsiDevice::write_configuration(u32 offset_bytes, std::span<const std::byte> from) {
    Le<u32> value;
    if (from.size() < sizeof(value)) {
        return;
    }
    std::memcpy(&value, from.data(), sizeof(value));
    if (offset_bytes == offsetof(ScsiConfig, sense_bytes) && value <= sense_bytes_max) {
        sense_bytes_.store(value);
    } else if (offset_bytes == offsetof(ScsiConfig, cdb_bytes) && value > 0 && value <= cdb_bytes_max) {
        cdb_bytes_.store(value);
    }
}

void ScsiDevice::reset() {
    accepted_.store(0);
    sense_bytes_.store(scsi_sense_bytes_default);
    cdb_bytes_.store(scsi_cdb_bytes_default);
    // The next driver is another initiator: what this one reserved, prevented or set is no more.
    target_.reset();
    SpinlockGuard guard(events_lock_);
    event_count_ = 0;
    events_missed_ = false;
}

Task<void> ScsiDevice::close() {
    co_await target_.close();
    while (events_work_.posted) {
        co_await yield();
    }
}

// --- Requests --------------------------------------------------------------------------------------------------------

Task<Result<u32>> ScsiDevice::process(u16 queue, const Chain& chain, CancelToken cancel) {
    switch (queue) {
    case scsi_control_queue:
        return control(chain, cancel);
    case scsi_event_queue:
        return event(chain, cancel);
    default:
        return command(chain, cancel);
    }
}

Task<Result<u32>> ScsiDevice::command(const Chain& chain, CancelToken cancel) {
    u32 cdb_bytes = cdb_bytes_.load();
    u32 sense_bytes = sense_bytes_.load();
    u64 header_bytes = sizeof(ScsiCommand) + cdb_bytes;
    u64 response_bytes = sizeof(ScsiCommandResponse) + sense_bytes;
    if (total_bytes(chain.readable()) < header_bytes || total_bytes(chain.writable()) < response_bytes) {
        co_return fail(Error::malformed);
    }
    ScsiCommand header;
    std::byte cdb[cdb_bytes_max];
    SegmentCursor head(chain.readable());
    head.copy_out(std::as_writable_bytes(std::span(&header, 1)));
    head.copy_out(std::span(cdb, cdb_bytes));
    ScsiCommandResponse response;
    // Not initialised: it is on the path of every request, and most have no sense.
    std::byte sense[std::max<usize>(sense_bytes_max, scsi::sense_bytes_max)];
    u64 transferred = 0;
    if (std::optional<u32> unit = unit_of(header.lun)) {
        ChainPart data;
        SegmentList data_out = data.add(chain.readable(), header_bytes, 0);
        SegmentList data_in = data.add(chain.writable(), response_bytes, 0);
        scsi::Request request{.cdb = {cdb, cdb_bytes},
                              .data_out = data_out,
                              .data_in = data_in,
                              .nexus = 0,
                              .tag = header.tag,
                              .attribute = static_cast<scsi::TaskAttribute>(header.attribute & 3),
                              .cancel = cancel};
        scsi::Completion done = co_await target_.execute(*unit, request);
        response.status = static_cast<u8>(done.status);
        response.response = response_of(done.delivery);
        response.residual = static_cast<u32>(std::min<u64>(done.residual, ~u32{0}));
        response.sense_length = static_cast<u32>(std::min<usize>(done.encode_sense(sense), sense_bytes));
        transferred = data_in.empty() ? 0 : done.transferred;
    } else {
        response.response = ScsiResponse::bad_target;
    }
    SegmentCursor answer(chain.writable());
    answer.copy_in(std::as_bytes(std::span(&response, 1)));
    if (transferred == 0) {
        answer.copy_in(std::span(sense, response.sense_length));
        co_return static_cast<u32>(sizeof(response) + response.sense_length);
    }
    // The data are behind the sense: all before them counts as written, and so has to be.
    std::fill(sense + response.sense_length, sense + sense_bytes, std::byte{0});
    answer.copy_in(std::span(sense, sense_bytes));
    co_return static_cast<u32>(response_bytes + transferred);
}

bool ScsiDevice::went_well(u16 queue, const Chain& chain) const {
    ScsiCommandResponse response;
    if (queue < scsi_first_request_queue || total_bytes(chain.writable()) < sizeof(response)) {
        return true;
    }
    SegmentCursor(chain.writable()).copy_out(std::as_writable_bytes(std::span(&response, 1)));
    return response.response == ScsiResponse::ok && response.status == static_cast<u8>(scsi::Status::good);
}

Task<Result<u32>> ScsiDevice::control(const Chain& chain, CancelToken cancel) {
    u64 readable = total_bytes(chain.readable());
    u64 writable = total_bytes(chain.writable());
    ScsiTaskManagement request;
    Le<u32> type;
    if (readable < sizeof(type)) {
        co_return fail(Error::malformed);
    }
    SegmentCursor(chain.readable()).copy_out(std::as_writable_bytes(std::span(&type, 1)));
    if (type != static_cast<u32>(ScsiControlType::task_management)) {
        // Notifications of media and the like: none is offered, so none is got.
        ScsiNotificationsResponse none;
        if (readable < sizeof(ScsiNotifications) || writable < sizeof(none)) {
            co_return fail(Error::malformed);
        }
        SegmentCursor(chain.writable()).copy_in(std::as_bytes(std::span(&none, 1)));
        co_return u32{sizeof(none)};
    }
    if (readable < sizeof(request) || writable < sizeof(ScsiResponse)) {
        co_return fail(Error::malformed);
    }
    SegmentCursor(chain.readable()).copy_out(std::as_writable_bytes(std::span(&request, 1)));
    ScsiResponse response = ScsiResponse::function_rejected;
    std::optional<u32> unit = unit_of(request.lun);
    if (!unit) {
        response = ScsiResponse::bad_target;
    } else if (request.function <= static_cast<u32>(scsi::TaskManagement::query_task_set)) {
        auto function = static_cast<scsi::TaskManagement>(request.function.value());
        response = response_of(co_await target_.manage(*unit, function, 0, request.tag, cancel));
    }
    SegmentCursor(chain.writable()).copy_in(std::as_bytes(std::span(&response, 1)));
    co_return u32{sizeof(response)};
}

// --- Events ----------------------------------------------------------------------------------------------------------

Task<Result<u32>> ScsiDevice::event(const Chain& chain, CancelToken cancel) {
    ScsiEvent event;
    if (total_bytes(chain.writable()) < sizeof(event)) {
        co_return fail(Error::malformed);
    }
    events_executor_.store(&Executor::current());
    while (!take_event(event)) {
        if (!co_await events_waiting_.wait({.cancel = cancel})) {
            co_return fail(Error::cancelled);
        }
    }
    SegmentCursor(chain.writable()).copy_in(std::as_bytes(std::span(&event, 1)));
    co_return u32{sizeof(event)};
}

bool ScsiDevice::take_event(ScsiEvent& event) {
    SpinlockGuard guard(events_lock_);
    if (event_count_ == 0) {
        return false;
    }
    event = events_[events_begin_];
    events_begin_ = (events_begin_ + 1) % events_max;
    --event_count_;
    if (events_missed_) {
        event.event = event.event | scsi_events_missed;
        events_missed_ = false;
    }
    return true;
}

void ScsiDevice::unit_event(u32 lun, scsi::UnitEvent happened) {
    u64 needed = feature_scsi_hotplug;
    ScsiEvent event{.event = scsi_event_transport_reset, .lun = lun_of(lun), .reason = scsi_reset_rescan};
    switch (happened) {
    case scsi::UnitEvent::added:
        break;
    case scsi::UnitEvent::removed:
        event.reason = scsi_reset_removed;
        break;
    case scsi::UnitEvent::capacity_changed:
    case scsi::UnitEvent::parameters_changed:
        needed = feature_scsi_change;
        event.event = scsi_event_parameter_change;
        event.reason = happened == scsi::UnitEvent::capacity_changed ? capacity_changed_code : parameters_changed_code;
        break;
    case scsi::UnitEvent::medium_changed:
        return;  // drivers ask for that themselves, and find the unit attention
    }
    if ((accepted_.load() & needed) == 0) {
        return;
    }
    {
        SpinlockGuard guard(events_lock_);
        if (event_count_ == events_max) {
            events_missed_ = true;
        } else {
            events_[(events_begin_ + event_count_) % events_max] = event;
            ++event_count_;
        }
    }
    Executor* executor = events_executor_.load();
    if (executor != nullptr && !events_work_.posted.exchange(true)) {
        executor->post_remote(events_work_);
    }
}

void ScsiDevice::on_events(Work& self) {
    ScsiDevice& device = static_cast<EventsWork&>(self).device;
    device.events_work_.posted.store(false);
    device.events_waiting_.notify_all();
}

}  // namespace undercroft::virtio
