// An NVMe controller of ours with a guest that drives it through its rings and registers, as a line of a benchmark.
#pragma once

#include <optional>

#include "storage/frontends/nvme/controller.hpp"
#include "tests/bench/stack.hpp"
#include "tests/support/nvme_guest.hpp"

namespace undercroft {

/// Reads as a guest does: entries in a ring, a doorbell a batch, completions polled and acknowledged once a batch.
class ControllerStack final : public Stack, public test::Machine, public MessageSink {
public:
    ControllerStack(std::string name, Surroundings& surroundings, Disk disk, u32 depth)
        : Stack(std::move(name)), surroundings_(surroundings), disk_(std::move(disk)), depth_(depth),
          sequence_(disk_.sector_size()) {
        nvme::NamespaceConfig name_space{.id = 1, .disk = disk_};
        Executor* executors[] = {&surroundings_.executor};
        CurrentExecutorScope scope(surroundings_.executor);
        auto controller = nvme::Controller::create(
            {.memory = arena_.memory(), .messages = *this, .executors = executors, .namespaces = {&name_space, 1}});
        if (!controller) {
            give_up("no controller");
        }
        controller_ = std::move(*controller);
        guest_.emplace(*controller_, arena_, *this);
        if (!guest_->enable()) {
            give_up("the controller does not get ready");
        }
        std::optional<test::GuestQueue> queue = guest_->create_queue_pair(1, 256);
        if (!queue) {
            give_up("no queue");
        }
        queue_ = *queue;
        buffers_ = arena_.allocate(ring_pages * io_bytes);
    }
    ~ControllerStack() override { run_blocking(surroundings_.executor, controller_->close()); }

    usize batch() const override { return depth_; }
    void run(usize operations) override {
        CurrentExecutorScope scope(surroundings_.executor);
        u32 blocks = static_cast<u32>(io_bytes / disk_.sector_size());
        for (usize done = 0; done < operations; done += depth_) {
            for (u32 index = 0; index < depth_; ++index) {
                nvme::SubmissionEntry entry =
                    test::NvmeGuest::command(nvme::IoOpcode::read, 1, sequence_.next(), blocks);
                entry.data_pointer.prp1 = buffers_ + (done + index) % ring_pages * io_bytes;
                guest_->push(queue_, entry);
            }
            guest_->ring(queue_);
            u32 completed = 0;
            while (completed < depth_) {
                surroundings_.executor.run_ready();
                while (std::optional<nvme::CompletionEntry> entry = guest_->poll(queue_, false)) {
                    if (entry->status_field().status() != nvme::Status::success) {
                        give_up("a command failed");
                    }
                    ++completed;
                }
            }
            guest_->write32(nvme::completion_doorbell_offset(queue_.id, 0), queue_.head);
        }
    }

private:
    bool step() override { return surroundings_.executor.run_ready(); }
    void deliver(u64, u32) override {}

    Surroundings& surroundings_;
    Disk disk_;
    u32 depth_;
    SectorSequence sequence_;
    test::GuestArena arena_{4 * mib};
    std::unique_ptr<nvme::Controller> controller_;
    std::optional<test::NvmeGuest> guest_;
    test::GuestQueue queue_;
    u64 buffers_ = 0;
};

}  // namespace undercroft
