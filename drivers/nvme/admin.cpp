// Admin commands, on executors[0].
#include <cstring>
#include <vector>

#include "drivers/nvme/driver.hpp"
#include "drivers/nvme/namespace.hpp"
#include "kernel/base/log.hpp"

namespace undercroft::nvme::host {

/// Sends one admin command and waits for its end, which the watch of the admin queue bounds.
Task<Outcome> Driver::execute_admin(AdminCommand command) {
    ASSERT(&Executor::current() == &first_executor_);
    WaitLimits limits{.deadline_ns = first_executor_.now_ns() + options_.admin_timeout_ns, .cancel = {}};
    Result<SlotIndex, Ending> slot = co_await admin_->acquire(limits);
    if (!slot) {
        co_return Outcome{.ending = slot.error(), .status = {}, .result = 0};
    }
    admin_->submit(*slot, command.entry, command.deadline);
    Outcome outcome = co_await admin_->delivery(*slot);
    admin_->release(*slot);
    co_return outcome;
}

/// Runs `entry` with the shared data page, and copies what the controller wrote there. `into` is at most a page.
Task<Result<void>> Driver::read_admin_data(SubmissionEntry entry, std::span<std::byte> into) {
    CO_TRY(co_await admin_data_free_.acquire());
    std::memset(admin_data_.data(), 0, admin_data_.size_bytes());
    entry.data_pointer = {.prp1 = admin_data_.device_address(), .prp2 = unmappable_address};
    Outcome outcome = co_await execute_admin({.entry = entry});
    if (outcome.succeeded()) {
        std::memcpy(into.data(), admin_data_.data(), into.size());
    }
    admin_data_free_.release();
    if (!outcome.succeeded()) {
        co_return fail(to_error(outcome));
    }
    co_return Result<void>{};
}

Task<Result<void>> Driver::identify(IdentifyStructure structure, u32 namespace_id, std::span<std::byte> into) {
    SubmissionEntry entry;
    entry.opcode = static_cast<u8>(AdminOpcode::identify);
    entry.namespace_id = namespace_id;
    entry.dword10 = static_cast<u32>(structure);
    co_return co_await read_admin_data(entry, into);
}

Task<Result<NamespaceFacts>> Driver::identify_namespace(u32 id) {
    IdentifyNamespace data;
    CO_TRY(co_await identify(IdentifyStructure::name_space, id, std::as_writable_bytes(std::span(&data, 1))));
    NamespaceFacts facts = CO_TRY(check_namespace(data, id));
    if (!facts.unique_id) {
        std::byte descriptors[identify_bytes];
        if (co_await identify(IdentifyStructure::namespace_descriptors, id, descriptors)) {
            facts.unique_id = find_unique_id(descriptors);
        }
    }
    co_return facts;
}

Task<Result<u32>> Driver::set_feature(Feature feature, u32 value) {
    SubmissionEntry entry;
    entry.opcode = static_cast<u8>(AdminOpcode::set_features);
    entry.data_pointer = {.prp1 = unmappable_address, .prp2 = unmappable_address};
    entry.dword10 = static_cast<u32>(feature);
    entry.dword11 = value;
    Outcome outcome = co_await execute_admin({.entry = entry});
    if (!outcome.succeeded()) {
        co_return fail(to_error(outcome));
    }
    co_return outcome.result;
}

/// Asks the controller to end a command. It may, or may not; the command's own completion tells.
Task<void> Driver::abort(u16 queue_id, u16 command_id) {
    SubmissionEntry entry;
    entry.opcode = static_cast<u8>(AdminOpcode::abort);
    entry.data_pointer = {.prp1 = unmappable_address, .prp2 = unmappable_address};
    entry.dword10 = u32{queue_id} | u32{command_id} << 16;
    aborts_.fetch_add(1, std::memory_order_relaxed);
    (void)co_await execute_admin({.entry = entry});
}

Task<Result<std::vector<u32>>> Driver::active_namespaces() {
    std::vector<u32> result;
    NamespaceList list;
    Result<void> known =
        co_await identify(IdentifyStructure::active_namespaces, 0, std::as_writable_bytes(std::span(&list, 1)));
    if (!known) {
        co_return fail(known.error());
    }
    for (const Le<u32>& id : list.ids) {
        bool ascending = result.empty() || id > result.back();
        if (id == 0 || !ascending || id > facts_.namespace_id_max || result.size() == namespaces_max) {
            break;
        }
        result.push_back(id);
    }
    co_return result;
}

Task<Result<std::shared_ptr<Namespace>>> Driver::open_namespace(u32 id) {
    for (auto& name_space : namespaces_) {
        if (name_space->id() == id) {
            co_return name_space;
        }
    }
    if (id == 0 || id > facts_.namespace_id_max) {
        co_return fail(Error::not_found);
    }
    if (namespaces_.size() == namespaces_max) {
        co_return fail(Error::out_of_memory);
    }
    NamespaceFacts facts = CO_TRY(co_await identify_namespace(id));
    std::shared_ptr<Namespace> opened = CO_TRY(Namespace::create(*this, facts));
    namespaces_.push_back(opened);
    log_info("nvme: namespace %u: %llu blocks of %u bytes%s", id, static_cast<unsigned long long>(facts.blocks),
             facts.block_size, facts.read_only ? ", write protected" : "");
    co_return opened;
}

}  // namespace undercroft::nvme::host
