// Ring.
#include "hostsim/servers/vhost_user/ring.hpp"

#include <poll.h>
#include <unistd.h>

#include "hostsim/platform/ring_platform.hpp"
#include "kernel/base/log.hpp"

namespace undercroft::vhost_user {

bool Ring::start(const DeviceContext& device, const MemoryTable& memory, u64 features, InflightQueue inflight) {
    std::optional<u64> descriptors = memory.guest_address_of(addresses->descriptors);
    std::optional<u64> available = memory.guest_address_of(addresses->available);
    std::optional<u64> used = memory.guest_address_of(addresses->used);
    if (!descriptors || !available || !used || size == 0 || size > virtio::queue_size_max) {
        return false;
    }
    virtio::QueueSetup setup{.size = static_cast<u16>(size),
                             .descriptors = *descriptors,
                             .driver_area = *available,
                             .device_area = *used,
                             .packed = (features & virtio::feature_packed) != 0,
                             .event_index = (features & virtio::feature_event_index) != 0,
                             .indirect = (features & virtio::feature_indirect) != 0,
                             .next_available = base_available,
                             .next_used = base_used};
    Result<virtio::Queue> queue = virtio::Queue::create(memory.guest(), setup);
    if (!queue) {
        return false;
    }
    std::vector<u16> heads;
    if (!setup.packed) {
        // The used ring is the truth about what was completed; what was taken beyond it is in flight, or new.
        u16 published = queue->published_used();
        inflight_ = inflight;
        heads = inflight_.is_tracked() ? inflight_.recover(published) : heads;
        setup.next_used = published;
        if (inflight_.is_tracked()) {
            setup.next_available = static_cast<u16>(published + heads.size());
        }
        queue = virtio::Queue::create(memory.guest(), setup);
    }
    queue_.emplace(*queue);
    device_ = &device;
    broken_ = false;
    server_.emplace();
    requests_.emplace();
    for (u16 head : heads) {
        requests_->spawn(request(head, true));
    }
    server_->spawn(serve());
    return true;
}

Task<void> Ring::stop() {
    if (!queue_) {
        co_return;
    }
    server_->stop();
    (void)co_await server_->join();
    (void)co_await requests_->join();  // each ends within the disk's bound
    while (notifier_.posted) {
        co_await yield();
    }
    base_available = queue_->next_available();
    base_used = queue_->next_used();
    queue_.reset();
}

Task<void> Ring::serve() {
    while (!server_->token().is_cancelled()) {
        queue_->want_notifications(false);
        (void)take_all();
        queue_->want_notifications(true);
        if (take_all()) {
            continue;
        }
        if (broken_ || !co_await wait_for_kick()) {
            break;
        }
    }
}

bool Ring::take_all() {
    bool any = false;
    while (!broken_) {
        Result<bool> taken = queue_->take(next_);
        if (!taken) {
            log_warning("vhost-user: the driver broke a ring (%s); it is not served any more",
                        to_string(taken.error()));
            broken_ = true;
        } else if (!*taken) {
            break;
        } else {
            any = true;
            inflight_.taken(next_.id);
            requests_->spawn(request(0, false));
        }
    }
    return any;
}

// Starts at once: takes its chain over before anything else is taken.
Task<void> Ring::request(u16 recovered_head, bool is_recovered) {
    virtio::Chain chain = next_;
    if (is_recovered && !queue_->take_again(recovered_head, chain)) {
        broken_ = true;
        co_return;
    }
    Result<u32> written = co_await virtio::execute_block_request(device_->disk, device_->identity, chain, {});
    if (!written) {
        broken_ = true;
        co_return;
    }
    complete(chain, *written);
}

void Ring::complete(const virtio::Chain& chain, u32 written) {
    inflight_.completing(chain.id);
    queue_->complete(chain, written);
    inflight_.completed(chain.id, queue_->next_used());
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
