// Persistent reservations of a disk, as its frontends see them: the one vocabulary under SCSI's PERSISTENT RESERVE IN
// and OUT (SPC-4 5.13, 6.15, 6.16) and NVMe's Reservation Register, Acquire, Release and Report (NVM Command Set 1.0
// 3.2.x; Base 2.0 8.19). What holds them is behind it: an in-memory registry (storage/reservation_registry.hpp), or a
// physical device.
//
// A `Disk` is one host's way to the medium (SCSI: one I_T nexus; NVMe: one host identifier), and so is the
// `PersistentReservations` that it hands out: every call speaks for that host. Leaves out SCSI's SPEC_I_PT and
// ALL_TG_PT.
//
// Errors, beside those of any disk operation:
// - `reservation_conflict`: the key given is not this host's, or the state forbids it.
// - `invalid_input`: a type that does not exist or is not the reservation's, a key of 0 where that means nothing.
#pragma once

#include <span>

#include "storage/disk.hpp"

namespace undercroft {

/// A key that a host registers under. 0 means: not registered.
using ReservationKey = u64;

/// Who a registrant is: SCSI frontends fill it with what they can tell of the initiator, NVMe with the host identifier.
using ReservationHostId = std::array<std::byte, 16>;

/// In NVMe's order and with its codes (RTYPE). SCSI's are in `scsi_code`.
enum class ReservationType : u8 {
    none = 0,
    write_exclusive = 1,
    exclusive_access = 2,
    write_exclusive_registrants_only = 3,
    exclusive_access_registrants_only = 4,
    write_exclusive_all_registrants = 5,
    exclusive_access_all_registrants = 6,
};

/// SPC-4 table 60 (TYPE field): 1, 3, 5, 6, 7, 8; 0 for `none`.
constexpr u8 scsi_code(ReservationType type) {
    constexpr u8 codes[] = {0, 1, 3, 5, 6, 7, 8};
    return codes[static_cast<u8>(type)];
}
/// The type with that TYPE field; nothing for the codes that are reserved or obsolete.
constexpr std::optional<ReservationType> reservation_type_of_scsi(u8 code) {
    for (u8 type = 1; type <= 6; ++type) {
        if (scsi_code(static_cast<ReservationType>(type)) == code) {
            return static_cast<ReservationType>(type);
        }
    }
    return std::nullopt;
}
/// Reads of those who may not access it are refused as well, not their writes alone.
constexpr bool excludes_reads(ReservationType type) {
    return type == ReservationType::exclusive_access || type == ReservationType::exclusive_access_registrants_only ||
           type == ReservationType::exclusive_access_all_registrants;
}
/// Every registrant has the holder's access.
constexpr bool admits_registrants(ReservationType type) {
    return type >= ReservationType::write_exclusive_registrants_only;
}
/// Every registrant is a holder.
constexpr bool is_held_by_all(ReservationType type) { return type >= ReservationType::write_exclusive_all_registrants; }

enum class AbortTasks : bool { no = false, yes = true };

struct RegisterRequest {
    /// What this host says is its key now: 0, not registered. Nothing: whatever it is (SCSI: REGISTER AND IGNORE EXISTING
    /// KEY, NVMe: IEKEY).
    std::optional<ReservationKey> current_key = std::nullopt;
    /// 0 unregisters.
    ReservationKey new_key = 0;
    /// Whether registrations survive a loss of power from now on; nothing: as before.
    std::optional<bool> persist_through_power_loss = std::nullopt;
};

/// The half of a `ReservationHostId` by which initiators name each other: a SAS address in a TransportID.
using ReservationAddress = std::array<std::byte, 8>;

/// REGISTER AND MOVE (SPC-4 5.13.8).
struct MoveRequest {
    ReservationKey key = 0;  ///< this host's
    /// That the host at `to` gets, which need not be registered yet: the one whose identifier is the address and zeros;
    /// else the only registrant with that address.
    ReservationKey new_key = 0;
    ReservationAddress to = {};
    bool unregister = false;  ///< this host, once its reservation is the other's
    bool persist_through_power_loss = false;
};

struct Registrant {
    ReservationHostId host;
    ReservationKey key;
    bool is_holder;
};

/// One consistent view.
struct ReservationReport {
    u32 generation = 0;  ///< changes of registrations so far; wraps
    ReservationType type = ReservationType::none;
    /// Of the holder; 0 where there is none, or all registrants hold it.
    ReservationKey holder_key = 0;
    bool persists_through_power_loss = false;
    usize registrants = 0;  ///< in all, also where more than asked for
};

struct ReservationCapabilities {
    bool persist_through_power_loss = false;  ///< there is a store for it
    u8 types = 0x7e;                          ///< bit n: the type with code n
};

/// How this host stands towards the reservation, at one moment.
struct ReservationStanding {
    bool is_registered = false;
    bool is_holder = false;
    ReservationType type = ReservationType::none;
    usize registrants = 0;

    /// Whether it may read the medium, or change it.
    bool admits_reads() const { return !excludes_reads(type) || is_admitted(); }
    bool admits_writes() const { return type == ReservationType::none || is_admitted(); }

private:
    bool is_admitted() const { return is_registered && (is_holder || admits_registrants(type)); }
};

/// See above. Calls may come on any executor.
class PersistentReservations {
public:
    virtual ~PersistentReservations() = default;

    virtual ReservationCapabilities capabilities() const = 0;
    /// A number that is another after each change, whoever made it; cheap enough to ask before each command.
    virtual u64 changes() const = 0;
    virtual ReservationStanding standing() const = 0;
    /// Registers, changes or removes this host's key. Removing it releases what it alone held.
    virtual Task<DiskResult<void>> register_key(RegisterRequest request, CancelToken cancel) = 0;
    /// Reserves. Succeeds as well where this host holds a reservation of that type already.
    virtual Task<DiskResult<void>> reserve(ReservationKey key, ReservationType type, CancelToken cancel) = 0;
    /// Releases. Succeeds without effect where this registrant holds none.
    virtual Task<DiskResult<void>> release(ReservationKey key, ReservationType type, CancelToken cancel) = 0;
    /// Ends the reservation and every registration.
    virtual Task<DiskResult<void>> clear(ReservationKey key, CancelToken cancel) = 0;
    /// Removes the registrations under `victim` (0, where all registrants hold: all others) and takes over the
    /// reservation with `type` where `victim` held it. With `abort`, their operations in flight end with
    /// `aborted_by_preempt`, and all have ended when this does.
    virtual Task<DiskResult<void>> preempt(ReservationKey key, ReservationKey victim, ReservationType type,
                                           AbortTasks abort, CancelToken cancel) = 0;
    /// Registers another host and hands it this one's reservation, which not all registrants hold. `invalid_input`: to
    /// itself, under no key, or to an address that several registrants have.
    virtual Task<DiskResult<void>> move(MoveRequest request, CancelToken cancel) = 0;
    /// Fills the first of `registrants`, in the order of registration.
    virtual Task<DiskResult<ReservationReport>> report(std::span<Registrant> registrants, CancelToken cancel) = 0;
};

}  // namespace undercroft
