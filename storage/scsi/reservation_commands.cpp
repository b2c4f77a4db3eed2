// PERSISTENT RESERVE IN and OUT (SPC-4 5.13, 6.15, 6.16) over what the disk offers, and what the other initiators are told.
// Leaves out, as `PersistentReservations` does, SPEC_I_PT and ALL_TG_PT.
#include <algorithm>

#include "storage/reservation_registry.hpp"
#include "storage/scsi/block_unit.hpp"
#include "storage/scsi/response.hpp"

namespace undercroft::scsi {

namespace {

/// SPC-4 table 242.
struct ReserveOutParameters {
    Be<u64> key = 0;
    Be<u64> service_action_key = 0;
    u8 obsolete[4] = {};
    u8 flags = 0;
    u8 reserved = 0;
    u8 obsolete_too[2] = {};
};
static_assert(sizeof(ReserveOutParameters) == 24 && offsetof(ReserveOutParameters, flags) == 20);
constexpr u8 persist_through_power_loss = 0x01;  // APTPL

/// SPC-4 table 228, the part that all but REPORT CAPABILITIES begin with.
struct ReserveInHeader {
    Be<u32> generation = 0;
    Be<u32> bytes = 0;  // of what follows
};
static_assert(sizeof(ReserveInHeader) == 8 && offsetof(ReserveInHeader, bytes) == 4);

/// SPC-4 table 230, behind the header.
struct ReservationDescriptor {
    Be<u64> key = 0;
    u8 obsolete[4] = {};
    u8 reserved = 0;
    u8 scope_and_type = 0;
    u8 obsolete_too[2] = {};
};
static_assert(sizeof(ReservationDescriptor) == 16 && offsetof(ReservationDescriptor, scope_and_type) == 13);

/// SPC-4 table 233.
struct CapabilitiesData {
    Be<u16> bytes = 8;
    u8 features = 0;    // PTPL_C bit 0
    u8 type_valid = 0;  // TMV bit 7, PTPL_A bit 0
    Be<u16> types = 0;
    u8 reserved[2] = {};
};
static_assert(sizeof(CapabilitiesData) == 8 && offsetof(CapabilitiesData, types) == 4);

/// A TransportID of SAS (SPC-4 table 506), whose address is that of a host (`ReservationAddress`).
struct TransportId {
    u8 protocol = 0x06;  // and the format, in bits 6 and 7
    u8 reserved[3] = {};
    ReservationAddress address = {};
    u8 reserved_too[12] = {};
};
static_assert(sizeof(TransportId) == 24 && offsetof(TransportId, reserved_too) == 12);
constexpr u8 transport_format_and_protocol = 0xcf;

constexpr u16 only_target_port = 1;

/// SPC-4 table 236.
struct FullStatusDescriptor {
    Be<u64> key = 0;
    u8 reserved[4] = {};
    u8 flags = 0;  // R_HOLDER bit 0
    u8 scope_and_type = 0;
    u8 reserved_too[4] = {};
    Be<u16> target_port = only_target_port;
    Be<u32> transport_bytes = sizeof(TransportId);
    TransportId transport = {};
};
static_assert(sizeof(FullStatusDescriptor) == 48 && offsetof(FullStatusDescriptor, transport) == 24);

/// SPC-4 table 245, whose end may be a longer TransportID than ours.
struct MoveParameters {
    Be<u64> key = 0;
    Be<u64> service_action_key = 0;
    u8 reserved = 0;
    u8 flags = 0;  // UNREG bit 1, APTPL bit 0
    Be<u16> target_port = 0;
    Be<u32> transport_bytes = 0;
    TransportId transport = {};
};
static_assert(sizeof(MoveParameters) == 48 && offsetof(MoveParameters, transport) == 24);
constexpr u8 unregister_after_move = 0x02;  // UNREG

}  // namespace

bool BlockUnit::has_registrants() const {
    return seen_ != nullptr && disk().reservations()->standing().registrants > 0;
}

// SPC-4 table 66: what only asks is kept out by a reservation that excludes readers, all else by any.
bool BlockUnit::is_kept_out(const Cdb& cdb, u32 nexus) const {
    constexpr u8 starts = 0x01;
    constexpr u8 prevents = 0x01;
    ReservationStanding standing = reservations_of(nexus)->standing();
    switch (cdb.opcode()) {
    case Opcode::mode_sense_6:
    case Opcode::mode_sense_10:
        return !standing.admits_reads();
    case Opcode::start_stop_unit:
        return (cdb[4] & starts) == 0 && !standing.admits_writes();
    case Opcode::prevent_allow_medium_removal:
        return (cdb[4] & prevents) != 0 && !standing.admits_writes();
    default:
        return !standing.admits_writes();
    }
}

// Whoever changes reservations may be another initiator of this unit, or a host with another way to the medium: each
// nexus compares what it sees now with what it saw (SPC-4 5.13.11).
void BlockUnit::look_around(u32 nexus) {
    PersistentReservations& reservations = *reservations_of(nexus);
    SeenReservation& seen = seen_[nexus];
    u64 changes = reservations.changes();
    if (changes == seen.changes.load(std::memory_order_relaxed)) [[likely]] {
        return;
    }
    seen.changes.store(changes, std::memory_order_relaxed);
    ReservationStanding now = reservations.standing();
    bool was_registered = seen.is_registered.exchange(now.is_registered, std::memory_order_relaxed);
    ReservationType type = seen.type.exchange(now.type, std::memory_order_relaxed);
    if (was_registered && !now.is_registered) {
        // Nobody is left after CLEAR alone.
        raise_for(nexus, now.registrants == 0 ? UnitAttention::reservations_preempted
                                              : UnitAttention::registrations_preempted);
    } else if (was_registered && admits_registrants(type) && now.type != type) {
        raise_for(nexus, UnitAttention::reservations_released);
    }
}

Task<Completion> BlockUnit::reserve_in(Cdb cdb, const Request& request) {
    if (is_reserved()) {
        return Task<Completion>::ready(failed(request, DiskError::reservation_conflict));
    }
    if (cdb.service_action() == service_report_capabilities) {
        return Task<Completion>::ready(reservation_capabilities(cdb, request));
    }
    return reservation_keys(cdb, request);
}

Completion BlockUnit::reservation_capabilities(const Cdb& cdb, const Request& request) const {
    ReservationCapabilities can = disk().reservations()->capabilities();
    CapabilitiesData data;
    data.features = can.persist_through_power_loss ? 1 : 0;
    data.type_valid = 0x80;
    u16 types = 0;
    for (u8 type = 1; type <= 6; ++type) {
        if ((can.types & 1U << type) != 0) {
            // The type with code n has bit n of the first byte; code 8 has bit 0 of the second.
            u8 code = scsi_code(static_cast<ReservationType>(type));
            types = static_cast<u16>(types | (code == 8 ? 0x0001 : 0x100 << code));
        }
    }
    data.types = types;
    return respond(request, cdb.be16(7), data);
}

Task<Completion> BlockUnit::reservation_keys(Cdb cdb, const Request& request) {
    constexpr usize registrants_max = ReservationState::registrants_max;
    std::unique_ptr<Registrant[]> registrants(new (std::nothrow) Registrant[registrants_max]);
    DiskResult<ReservationReport> report = fail(DiskError::io);
    if (registrants != nullptr) {
        report = co_await reservations_of(request.nexus)->report({registrants.get(), registrants_max}, request.cancel);
    }
    if (!report) {
        co_return failed(request, report.error());
    }
    u8 action = cdb.service_action();
    usize count = std::min(report->registrants, registrants_max);
    bool is_held = report->type != ReservationType::none;
    u8 type = scsi_code(report->type);
    usize each = action == service_read_keys ? sizeof(Be<u64>) : sizeof(FullStatusDescriptor);
    usize bytes = action == service_read_reservation ? (is_held ? sizeof(ReservationDescriptor) : 0) : count * each;
    ResponseWriter writer(request, cdb.be16(7));
    writer.put_part(ReserveInHeader{.generation = report->generation, .bytes = static_cast<u32>(bytes)});
    if (action == service_read_reservation) {
        if (is_held) {
            writer.put_part(ReservationDescriptor{.key = report->holder_key, .scope_and_type = type});
        }
        co_return completion_of(request, writer);
    }
    for (usize index = 0; index < count; ++index) {
        const Registrant& registrant = registrants[index];
        if (action == service_read_keys) {
            writer.put_part(Be<u64>(registrant.key));
            continue;
        }
        FullStatusDescriptor status{.key = registrant.key};
        status.flags = registrant.is_holder ? 1 : 0;
        status.scope_and_type = registrant.is_holder ? type : u8{0};
        std::copy_n(registrant.host.begin(), status.transport.address.size(), status.transport.address.begin());
        writer.put_part(status);
    }
    co_return completion_of(request, writer);
}

Task<Completion> BlockUnit::reserve_out(Cdb cdb, const Request& request) {
    u8 action = cdb.service_action();
    u8 type_code = cdb[2] & 0x0f;
    ReservationType type = reservation_type_of_scsi(type_code).value_or(ReservationType::none);
    if (is_reserved()) {
        co_return failed(request, DiskError::reservation_conflict);
    }
    if (action == service_register_and_move) {
        co_return co_await register_and_move(cdb, request);
    }
    bool uses_type = action == service_reserve || action == service_release || action == service_preempt ||
                     action == service_preempt_and_abort;
    bool needs_type = action == service_reserve || action == service_release;
    if (uses_type && (cdb[2] >> 4 != 0 || (needs_type && type == ReservationType::none))) {
        co_return refuse_field(request, 2);
    }
    ReserveOutParameters list;
    if (cdb.be32(5) != sizeof(list)) {
        co_return check(request, SenseKey::illegal_request, AdditionalSense::parameter_list_length_error);
    }
    if (total_bytes(request.data_out) < sizeof(list)) {
        co_return overrun(request);
    }
    SegmentCursor(request.data_out).copy_out(std::as_writable_bytes(std::span(&list, 1)));
    PersistentReservations& reservations = *reservations_of(request.nexus);
    bool registers = action == service_register || action == service_register_and_ignore;
    bool persists = (list.flags & persist_through_power_loss) != 0;
    if (registers && ((list.flags & ~persist_through_power_loss) != 0 ||
                      (persists && !reservations.capabilities().persist_through_power_loss))) {
        co_return refuse_parameter(request, offsetof(ReserveOutParameters, flags));
    }
    DiskResult<void> result;
    if (registers) {
        RegisterRequest change{.new_key = list.service_action_key, .persist_through_power_loss = persists};
        if (action == service_register) {
            change.current_key = list.key;
        }
        // Who is not registered and asks not to be: nothing (SPC-4 table 244).
        bool is_nothing = list.service_action_key == 0 && (action != service_register || list.key == 0) &&
                          !reservations.standing().is_registered;
        if (!is_nothing) {
            result = co_await reservations.register_key(change, request.cancel);
        }
    } else if (action == service_reserve) {
        result = co_await reservations.reserve(list.key, type, request.cancel);
    } else if (action == service_release) {
        result = co_await reservations.release(list.key, type, request.cancel);
    } else if (action == service_clear) {
        result = co_await reservations.clear(list.key, request.cancel);
    } else {
        AbortTasks abort = action == service_preempt_and_abort ? AbortTasks::yes : AbortTasks::no;
        result = co_await reservations.preempt(list.key, list.service_action_key, type, abort, request.cancel);
    }
    if (!result) {
        if (registers && result.error() == DiskError::io) {
            co_return check(request, SenseKey::illegal_request, AdditionalSense::insufficient_registration_resources);
        }
        if (result.error() == DiskError::invalid_input) {
            co_return check(request, SenseKey::illegal_request,
                            action == service_release ? AdditionalSense::invalid_release_of_reservation
                                                      : AdditionalSense::invalid_field_in_parameter_list);
        }
        co_return failed(request, result.error());
    }
    note_own_change(request.nexus);
    co_return succeed(request, sizeof(list));
}

// What a nexus did itself is no news to it.
void BlockUnit::note_own_change(u32 nexus) {
    SeenReservation& seen = seen_[nexus];
    ReservationStanding now = reservations_of(nexus)->standing();
    seen.is_registered.store(now.is_registered, std::memory_order_relaxed);
    seen.type.store(now.type, std::memory_order_relaxed);
}

Task<Completion> BlockUnit::register_and_move(Cdb cdb, const Request& request) {
    PersistentReservations& reservations = *reservations_of(request.nexus);
    u32 list_bytes = cdb.be32(5);
    MoveParameters list;
    if (list_bytes < sizeof(list)) {
        co_return check(request, SenseKey::illegal_request, AdditionalSense::parameter_list_length_error);
    }
    if (total_bytes(request.data_out) < list_bytes) {
        co_return overrun(request);
    }
    SegmentCursor(request.data_out).copy_out(std::as_writable_bytes(std::span(&list, 1)));
    bool persists = (list.flags & persist_through_power_loss) != 0;
    if ((list.flags & ~(persist_through_power_loss | unregister_after_move)) != 0 ||
        (persists && !reservations.capabilities().persist_through_power_loss)) {
        co_return refuse_parameter(request, offsetof(MoveParameters, flags));
    }
    if (list.target_port != only_target_port) {
        co_return refuse_parameter(request, offsetof(MoveParameters, target_port));
    }
    if (list.transport_bytes != list_bytes - offsetof(MoveParameters, transport)) {
        co_return refuse_parameter(request, offsetof(MoveParameters, transport_bytes));
    }
    if ((list.transport.protocol & transport_format_and_protocol) != TransportId{}.protocol) {
        co_return refuse_parameter(request, offsetof(MoveParameters, transport));
    }
    ReservationStanding before = reservations.standing();
    if (before.is_registered && before.type == ReservationType::none) {
        co_return refuse_field(request, 1);  // there is nothing to move (SPC-4 5.13.8)
    }
    DiskResult<void> result = co_await reservations.move({.key = list.key,
                                                          .new_key = list.service_action_key,
                                                          .to = list.transport.address,
                                                          .unregister = (list.flags & unregister_after_move) != 0,
                                                          .persist_through_power_loss = persists},
                                                         request.cancel);
    if (!result && result.error() == DiskError::io) {
        co_return check(request, SenseKey::illegal_request, AdditionalSense::insufficient_registration_resources);
    }
    if (!result && result.error() == DiskError::invalid_input) {
        bool has_key = list.service_action_key != 0;
        co_return refuse_parameter(request, has_key ? offsetof(MoveParameters, transport)
                                                    : offsetof(MoveParameters, service_action_key));
    }
    if (!result) {
        co_return failed(request, result.error());
    }
    note_own_change(request.nexus);
    co_return succeed(request, list_bytes);
}

}  // namespace undercroft::scsi
