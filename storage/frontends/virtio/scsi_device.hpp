// The virtio SCSI host device over a SCSI target, for any transport: request queues, task management on the control
// queue, and an event queue whose buffers wait until there is something to say (units that come and go, new sizes). One
// target, number 0, and one initiator. Leaves out asynchronous notifications other than those, and protection
// information.
#pragma once

#include "kernel/base/spinlock.hpp"
#include "kernel/spec/virtio_scsi.hpp"
#include "storage/frontends/virtio/device.hpp"
#include "storage/scsi/target.hpp"

namespace undercroft::virtio {

class ScsiDevice final : public Device, private scsi::UnitListener {
public:
    static constexpr usize events_max = 32;  ///< that wait for a buffer; what is more is told as missed

    /// `request_queues`: at least 1.
    explicit ScsiDevice(u16 request_queues) : request_queues_(request_queues), events_work_(*this), target_(this) {}
    ~ScsiDevice() override { ASSERT(!events_work_.posted); }

    /// For units, before and while the driver runs: as `scsi::Target` says, on one executor.
    scsi::Target& target() { return target_; }
    /// When nobody uses the device any more: takes the units away.
    Task<void> close();

    DeviceType type() const override { return DeviceType::scsi; }
    u64 features() const override { return feature_scsi_both_directions | feature_scsi_hotplug | feature_scsi_change; }
    void accept_features(u64 features) override { accepted_.store(features); }
    u16 queue_count() const override { return scsi_first_request_queue + request_queues_; }
    usize processor_of(u16 queue, usize count) const override {
        return queue < scsi_first_request_queue ? 0 : (queue - scsi_first_request_queue) % count;
    }
    bool is_parking(u16 queue) const override { return queue == scsi_event_queue; }
    void read_configuration(u32 offset_bytes, std::span<std::byte> into) const override;
    void write_configuration(u32 offset_bytes, std::span<const std::byte> from) override;
    Task<Result<u32>> process(u16 queue, const Chain& chain, CancelToken cancel) override;
    bool went_well(u16 queue, const Chain& chain) const override;
    /// Nothing in the configuration changes: what does has events.
    Task<void> watch(ConfigurationListener&, CancelToken) override { co_return; }
    void describe(inspect::Node& node) const override { target_.describe(node); }
    void reset() override;

private:
    struct EventsWork : Work {
        explicit EventsWork(ScsiDevice& device) : Work(&ScsiDevice::on_events), device(device) {}
        ScsiDevice& device;
        std::atomic<bool> posted{false};
    };
    static void on_events(Work& self);
    void unit_event(u32 lun, scsi::UnitEvent event) override;
    Task<Result<u32>> command(const Chain& chain, CancelToken cancel);
    Task<Result<u32>> control(const Chain& chain, CancelToken cancel);
    Task<Result<u32>> event(const Chain& chain, CancelToken cancel);
    bool take_event(ScsiEvent& event);

    u16 request_queues_;
    std::atomic<u64> accepted_{0};
    std::atomic<u32> sense_bytes_{scsi_sense_bytes_default};
    std::atomic<u32> cdb_bytes_{scsi_cdb_bytes_default};

    Spinlock events_lock_;
    ScsiEvent events_[events_max];
    usize events_begin_ = 0;
    usize event_count_ = 0;
    bool events_missed_ = false;
    std::atomic<Executor*> events_executor_{nullptr};
    EventsWork events_work_;
    WaitQueue events_waiting_;  // of events_executor_

    scsi::Target target_;
};

}  // namespace undercroft::virtio
