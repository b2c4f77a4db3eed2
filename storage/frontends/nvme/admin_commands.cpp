// Admin commands.
#include "storage/frontends/nvme/admin_commands.hpp"

#include <algorithm>
#include <cstring>

#include "storage/frontends/nvme/data_pointer.hpp"
#include "storage/frontends/nvme/log_pages.hpp"
#include "storage/segments.hpp"

namespace undercroft::nvme {

namespace {

/// A zeroed page from the executor's pools, for as long as it lives.
class PageBuffer {
public:
    PageBuffer() : executor_(Executor::current()), data_(static_cast<std::byte*>(executor_.allocate_frame(page_size))) {
        ASSERT(data_ != nullptr);
        std::memset(data_, 0, page_size);
    }
    PageBuffer(const PageBuffer&) = delete;
    PageBuffer& operator=(const PageBuffer&) = delete;
    ~PageBuffer() { executor_.free_frame(data_, page_size); }
    std::span<std::byte> bytes() const { return {data_, page_size}; }

private:
    Executor& executor_;
    std::byte* data_;
};

/// A wire structure built in place, zero before.
template <typename T>
T& structure_in(std::span<std::byte> into) {
    static_assert(sizeof(T) <= page_size && alignof(T) == 1);
    // SAFETY: the page is large enough; T is made of bytes.
    return *new (into.data()) T{};
}

Task<Outcome> ready(Outcome outcome) { return Task<Outcome>::ready(outcome); }

}  // namespace

void AdminCommands::start(Request& request) {
    if (AdminOpcode{request.entry.opcode} == AdminOpcode::asynchronous_event_request) {
        return events_.park(request);
    }
    request.queue->spawn(run(request));
}

Task<void> AdminCommands::run(Request& request) {
    Outcome outcome = co_await execute(request);
    request.queue->finish(request, outcome);
}

Task<Outcome> AdminCommands::execute(Request& request) {
    const SubmissionEntry& entry = request.entry;
    if (entry.fused() != FusedOperation::normal || entry.data_pointer_kind() != DataPointerKind::prp) {
        return ready(failure(Status::invalid_field));
    }
    u16 queue_id = static_cast<u16>(entry.dword10);
    switch (AdminOpcode{entry.opcode}) {
    case AdminOpcode::identify:
        return identify(request);
    case AdminOpcode::get_log_page:
        return get_log_page(request);
    case AdminOpcode::get_features:
        return get_features(request);
    case AdminOpcode::set_features:
        return set_features(request);
    case AdminOpcode::create_completion_queue:
        return ready(queues_.create_completion_queue(entry));
    case AdminOpcode::create_submission_queue:
        return ready(queues_.create_submission_queue(entry));
    case AdminOpcode::delete_completion_queue:
        return ready(queues_.delete_completion_queue(queue_id));
    case AdminOpcode::delete_submission_queue:
        return queues_.delete_submission_queue(queue_id);
    case AdminOpcode::doorbell_buffer_config:
        return queues_.use_shadow_doorbells(entry.data_pointer.prp1, entry.data_pointer.prp2);
    case AdminOpcode::abort:
        return abort(request);
    default:
        return ready(failure(Status::invalid_opcode));
    }
}

Task<Outcome> AdminCommands::gather(Request& request, u64 bytes) {
    if (bytes > transfer_bytes_max) {
        co_return failure(Status::invalid_field);
    }
    std::span<MemorySegment> storage = request.inline_list;
    if (segments_needed(request.entry, bytes) > storage.size()) {
        auto large = co_await request.queue->large_segments(request);
        if (!large) {
            co_return failure(Status::internal_error);
        }
        storage = *large;
    }
    SegmentBuilder segments(storage);
    Status status = resolve_data(memory_, request.entry, bytes, segments);
    request.data = segments.list();
    co_return status == Status::success ? Outcome{} : failure(status);
}

Task<Outcome> AdminCommands::send(Request& request, std::span<const std::byte> data, u64 total_bytes) {
    Outcome gathered = co_await gather(request, total_bytes);
    if (gathered.status == Status::success) {
        SegmentCursor cursor(request.data);
        std::span<const std::byte> present = data.first(std::min<u64>(data.size(), total_bytes));
        cursor.copy_in(present);
        cursor.fill_zero(total_bytes - present.size());
    }
    co_return gathered;
}

Task<Outcome> AdminCommands::receive(Request& request, std::span<std::byte> data) {
    Outcome gathered = co_await gather(request, data.size());
    if (gathered.status == Status::success) {
        SegmentCursor(request.data).copy_out(data);
    }
    co_return gathered;
}

Task<Outcome> AdminCommands::identify(Request& request) {
    PageBuffer page;
    Status status = fill_identify(page.bytes(), request.entry);
    if (status != Status::success) {
        co_return failure(status);
    }
    co_return co_await send(request, page.bytes(), identify_bytes);
}

Status AdminCommands::fill_identify(std::span<std::byte> data, const SubmissionEntry& entry) const {
    IdentifyStructure structure{static_cast<u8>(entry.dword10)};
    u32 namespace_id = entry.namespace_id;
    u8 command_set = static_cast<u8>(entry.dword11 >> 24);
    switch (structure) {
    case IdentifyStructure::controller:
        identity_.fill(structure_in<IdentifyController>(data), namespaces_);
        return Status::success;
    case IdentifyStructure::command_set_controller:
        if (command_set != nvm_command_set) {
            return Status::invalid_field;
        }
        fill(structure_in<IdentifyNvmController>(data));
        return Status::success;
    case IdentifyStructure::command_set_active_namespaces:
        if (command_set != nvm_command_set) {
            return Status::invalid_field;
        }
        [[fallthrough]];
    case IdentifyStructure::active_namespaces:
    case IdentifyStructure::allocated_namespaces:
        if (namespace_id >= all_namespaces - 1) {
            return Status::invalid_namespace_or_format;
        }
        fill(structure_in<NamespaceList>(data), namespaces_, namespace_id);
        return Status::success;
    case IdentifyStructure::controllers: {
        auto& list = structure_in<ControllerList>(data);
        if (identity_.controller_id() >= get_bits(u32{entry.dword10}, 16, 16)) {
            list.count = 1;
            list.ids[0] = identity_.controller_id();
        }
        return Status::success;
    }
    case IdentifyStructure::command_sets:
        structure_in<IdentifyCommandSets>(data).combinations[0] = u64{1} << nvm_command_set;
        return Status::success;
    case IdentifyStructure::command_set_namespace:
        if (command_set != nvm_command_set) {
            return Status::invalid_field;
        }
        [[fallthrough]];
    case IdentifyStructure::name_space:
    case IdentifyStructure::allocated_namespace:
    case IdentifyStructure::namespace_descriptors:
    case IdentifyStructure::independent_namespace:
        return fill_namespace(data, structure, namespace_id);
    default:
        return Status::invalid_field;
    }
}

Status AdminCommands::fill_namespace(std::span<std::byte> data, IdentifyStructure structure, u32 namespace_id) const {
    if (namespace_id == all_namespaces && structure == IdentifyStructure::name_space) {
        // What all namespaces have in common.
        auto& common = structure_in<IdentifyNamespace>(data);
        if (!namespaces_.all().empty()) {
            common.lba_formats[0].data_bytes_log2 = static_cast<u8>(namespaces_.all().front().block_shift);
        }
        return Status::success;
    }
    const Namespace* source = namespaces_.find(namespace_id);
    if (source == nullptr) {
        // A valid id that no namespace has reads as zeros; one past NN is an error.
        bool inactive = namespace_id != 0 && namespace_id <= namespaces_.id_max() &&
                        structure != IdentifyStructure::namespace_descriptors;
        return inactive ? Status::success : Status::invalid_namespace_or_format;
    }
    switch (structure) {
    case IdentifyStructure::namespace_descriptors:
        fill_descriptors(data, *source);
        break;
    case IdentifyStructure::independent_namespace:
        fill(structure_in<IdentifyIndependentNamespace>(data), *source);
        break;
    case IdentifyStructure::command_set_namespace:
        break;  // all zero without protection information
    default:
        fill(structure_in<IdentifyNamespace>(data), *source);
        break;
    }
    return Status::success;
}

Task<Outcome> AdminCommands::get_log_page(Request& request) {
    const SubmissionEntry& entry = request.entry;
    GetLogPage command{.dword10 = entry.dword10, .dword11 = entry.dword11};
    u64 offset = u64{entry.dword12} | u64{entry.dword13} << 32;
    if (!is_aligned(offset, 4)) {
        co_return failure(Status::invalid_field);
    }
    PageBuffer page;
    LogSources sources{.errors = errors_, .events = events_, .identity = identity_, .queues = queues_};
    usize bytes = fill_log_page(LogPage{command.page()}, page.bytes(), sources);
    if (bytes == 0) {
        co_return failure(Status::invalid_log_page);
    }
    if (offset > bytes) {
        co_return failure(Status::invalid_field);
    }
    Outcome sent = co_await send(request, page.bytes().subspan(offset, bytes - offset), command.length_bytes());
    if (sent.status == Status::success && !command.retain_event()) {
        events_.log_was_read(command.page());
    }
    co_return sent;
}

Task<Outcome> AdminCommands::get_features(Request& request) {
    PageBuffer page;
    Feature feature{static_cast<u8>(request.entry.dword10)};
    std::span<std::byte> data = page.bytes().first(FeatureStore::data_bytes(feature));
    Outcome outcome = features_.get(request.entry, Executor::current().now_ns(), data);
    if (outcome.status == Status::success && !data.empty()) {
        Outcome sent = co_await send(request, data, data.size());
        if (sent.status != Status::success) {
            co_return sent;
        }
    }
    co_return outcome;
}

Task<Outcome> AdminCommands::set_features(Request& request) {
    PageBuffer page;
    Feature feature{static_cast<u8>(request.entry.dword10)};
    std::span<std::byte> data = page.bytes().first(FeatureStore::data_bytes(feature));
    if (!data.empty()) {
        Outcome received = co_await receive(request, data);
        if (received.status != Status::success) {
            co_return received;
        }
    }
    Outcome outcome = features_.set(request.entry, Executor::current().now_ns(), data, queues_.has_io_queues());
    if (outcome.status == Status::success && feature == Feature::asynchronous_event_configuration) {
        events_.set_configuration(features_.event_configuration());
    }
    co_return outcome;
}

Task<Outcome> AdminCommands::abort(Request& request) {
    constexpr u32 not_aborted = 1;
    if (aborts_ == aborts_max) {
        co_return failure(Status::abort_limit_exceeded);
    }
    u16 queue_id = static_cast<u16>(request.entry.dword10);
    u16 command_id = static_cast<u16>(request.entry.dword10 >> 16);
    if (queue_id == 0 && events_.abort(command_id)) {
        co_return success();
    }
    ++aborts_;
    bool aborted = co_await queues_.abort(queue_id, command_id);
    --aborts_;
    co_return success(aborted ? 0 : not_aborted);
}

}  // namespace undercroft::nvme
