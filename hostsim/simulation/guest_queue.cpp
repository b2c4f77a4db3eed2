// GuestQueue.
#include "hostsim/simulation/guest_queue.hpp"

#include <algorithm>
#include <cstring>

namespace undercroft::simulation {

using namespace nvme;

GuestQueue::GuestQueue(DmaArena& memory, Recorder& recorder, u16 id, u32 entries)
    : recorder_(recorder), id_(id), entries_(entries),
      completion_offset_(align_up(u64{entries} * sizeof(SubmissionEntry), page_size)),
      rings_(memory.allocate(completion_offset_ + u64{entries} * sizeof(CompletionEntry)).value()), free_(entries - 1) {
    ASSERT(entries >= 2 && entries <= 256);
    for (u32 slot = 0; slot + 1 < entries; ++slot) {
        commands_.push_back(std::make_unique<Command>());
    }
}

usize GuestQueue::under_way() const {
    return static_cast<usize>(std::count_if(commands_.begin(), commands_.end(), [](const auto& command) {
        return command->state == Command::State::under_way;
    }));
}

void GuestQueue::attach(PciFunction& device) {
    std::memset(rings_.data(), 0, rings_.size_bytes());
    tail_ = head_ = 0;
    phase_ = true;
    device_ = &device;
}

void GuestQueue::use_shadow(std::byte* doorbells, std::byte* events) {
    shadow_ = doorbells;
    events_ = events;
}

void GuestQueue::detach() {
    device_ = nullptr;
    shadow_ = events_ = nullptr;
    for (auto& command : commands_) {
        if (command->state == Command::State::under_way) {
            command->state = Command::State::lost;
            command->ended.notify_all();
        }
    }
}

Task<Result<GuestQueue::Slot>> GuestQueue::acquire(WaitLimits limits) {
    CO_TRY(co_await free_.acquire(1, limits));
    auto free = std::find_if(commands_.begin(), commands_.end(),
                             [](const auto& command) { return command->state == Command::State::free; });
    ASSERT(free != commands_.end());
    (*free)->state = Command::State::held;
    co_return static_cast<Slot>(free - commands_.begin());
}

void GuestQueue::release(Slot slot) {
    ASSERT(commands_[slot]->state != Command::State::under_way);
    commands_[slot]->state = Command::State::free;
    free_.release();
}

/// Base 2.0 section 5.8: whether passing from `old_value` to `value` passes what the controller asked to be called at.
static bool passes(u32 event, u32 old_value, u32 value) {
    return static_cast<u16>(value - event - 1) < static_cast<u16>(value - old_value);
}

void GuestQueue::ring(u64 doorbell_offset, usize shadow_index, u32 old_value, u32 value) {
    if (shadow_ != nullptr) {
        std::memcpy(shadow_ + shadow_index * sizeof(u32), &value, sizeof(value));
        u32 event = 0;
        std::memcpy(&event, events_ + shadow_index * sizeof(u32), sizeof(event));
        if (!passes(event, old_value, value)) {
            return;
        }
    }
    device_->write_bar(0, doorbell_offset, AccessSize::dword, value);
}

Result<u16> GuestQueue::submit(Slot slot, SubmissionEntry entry) {
    if (device_ == nullptr) {
        return fail(Error::gone);
    }
    Command& command = *commands_[slot];
    ++command.generation;
    command.state = Command::State::under_way;
    entry.command_id = command_id(slot);
    std::memcpy(rings_.data() + u64{tail_} * sizeof(entry), &entry, sizeof(entry));
    u32 before = tail_;
    tail_ = (tail_ + 1) % entries_;
    ring(submission_doorbell_offset(id_, 0), usize{2} * id_, before, tail_);
    return entry.command_id;
}

Task<Result<std::optional<CompletionEntry>>> GuestQueue::wait(Slot slot, u64 deadline_ns) {
    Command& command = *commands_[slot];
    while (command.state == Command::State::under_way) {
        CO_TRY(co_await command.ended.wait({.deadline_ns = deadline_ns}));
    }
    if (command.state == Command::State::lost) {
        co_return std::nullopt;
    }
    co_return command.completion;
}

void GuestQueue::take(const CompletionEntry& entry) {
    u32 slot = entry.command_id & 0xff;
    bool known = slot < commands_.size() && commands_[slot]->state == Command::State::under_way &&
                 command_id(slot) == entry.command_id;
    if (!known) {
        recorder_.problem("the controller completed command " + std::to_string(u16{entry.command_id}) + " of queue " +
                          std::to_string(id_) + ", which is not under way");
        return;
    }
    recorder_.expect(entry.submission_id == id_, "a completion names another submission queue");
    recorder_.expect(entry.submission_head < entries_, "a completion's submission queue head is past its end");
    commands_[slot]->completion = entry;
    commands_[slot]->state = Command::State::completed;
    commands_[slot]->ended.notify_all();
}

CompletionEntry GuestQueue::next_completion() const {
    CompletionEntry entry;
    std::memcpy(&entry, rings_.data() + completion_offset_ + u64{head_} * sizeof(entry), sizeof(entry));
    return entry;
}

usize GuestQueue::poll() {
    usize taken = 0;
    u32 before = head_;
    while (taken < entries_ && has_new()) {
        CompletionEntry entry = next_completion();
        if (++head_ == entries_) {
            head_ = 0;
            phase_ = !phase_;
        }
        ++taken;
        ++taken_;
        take(entry);
    }
    if (taken > 0) {
        ring(completion_doorbell_offset(id_, 0), usize{2} * id_ + 1, before, head_);
    }
    return taken;
}

}  // namespace undercroft::simulation
