// Ports 80h, 92h and EDh.
#include "kernel/guest/chipset/simple_ports.hpp"

namespace undercroft {

namespace {
constexpr u16 port_post = 0x80;
constexpr u16 port_system_control = 0x92;
constexpr u16 port_delay = 0xED;

constexpr u8 system_control_reset = 0x01;
constexpr u8 system_control_a20 = 0x02;
}  // namespace

Result<void> SimplePorts::add_to(GuestBus& bus) {
    for (u16 port : {port_post, port_system_control, port_delay}) {
        TRY(bus.add_ports(*this, port, 1));
    }
    return {};
}

u64 SimplePorts::read_port(u16 port, AccessSize size) {
    switch (port) {
    case port_post:
        return post_code();
    case port_system_control:
        return system_control_a20;
    default:
        return all_ones(size);
    }
}

void SimplePorts::write_port(u16 port, AccessSize, u64 value) {
    if (port == port_post) {
        post_code_.store(static_cast<u8>(value), std::memory_order_relaxed);
    } else if (port == port_system_control && (value & system_control_reset) != 0) {
        power_.reset();
    }
}

}  // namespace undercroft
