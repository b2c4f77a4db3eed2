// The rules of persistent reservations. Everything named `..._now` runs under the lock.
#include "storage/reservation_registry.hpp"

#include <algorithm>

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
}

ReservationRegistry::~ReservationRegistry() { ASSERT(first_ == nullptr); }

ReservationState ReservationRegistry::state() const {
    SpinlockGuard guard(lock_);
    return state_;
}

Registrant* ReservationRegistry::find(const ReservationHostId& host) {
    for (Registrant& registrant : std::span(state_.registrants).first(state_.registrant_count)) {
        if (registrant.host == host) {
            return &registrant;
        }
    }
    return nullptr;
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
            abort_in_flight(registrant.host);
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
    while (abort == AbortTasks::yes) {
        u64 ended = aborts_ended_.get();
        {
            SpinlockGuard guard(lock_);
            if (aborting_ == 0) {
                break;
            }
        }
        CO_TRY(co_await aborts_ended_.wait(ended, cancel));
    }
    co_return saved;
}

ReservationRegistry::InFlight::InFlight(CancelToken callers) : Work(&InFlight::run), executor_(Executor::current()) {
    if (!CancelRegistration::arm(callers, &InFlight::on_cancel)) {
        source_.cancel();
    }
}

void ReservationRegistry::InFlight::run(Work& self) {
    auto& flight = static_cast<InFlight&>(self);
    flight.source_.cancel();
    flight.abort_arrived_.set();
}

void ReservationRegistry::abort_in_flight(const ReservationHostId& host) {
    for (InFlight* flight = first_; flight != nullptr; flight = flight->next_) {
        if (flight->host_ == host && !flight->aborted_) {
            flight->aborted_ = true;
            ++aborting_;
            flight->executor_.post_remote(*flight);
        }
    }
}

bool ReservationRegistry::admit(ReservationHostId host, ReservationAccess access, InFlight& flight) {
    SpinlockGuard guard(lock_);
    const Registrant* registrant = find(host);
    bool restricted =
        state_.type != ReservationType::none && (access == ReservationAccess::write || excludes_reads(state_.type));
    bool may = registrant != nullptr && (registrant->is_holder || admits_registrants(state_.type));
    if (restricted && !may) {
        return false;
    }
    if (registrant != nullptr) {
        flight.host_ = host;
        flight.next_ = first_;
        flight.link_ = &first_;
        if (first_ != nullptr) {
            first_->link_ = &flight.next_;
        }
        first_ = &flight;
    }
    return true;
}

Task<bool> ReservationRegistry::finish(InFlight& flight) {
    bool aborted = false;
    {
        SpinlockGuard guard(lock_);
        aborted = flight.aborted_;
        if (flight.link_ != nullptr) {
            *flight.link_ = flight.next_;
            if (flight.next_ != nullptr) {
                flight.next_->link_ = flight.link_;
            }
        }
    }
    if (aborted) {
        (void)co_await flight.abort_arrived_.wait();  // the post is on its way and cannot fail to come
        SpinlockGuard guard(lock_);
        --aborting_;
        aborts_ended_.set(aborts_ended_.get() + 1);
    }
    co_return aborted;
}

}  // namespace undercroft
