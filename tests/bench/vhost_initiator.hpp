// The frontend's side of a vhost-user disk for benchmarks: what a virtual machine is for the server, from this process,
// with one request queue that is polled.
#pragma once

#include <sys/un.h>

#include "tests/bench/polled_ring.hpp"
#include "tests/support/vhost_frontend.hpp"

namespace undercroft::vhost_user {

class Initiator {
public:
    /// Starts the queue. `disk_bytes`: what is read and written of the disk. Ends the program where that fails.
    Initiator(Descriptor socket, VirtioProtocol protocol, u64 disk_bytes)
        : frontend_(std::move(socket)), ring_(memory_.data(), protocol, disk_bytes) {
        start(protocol == VirtioProtocol::scsi ? virtio::scsi_first_request_queue : 0);
    }
    static Descriptor connect(const char* path) {
        Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
            give_up("nobody listens at the socket");
        }
        return socket;
    }

    /// As `PolledRing::run`.
    void run(u64 requests, u32 depth, bool writes) {
        auto notify = [this] {
            u64 one = 1;
            [[maybe_unused]] ssize_t count = write(kick_.get(), &one, sizeof(one));
        };
        ring_.run(requests, depth, writes, notify, [] { __builtin_ia32_pause(); });
    }

private:
    static constexpr u64 user_base = 0x7000'0000'0000;

    void start(u32 queue) {
        if (!frontend_.ask<u64>(Message::get_features)) {
            give_up("the server does not answer");
        }
        frontend_.send(Message::set_owner, u64{0});
        frontend_.send(Message::set_features, virtio::feature_version_1 | feature_protocol);
        if (!frontend_.ask<u64>(Message::get_protocol_features)) {
            give_up("the server has no protocol features");
        }
        frontend_.send(Message::set_protocol_features, protocol_queues);
        MemoryTableMessage table;
        table.region = {
            .guest_address = 0, .size_bytes = PolledRing::memory_bytes, .user_address = user_base, .map_offset = 0};
        frontend_.send(Message::set_memory_table, table, {memory_.file()});
        frontend_.send(Message::set_ring_size, RingState{.index = queue, .value = PolledRing::ring_size});
        frontend_.send(Message::set_ring_base, RingState{.index = queue, .value = 0});
        frontend_.send(Message::set_ring_addresses, RingAddresses{.index = queue,
                                                                  .flags = 0,
                                                                  .descriptors = user_base + PolledRing::descriptors_at,
                                                                  .used = user_base + PolledRing::used_at,
                                                                  .available = user_base + PolledRing::available_at,
                                                                  .log = 0});
        frontend_.send(Message::set_ring_call, u64{queue}, {call_.get()});
        frontend_.send(Message::set_ring_kick, u64{queue}, {kick_.get()});
        frontend_.send(Message::set_ring_enable, RingState{.index = queue, .value = 1});
    }

    Frontend frontend_;
    SharedMemory memory_{PolledRing::memory_bytes};
    PolledRing ring_;
    Descriptor kick_{eventfd(0, EFD_NONBLOCK)};
    Descriptor call_{eventfd(0, EFD_NONBLOCK)};
};

}  // namespace undercroft::vhost_user
