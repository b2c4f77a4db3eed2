// The virtio block device over a disk, for any transport.
#pragma once

#include "storage/frontends/virtio/block.hpp"
#include "storage/frontends/virtio/device.hpp"

namespace undercroft::virtio {

class BlockDevice final : public Device {
public:
    BlockDevice(Disk disk, BlockIdentity identity) : disk_(std::move(disk)), identity_(std::move(identity)) {}

    DeviceType type() const override { return DeviceType::block; }
    u64 features() const override { return block_features(disk_, identity_); }
    u16 queue_count() const override { return identity_.queues; }
    void read_configuration(u32 offset_bytes, std::span<std::byte> into) const override;
    Task<Result<u32>> process(u16 queue, const Chain& chain, CancelToken cancel) override;
    bool went_well(u16 queue, const Chain& chain) const override;
    Task<void> watch(ConfigurationListener& listener, CancelToken cancel) override;

private:
    Disk disk_;
    BlockIdentity identity_;
};

/// Copies from `offset_bytes` of `configuration`, as `Device::read_configuration` wants it.
void copy_configuration(std::span<const std::byte> configuration, u32 offset_bytes, std::span<std::byte> into);

}  // namespace undercroft::virtio
