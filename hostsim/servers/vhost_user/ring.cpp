// Ring.
#include "hostsim/servers/vhost_user/ring.hpp"

#include <poll.h>
#include <unistd.h>

#include "hostsim/platform/ring_platform.hpp"
#include "kernel/base/log.hpp"

namespace undercroft::vhost_user {

namespace {

/// How often the clock is read while looking out for requests.
constexpr u32 look_out_turns = 16;

}  // namespace

bool Ring::start(const RingSetup& setup, RingOwner& owner) {
    std::optional<u64> descriptors = setup.memory.guest_address_of(addresses->descriptors);
    std::optional<u64> available = setup.memory.guest_address_of(addresses->available);
    std::optional<u64> used = setup.memory.guest_address_of(addresses->used);
    if (!descriptors || !available || !used || size == 0 || size > virtio::queue_size_max) {
        return false;
    }
    device_ = &setup.device;
    record_ = setup.record;
    index_ = setup.index;
    owner_ = &owner;
    memory_ = &setup.memory;
    inflight_memory_ = setup.inflight;
    Result<Recovered> recovered = prepare(setup, {.size = static_cast<u16>(size),
                                                  .descriptors = *descriptors,
                                                  .driver_area = *available,
                                                  .device_area = *used,
                                                  .packed = (setup.features & virtio::feature_packed) != 0,
                                                  .event_index = (setup.features & virtio::feature_event_index) != 0,
                                                  .indirect = (setup.features & virtio::feature_indirect) != 0,
                                                  .next_available = base_available,
                                                  .next_used = base_used});
    if (!recovered) {
        queue_.reset();
        return false;
    }
    broken_ = stalled_ = false;
    parked_chains_ = parked_places_ = 0;
    server_.emplace();
    requests_.emplace();
    if (!go_on(*recovered)) {
        log_warning("vhost-user: what was in flight makes no sense; ring %u is not served", index_);
        broken_ = true;
    }
    server_->spawn(serve());
    return true;
}

/// Makes the queue, from where it was.
Result<Ring::Recovered> Ring::prepare(const RingSetup& setup, virtio::QueueSetup queue) {
    Recovered recovered;
    queue_.emplace(TRY(virtio::Queue::create(setup.memory.guest(), queue)));
    inflight_ = {};
    inflight_packed_ = {};
    if (queue.packed) {
        if (setup.inflight != nullptr) {
            inflight_packed_ = setup.inflight->packed_queue(index_, queue.size);
        }
        if (!inflight_packed_.is_tracked()) {
            return recovered;
        }
        InflightPacked::State state = inflight_packed_.recover(*queue_, queue.next_used);
        queue.next_available = state.next_available;
        queue.next_used = state.next_used;
        recovered.chains = std::move(state.chains);
    } else {
        if (setup.inflight != nullptr) {
            inflight_ = setup.inflight->queue(index_, queue.size);
        }
        // The used ring is the truth about what was completed; what was taken beyond it is in flight, or new.
        u16 published = queue_->published_used();
        queue.next_used = published;
        if (inflight_.is_tracked()) {
            recovered.heads = inflight_.recover(published);
            queue.next_available = static_cast<u16>(published + recovered.heads.size());
        }
    }
    queue_.emplace(TRY(virtio::Queue::create(setup.memory.guest(), queue)));
    return recovered;
}

/// Carries out what a predecessor left.
Result<void> Ring::go_on(const Recovered& recovered) {
    for (u16 head : recovered.heads) {
        TRY(queue_->take_again(head, next_));
        requests_->spawn(request(head));
    }
    for (const InflightPacked::Recovered& chain : recovered.chains) {
        TRY(queue_->take_again(chain.descriptors, next_));
        requests_->spawn(request(chain.slot));
    }
    return {};
}

Task<void> Ring::stop() {
    if (!queue_) {
        co_return;
    }
    server_->stop();
    (void)co_await server_->join();
    if (device_->is_parking(index_)) {
        requests_->stop();
    }
    (void)co_await requests_->join();  // each ends within the disk's bound
    while (notifier_.posted) {
        co_await yield();
    }
    base_available = queue_->next_available();
    base_used = queue_->next_used();
    take_back_parked();
    queue_.reset();
}

/// Requests that only waited stand at the ring's end, for they are answered in the order in which they came.
void Ring::take_back_parked() {
    if (!queue_->is_packed()) {
        base_available = static_cast<u16>(base_available - parked_chains_);
        return;
    }
    u32 place = base_available & ~u32{virtio::event_wrap};
    bool wrap = (base_available & virtio::event_wrap) != 0;
    if (place < parked_places_) {
        place += queue_->size();
        wrap = !wrap;
    }
    base_available = static_cast<u16>((place - parked_places_) | (wrap ? virtio::event_wrap : 0));
}

Task<void> Ring::serve() {
    while (!server_->token().is_cancelled()) {
        queue_->want_notifications(false);
        co_await look_out();
        queue_->want_notifications(true);
        if (take_all()) {
            continue;
        }
        if (broken_ || !co_await wait_for_kick()) {
            break;
        }
    }
}

// Takes what there is, and then looks for more instead of being told: as long as the thread spins for others
// (`RingOptions::spin_ns`), while that pays. The driver need not notify meanwhile, which costs it an exit each time.
Task<void> Ring::look_out() {
    RingPlatform& platform = RingPlatform::current();
    (void)take_all();
    if (platform.spin_ns() == 0 || !look_out_credit_.allows()) {
        co_return;
    }
    bool found_any = false;
    bool found = false;  // since the clock was read
    u64 found_ns = platform.now_ns();
    for (u32 turn = 1; !broken_ && !server_->token().is_cancelled(); ++turn) {
        co_await yield();  // requests, completions and messages go on
        found = (queue_->has_available() && take_all()) || found;
        if (turn % look_out_turns != 0) {
            continue;
        }
        u64 now_ns = platform.now_ns();
        if (found) {
            found_ns = now_ns;
            found_any = true;
            found = false;
        } else if (now_ns - found_ns >= platform.spin_ns()) {
            break;
        }
    }
    found_any ? look_out_credit_.earn() : look_out_credit_.spend();
}

bool Ring::take_all() {
    bool any = false;
    now_ns_ = 0;
    while (!broken_ && memory_is_intact()) {
        if (requests_->running() == queue_->size()) {
            stalled_ = true;  // a driver that adds what is under way; a request's end looks again
            break;
        }
        Result<bool> taken = queue_->take(next_);
        if (!taken) {
            log_warning("vhost-user: the driver broke a ring (%s); it is not served any more",
                        to_string(taken.error()));
            broken_ = true;
        } else if (!*taken) {
            break;
        } else {
            any = true;
            requests_->spawn(request(note_taken()));
        }
    }
    return any;
}

bool Ring::memory_is_intact() {
    bool intact = memory_->is_intact() && (inflight_memory_ == nullptr || inflight_memory_->is_intact());
    if (!intact && !broken_) {
        broken_ = true;
        owner_->memory_lost();
    }
    return intact;
}

u16 Ring::note_taken() {
    if (inflight_packed_.is_tracked()) {
        return inflight_packed_.taken(*queue_, next_);
    }
    inflight_.taken(next_.id);
    return next_.id;
}

Task<Result<u32>> Ring::process(const virtio::Chain& chain) {
    bool counts = record_ != nullptr && record_->is_counting.load(std::memory_order_relaxed);
    return counts ? process_counted(chain) : device_->process(index_, chain, requests_->token());
}

// Where one request ends at once the next begins: one look at the clock for each, and one for a round of them.
Task<Result<u32>> Ring::process_counted(const virtio::Chain& chain) {
    RingPlatform& platform = RingPlatform::current();
    now_ns_ = now_ns_ != 0 ? now_ns_ : platform.now_ns();
    Movement movement = movement_of(chain);
    bool parks = device_->is_parking(index_);
    inspect::Activity::Started started{};
    if (!parks) {
        started = record_->activity.begin(movement.kind, inspect::offset_unknown, movement.bytes, now_ns_);
    }
    Result<u32> written = co_await device_->process(index_, chain, requests_->token());
    if (!parks) {
        now_ns_ = platform.now_ns();
        record_->activity.end(started, now_ns_);
        if (!written || !device_->went_well(index_, chain)) {
            record_->activity.count_failure(movement.kind);
        }
    }
    co_return written;
}

// Starts at once: takes its chain over before anything else is taken.
Task<void> Ring::request(u16 slot) {
    virtio::Chain chain = next_;
    Result<u32> written = co_await process(chain);
    if (written) {
        complete(chain, slot, *written);
    } else if (written.error() == Error::cancelled) {
        ++parked_chains_;
        parked_places_ += chain.descriptors;
    } else {
        broken_ = true;
    }
    (void)memory_is_intact();
    if (stalled_ && !server_->token().is_cancelled()) {
        stalled_ = false;
        u64 one = 1;
        [[maybe_unused]] ssize_t count = write(kick.get(), &one, sizeof(one));  // as if the driver had called
    }
}

void Ring::complete(const virtio::Chain& chain, u16 slot, u32 written) {
    if (inflight_packed_.is_tracked()) {
        inflight_packed_.completing(slot);
        queue_->complete(chain, written);
        inflight_packed_.completed(slot);
    } else if (inflight_.is_tracked()) {
        inflight_.completing(slot);
        queue_->complete(chain, written);
        inflight_.completed(slot, queue_->next_used());
    } else {
        queue_->complete(chain, written);
    }
    if (!notifier_.posted) {
        notifier_.posted = true;
        Executor::current().post(notifier_);
    }
}

// Once for everything that was completed in one go.
void Ring::Notifier::run(Work& self) {
    auto& notifier = static_cast<Notifier&>(self);
    notifier.posted = false;
    if (notifier.ring.queue_->should_notify() && notifier.ring.call.is_valid()) {
        u64 one = 1;
        [[maybe_unused]] ssize_t count = write(notifier.ring.call.get(), &one, sizeof(one));  // full: it is set anyway
    }
}

// Polled first: the frontend's descriptor does not block, and a read of an empty one would fail at once.
Task<bool> Ring::wait_for_kick() {
    i32 ready = co_await ring_operation([&](io_uring_sqe* entry) { io_uring_prep_poll_add(entry, kick.get(), POLLIN); },
                                        server_->token());
    if (ready < 0 || (ready & POLLIN) == 0) {
        co_return false;
    }
    u64 count = 0;
    [[maybe_unused]] ssize_t got = read(kick.get(), &count, sizeof(count));  // empty again: somebody else's wake
    co_return true;
}

}  // namespace undercroft::vhost_user
