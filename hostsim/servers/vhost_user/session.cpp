// Session: its life, and what several kinds of message share.
#include "hostsim/servers/vhost_user/session.hpp"

#include <algorithm>

#include "kernel/base/log.hpp"

namespace undercroft::vhost_user {

namespace {
constexpr u64 ring_features = virtio::feature_version_1 | virtio::feature_indirect | virtio::feature_event_index |
                              virtio::feature_packed | feature_protocol;
}

Session::Session(Descriptor socket, virtio::Device& device, DeviceRecord* record)
    : channel_(std::move(socket)), device_(device), record_(record) {
    ASSERT(device.queue_count() <= queues_max);
}

u64 Session::offered_features() const { return device_.features() | ring_features; }

Task<void> Session::serve(CancelToken cancel) {
    TaskGroup watcher;
    watcher.spawn(device_.watch(*this, watcher.token()));
    Received message;
    while (co_await channel_.receive(message, cancel)) {
        if (!co_await handle(message)) {
            break;
        }
    }
    watcher.stop();
    co_await stop_all();
    (void)co_await watcher.join();
    device_.reset();
}

Task<void> Session::stop_all() {
    for (Ring& ring : rings_) {
        co_await ring.stop();
    }
}

void Session::configuration_changed() {
    if (backend_channel_) {
        (void)backend_channel_->send(backend_config_changed, 0, {});  // a frontend that does not listen misses it
    }
}

// Nothing that such a frontend says can be trusted any more.
void Session::memory_lost() {
    log_warning("vhost-user: the frontend took away memory that it had shared; it is left");
    channel_.shut_down();
}

bool Session::start_if_ready(usize index) {
    Ring& ring = rings_[index];
    bool enabled = ring.enabled || (features_ & feature_protocol) == 0;
    bool ready = enabled && ring.kick.is_valid() && ring.addresses && memory_ != nullptr && ring.size != 0;
    if (!ready || ring.is_running()) {
        return true;
    }
    return ring.start({.device = device_,
                       .index = static_cast<u16>(index),
                       .memory = *memory_,
                       .features = features_,
                       .inflight = inflight_.get(),
                       .record = record_},
                      *this);
}

bool Session::rings_are_running() const {
    return std::ranges::any_of(rings_, [](const Ring& ring) { return ring.is_running(); });
}

bool Session::reply_number(const Received& message, u64 value) {
    return channel_.send(message.header.request, flag_reply, std::as_bytes(std::span(&value, 1)));
}

bool Session::reply_config(const Received& message) {
    std::optional<ConfigHeader> wanted = message.as<ConfigHeader>();
    if (!wanted || wanted->size > config_bytes_max || message.header.size != sizeof(*wanted) + wanted->size) {
        return false;
    }
    std::byte reply[sizeof(ConfigHeader) + config_bytes_max] = {};
    __builtin_memcpy(reply, &*wanted, sizeof(*wanted));
    device_.read_configuration(wanted->offset, std::span(reply).subspan(sizeof(*wanted), wanted->size));
    return channel_.send(message.header.request, flag_reply, {reply, message.header.size});
}

}  // namespace undercroft::vhost_user
