// Persistent reservations of one medium, in memory: who is registered under which key, and who holds what. Several hosts,
// each with a `ReservationsDisk` of its own over the same registry. The rules are those of SPC-4 5.13 (NVMe Base 2.0 8.19
// says the same in other words); storage/reservations.hpp has the vocabulary.
//
// May be used on several virtual processors; a spin lock guards the state, and nothing but the store is waited for.
// Leaves out telling hosts of changes (unit attentions, reservation notifications).
#pragma once

#include <array>
#include <memory>

#include "kernel/base/spinlock.hpp"
#include "storage/in_flight.hpp"
#include "storage/reservations.hpp"

namespace undercroft {

/// All there is to remember.
struct ReservationState {
    static constexpr usize registrants_max = 64;

    u64 version = 0;  ///< counts changes; only grows
    u32 generation = 0;
    ReservationType type = ReservationType::none;
    bool persists_through_power_loss = false;
    usize registrant_count = 0;
    std::array<Registrant, registrants_max> registrants = {};  ///< in the order of registration

    std::span<const Registrant> list() const { return std::span(registrants).first(registrant_count); }
};

/// Where a state is kept that must survive a loss of power.
class ReservationStore {
public:
    virtual ~ReservationStore() = default;
    /// Makes `state` durable. Calls may overlap and come from any executor: one with a lower version than the last is
    /// late, and must not undo it. A state that does not persist is saved as well, so that an older one is forgotten.
    virtual Task<DiskResult<void>> save(ReservationState state, CancelToken cancel) = 0;
};

enum class ReservationAccess : u8 { read, write };

class ReservationRegistry {
public:
    /// `store`, if any, outlives the registry. `before`: what was saved there last; taken up where it persists.
    explicit ReservationRegistry(ReservationStore* store = nullptr, const ReservationState& before = {});
    ReservationRegistry(const ReservationRegistry&) = delete;
    ReservationRegistry& operator=(const ReservationRegistry&) = delete;

    bool has_store() const { return store_ != nullptr; }
    ReservationState state() const;
    /// Nobody is registered, so that nothing can conflict.
    bool is_quiet() const { return is_quiet_.load(std::memory_order_acquire); }
    /// See `PersistentReservations`.
    u64 changes() const { return changes_.load(std::memory_order_acquire); }
    ReservationStanding standing(const ReservationHostId& host) const;

    /// The operations of `PersistentReservations`, for `host`. A change that could not be saved holds nevertheless, and
    /// ends with the store's error.
    Task<DiskResult<void>> register_key(ReservationHostId host, RegisterRequest request, CancelToken cancel);
    Task<DiskResult<void>> reserve(ReservationHostId host, ReservationKey key, ReservationType type,
                                   CancelToken cancel);
    Task<DiskResult<void>> release(ReservationHostId host, ReservationKey key, ReservationType type,
                                   CancelToken cancel);
    Task<DiskResult<void>> clear(ReservationHostId host, ReservationKey key, CancelToken cancel);
    Task<DiskResult<void>> preempt(ReservationHostId host, ReservationKey key, ReservationKey victim,
                                   ReservationType type, AbortTasks abort, CancelToken cancel);
    Task<DiskResult<void>> move(ReservationHostId host, MoveRequest request, CancelToken cancel);

    /// An operation of `host`, for `admit`.
    static InFlight flight_of(const ReservationHostId& host, CancelToken callers);
    /// Whether `host` may do this now. If so, and it is registered, `flight` is known from now on, and may be aborted.
    bool admit(ReservationHostId host, ReservationAccess access, InFlight& flight);
    /// The operation has ended: `flight` may go when this has. Returns whether it was aborted.
    Task<bool> finish(InFlight& flight);

private:
    Registrant* find(const ReservationHostId& host);
    const Registrant* find(const ReservationHostId& host) const;
    ReservationStanding standing_now(const ReservationHostId& host) const;
    bool is_registered(const ReservationHostId& host, ReservationKey key);
    void remove(usize index);
    void release_now();
    void hold(Registrant& holder, ReservationType type);
    void changed(bool counts_as_generation);
    DiskResult<void> register_now(const ReservationHostId& host, const RegisterRequest& request);
    DiskResult<void> reserve_now(const ReservationHostId& host, ReservationKey key, ReservationType type);
    DiskResult<void> release_if_held(const ReservationHostId& host, ReservationKey key, ReservationType type);
    DiskResult<void> clear_now(const ReservationHostId& host, ReservationKey key);
    DiskResult<void> preempt_now(const ReservationHostId& host, ReservationKey key, ReservationKey victim,
                                 ReservationType type, AbortTasks abort);
    DiskResult<void> move_now(const ReservationHostId& host, const MoveRequest& request);
    usize remove_others(const ReservationHostId& host, ReservationKey victim, AbortTasks abort);
    static std::array<u64, 2> words_of(const ReservationHostId& host);
    template <typename Change>
    Task<DiskResult<void>> save_after(Change change, CancelToken cancel);
    Task<DiskResult<void>> save(ReservationState state, CancelToken cancel);

    ReservationStore* store_;
    mutable Spinlock lock_;
    ReservationState state_;
    std::atomic<bool> is_quiet_{true};
    std::atomic<u64> changes_{0};
    InFlightList flights_;  // of registered hosts; its lock is taken under ours
};

}  // namespace undercroft
