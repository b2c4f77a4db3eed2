// Firmware configuration through the monitor, and its files as sources of a guest's images.
#pragma once

#include "drivers/fw_cfg/firmware_config.hpp"
#include "kernel/vtl/address_map.hpp"

namespace undercroft {

class HypercallConfigTransport final : public FirmwareConfigTransport {
public:
    explicit HypercallConfigTransport(const AddressMap& addresses) : addresses_(addresses) {}
    /// `into` must lie in VTL2's memory or guest RAM: `out_of_range` elsewhere.
    Result<void> read(u16 selector, u64 offset_bytes, std::span<std::byte> into) override;

private:
    const AddressMap& addresses_;
};

}  // namespace undercroft
