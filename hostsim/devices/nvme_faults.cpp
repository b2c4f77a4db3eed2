// NvmeFaultPlan.
#include "hostsim/devices/nvme_faults.hpp"

#include "kernel/spec/nvme.hpp"

namespace undercroft {

using namespace nvme;

void NvmeFaultPlan::plug_in() {
    present_ = true;
    fatal_ = false;
    rings_.clear();
}

u32 NvmeFaultPlan::read_register(u64 offset_bytes, u32 value) {
    if (offset_bytes == register_offset::status && fatal_) {
        return ControllerStatus{value}.with_fatal(true).raw;
    }
    return value;
}

bool NvmeFaultPlan::allow_write(u64 offset_bytes, u64 value) {
    switch (offset_bytes) {
    case register_offset::admin_submission_queue:
        admin_submission_ = value;
        return true;
    case register_offset::admin_completion_queue:
        admin_completion_ = value;
        return true;
    case register_offset::admin_queue_attributes:
        admin_attributes_ = static_cast<u32>(value);
        return true;
    case register_offset::configuration: {
        fatal_ = fatal_ && Configuration{static_cast<u32>(value)}.enable();
        AdminQueueAttributes attributes{admin_attributes_};
        rings_.clear();
        rings_[0] = {.address = admin_completion_, .entries = attributes.completion_entries()};
        admin_head_ = 0;
        return true;
    }
    case register_offset::doorbells:
        look_at_admin_commands(static_cast<u32>(value));
        break;
    default:
        break;
    }
    if (offset_bytes >= register_offset::doorbells && !fatal_ && random_.chance(faults_.fatal)) {
        fatal_ = true;
        ++injected_;
    }
    return !fatal_;
}

/// Learns where the driver puts its completion queues.
void NvmeFaultPlan::look_at_admin_commands(u32 tail) {
    u32 entries = AdminQueueAttributes{admin_attributes_}.submission_entries();
    for (; arena_ != nullptr && tail < entries && admin_head_ != tail; admin_head_ = (admin_head_ + 1) % entries) {
        auto entry =
            arena_->memory().read_value<SubmissionEntry>(admin_submission_ + admin_head_ * sizeof(SubmissionEntry));
        if (entry && entry->opcode == static_cast<u8>(AdminOpcode::create_completion_queue)) {
            CreateQueueSize size{entry->dword10};
            rings_[size.queue_id()] = {.address = entry->data_pointer.prp1,
                                       .entries = size.entries(),
                                       .vector = CreateCompletionQueue{entry->dword11}.vector()};
        }
    }
}

bool NvmeFaultPlan::allow_interrupt(usize vector) {
    for (auto& [id, ring] : rings_) {
        if (ring.vector == vector && arena_ != nullptr) {
            mix_up(ring);
        }
    }
    if (random_.chance(faults_.lost_interrupt)) {
        ++injected_;
        return false;
    }
    return true;
}

/// Gives some of the completions that are new in `ring` another command's id.
void NvmeFaultPlan::mix_up(Ring& ring) {
    for (u32 count = 0; count < ring.entries; ++count) {
        u64 address = ring.address + ring.head * sizeof(CompletionEntry);
        auto entry = arena_->memory().read_value<CompletionEntry>(address);
        if (!entry || entry->status_field().phase() != ring.phase) {
            return;
        }
        if (random_.chance(faults_.wrong_id)) {
            // Never that of another command under way: nobody could notice. A slot holds one generation at a time, and
            // FFh is no slot.
            entry->command_id =
                static_cast<u16>(random_.below(2) == 0 ? entry->command_id ^ 0x8000 : entry->command_id | 0xff);
            (void)arena_->memory().write_value(address, *entry);
            ++injected_;
        }
        if (++ring.head == ring.entries) {
            ring.head = 0;
            ring.phase = !ring.phase;
        }
    }
}

}  // namespace undercroft
