// Session: the messages, one by one.
#include "hostsim/servers/vhost_user/session.hpp"
#include "kernel/base/log.hpp"

namespace undercroft::vhost_user {

namespace {

constexpr u64 protocol_features_known =
    protocol_queues | protocol_reply_ack | protocol_backend_channel | protocol_config | protocol_inflight;

}  // namespace

// False ends the session: a frontend that makes no sense cannot be trusted to know what state it is in.
Task<bool> Session::handle(Received& message) {
    bool is_ring_message = false;
    bool fine = co_await handle_ring(message, is_ring_message);
    if (!is_ring_message) {
        std::optional<u64> number = message.as<u64>();
        u64 offered = offered_features();
        switch (static_cast<Message>(message.header.request)) {
        case Message::get_features:
            co_return reply_number(message, offered);
        case Message::get_protocol_features:
            co_return reply_number(message, protocol_features_known);
        case Message::get_queue_count:
            co_return reply_number(message, device_.queue_count());
        case Message::get_config:
            co_return reply_config(message);
        case Message::get_inflight:
        case Message::set_inflight:
            fine = handle_inflight(message);
            if (static_cast<Message>(message.header.request) == Message::get_inflight) {
                co_return fine;
            }
            break;
        case Message::set_features:
            fine = number && (*number & ~offered) == 0;
            features_ = number.value_or(0);
            device_.accept_features(features_);
            break;
        case Message::set_protocol_features:
            fine = number && (*number & ~protocol_features_known) == 0;
            protocol_features_ = number.value_or(0);
            break;
        case Message::set_memory_table:
            fine = co_await set_memory(message);
            break;
        case Message::set_backend_channel:
            fine = message.descriptors.size() == 1;
            if (fine) {
                backend_channel_.emplace(std::move(message.descriptors[0]));
            }
            break;
        case Message::reset_owner:
            co_await stop_all();
            break;
        case Message::set_config:
            fine = write_config(message);
            break;
        case Message::set_owner:
            fine = true;
            break;
        default:
            log_warning("vhost-user: message %u is not known; the frontend is left", message.header.request);
            co_return false;
        }
    }
    if (!fine) {
        log_warning("vhost-user: message %u makes no sense; the frontend is left", message.header.request);
    }
    if ((message.header.flags & flag_need_reply) != 0 && (protocol_features_ & protocol_reply_ack) != 0) {
        fine = reply_number(message, fine ? 0 : 1) && fine;
    }
    co_return fine;
}

Task<bool> Session::handle_ring(Received& message, bool& is_ring_message) {
    auto kind = static_cast<Message>(message.header.request);
    is_ring_message = true;
    if (kind == Message::set_ring_kick || kind == Message::set_ring_call || kind == Message::set_ring_error) {
        co_return handle_descriptor(message);
    }
    bool has_state = kind == Message::set_ring_size || kind == Message::set_ring_base ||
                     kind == Message::get_ring_base || kind == Message::set_ring_enable;
    if (!has_state && kind != Message::set_ring_addresses) {
        is_ring_message = false;
        co_return true;
    }
    std::optional<RingState> state = message.as<RingState>();
    if (!state || state->index >= device_.queue_count()) {
        co_return false;
    }
    Ring& ring = rings_[state->index];
    switch (kind) {
    case Message::set_ring_size:
        ring.size = state->value;
        co_return !ring.is_running() && state->value > 0 && state->value <= virtio::queue_size_max;
    case Message::set_ring_base:
        // Packed rings say both sides at once: the used one in the upper half.
        ring.base_available = static_cast<u16>(state->value);
        ring.base_used =
            static_cast<u16>((features_ & virtio::feature_packed) != 0 ? state->value >> 16 : state->value);
        co_return !ring.is_running();
    case Message::set_ring_enable:
        ring.enabled = state->value != 0;
        if (!ring.enabled) {
            co_await ring.stop();
        }
        co_return start_if_ready(state->index);
    case Message::set_ring_addresses:
        ring.addresses = message.as<RingAddresses>();
        co_return !ring.is_running() && ring.addresses && start_if_ready(state->index);
    default: {
        // The end of a ring: where it was is the answer (no acknowledgement besides).
        co_await ring.stop();
        ring.kick = Descriptor();
        ring.enabled = false;
        u32 used = (features_ & virtio::feature_packed) != 0 ? u32{ring.base_used} << 16 : 0;
        RingState reply{.index = state->index, .value = ring.base_available | used};
        message.header.flags &= ~flag_need_reply;
        co_return channel_.send(message.header.request, flag_reply, std::as_bytes(std::span(&reply, 1)));
    }
    }
}

bool Session::handle_descriptor(Received& message) {
    std::optional<u64> value = message.as<u64>();
    usize index = value.value_or(0) & ring_index_mask;
    bool has_none = (value.value_or(0) & ring_no_descriptor) != 0;
    if (!value || index >= device_.queue_count() || message.descriptors.size() != (has_none ? 0 : 1)) {
        return false;
    }
    Ring& ring = rings_[index];
    Descriptor descriptor = has_none ? Descriptor() : std::move(message.descriptors[0]);
    switch (static_cast<Message>(message.header.request)) {
    case Message::set_ring_kick:
        if (ring.is_running() || has_none) {
            return false;  // polling without a descriptor is not offered
        }
        ring.kick = std::move(descriptor);
        return start_if_ready(index);
    case Message::set_ring_call:
        ring.call = std::move(descriptor);
        return true;
    default:
        return true;  // errors are told by ending the session
    }
}

Task<bool> Session::set_memory(Received& message) {
    co_await stop_all();
    Result<std::unique_ptr<MemoryTable>> table = MemoryTable::create(message);
    if (!table) {
        log_warning("vhost-user: the guest's memory cannot be mapped: %s", to_string(table.error()));
        co_return false;
    }
    memory_ = std::move(*table);
    for (usize index = 0; index < device_.queue_count(); ++index) {
        if (!start_if_ready(index)) {
            co_return false;
        }
    }
    co_return true;
}

bool Session::write_config(const Received& message) {
    std::optional<ConfigHeader> header = message.as<ConfigHeader>();
    if (!header || header->size > config_bytes_max || message.header.size != sizeof(*header) + header->size) {
        return false;
    }
    device_.write_configuration(header->offset, std::span(message.payload).subspan(sizeof(*header), header->size));
    return true;
}

bool Session::handle_inflight(Received& message) {
    Inflight layout{};
    if (message.header.size < inflight_wire_bytes) {
        return false;
    }
    __builtin_memcpy(&layout, message.payload, inflight_wire_bytes);
    if (rings_are_running()) {
        return false;  // they use what would be replaced
    }
    if (static_cast<Message>(message.header.request) == Message::set_inflight) {
        if (message.descriptors.size() != 1) {
            return false;
        }
        auto memory = InflightMemory::open(layout, std::move(message.descriptors[0]));
        inflight_ = memory ? std::move(*memory) : nullptr;
        return memory.has_value();
    }
    if (layout.queues == 0 || layout.queues > device_.queue_count() || layout.queue_size == 0 ||
        layout.queue_size > virtio::queue_size_max) {
        return false;
    }
    auto memory = InflightMemory::create(layout.queues, layout.queue_size);
    if (!memory) {
        return false;
    }
    inflight_ = std::move(*memory);
    layout = inflight_->layout();
    usize bytes = std::min<usize>(message.header.size, sizeof(layout));
    return channel_.send(message.header.request, flag_reply, std::as_bytes(std::span(&layout, 1)).first(bytes),
                         inflight_->descriptor());
}

}  // namespace undercroft::vhost_user
