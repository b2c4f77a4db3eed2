// libFuzzer target: a guest that writes whatever it likes to the NVMe controller's registers, doorbells, queues and
// lists, over a disk that fails, delays and hangs. The input is a program of small steps. What must hold: no crash, no
// access outside guest memory (sanitizers; the disk looks too), a bounded number of steps, nothing touches guest memory
// after CSTS.RDY = 0, and after a reset the controller works.
#include "hostsim/platform/virtual_platform.hpp"
#include "storage/frontends/nvme/controller.hpp"
#include "tests/fuzz/fuzz_input.hpp"
#include "tests/fuzz/storage/frontends/nvme/fuzz_disk.hpp"
#include "tests/support/nvme_guest.hpp"

using namespace undercroft;
using fuzz::Input;
using namespace undercroft::test;
using namespace undercroft::nvme;

namespace {

constexpr u64 arena_bytes = 320 * kib;
constexpr usize rounds_max = 200'000;  ///< of the executors, for a whole input

class CountingMessages final : public MessageSink {
public:
    void deliver(u64, u32) override { ++count; }
    u64 count = 0;
};

class BoundedMachine final : public Machine {
public:
    explicit BoundedMachine(SimulatedProcessors& processors) : processors_(processors) {}
    bool step() override {
        MUST_HOLD(++rounds_ < rounds_max);
        bool ran = false;
        for (usize index = 0; index < processors_.count(); ++index) {
            CurrentExecutorScope scope(processors_.executor(index));
            ran |= processors_.executor(index).run_ready();
        }
        return ran || advance();
    }
    bool advance() {
        u64 next = no_deadline;
        for (usize index = 0; index < processors_.count(); ++index) {
            next = std::min(next, processors_.executor(index).next_deadline_ns());
        }
        if (next == no_deadline) {
            return false;
        }
        processors_.clock().advance_to(next);
        return true;
    }

private:
    SimulatedProcessors& processors_;
    usize rounds_ = 0;
};

/// Where the guest's queues lie; addresses in the input are drawn from around them, so that they hit.
constexpr u64 admin_submission = 0x1000;
constexpr u64 admin_completion = 0x3000;
constexpr u64 io_rings = 0x4000;  // 4 KiB each, submission and completion in turn
constexpr u64 buffers = 0x1a000;
constexpr u32 ring_entries = 16;

class FuzzGuest {
public:
    FuzzGuest(Input& input, NvmeGuest& guest, Controller& controller, FuzzDisk& disk, SimulatedProcessors& processors)
        : input_(input), guest_(guest), controller_(controller), disk_(disk), processors_(processors) {}

    void run() {
        while (!input_.is_empty()) {
            // Accesses come from any processor.
            u8 operation = input_.take<u8>();
            CurrentExecutorScope scope(processors_.executor((operation >> 5) % processors_.count()));
            step(operation & 0x1f);
        }
    }

private:
    u64 address() {
        u16 choice = input_.take<u16>();
        switch (choice >> 14) {
        case 0:
            return u64{choice & 0x7fu} * page_size;  // pages of the arena, and a few behind it
        case 1:
            return buffers + (choice & 0x3fff) * 8;
        case 2:
            return u64{choice & 0x3fffu} << ((choice & 7) * 8);
        default:
            return input_.take<u64>();
        }
    }
    u64 ring_of(u16 queue, bool completion) {
        if (queue == 0) {
            return completion ? admin_completion : admin_submission;
        }
        return io_rings + (2u * (queue % 8) + (completion ? 1 : 0)) * page_size;
    }
    u16 queue_id() {
        u8 choice = input_.take<u8>();
        return choice < 0xe0 ? choice % 6 : static_cast<u16>(choice * 2);
    }
    SubmissionEntry entry() {
        SubmissionEntry result;
        result.opcode = input_.take<u8>();
        u8 flags = input_.take<u8>();
        result.flags = (flags & 0x20) != 0 ? flags : (flags & 0x10) != 0 ? 0x40 : 0;
        result.command_id = u16{input_.take<u8>()};
        result.namespace_id = (flags & 8) != 0 ? input_.take<u32>() : 1;
        result.data_pointer.prp1 = address();
        result.data_pointer.prp2 = address();
        result.dword10 = (flags & 1) != 0 ? input_.take<u32>() : input_.take<u8>();
        result.dword11 = (flags & 2) != 0 ? input_.take<u32>() : input_.take<u8>();
        result.dword12 = (flags & 4) != 0 ? input_.take<u32>() : input_.take<u8>();
        return result;
    }
    void write_entry(u16 queue, const SubmissionEntry& value) {
        u32& tail = tails_[queue % 8];
        guest_.arena().write(ring_of(queue, false) + tail * sizeof value, value);
        tail = (tail + 1) % ring_entries;
        guest_.write32(submission_doorbell_offset(queue, 0), tail);
    }
    void create_queue(u16 id) {
        SubmissionEntry command = NvmeGuest::command(AdminOpcode::create_completion_queue);
        command.data_pointer.prp1 = ring_of(id, true);
        command.dword10 = CreateQueueSize::make(id, ring_entries).raw;
        command.dword11 = CreateCompletionQueue::make(true, id).raw;
        write_entry(0, command);
        command = NvmeGuest::command(AdminOpcode::create_submission_queue);
        command.data_pointer.prp1 = ring_of(id, false);
        command.dword10 = CreateQueueSize::make(id, ring_entries).raw;
        command.dword11 = CreateSubmissionQueue::make(id).raw;
        write_entry(0, command);
        tails_[id % 8] = 0;
    }
    void enable() {
        guest_.write32(register_offset::admin_queue_attributes, (ring_entries - 1) | (ring_entries - 1) << 16);
        guest_.write64(register_offset::admin_submission_queue, admin_submission);
        guest_.write64(register_offset::admin_completion_queue, admin_completion);
        guest_.write32(register_offset::configuration, NvmeGuest::usual_configuration().with_enable(true).raw);
        tails_[0] = 0;
    }
    void run_executors(usize count) {
        for (usize round = 0; round < count; ++round) {
            for (usize index = 0; index < processors_.count(); ++index) {
                CurrentExecutorScope scope(processors_.executor(index));
                processors_.executor(index).run_ready();
            }
        }
    }

    void step(u8 operation) {
        constexpr AccessSize sizes[] = {AccessSize::byte, AccessSize::word, AccessSize::dword, AccessSize::qword};
        switch (operation) {
        case 0:  // any access to the BAR
            controller_.write_bar(0, input_.take<u16>(), sizes[input_.take<u8>() % 4], input_.take<u64>());
            break;
        case 1:
            static_cast<void>(
                controller_.read_bar(input_.take<u8>() % 8, input_.take<u16>(), sizes[input_.take<u8>() % 4]));
            break;
        case 2:
            guest_.write32(register_offset::configuration, input_.take<u32>());
            break;
        case 3:
            controller_.write_config(input_.take<u8>() & 0xfc, input_.take<u32>(), input_.take<u32>());
            static_cast<void>(controller_.read_config(input_.take<u8>() & 0xfc));
            break;
        case 4:
        case 5: {
            u16 queue = queue_id();
            guest_.write32(register_offset::doorbells + (2u * queue + operation % 2) * 4, input_.take<u8>());
            break;
        }
        case 6:  // bytes anywhere
        case 7: {
            u64 at = address();
            u8 count = input_.take<u8>();
            for (u64 index = 0; index < count && at < arena_bytes - index; ++index) {
                guest_.arena().write(at + index, input_.take<u8>());
            }
            break;
        }
        case 8: {  // a list of addresses
            u64 at = address() & ~u64{7};
            u8 count = input_.take<u8>();
            for (u64 index = 0; index < count && at + index * 8 < arena_bytes - 8; ++index) {
                guest_.arena().write(at + index * 8, address() & ~u64{0xfff});
            }
            break;
        }
        case 9: {  // an SGL segment
            u64 at = address() & ~u64{15};
            u8 count = input_.take<u8>() % 32;
            for (u64 index = 0; index < count && at < arena_bytes - (index + 1) * 16; ++index) {
                SglDescriptor descriptor;
                descriptor.address = address();
                descriptor.length_bytes = input_.take<u16>();
                descriptor.identifier = input_.take<u8>();
                guest_.arena().write(at + index * 16, descriptor);
            }
            break;
        }
        case 10:
        case 11:
        case 12:
        case 13:
            write_entry(operation == 10 ? 0 : queue_id(), entry());
            break;
        case 14:
        case 15:
            write_entry(queue_id(), entry());
            run_executors(2);
            break;
        case 16:
            run_executors(input_.take<u8>() % 16);
            break;
        case 17:
            processors_.clock().advance_to(processors_.now_ns() + input_.take<u8>() * nanoseconds_per_millisecond);
            run_executors(1);
            break;
        case 18:
            enable();
            run_executors(2);
            break;
        case 19:
            create_queue(static_cast<u16>(input_.take<u8>() % 6 + 1));
            run_executors(3);
            break;
        case 20:
            guest_.write32(register_offset::configuration, 0);
            break;
        case 21:
            guest_.write32(
                register_offset::configuration,
                guest_.configuration().with_shutdown(static_cast<ShutdownNotification>(input_.take<u8>() % 4)).raw);
            break;
        case 22:
        case 23:
            disk_.plan(input_.take<u8>());
            break;
        case 24:
            disk_.resize(input_.take<u16>() % FuzzDisk::sectors_max);
            break;
        case 25: {  // completions taken as a driver would
            u16 queue = static_cast<u16>(input_.take<u8>() % 6);
            guest_.write32(completion_doorbell_offset(queue, 0), input_.take<u8>() % ring_entries);
            break;
        }
        case 26: {
            SubmissionEntry command = NvmeGuest::command(AdminOpcode::doorbell_buffer_config);
            command.data_pointer.prp1 = 0x18000;
            command.data_pointer.prp2 = 0x19000;
            write_entry(0, command);
            break;
        }
        case 27:  // shared doorbells
            guest_.arena().write(0x18000 + (input_.take<u8>() % 16) * 4, u32{input_.take<u8>()});
            break;
        case 28:
            for (int count = 0; count < 6; ++count) {
                write_entry(0, NvmeGuest::command(AdminOpcode::asynchronous_event_request));
            }
            break;
        case 29:
            guest_.enable_messages(8);
            break;
        case 30:
            write_entry(queue_id(),
                        NvmeGuest::command(input_.take<u8>() % 2 == 0 ? IoOpcode::flush : IoOpcode::write_zeroes, 1));
            break;
        default:
            disk_.heal();
            break;
        }
    }

    Input& input_;
    NvmeGuest& guest_;
    Controller& controller_;
    FuzzDisk& disk_;
    SimulatedProcessors& processors_;
    u32 tails_[8] = {};
};

/// After whatever happened: reset, and see that the controller works.
void probe(NvmeGuest& guest, FuzzDisk& disk, bool read_only) {
    disk.heal();
    guest.write32(register_offset::configuration, 0);
    guest.settle();
    MUST_HOLD(guest.status().raw == 0);
    static std::byte before[arena_bytes];
    std::memcpy(before, guest.arena().at(0), arena_bytes);
    for (u16 id = 0; id < 6; ++id) {
        guest.write32(submission_doorbell_offset(id, 0), 1);
    }
    guest.settle();
    MUST_HOLD(std::memcmp(before, guest.arena().at(0), arena_bytes) == 0);

    disk.resize(256);
    MUST_HOLD(guest.enable(16));
    MUST_HOLD(guest.identify(IdentifyStructure::controller));
    std::optional<GuestQueue> queue = guest.create_queue_pair(3, 16);
    MUST_HOLD(queue);
    std::byte data[16 * kib];
    std::memset(data, 0x5a, sizeof data);
    Status written = guest.write_blocks(*queue, 1, 8, data);
    MUST_HOLD(written == (read_only ? Status::write_to_read_only_range : Status::success));
    std::byte back[sizeof data];
    MUST_HOLD(guest.read_blocks(*queue, 1, 8, back) == Status::success);
    MUST_HOLD(read_only || std::memcmp(data, back, sizeof data) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, usize size) {
    Input input(data, size);
    u8 flags = input.take<u8>();
    usize processor_count = 1 + flags % 3;
    SimulatedProcessors processors(processor_count, (flags & 4) != 0 ? input.take<u8>() : 0);
    BoundedMachine machine(processors);
    GuestArena arena(arena_bytes);
    CountingMessages messages;
    bool read_only = (flags & 8) != 0;
    auto disk = std::make_shared<FuzzDisk>(arena.bytes(0, arena_bytes), read_only, (flags & 16) != 0);
    NamespaceConfig config{.id = 1, .disk = *Disk::create(disk)};
    std::vector<Executor*> executors = processors.executors();
    auto controller = std::move(*Controller::create(
        {.memory = arena.memory(), .messages = messages, .executors = executors, .namespaces = std::span(&config, 1)}));
    NvmeGuest guest(*controller, arena, machine);

    FuzzGuest(input, guest, *controller, *disk, processors).run();
    // The bump allocator of the rig begins behind what the program used.
    arena.allocate(buffers);
    probe(guest, *disk, read_only);

    bool closed = false;
    {
        CurrentExecutorScope scope(processors.executor(0));
        detail::run_root(controller->close(), closed);
    }
    MUST_HOLD(guest.run_until([&] { return closed; }));
    return 0;
}
