// What the guest sees of the controller: configuration space, registers, doorbells. Nothing here waits.
#include "storage/frontends/nvme/controller.hpp"

namespace undercroft::nvme {

namespace {

constexpr Capabilities capabilities =
    Capabilities{}
        .with_queue_entries_max_minus_one(queue_entries_max - 1)
        .with_contiguous_queues_required(true)
        .with_timeout_500ms(ready_timeout_500ms)
        .with_command_sets(capability_command_set::nvm | capability_command_set::one_or_more)
        .with_page_size_min_log2(memory_page_log2)
        .with_page_size_max_log2(memory_page_log2);

constexpr u64 doorbells_end = register_offset::doorbells + 0x1000;
constexpr u64 address_mask = ~u64{0xfff};  // of ASQ and ACQ

u32 low_half(u64 value) { return static_cast<u32>(value); }
u32 high_half(u64 value) { return static_cast<u32>(value >> 32); }

}  // namespace

u32 Controller::read_config(u16 offset_bytes) {
    if (offset_bytes >= msix_offset) {
        return msix_.read_capability(offset_bytes - msix_offset, 0);  // last in the list
    }
    return header_.read(offset_bytes);
}

void Controller::write_config(u16 offset_bytes, u32 value, u32 mask) {
    if (offset_bytes >= msix_offset) {
        msix_.write_capability(offset_bytes - msix_offset, value, mask);
    } else {
        header_.write(offset_bytes, value, mask);
    }
}

PciBar Controller::bar(usize index) const {
    return index == 0 ? PciBar{.size_bytes = register_bar_bytes, .is_64bit = true} : PciBar{};
}

u64 Controller::read_bar(usize index, u64 offset_bytes, AccessSize size) {
    u64 bytes = static_cast<u64>(size);
    if (index != 0 || offset_bytes % bytes != 0 || offset_bytes >= register_bar_bytes) {
        return all_ones(size);
    }
    u64 dword_offset = align_down(offset_bytes, 4);
    u64 value = read_dword(dword_offset);
    if (size == AccessSize::qword) {
        return value | u64{read_dword(dword_offset + 4)} << 32;
    }
    return value >> (8 * (offset_bytes - dword_offset)) & all_ones(size);
}

void Controller::write_bar(usize index, u64 offset_bytes, AccessSize size, u64 value) {
    u64 bytes = static_cast<u64>(size);
    if (index != 0 || bytes < 4 || offset_bytes % bytes != 0 || offset_bytes >= register_bar_bytes) {
        return;  // no register here is narrower than a dword
    }
    write_dword(offset_bytes, low_half(value));
    if (size == AccessSize::qword) {
        write_dword(offset_bytes + 4, high_half(value));
    }
}

u32 Controller::read_dword(u64 offset) const {
    if (offset >= msix_pending_offset) {
        return msix_.read_pending(offset - msix_pending_offset);
    }
    if (offset >= msix_table_offset) {
        return msix_.read_entry(offset - msix_table_offset);
    }
    switch (offset) {
    case register_offset::capabilities:
        return low_half(capabilities.raw);
    case register_offset::capabilities + 4:
        return high_half(capabilities.raw);
    case register_offset::version:
        return version_2_0;
    case register_offset::configuration:
        return configuration_.load(std::memory_order_seq_cst);
    case register_offset::status:
        return status_.load(std::memory_order_seq_cst);
    case register_offset::admin_queue_attributes:
        return admin_attributes_.load(std::memory_order_seq_cst);
    case register_offset::admin_submission_queue:
        return low_half(admin_submission_.load(std::memory_order_seq_cst));
    case register_offset::admin_submission_queue + 4:
        return high_half(admin_submission_.load(std::memory_order_seq_cst));
    case register_offset::admin_completion_queue:
        return low_half(admin_completion_.load(std::memory_order_seq_cst));
    case register_offset::admin_completion_queue + 4:
        return high_half(admin_completion_.load(std::memory_order_seq_cst));
    case register_offset::ready_timeouts:
        return ready_timeout_500ms | ready_timeout_500ms << 16;
    default:
        return 0;  // INTMS and INTMC too: not used with MSI-X
    }
}

void Controller::write_dword(u64 offset, u32 value) {
    if (offset >= msix_pending_offset) {
        return;
    }
    if (offset >= msix_table_offset) {
        return msix_.write_entry(offset - msix_table_offset, value);
    }
    if (closed_.load(std::memory_order_seq_cst)) {
        return;
    }
    if (offset >= register_offset::doorbells) {
        bool ready = ControllerStatus{status_.load(std::memory_order_seq_cst)}.ready();
        if (ready && offset < doorbells_end) {
            queues_.write_doorbell((offset - register_offset::doorbells) / 4, value);
        }
        return;
    }
    switch (offset) {
    case register_offset::configuration:
        return write_configuration(value);
    case register_offset::admin_queue_attributes: {
        SpinlockGuard guard(register_lock_);
        admin_attributes_.store(value & 0x0fff'0fff, std::memory_order_seq_cst);
        return;
    }
    case register_offset::admin_submission_queue:
    case register_offset::admin_submission_queue + 4:
        return write_address(admin_submission_, offset - register_offset::admin_submission_queue, value);
    case register_offset::admin_completion_queue:
    case register_offset::admin_completion_queue + 4:
        return write_address(admin_completion_, offset - register_offset::admin_completion_queue, value);
    default:
        return;
    }
}

void Controller::write_address(std::atomic<u64>& address, u64 half_offset, u32 value) {
    SpinlockGuard guard(register_lock_);
    u64 whole =
        with_bits(address.load(std::memory_order_relaxed), static_cast<unsigned>(half_offset * 8), 32, u64{value});
    address.store(whole & address_mask, std::memory_order_seq_cst);
}

void Controller::write_configuration(u32 value) {
    bool act = false;
    {
        SpinlockGuard guard(register_lock_);
        Configuration old{configuration_.load(std::memory_order_relaxed)};
        Configuration now{value};
        configuration_.store(value, std::memory_order_seq_cst);
        if (old.enable() && !now.enable()) {
            reset_requested_ = true;
            // A start that failed left nothing running; RDY, where set, stays until everything has ended.
            ControllerStatus status{status_.load(std::memory_order_relaxed)};
            status_.store(status.with_fatal(false).raw, std::memory_order_seq_cst);
        }
        if (now.shutdown() != ShutdownNotification::none && old.shutdown() == ShutdownNotification::none) {
            shutdown_requested_ = true;
            ControllerStatus status{status_.load(std::memory_order_relaxed)};
            status_.store(status.with_shutdown(ShutdownStatus::in_progress).raw, std::memory_order_seq_cst);
        }
        bool shutdown_withdrawn = now.shutdown() == ShutdownNotification::none && old.shutdown() != now.shutdown();
        if (shutdown_withdrawn) {
            shutdown_requested_ = false;
            ControllerStatus status{status_.load(std::memory_order_relaxed)};
            status_.store(status.with_shutdown(ShutdownStatus::none).raw, std::memory_order_seq_cst);
        }
        act = reset_requested_ || shutdown_requested_ || shutdown_withdrawn || (now.enable() && !old.enable());
    }
    if (act) {
        schedule_lifecycle();
    }
}

}  // namespace undercroft::nvme
