// One hypercall a read.
#include "drivers/fw_cfg/hypercall_transport.hpp"

#include "kernel/vtl/hypercalls.hpp"

namespace undercroft {

Result<void> HypercallConfigTransport::read(u16 selector, u64 offset_bytes, std::span<std::byte> into) {
    u64 address = TRY(addresses_.guest_physical_of_any(into.data(), into.size()));
    return hypercalls::read_firmware_config(selector, offset_bytes, into.size(), address);
}

}  // namespace undercroft
