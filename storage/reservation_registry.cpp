// The rules of persistent reservations. Everything named `..._now` runs under the lock.
#include "storage/reservation_registry.hpp"

#include <algorithm>
#include <bit>

namespace undercroft {

namespace {

bool is_type(ReservationType type) {
    return type > ReservationType::none && type <= ReservationType::exclusive_access_all_registrants;
}

}  // namespace

ReservationRegistry::ReservationRegistry(ReservationStore* store, const ReservationState& before) : store_(store) {
    if (before.persists_through_power_loss) {
        state_ = before;
        is_quiet_ = state_.registrant_count == 0;
    }
    state_.version = before.version;
    changes_ = before.version;
}

ReservationState ReservationRegistry::state() const {
    SpinlockGuard guard(lock_);
    return state_;
}

const Registrant* ReservationRegistry::find(const ReservationHostId& host) const {
    for (const Registrant& registrant : state_.list()) {
        if (registrant.host == host) {
            return &registrant;
        }
    }
    return nullptr;
}

Registrant* ReservationRegistry::find(const ReservationHostId& host) {
    const Registrant* found = std::as_const(*this).find(host);
    return found == nullptr ? nullptr : &state_.registrants[static_cast<usize>(found - state_.registrants.data())];
}

ReservationStanding ReservationRegistry::standing(const ReservationHostId& host) const {
    SpinlockGuard guard(lock_);
    return standing_now(host);
}

ReservationStanding ReservationRegistry::standing_now(const ReservationHostId& host) const {
    const Registrant* registrant = find(host);
    return {.is_registered = registrant != nullptr,
            .is_holder = registrant != nullptr && registrant->is_holder,
            .type = state_.type,
            .registrants = state_.registrant_count};
}

bool ReservationRegistry::is_registered(const ReservationHostId& host, ReservationKey key) {
    const Registrant* registrant = find(host);
    return registrant != nullptr && registrant->key == key;
}

void ReservationRegistry::release_now() {
    state_.type = ReservationType::none;
    for (Registrant& registrant : state_.registrants) {
        registrant.is_holder = false;
    }
}

void ReservationRegistry::hold(Registrant& holder, ReservationType type) {
    release_now();
    state_.type = type;
    for (Registrant& registrant : std::span(state_.registrants).first(state_.registrant_count)) {
        registrant.is_holder = is_held_by_all(type) || &registrant == &holder;
    }
}

// A reservation goes with its holder; one that all hold, with the last of them.
void ReservationRegistry::remove(usize index) {
    bool was_only_holder =
        state_.registrants[index].is_holder && (!is_held_by_all(state_.type) || state_.registrant_count == 1);
    std::copy(state_.registrants.begin() + static_cast<std::ptrdiff_t>(index) + 1,
              state_.registrants.begin() + static_cast<std::ptrdiff_t>(state_.registrant_count),
              state_.registrants.begin() + static_cast<std::ptrdiff_t>(index));
    state_.registrants[--state_.registrant_count] = {};
    if (was_only_holder) {
        release_now();
    }
}

void ReservationRegistry::changed(bool counts_as_generation) {
    ++state_.version;
    state_.generation += counts_as_generation ? 1 : 0;
    is_quiet_.store(state_.registrant_count == 0, std::memory_order_release);
    changes_.store(state_.version, std::memory_order_release);
}

DiskResult<void> ReservationRegistry::register_now(const ReservationHostId& host, const RegisterRequest& request) {
    Registrant* registrant = find(host);
    ReservationKey current = registrant != nullptr ? registrant->key : 0;
    if (request.current_key && *request.current_key != current) {
        return fail(DiskError::reservation_conflict);
    }
    if (request.persist_through_power_loss.value_or(false) && store_ == nullptr) {
        return fail(DiskError::invalid_input);
    }
    if (registrant != nullptr && request.new_key == 0) {
        remove(static_cast<usize>(registrant - state_.registrants.data()));
    } else if (registrant != nullptr) {
        registrant->key = request.new_key;
    } else if (request.new_key != 0) {
        if (state_.registrant_count == ReservationState::registrants_max) {
            return fail(DiskError::io);
        }
        state_.registrants[state_.registrant_count++] = {
            .host = host, .key = request.new_key, .is_holder = is_held_by_all(state_.type)};
    }
    state_.persists_through_power_loss =
        request.persist_through_power_loss.value_or(state_.persists_through_power_loss);
    changed(true);
    return {};
}

DiskResult<void> ReservationRegistry::reserve_now(const ReservationHostId& host, ReservationKey key,
                                                  ReservationType type) {
    if (!is_type(type)) {
        return fail(DiskError::invalid_input);
    }
    if (!is_registered(host, key)) {
        return fail(DiskError::reservation_conflict);
    }
    Registrant& registrant = *find(host);
    if (state_.type != ReservationType::none) {
        if (registrant.is_holder && state_.type == type) {
            return {};
        }
        return fail(DiskError::reservation_conflict);
    }
    hold(registrant, type);
    changed(false);
    return {};
}

DiskResult<void> ReservationRegistry::release_if_held(const ReservationHostId& host, ReservationKey key,
                                                      ReservationType type) {
    if (!is_registered(host, key)) {
        return fail(DiskError::reservation_conflict);
    }
    if (!find(host)->is_holder) {
        return {};
    }
    if (state_.type != type) {
        return fail(DiskError::invalid_input);
    }
    release_now();
    changed(false);
    return {};
}

DiskResult<void> ReservationRegistry::clear_now(const ReservationHostId& host, ReservationKey key) {
    if (!is_registered(host, key)) {
        return fail(DiskError::reservation_conflict);
    }
    release_now();
    state_.registrants = {};
    state_.registrant_count = 0;
    changed(true);
    return {};
}

// Those under `victim`, or all where it is 0, but for `host` itself. Returns how many.
usize ReservationRegistry::remove_others(const ReservationHostId& host, ReservationKey victim, AbortTasks abort) {
    usize removed = 0;
    for (usize index = 0; index < state_.registrant_count;) {
        const Registrant registrant = state_.registrants[index];
        if (registrant.host == host || (victim != 0 && registrant.key != victim)) {
            ++index;
            continue;
        }
        remove(index);
        ++removed;
        if (abort == AbortTasks::yes) {
            std::array<u64, 2> words = words_of(registrant.host);
            flights_.abort(
                [&](const InFlight& flight) { return flight.owner() == words[0] && flight.tag() == words[1]; }, 1);
        }
    }
    return removed;
}

DiskResult<void> ReservationRegistry::preempt_now(const ReservationHostId& host, ReservationKey key,
                                                  ReservationKey victim, ReservationType type, AbortTasks abort) {
    if (!is_registered(host, key)) {
        return fail(DiskError::reservation_conflict);
    }
    std::span<const Registrant> all = state_.list();
    bool all_hold = is_held_by_all(state_.type);
    bool takes_over = all_hold ? victim == 0 : std::any_of(all.begin(), all.end(), [&](const Registrant& registrant) {
        return registrant.is_holder && registrant.key == victim;
    });
    if ((victim == 0 && !all_hold) || (takes_over && !is_type(type))) {
        return fail(DiskError::invalid_input);
    }
    usize removed = remove_others(host, victim, abort);
    if (takes_over) {
        hold(*find(host), type);
    } else if (removed == 0) {
        return fail(DiskError::reservation_conflict);
    }
    changed(true);
    return {};
}

DiskResult<void> ReservationRegistry::move_now(const ReservationHostId& host, const MoveRequest& request) {
    if (!is_registered(host, request.key)) {
        return fail(DiskError::reservation_conflict);
    }
    ReservationHostId named = {};
    std::copy(request.to.begin(), request.to.end(), named.begin());
    Registrant* heir = find(named);
    for (Registrant& other :
         std::span(state_.registrants).first(find(named) == nullptr ? state_.registrant_count : 0)) {
        if (!std::equal(request.to.begin(), request.to.end(), other.host.begin())) {
            continue;
        }
        if (heir != nullptr) {
            return fail(DiskError::invalid_input);  // it could be either
        }
        heir = &other;
    }
    if (request.new_key == 0 || heir == find(host) || (request.persist_through_power_loss && store_ == nullptr)) {
        return fail(DiskError::invalid_input);
    }
    if (!find(host)->is_holder || is_held_by_all(state_.type)) {
        return fail(DiskError::reservation_conflict);
    }
    if (heir == nullptr) {
        if (state_.registrant_count == ReservationState::registrants_max) {
            return fail(DiskError::io);
        }
        heir = &state_.registrants[state_.registrant_count++];
        *heir = {.host = named, .key = 0, .is_holder = false};
    }
    heir->key = request.new_key;
    hold(*heir, state_.type);
    if (request.unregister) {
        remove(static_cast<usize>(find(host) - state_.registrants.data()));
    }
    state_.persists_through_power_loss = request.persist_through_power_loss;
    changed(true);
    return {};
}

Task<DiskResult<void>> ReservationRegistry::save(ReservationState state, CancelToken cancel) {
    if (store_ == nullptr) {
        return Task<DiskResult<void>>::ready({});
    }
    return store_->save(state, cancel);
}

// The state as the change left it is what is saved: later changes have a higher version and save themselves.
template <typename Change>
Task<DiskResult<void>> ReservationRegistry::save_after(Change change, CancelToken cancel) {
    ReservationState after;
    {
        SpinlockGuard guard(lock_);
        u64 before = state_.version;
        if (DiskResult<void> result = change(); !result || state_.version == before) {
            return Task<DiskResult<void>>::ready(result);
        }
        after = state_;
    }
    return save(after, cancel);
}

Task<DiskResult<void>> ReservationRegistry::register_key(ReservationHostId host, RegisterRequest request,
                                                         CancelToken cancel) {
    return save_after([&] { return register_now(host, request); }, cancel);
}

Task<DiskResult<void>> ReservationRegistry::reserve(ReservationHostId host, ReservationKey key, ReservationType type,
                                                    CancelToken cancel) {
    return save_after([&] { return reserve_now(host, key, type); }, cancel);
}

Task<DiskResult<void>> ReservationRegistry::release(ReservationHostId host, ReservationKey key, ReservationType type,
                                                    CancelToken cancel) {
    return save_after([&] { return release_if_held(host, key, type); }, cancel);
}

Task<DiskResult<void>> ReservationRegistry::clear(ReservationHostId host, ReservationKey key, CancelToken cancel) {
    return save_after([&] { return clear_now(host, key); }, cancel);
}

Task<DiskResult<void>> ReservationRegistry::move(ReservationHostId host, MoveRequest request, CancelToken cancel) {
    return save_after([&] { return move_now(host, request); }, cancel);
}

Task<DiskResult<void>> ReservationRegistry::preempt(ReservationHostId host, ReservationKey key, ReservationKey victim,
                                                    ReservationType type, AbortTasks abort, CancelToken cancel) {
    ReservationState after;
    {
        SpinlockGuard guard(lock_);
        if (DiskResult<void> result = preempt_now(host, key, victim, type, abort); !result) {
            co_return result;
        }
        after = state_;
    }
    DiskResult<void> saved = co_await save(after, cancel);
    if (abort == AbortTasks::yes) {
        CO_TRY(co_await flights_.wait_for_aborted(cancel));
    }
    co_return saved;
}

std::array<u64, 2> ReservationRegistry::words_of(const ReservationHostId& host) {
    return std::bit_cast<std::array<u64, 2>>(host);
}

InFlight ReservationRegistry::flight_of(const ReservationHostId& host, CancelToken callers) {
    std::array<u64, 2> words = words_of(host);
    return {callers, words[0], words[1]};
}

bool ReservationRegistry::admit(ReservationHostId host, ReservationAccess access, InFlight& flight) {
    SpinlockGuard guard(lock_);
    ReservationStanding now = standing_now(host);
    if (access == ReservationAccess::write ? !now.admits_writes() : !now.admits_reads()) {
        return false;
    }
    return !now.is_registered || flights_.enter(flight, [] { return true; });
}

Task<bool> ReservationRegistry::finish(InFlight& flight) {
    if (flights_.leave(flight) == 0) {
        co_return false;
    }
    co_await flights_.finish_abort(flight);
    co_return true;
}

}  // namespace undercroft
