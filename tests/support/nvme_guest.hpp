// A guest that drives an NVMe controller through its registers, rings and messages alone, as a driver would: for tests
// of the controller, and for whoever wraps the controller as a simulated device. It knows nothing of how the controller
// is made. One thread; time and processors are the caller's `Machine`.
#pragma once

#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernel/guest/device.hpp"
#include "kernel/guest/memory.hpp"
#include "kernel/spec/nvme.hpp"
#include "kernel/spec/pci.hpp"

namespace undercroft::test {

/// Guest RAM from address 0 on, in host memory, with a bump allocator for what the guest driver needs.
class GuestArena {
public:
    explicit GuestArena(u64 size_bytes)
        : size_bytes_(size_bytes), data_(static_cast<std::byte*>(std::aligned_alloc(page_size, size_bytes))) {
        std::memset(data_.get(), 0, size_bytes);
        GuestMemoryRange range{.guest_address = 0, .size_bytes = size_bytes, .data = data_.get()};
        memory_ = *GuestMemory::create(std::span(&range, 1));
    }
    const GuestMemory& memory() const { return memory_; }
    u64 size_bytes() const { return size_bytes_; }
    std::byte* at(u64 address) { return data_.get() + address; }
    std::span<std::byte> bytes(u64 address, u64 count) { return {at(address), count}; }

    /// Guest address of `bytes` zeroed bytes, page-aligned. Never freed; address 0 is never given.
    u64 allocate(u64 bytes) {
        u64 address = next_;
        next_ = align_up(next_ + bytes, page_size);
        if (next_ > size_bytes_) {
            std::abort();
        }
        std::memset(at(address), 0, bytes);
        return address;
    }

    template <typename T>
    T read(u64 address) {
        T value;
        std::memcpy(&value, at(address), sizeof value);
        return value;
    }
    template <typename T>
    void write(u64 address, const T& value) {
        std::memcpy(at(address), &value, sizeof value);
    }

private:
    struct Free {
        void operator()(std::byte* data) const { std::free(data); }
    };
    u64 size_bytes_;
    std::unique_ptr<std::byte, Free> data_;
    GuestMemory memory_;
    u64 next_ = page_size;
};

/// Remembers every message.
class RecordingMessages final : public MessageSink {
public:
    void deliver(u64 address, u32 data) override { messages.emplace_back(address, data); }
    /// How often `data` came.
    usize count(u32 data) const {
        usize sum = 0;
        for (const auto& message : messages) {
            sum += message.second == data ? 1 : 0;
        }
        return sum;
    }
    std::vector<std::pair<u64, u32>> messages;
};

/// The processors and the clock around the controller.
class Machine {
public:
    virtual ~Machine() = default;
    /// Lets the controller work; false where it has nothing to do, now or later.
    virtual bool step() = 0;
};

/// A queue pair as the guest keeps it.
struct GuestQueue {
    u16 id = 0;
    u32 submission_entries = 0;
    u32 completion_entries = 0;
    u64 submission_address = 0;
    u64 completion_address = 0;
    u32 tail = 0;
    u32 head = 0;
    bool phase = true;
    u16 next_command_id = 1;
    std::map<u16, nvme::CompletionEntry> unclaimed = {};  ///< taken from the ring before somebody waited for them
};

class NvmeGuest {
public:
    /// Steps after which waiting is given up: far more than any command takes.
    static constexpr usize steps_max = 100'000;

    NvmeGuest(PciFunction& device, GuestArena& arena, Machine& machine)
        : device_(device), arena_(arena), machine_(machine) {}

    GuestArena& arena() { return arena_; }
    GuestQueue& admin() { return admin_; }

    u32 read32(u64 offset) { return static_cast<u32>(device_.read_bar(0, offset, AccessSize::dword)); }
    u64 read64(u64 offset) { return device_.read_bar(0, offset, AccessSize::qword); }
    void write32(u64 offset, u32 value) { device_.write_bar(0, offset, AccessSize::dword, value); }
    void write64(u64 offset, u64 value) { device_.write_bar(0, offset, AccessSize::qword, value); }
    nvme::ControllerStatus status() { return {read32(nvme::register_offset::status)}; }
    nvme::Configuration configuration() { return {read32(nvme::register_offset::configuration)}; }

    static nvme::Configuration usual_configuration() {
        return nvme::Configuration{}
            .with_page_size_log2(12)
            .with_submission_entry_log2(nvme::submission_entry_log2)
            .with_completion_entry_log2(nvme::completion_entry_log2);
    }

    /// Steps until `done()`; false where that does not happen.
    bool run_until(const std::function<bool()>& done) {
        for (usize count = 0; count < steps_max; ++count) {
            if (done()) {
                return true;
            }
            if (!machine_.step()) {
                return done();
            }
        }
        return false;
    }
    /// Lets the controller finish all it can.
    void settle() {
        for (usize count = 0; count < steps_max && machine_.step(); ++count) {
        }
    }

    void set_admin_queues(u32 entries) {
        admin_ = {.submission_entries = entries, .completion_entries = entries};
        admin_.submission_address = arena_.allocate(u64{entries} * sizeof(nvme::SubmissionEntry));
        admin_.completion_address = arena_.allocate(u64{entries} * sizeof(nvme::CompletionEntry));
        write32(nvme::register_offset::admin_queue_attributes,
                nvme::AdminQueueAttributes{}.with_submission_entries(entries).with_completion_entries(entries).raw);
        write64(nvme::register_offset::admin_submission_queue, admin_.submission_address);
        write64(nvme::register_offset::admin_completion_queue, admin_.completion_address);
    }
    /// The driver's start: queues, CC.EN, wait for CSTS.RDY. False where the controller does not get ready.
    bool enable(u32 admin_entries = 32) {
        set_admin_queues(admin_entries);
        write32(nvme::register_offset::configuration, usual_configuration().with_enable(true).raw);
        return run_until([this] { return status().ready() || status().fatal(); }) && !status().fatal();
    }
    /// CC.EN = 0, wait for CSTS.RDY = 0.
    bool disable() {
        write32(nvme::register_offset::configuration, configuration().with_enable(false).raw);
        return run_until([this] { return !status().ready(); });
    }
    bool shut_down() {
        write32(nvme::register_offset::configuration,
                configuration().with_shutdown(nvme::ShutdownNotification::normal).raw);
        return run_until([this] { return status().shutdown() == nvme::ShutdownStatus::complete; });
    }

    /// Turns MSI-X on; vector n sends data `n` to `address`.
    void enable_messages(u32 vectors, u64 address = 0xfee0'0000) {
        for (u32 vector = 0; vector < vectors; ++vector) {
            u64 entry = msix_table() + u64{vector} * pci::msix_entry::size_bytes;
            write64(entry + pci::msix_entry::address_low, address);
            write32(entry + pci::msix_entry::data, vector);
            write32(entry + pci::msix_entry::vector_control, 0);
        }
        set_msix_control(pci::MsixControl::enable_bit);
    }
    void set_msix_control(u16 value) { device_.write_config(msix_capability(), u32{value} << 16, 0xffff'0000); }
    /// Where the MSI-X capability and its table are.
    u16 msix_capability() {
        u16 offset = static_cast<u16>(device_.read_config(pci::config_offset::capabilities) & 0xff);
        while (offset != 0 && (device_.read_config(offset) & 0xff) != pci::capability_id::msix) {
            offset = static_cast<u16>(device_.read_config(offset) >> 8 & 0xff);
        }
        return offset;
    }
    u64 msix_table() {
        return device_.read_config(msix_capability() + pci::msix_capability::table) &
               ~pci::msix_capability::bar_index_mask;
    }

    /// Writes one entry at the tail; no doorbell. Gives the command id, taken from the queue's counter.
    u16 push(GuestQueue& queue, nvme::SubmissionEntry entry) {
        entry.command_id = queue.next_command_id++;
        arena_.write(queue.submission_address + u64{queue.tail} * sizeof entry, entry);
        queue.tail = (queue.tail + 1) % queue.submission_entries;
        return entry.command_id;
    }
    void ring(GuestQueue& queue) { write32(nvme::submission_doorbell_offset(queue.id, 0), queue.tail); }
    u16 submit(GuestQueue& queue, const nvme::SubmissionEntry& entry) {
        u16 id = push(queue, entry);
        ring(queue);
        return id;
    }
    /// The next completion in the ring, if there is one; acknowledged by doorbell unless told otherwise.
    std::optional<nvme::CompletionEntry> poll(GuestQueue& queue, bool acknowledge = true) {
        u64 address = queue.completion_address + u64{queue.head} * sizeof(nvme::CompletionEntry);
        constexpr usize last_dword = offsetof(nvme::CompletionEntry, command_id);
        // The dword with the phase first, then what was stored before it: the controller may be at it on another
        // thread.
        // SAFETY: completion entries are 16-byte aligned.
        u32 phase_dword = __atomic_load_n(reinterpret_cast<u32*>(arena_.at(address + last_dword)), __ATOMIC_ACQUIRE);
        if (nvme::StatusField{static_cast<u16>(phase_dword >> 16)}.phase() != queue.phase) {
            return std::nullopt;
        }
        auto entry = arena_.read<nvme::CompletionEntry>(address);
        if (++queue.head == queue.completion_entries) {
            queue.head = 0;
            queue.phase = !queue.phase;
        }
        if (acknowledge) {
            write32(nvme::completion_doorbell_offset(queue.id, 0), queue.head);
        }
        return entry;
    }
    /// Waits for the completion of `command_id`; none where it does not come.
    std::optional<nvme::CompletionEntry> wait(GuestQueue& queue, u16 command_id) {
        run_until([&] {
            while (std::optional<nvme::CompletionEntry> entry = poll(queue)) {
                queue.unclaimed[entry->command_id] = *entry;
            }
            return queue.unclaimed.contains(command_id);
        });
        auto found = queue.unclaimed.find(command_id);
        if (found == queue.unclaimed.end()) {
            return std::nullopt;
        }
        nvme::CompletionEntry entry = found->second;
        queue.unclaimed.erase(found);
        return entry;
    }
    /// Submits and waits. A completion that does not come reads as status 7FFh.
    nvme::CompletionEntry execute(GuestQueue& queue, const nvme::SubmissionEntry& entry) {
        auto completion = wait(queue, submit(queue, entry));
        if (completion) {
            return *completion;
        }
        nvme::CompletionEntry none;
        none.status = u16{0xfff};
        return none;
    }
    nvme::Status run(GuestQueue& queue, const nvme::SubmissionEntry& entry) {
        return execute(queue, entry).status_field().status();
    }
    nvme::CompletionEntry execute_admin(const nvme::SubmissionEntry& entry) { return execute(admin_, entry); }
    nvme::Status run_admin(const nvme::SubmissionEntry& entry) { return run(admin_, entry); }

    static nvme::SubmissionEntry command(nvme::AdminOpcode opcode, u32 namespace_id = 0) {
        nvme::SubmissionEntry entry;
        entry.opcode = static_cast<u8>(opcode);
        entry.namespace_id = namespace_id;
        return entry;
    }
    static nvme::SubmissionEntry command(nvme::IoOpcode opcode, u32 namespace_id, u64 lba = 0, u32 blocks = 1) {
        nvme::SubmissionEntry entry;
        entry.opcode = static_cast<u8>(opcode);
        entry.namespace_id = namespace_id;
        entry.set_starting_lba(lba);
        entry.dword12 = nvme::IoControl{}.with_blocks(blocks).raw;
        return entry;
    }

    /// Fills the data pointer for `bytes` at `address` with PRPs, making a list where one is needed.
    void point_at(nvme::SubmissionEntry& entry, u64 address, u64 bytes) {
        entry.data_pointer.prp1 = address;
        u64 first = page_size - address % page_size;
        if (bytes <= first) {
            return;
        }
        u64 next = address + first;
        u64 left = bytes - first;
        if (left <= page_size) {
            entry.data_pointer.prp2 = next;
            return;
        }
        u64 pages = (left + page_size - 1) / page_size;
        u64 list = arena_.allocate(pages * 8);
        for (u64 index = 0; index < pages; ++index) {
            arena_.write(list + index * 8, next + index * page_size);
        }
        entry.data_pointer.prp2 = list;
    }

    /// Identify into a fresh page; its address, or none where the command failed.
    std::optional<u64> identify(nvme::IdentifyStructure structure, u32 namespace_id = 0) {
        u64 page = arena_.allocate(nvme::identify_bytes);
        nvme::SubmissionEntry entry = command(nvme::AdminOpcode::identify, namespace_id);
        entry.data_pointer.prp1 = page;
        entry.dword10 = static_cast<u32>(structure);
        if (run_admin(entry) != nvme::Status::success) {
            return std::nullopt;
        }
        return page;
    }

    nvme::Status create_completion_queue(GuestQueue& queue, bool interrupts, u16 vector) {
        nvme::SubmissionEntry entry = command(nvme::AdminOpcode::create_completion_queue);
        entry.data_pointer.prp1 = queue.completion_address;
        entry.dword10 = nvme::CreateQueueSize::make(queue.id, queue.completion_entries).raw;
        entry.dword11 = nvme::CreateCompletionQueue::make(interrupts, vector).raw;
        return run_admin(entry);
    }
    nvme::Status create_submission_queue(GuestQueue& queue, u16 completion_queue_id) {
        nvme::SubmissionEntry entry = command(nvme::AdminOpcode::create_submission_queue);
        entry.data_pointer.prp1 = queue.submission_address;
        entry.dword10 = nvme::CreateQueueSize::make(queue.id, queue.submission_entries).raw;
        entry.dword11 = nvme::CreateSubmissionQueue::make(completion_queue_id).raw;
        return run_admin(entry);
    }
    nvme::Status delete_queue(nvme::AdminOpcode opcode, u16 id) {
        nvme::SubmissionEntry entry = command(opcode);
        entry.dword10 = id;
        return run_admin(entry);
    }
    /// A queue pair with rings in fresh memory, not yet known to the controller.
    GuestQueue make_queue(u16 id, u32 entries) {
        GuestQueue queue{.id = id, .submission_entries = entries, .completion_entries = entries};
        queue.submission_address = arena_.allocate(u64{entries} * sizeof(nvme::SubmissionEntry));
        queue.completion_address = arena_.allocate(u64{entries} * sizeof(nvme::CompletionEntry));
        return queue;
    }
    /// A working I/O queue pair, interrupting on vector `id`. None where the controller refuses.
    std::optional<GuestQueue> create_queue_pair(u16 id, u32 entries) {
        GuestQueue queue = make_queue(id, entries);
        if (create_completion_queue(queue, true, id) != nvme::Status::success ||
            create_submission_queue(queue, id) != nvme::Status::success) {
            return std::nullopt;
        }
        return queue;
    }

    /// Reads or writes `bytes.size()` bytes at `lba` through fresh memory.
    nvme::Status write_blocks(GuestQueue& queue, u32 namespace_id, u64 lba, std::span<const std::byte> bytes,
                              u32 block_bytes = 512) {
        u64 buffer = arena_.allocate(bytes.size());
        std::memcpy(arena_.at(buffer), bytes.data(), bytes.size());
        nvme::SubmissionEntry entry =
            command(nvme::IoOpcode::write, namespace_id, lba, static_cast<u32>(bytes.size() / block_bytes));
        point_at(entry, buffer, bytes.size());
        return run(queue, entry);
    }
    nvme::Status read_blocks(GuestQueue& queue, u32 namespace_id, u64 lba, std::span<std::byte> bytes,
                             u32 block_bytes = 512) {
        u64 buffer = arena_.allocate(bytes.size());
        nvme::SubmissionEntry entry =
            command(nvme::IoOpcode::read, namespace_id, lba, static_cast<u32>(bytes.size() / block_bytes));
        point_at(entry, buffer, bytes.size());
        nvme::Status status = run(queue, entry);
        std::memcpy(bytes.data(), arena_.at(buffer), bytes.size());
        return status;
    }

private:
    PciFunction& device_;
    GuestArena& arena_;
    Machine& machine_;
    GuestQueue admin_;
};

}  // namespace undercroft::test
