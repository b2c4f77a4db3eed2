// A vhost-user backend: a virtio device at a socket, for one frontend at a time; the next may come when one has gone.
#pragma once

#include "hostsim/servers/listener.hpp"
#include "hostsim/servers/vhost_user/session.hpp"

namespace undercroft::vhost_user {

/// Accepts frontends at `listener` until `cancel` asks, each served to its end. `device` and `record` outlive it.
Task<void> serve_device(Listener& listener, virtio::Device& device, DeviceRecord& record, CancelToken cancel);

}  // namespace undercroft::vhost_user
