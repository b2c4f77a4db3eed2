// A virtio PCI function of ours (block device or SCSI host) with a guest that drives one of its queues, as a line of a
// benchmark.
#pragma once

#include "storage/frontends/virtio/block_device.hpp"
#include "storage/frontends/virtio/pci_controller.hpp"
#include "storage/frontends/virtio/scsi_device.hpp"
#include "storage/scsi/block_unit.hpp"
#include "tests/bench/polled_ring.hpp"
#include "tests/bench/stack.hpp"
#include "tests/support/nvme_guest.hpp"

namespace undercroft {

class VirtioStack final : public Stack, public MessageSink {
public:
    VirtioStack(std::string name, Surroundings& surroundings, const Disk& disk, VirtioProtocol protocol, u32 depth,
                bool writes)
        : Stack(std::move(name)), surroundings_(surroundings), depth_(depth), writes_(writes),
          ring_(arena_.at(0), protocol, disk.sector_count() * disk.sector_size()) {
        CurrentExecutorScope scope(surroundings_.executor);
        Executor* executors[] = {&surroundings_.executor};
        queue_ = protocol == VirtioProtocol::scsi ? virtio::scsi_first_request_queue : u16{0};
        auto controller = virtio::PciController::create({.memory = arena_.memory(),
                                                         .messages = *this,
                                                         .executors = executors,
                                                         .device = make_device(disk, protocol)});
        if (!controller) {
            give_up("no virtio function");
        }
        controller_ = std::move(*controller);
        start();
    }
    ~VirtioStack() override {
        run_blocking(surroundings_.executor, controller_->close());
        if (scsi_ != nullptr) {
            run_blocking(surroundings_.executor, scsi_->close());
        }
    }

    usize batch() const override { return depth_; }
    void run(usize operations) override {
        CurrentExecutorScope scope(surroundings_.executor);
        auto notify = [this] { controller_->write_bar(virtio::pci_place::port_bar, 0, AccessSize::word, queue_); };
        ring_.run(operations, depth_, writes_, notify, [this] { surroundings_.executor.run_ready(); });
    }

private:
    std::unique_ptr<virtio::Device> make_device(const Disk& disk, VirtioProtocol protocol) {
        if (protocol == VirtioProtocol::block) {
            return std::make_unique<virtio::BlockDevice>(disk, virtio::BlockIdentity{.serial = "bench"});
        }
        auto device = std::make_unique<virtio::ScsiDevice>(u16{1});
        scsi_ = device.get();
        if (!device->target().add(0, std::make_shared<scsi::BlockUnit>(scsi::BlockUnitConfig{.disk = disk}))) {
            give_up("no unit");
        }
        return device;
    }
    template <typename T>
    void write_common(u64 offset, T value) {
        controller_->write_bar(virtio::pci_place::memory_bar, virtio::pci_place::common + offset,
                               static_cast<AccessSize>(sizeof(T)), value);
    }
    void set_status(u8 status) { write_common<u8>(offsetof(virtio::CommonConfig, status), status); }
    void start() {
        using virtio::CommonConfig;
        u8 status = virtio::status_acknowledge | virtio::status_driver;
        set_status(status);
        write_common<u32>(offsetof(CommonConfig, driver_feature_select), 1);
        write_common<u32>(offsetof(CommonConfig, driver_feature), static_cast<u32>(virtio::feature_version_1 >> 32));
        set_status(status |= virtio::status_features_ok);
        write_common<u16>(offsetof(CommonConfig, queue_select), queue_);
        write_common<u16>(offsetof(CommonConfig, queue_size), PolledRing::ring_size);
        write_common<u64>(offsetof(CommonConfig, queue_descriptors), PolledRing::descriptors_at);
        write_common<u64>(offsetof(CommonConfig, queue_driver), PolledRing::available_at);
        write_common<u64>(offsetof(CommonConfig, queue_device), PolledRing::used_at);
        write_common<u16>(offsetof(CommonConfig, queue_enable), 1);
        set_status(status | virtio::status_driver_ok);
        surroundings_.executor.run_ready();
    }
    void deliver(u64, u32) override {}

    Surroundings& surroundings_;
    u32 depth_;
    bool writes_;
    u16 queue_ = 0;
    test::GuestArena arena_{PolledRing::memory_bytes};
    PolledRing ring_;
    virtio::ScsiDevice* scsi_ = nullptr;  // the controller's
    std::unique_ptr<virtio::PciController> controller_;
};

}  // namespace undercroft
