// What Windows' driver (StorNVMe) does otherwise than Linux's, as its documented command set and the reports of those who
// emulate controllers have it: it reads the admin queue's registers back after the first Identify, and gives up where
// they differ; it keeps four event requests parked and makes every one anew that comes back; it asks for features and
// vendor log pages that are not there; one queue a processor, interrupts coalesced, no doorbells in memory, no namespace
// events (it looks at the size again by itself), no Abort (a late command is a reset after 60 seconds), no Write Zeroes
// and no Compare; deallocation of several ranges at once.
#include <algorithm>
#include <cstring>

#include "hostsim/simulation/guest_driver.hpp"
#include "kernel/async/wait_queue.hpp"
#include "storage/segments.hpp"

namespace undercroft::simulation {

using namespace nvme;

namespace {

constexpr usize event_requests = 4;
constexpr u64 rescan_pause_ns = 1 * nanoseconds_per_second;
/// What Windows looks for, and a controller need not have: a vendor's feature and log page.
constexpr u32 vendor_feature = 0xd0;
constexpr u8 vendor_log_page = 0xc1;
constexpr u32 vendor_log_bytes = 512;

SubmissionEntry feature_entry(AdminOpcode opcode, u32 feature, u32 value = 0) {
    SubmissionEntry entry;
    entry.opcode = static_cast<u8>(opcode);
    entry.dword10 = feature;
    entry.dword11 = value;
    return entry;
}

SubmissionEntry identify_entry(IdentifyStructure structure, u32 namespace_id) {
    SubmissionEntry entry;
    entry.opcode = static_cast<u8>(AdminOpcode::identify);
    entry.namespace_id = namespace_id;
    entry.dword10 = static_cast<u32>(structure);
    return entry;
}

SubmissionEntry log_entry(u8 page, u32 bytes) {
    SubmissionEntry entry;
    entry.opcode = static_cast<u8>(AdminOpcode::get_log_page);
    entry.namespace_id = all_namespaces;
    GetLogPage log = GetLogPage::make(static_cast<LogPage>(page), bytes, false);
    entry.dword10 = log.dword10;
    entry.dword11 = log.dword11;
    return entry;
}

}  // namespace

// They may be written only while the controller is disabled, and read at any time: base 2.0 sections 3.1.3.8 to 3.1.3.10.
void GuestDriver::check_admin_registers() {
    auto read64 = [this](u64 offset) { return u64{read32(offset)} | u64{read32(offset + 4)} << 32; };
    u32 entries =
        AdminQueueAttributes{}.with_submission_entries(admin_.entries()).with_completion_entries(admin_.entries()).raw;
    bool same = read32(register_offset::admin_queue_attributes) == entries &&
                read64(register_offset::admin_submission_queue) == admin_.submission_address() &&
                read64(register_offset::admin_completion_queue) == admin_.completion_address();
    bool enabled = Configuration{read32(register_offset::configuration)}.enable();
    config_.recorder.expect(same || !enabled, "the admin queue's registers do not read back");
}

/// What is not supported fails at once, and does no harm.
Task<Result<void>> GuestDriver::try_what_is_missing() {
    Answer answer = co_await execute_with_page(feature_entry(AdminOpcode::get_features, vendor_feature));
    config_.recorder.expect(answer.status == no_status || answer.status == Status::invalid_field,
                            "a feature that no standard knows is not refused");
    answer = co_await execute_with_page(log_entry(vendor_log_page, vendor_log_bytes));
    config_.recorder.expect(answer.status == no_status || answer.status == Status::invalid_log_page ||
                                answer.status == Status::invalid_field,
                            "a vendor's log page that is not there is not refused");
    u32 power = static_cast<u32>(Feature::autonomous_power_state_transition);
    answer = co_await execute_with_page(feature_entry(AdminOpcode::get_features, power));
    if (answer.status == no_status) {
        co_return fail(Error::gone);
    }
    co_return Result<void>{};
}

/// Everything up to the queues.
Task<Result<void>> GuestDriver::look_around() {
    Answer answer = co_await execute_with_page(identify_entry(IdentifyStructure::controller, 0));
    if (!answer.succeeded()) {
        co_return fail(Error::device_error);
    }
    check_admin_registers();
    CO_TRY(co_await configure_events(event_configuration::smart_mask));
    for (usize index = 0; index < event_requests; ++index) {
        tasks_.spawn(keep_event_request());
    }
    CO_TRY(co_await try_what_is_missing());
    u32 queues = u32{config_.habits.queues} - 1;
    u32 coalescing = config_.habits.coalescing_threshold | config_.habits.coalescing_100us << 8;
    const SubmissionEntry steps[] = {
        feature_entry(AdminOpcode::set_features, static_cast<u32>(Feature::number_of_queues), queues | queues << 16),
        feature_entry(AdminOpcode::set_features, static_cast<u32>(Feature::interrupt_coalescing), coalescing),
        identify_entry(IdentifyStructure::active_namespaces, 0),
        identify_entry(IdentifyStructure::namespace_descriptors, 1),
        log_entry(static_cast<u8>(LogPage::firmware_slots), vendor_log_bytes),
        log_entry(static_cast<u8>(LogPage::smart), vendor_log_bytes),
    };
    for (const SubmissionEntry& step : steps) {
        answer = co_await execute_with_page(step);
        if (!answer.succeeded()) {
            co_return fail(Error::device_error);
        }
    }
    co_return Result<void>{};
}

/// Parked until something happens, and asked anew at once, whatever it was.
Task<void> GuestDriver::keep_event_request() {
    u32 epoch = epoch_;
    while (epoch == epoch_ && !stopping_) {
        SubmissionEntry entry;
        entry.opcode = static_cast<u8>(AdminOpcode::asynchronous_event_request);
        Answer answer = co_await execute(admin_, entry, no_deadline);
        if (answer.status == no_status || epoch != epoch_) {
            co_return;
        }
        config_.recorder.expect(answer.succeeded(), "an event request was not parked");
        u8 page = static_cast<u8>(get_bits(answer.result, 16, 8));
        config_.recorder.expect(page != static_cast<u8>(LogPage::changed_namespaces),
                                "an event that the guest did not ask for");
        (void)co_await execute_with_page(log_entry(page, vendor_log_bytes));
    }
}

/// The size, without being told.
Task<void> GuestDriver::rescan() {
    u32 epoch = epoch_;
    while (epoch == epoch_ && !stopping_) {
        (void)co_await sleep_for(rescan_pause_ns, tasks_.token());
        if (epoch == epoch_ && !stopping_) {
            (void)co_await identify_namespace();
        }
    }
}

Task<DiskResult<void>> GuestDriver::unmap_in_two(SectorRange range, CancelToken cancel) {
    DmaBuffer memory = config_.memory.allocate(page_size).value();
    u64 half = range.count / 2;
    DatasetRange wire[2];
    wire[0].blocks = static_cast<u32>(half);
    wire[0].starting_lba = range.start;
    wire[1].blocks = static_cast<u32>(range.count - half);
    wire[1].starting_lba = range.start + half;
    std::memcpy(memory.data(), wire, sizeof(wire));
    SubmissionEntry entry;
    entry.opcode = static_cast<u8>(IoOpcode::dataset_management);
    entry.namespace_id = 1;
    entry.dword10 = std::size(wire) - 1;
    entry.dword11 = dataset_attribute::deallocate;
    MemorySegment segment{memory.data(), sizeof(wire)};
    co_return co_await run(entry, SegmentList(&segment, 1), cancel);
}

Task<DiskResult<void>> GuestDriver::write_zeros(SectorRange range, ForceUnitAccess fua, CancelToken cancel) {
    DmaBuffer memory = config_.memory.allocate(range.count * facts_.sector_size).value();
    std::memset(memory.data(), 0, memory.size_bytes());
    MemorySegment segment{memory.data(), range.count * facts_.sector_size};
    co_return co_await write(range.start, SegmentList(&segment, 1), fua, cancel);
}

Task<DiskResult<Comparison>> GuestDriver::read_and_compare(u64 sector, SegmentList with, CancelToken cancel) {
    usize bytes = total_bytes(with);
    DmaBuffer memory = config_.memory.allocate(bytes).value();
    MemorySegment segment{memory.data(), bytes};
    CO_TRY(co_await read(sector, SegmentList(&segment, 1), cancel));
    std::vector<std::byte> wanted(bytes);
    SegmentCursor(with).copy_out(wanted);
    co_return Comparison{.equal = std::memcmp(wanted.data(), memory.data(), bytes) == 0};
}

}  // namespace undercroft::simulation
