// FakeNvme.
#include "tests/support/fake_nvme.hpp"

#include <algorithm>
#include <cstring>

#include "kernel/async/executor.hpp"

namespace undercroft::test {

using namespace undercroft::nvme;

namespace {
constexpr usize block_bytes = 512;
}

/// A timer that answers a command later.
struct FakeNvme::LateAnswer : Timer {
    LateAnswer(FakeNvme& owner, u16 queue, const SubmissionEntry& command)
        : Timer(&LateAnswer::run), fake(owner), executor(Executor::current()), queue_id(queue), entry(command),
          epoch(owner.epoch_) {}
    ~LateAnswer() { executor.disarm(*this); }
    static void run(Timer& self) {
        auto& late = static_cast<LateAnswer&>(self);
        if (late.epoch == late.fake.epoch_ && late.fake.can_reach_memory()) {
            late.fake.carry_out(late.queue_id, late.entry, {});
        }
    }
    FakeNvme& fake;
    Executor& executor;
    u16 queue_id;
    SubmissionEntry entry;
    u32 epoch;
};

/// A timer that ends what a controller still does after it was disabled.
struct FakeNvme::LateIdle : Timer {
    explicit LateIdle(FakeNvme& owner) : Timer(&LateIdle::run), fake(owner), executor(Executor::current()) {
        executor.arm(*this, executor.now_ns() + fake.idle_after_ns);
    }
    ~LateIdle() { executor.disarm(*this); }
    static void run(Timer& self) { static_cast<LateIdle&>(self).fake.become_idle(); }
    FakeNvme& fake;
    Executor& executor;
};

FakeNvme::FakeNvme(usize block_count) : blocks(block_count * block_bytes) {
    capabilities = Capabilities{}
                       .with_queue_entries_max_minus_one(63)
                       .with_timeout_500ms(4)
                       .with_command_sets(capability_command_set::nvm)
                       .with_page_size_min_log2(12)
                       .with_page_size_max_log2(12);
    std::memset(controller.serial_number, ' ', sizeof(controller.serial_number));
    std::memcpy(controller.model_number, "Fake", 4);
    controller.submission_entry_sizes = 0x66;
    controller.completion_entry_sizes = 0x44;
    controller.namespace_id_max = 1;
    controller.volatile_write_cache = write_cache::present;
    controller.events_supported = event_configuration::namespace_attribute;
    controller.version = version_1_4;
    name_space.size_blocks = block_count;
    name_space.capacity_blocks = block_count;
    name_space.lba_formats[0].data_bytes_log2 = 9;
    name_space.nguid[0] = 0x42;
}

FakeNvme::~FakeNvme() = default;

u32 FakeNvme::read32(u64 offset_bytes) {
    if (!present) {
        return register_gone;
    }
    switch (offset_bytes) {
    case register_offset::capabilities:
        return static_cast<u32>(capabilities.raw);
    case register_offset::capabilities + 4:
        return static_cast<u32>(capabilities.raw >> 32);
    case register_offset::version:
        return version_1_4;
    case register_offset::configuration:
        return configuration_;
    case register_offset::status:
        return ControllerStatus{}.with_ready(ready_).with_fatal(fatal_).with_shutdown(shutdown_).raw;
    default:
        return 0;
    }
}

u64 FakeNvme::read64(u64 offset_bytes) { return read32(offset_bytes) | u64{read32(offset_bytes + 4)} << 32; }

void FakeNvme::write64(u64 offset_bytes, u64 value) {
    if (offset_bytes == register_offset::admin_submission_queue) {
        admin_submission_ = value;
    } else if (offset_bytes == register_offset::admin_completion_queue) {
        admin_completion_ = value;
    }
}

void FakeNvme::write32(u64 offset_bytes, u32 value) {
    if (!present) {
        return;
    }
    if (offset_bytes == register_offset::configuration) {
        write_configuration(value);
    } else if (offset_bytes == register_offset::admin_queue_attributes) {
        admin_attributes_ = value;
    } else if (offset_bytes >= register_offset::doorbells) {
        u64 index = (offset_bytes - register_offset::doorbells) / (u64{4} << capabilities.doorbell_stride());
        if (index % 2 == 0) {
            ring(static_cast<u16>(index / 2), value);
        }
    }
}

void FakeNvme::write_configuration(u32 value) {
    Configuration old{configuration_};
    Configuration now{value};
    configuration_ = value;
    if (now.shutdown() != ShutdownNotification::none && old.shutdown() == ShutdownNotification::none) {
        ++shutdowns;
        shutdown_ = never_shut_down ? ShutdownStatus::in_progress : ShutdownStatus::complete;
    }
    if (now.enable() && !old.enable()) {
        ++enables;
        ready_ = !never_ready;
        fatal_ = false;
        shutdown_ = ShutdownStatus::none;
        AdminQueueAttributes attributes{admin_attributes_};
        queues_[0] = {.submission = admin_submission_,
                      .completion = admin_completion_,
                      .submission_entries = attributes.submission_entries(),
                      .completion_entries = attributes.completion_entries()};
    } else if (!now.enable() && old.enable()) {
        if (idle_after_ns == 0) {
            become_idle();
        } else {
            late_idle_ = std::make_unique<LateIdle>(*this);
        }
    }
}

void FakeNvme::become_idle() {
    ++epoch_;
    ready_ = never_idle;
    fatal_ = false;
    queues_.clear();
    ignored_.clear();
    parked_events_.clear();
}

void FakeNvme::ring(u16 queue_id, u32 tail) {
    auto found = queues_.find(queue_id);
    if (!ready_ || fatal_ || found == queues_.end()) {
        return;
    }
    found->second.tail = tail;
    // A command may end the queue, so it is looked up again each time.
    while ((found = queues_.find(queue_id)) != queues_.end() && found->second.head != found->second.tail && !fatal_ &&
           present) {
        Queue& queue = found->second;
        SubmissionEntry entry;
        if (!bus_master || !arena.memory().read(queue.submission + queue.head * sizeof(entry),
                                                std::as_writable_bytes(std::span(&entry, 1)))) {
            return;
        }
        queue.head = (queue.head + 1) % queue.submission_entries;
        ++commands_seen;
        take(queue_id, entry);
    }
}

void FakeNvme::take(u16 queue_id, const SubmissionEntry& entry) {
    if (queue_id == 0 && entry.opcode == static_cast<u8>(AdminOpcode::asynchronous_event_request)) {
        parked_events_.push_back(entry.command_id);
        return;
    }
    Verdict verdict = judge ? judge(queue_id, entry) : Verdict{};
    switch (verdict.fate) {
    case Fate::ignore:
        ignored_.push_back({queue_id, entry.command_id});
        return;
    case Fate::late:
        late_.push_back(std::make_unique<LateAnswer>(*this, queue_id, entry));
        late_.back()->executor.arm(*late_.back(), late_.back()->executor.now_ns() + verdict.late_ns);
        return;
    case Fate::fatal:
        fatal_ = true;
        return;
    case Fate::vanish:
        present = false;
        return;
    default:
        carry_out(queue_id, entry, verdict);
    }
}

void FakeNvme::carry_out(u16 queue_id, const SubmissionEntry& entry, Verdict verdict) {
    u32 result = 0;
    Status status = verdict.status;
    bool fails = verdict.fate == Fate::fail;
    if (!fails) {
        status = queue_id == 0 ? run_admin(entry, result) : run_io(entry);
    }
    answer(queue_id, entry.command_id, StatusField::make(status, fails && verdict.do_not_retry, false), result,
           verdict.fate);
}

void FakeNvme::answer(u16 queue_id, u16 command_id, StatusField status, u32 result, Fate fate) {
    auto found = queues_.find(queue_id);
    if (found == queues_.end() || !can_reach_memory()) {
        return;
    }
    Queue& queue = found->second;
    for (int copies = fate == Fate::twice ? 2 : 1; copies > 0; --copies) {
        CompletionEntry entry;
        entry.result = result;
        entry.submission_head = static_cast<u16>(queue.head);
        entry.submission_id = static_cast<u16>(fate == Fate::wrong_queue ? queue_id + 7 : queue_id);
        entry.command_id = fate == Fate::wrong_id  ? static_cast<u16>(command_id ^ 0x4100)
                           : fate == Fate::huge_id ? u16{0xffff}
                                                   : command_id;
        bool phase = fate == Fate::wrong_phase ? !queue.phase : queue.phase;
        entry.status = static_cast<u16>((status.raw & ~1u) | u32{phase});
        (void)arena.memory().write(queue.completion + queue.completion_tail * sizeof(entry),
                                   std::as_bytes(std::span(&entry, 1)));
        if (++queue.completion_tail == queue.completion_entries) {
            queue.completion_tail = 0;
            queue.phase = !queue.phase;
        }
    }
    if (fate != Fate::no_interrupt) {
        interrupts_.raise(queue.vector);
    }
}

bool FakeNvme::send_event(EventResult event) {
    if (parked_events_.empty()) {
        return false;
    }
    u16 command_id = parked_events_.front();
    parked_events_.erase(parked_events_.begin());
    answer(0, command_id, StatusField::make(Status::success, false, false), event.raw, Fate::complete);
    return true;
}

Status FakeNvme::run_admin(const SubmissionEntry& entry, u32& result) {
    u16 id = static_cast<u16>(u32{entry.dword10});
    switch (static_cast<AdminOpcode>(entry.opcode)) {
    case AdminOpcode::identify: {
        std::byte page[identify_bytes] = {};
        switch (static_cast<IdentifyStructure>(u32{entry.dword10} & 0xff)) {
        case IdentifyStructure::controller:
            std::memcpy(page, &controller, sizeof(page));
            break;
        case IdentifyStructure::name_space:
            std::memcpy(page, &name_space, sizeof(page));
            break;
        case IdentifyStructure::active_namespaces:
            page[0] = std::byte{1};
            break;
        default:
            return Status::invalid_field;
        }
        return transfer(entry, page, true);
    }
    case AdminOpcode::get_log_page: {
        std::byte page[page_size] = {};
        return transfer(entry, page, true);
    }
    case AdminOpcode::set_features:
        result = static_cast<Feature>(u32{entry.dword10}) == Feature::number_of_queues ? granted_queues : 0;
        return Status::success;
    case AdminOpcode::create_completion_queue: {
        Queue& queue = queues_[id];
        queue.completion = entry.data_pointer.prp1;
        queue.completion_entries = CreateQueueSize{entry.dword10}.entries();
        queue.vector = CreateCompletionQueue{entry.dword11}.vector();
        return Status::success;
    }
    case AdminOpcode::create_submission_queue:
        queues_[id].submission = entry.data_pointer.prp1;
        queues_[id].submission_entries = CreateQueueSize{entry.dword10}.entries();
        return Status::success;
    case AdminOpcode::delete_completion_queue:
        queues_.erase(id);
        return Status::success;
    case AdminOpcode::abort: {
        ++aborts_seen;
        result = 1;
        u16 command_id = static_cast<u16>(u32{entry.dword10} >> 16);
        auto found = std::find_if(ignored_.begin(), ignored_.end(), [&](const Ignored& each) {
            return each.queue_id == id && each.command_id == command_id;
        });
        if (aborts_work && found != ignored_.end()) {
            ignored_.erase(found);
            result = 0;
            answer(id, command_id, StatusField::make(Status::abort_requested, false, false), 0, Fate::complete);
        }
        return Status::success;
    }
    default:
        return Status::invalid_opcode;
    }
}

Status FakeNvme::run_io(const SubmissionEntry& entry) {
    IoOpcode opcode = static_cast<IoOpcode>(entry.opcode);
    if (opcode == IoOpcode::flush) {
        return Status::success;
    }
    u64 first = entry.starting_lba() * block_bytes;
    u64 bytes = u64{IoControl{entry.dword12}.blocks()} * block_bytes;
    if (first > blocks.size() || bytes > blocks.size() - first) {
        return Status::lba_out_of_range;
    }
    if (opcode != IoOpcode::read && opcode != IoOpcode::write) {
        return Status::invalid_opcode;
    }
    return transfer(entry, std::span(blocks).subspan(first, bytes), opcode == IoOpcode::read);
}

/// Moves data between `data` and the command's PRPs.
Status FakeNvme::transfer(const SubmissionEntry& entry, std::span<std::byte> data, bool to_host) {
    touched_memory_while_off |= !can_reach_memory();
    u64 address = entry.data_pointer.prp1;
    u64 list = entry.data_pointer.prp2;
    usize after_first = data.size() - std::min<usize>(data.size(), page_size - address % page_size);
    bool has_list = after_first > page_size;
    for (usize page = 0; !data.empty(); ++page) {
        if (page == 1 && !has_list) {
            address = list;
        } else if (page >= 1) {
            Result<Le<u64>> next = arena.memory().read_value<Le<u64>>(list + (page - 1) * sizeof(u64));
            if (!next) {
                return Status::data_transfer_error;
            }
            address = *next;
        }
        usize piece = std::min<usize>(data.size(), page_size - address % page_size);
        Result<void> moved = to_host ? arena.memory().write(address, data.first(piece))
                                     : arena.memory().read(address, data.first(piece));
        if (!moved) {
            return Status::data_transfer_error;
        }
        data = data.subspan(piece);
    }
    return Status::success;
}

}  // namespace undercroft::test
