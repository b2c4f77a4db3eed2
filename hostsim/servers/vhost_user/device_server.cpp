// The accept loop of a vhost-user backend.
#include "hostsim/servers/vhost_user/device_server.hpp"

#include <errno.h>

#include "kernel/base/log.hpp"

namespace undercroft::vhost_user {

namespace {
constexpr u64 accept_retry_ns = 100 * nanoseconds_per_millisecond;
}

Task<void> serve_device(Listener& listener, virtio::Device& device, DeviceRecord& record, CancelToken cancel) {
    while (!cancel.is_cancelled()) {
        i32 accepted = co_await listener.accept(cancel);
        if (accepted < 0) {
            if (accepted != -ECANCELED) {
                (void)co_await sleep_for(accept_retry_ns, cancel);
            }
            continue;
        }
        log_info("vhost-user: a frontend has come to %s", listener.where().c_str());
        record.frontends.add();
        record.is_connected.store(true, std::memory_order_release);
        auto session = std::make_unique<Session>(Descriptor(accepted), device, &record);
        co_await session->serve(cancel);
        record.is_connected.store(false, std::memory_order_release);
        log_info("vhost-user: the frontend has gone");
    }
}

}  // namespace undercroft::vhost_user
