// Session: its life, and what several kinds of message share.
#include "hostsim/servers/vhost_user/session.hpp"

namespace undercroft::vhost_user {

Session::Session(Descriptor socket, const DeviceContext& device) : channel_(std::move(socket)), device_(device) {}

Task<void> Session::serve(CancelToken cancel) {
    TaskGroup watcher;
    watcher.spawn(watch_size(watcher.token()));
    Received message;
    while (co_await channel_.receive(message, cancel)) {
        if (!co_await handle(message)) {
            break;
        }
    }
    watcher.stop();
    co_await stop_all();
    (void)co_await watcher.join();
}

Task<void> Session::stop_all() {
    for (Ring& ring : rings_) {
        co_await ring.stop();
    }
}

// Tells the frontend that its device has another size.
Task<void> Session::watch_size(CancelToken cancel) {
    u64 known = device_.disk.sector_count();
    while (true) {
        DiskResult<u64> size = co_await device_.disk.wait_for_resize(known, cancel);
        if (!size) {
            co_return;
        }
        known = *size;
        if (backend_channel_) {
            (void)backend_channel_->send(backend_config_changed, 0, {});  // a frontend that does not listen misses it
        }
    }
}

bool Session::start_if_ready(usize index) {
    Ring& ring = rings_[index];
    bool enabled = ring.enabled || (features_ & feature_protocol) == 0;
    bool ready = enabled && ring.kick.is_valid() && ring.addresses && memory_ != nullptr && ring.size != 0;
    if (!ready || ring.is_running()) {
        return true;
    }
    InflightQueue inflight =
        inflight_ != nullptr ? inflight_->queue(index, static_cast<u16>(ring.size)) : InflightQueue();
    return ring.start(device_, *memory_, features_, inflight);
}

bool Session::reply_number(const Received& message, u64 value) {
    return channel_.send(message.header.request, flag_reply, std::as_bytes(std::span(&value, 1)));
}

bool Session::reply_config(const Received& message) {
    std::optional<ConfigHeader> wanted = message.as<ConfigHeader>();
    if (!wanted || wanted->size > config_bytes_max || message.header.size != sizeof(*wanted) + wanted->size) {
        return false;
    }
    virtio::BlockConfig config = virtio::block_config(device_.disk, device_.identity);
    std::byte reply[sizeof(ConfigHeader) + config_bytes_max] = {};
    __builtin_memcpy(reply, &*wanted, sizeof(*wanted));
    auto bytes = std::as_bytes(std::span(&config, 1));
    for (usize index = 0; index < wanted->size && wanted->offset < bytes.size() - index; ++index) {
        reply[sizeof(*wanted) + index] = bytes[wanted->offset + index];
    }
    return channel_.send(message.header.request, flag_reply, {reply, message.header.size});
}

}  // namespace undercroft::vhost_user
