// Log pages.
#include "storage/frontends/nvme/log_pages.hpp"

#include <cstring>

#include "storage/frontends/nvme/features.hpp"
#include "storage/frontends/nvme/queue_set.hpp"

namespace undercroft::nvme {

namespace {

constexpr LogPage supported_pages[] = {LogPage::supported_pages, LogPage::error_information,  LogPage::smart,
                                       LogPage::firmware_slots,  LogPage::changed_namespaces, LogPage::command_effects,
                                       LogPage::feature_effects};

constexpr AdminOpcode admin_commands[] = {AdminOpcode::delete_submission_queue,
                                          AdminOpcode::create_submission_queue,
                                          AdminOpcode::get_log_page,
                                          AdminOpcode::delete_completion_queue,
                                          AdminOpcode::create_completion_queue,
                                          AdminOpcode::identify,
                                          AdminOpcode::abort,
                                          AdminOpcode::set_features,
                                          AdminOpcode::get_features,
                                          AdminOpcode::asynchronous_event_request,
                                          AdminOpcode::doorbell_buffer_config};

constexpr IoOpcode reading_commands[] = {IoOpcode::flush, IoOpcode::read, IoOpcode::compare, IoOpcode::verify};
constexpr IoOpcode changing_commands[] = {IoOpcode::write, IoOpcode::write_zeroes, IoOpcode::dataset_management};

constexpr u16 room_temperature_kelvin = 298;
constexpr u64 bytes_per_data_unit = u64{1000} * 512;

template <typename T>
usize store(std::span<std::byte> into, const T& page) {
    static_assert(sizeof(T) <= log_page_bytes_max);
    std::memcpy(into.data(), &page, sizeof page);
    return sizeof page;
}

// Pages of a few KiB are built in place: the stack is small.
template <typename T>
T& page_in(std::span<std::byte> into) {
    static_assert(sizeof(T) <= log_page_bytes_max && alignof(T) == 1);
    // SAFETY: the buffer is large enough and zeroed; T is made of bytes.
    return *new (into.data()) T{};
}

usize fill_supported(std::span<std::byte> into) {
    auto& page = page_in<SupportedLogPages>(into);
    for (LogPage id : supported_pages) {
        page.pages[static_cast<usize>(id)] = 1;
    }
    return sizeof page;
}

usize fill_errors(std::span<std::byte> into, const ErrorLog& errors) {
    for (usize index = 0; index < error_log_entries; ++index) {
        store(into.subspan(index * sizeof(ErrorLogEntry)), errors.newest(index));
    }
    return error_log_entries * sizeof(ErrorLogEntry);
}

usize fill_smart(std::span<std::byte> into, const LogSources& sources) {
    auto& page = page_in<SmartLog>(into);
    page.temperature_kelvin = room_temperature_kelvin;
    page.available_spare_percent = 100;
    page.spare_threshold_percent = 10;
    u64 read = 0;
    u64 written = 0;
    for (const SubmissionQueue& queue : sources.queues.submission_queues()) {
        read += queue.bytes_read();
        written += queue.bytes_written();
    }
    page.data_units_read.low = (read + bytes_per_data_unit - 1) / bytes_per_data_unit;
    page.data_units_written.low = (written + bytes_per_data_unit - 1) / bytes_per_data_unit;
    page.error_log_entries.low = sources.errors.count();
    return sizeof page;
}

usize fill_firmware(std::span<std::byte> into, const IdentityFields& identity) {
    auto& page = page_in<FirmwareSlotLog>(into);
    page.active = 1;
    std::memcpy(page.revisions[0], identity.firmware().data(), sizeof page.revisions[0]);
    return sizeof page;
}

usize fill_changed(std::span<std::byte> into, const EventNotifier& events) {
    u32 ids[64];
    usize count = events.changed_namespaces(ids);
    auto& page = page_in<NamespaceList>(into);
    for (usize index = 0; index < count; ++index) {
        page.ids[index] = ids[index];
    }
    return sizeof page;
}

usize fill_effects(std::span<std::byte> into) {
    auto& page = page_in<CommandEffectsLog>(into);
    for (AdminOpcode opcode : admin_commands) {
        page.admin[static_cast<usize>(opcode)] = command_effect::supported;
    }
    for (IoOpcode opcode : reading_commands) {
        page.io[static_cast<usize>(opcode)] = command_effect::supported;
    }
    for (IoOpcode opcode : changing_commands) {
        page.io[static_cast<usize>(opcode)] = command_effect::supported | command_effect::content_change;
    }
    return sizeof page;
}

usize fill_feature_effects(std::span<std::byte> into) {
    auto& page = page_in<FeatureEffectsLog>(into);
    for (u32 id = 0; id < 256; ++id) {
        if (FeatureStore::is_supported(static_cast<u8>(id))) {
            page.features[id] = 1 | feature_scope::controller;
        }
    }
    return sizeof page;
}

}  // namespace

usize fill_log_page(LogPage page, std::span<std::byte> into, const LogSources& sources) {
    switch (page) {
    case LogPage::supported_pages:
        return fill_supported(into);
    case LogPage::error_information:
        return fill_errors(into, sources.errors);
    case LogPage::smart:
        return fill_smart(into, sources);
    case LogPage::firmware_slots:
        return fill_firmware(into, sources.identity);
    case LogPage::changed_namespaces:
        return fill_changed(into, sources.events);
    case LogPage::command_effects:
        return fill_effects(into);
    case LogPage::feature_effects:
        return fill_feature_effects(into);
    default:
        return 0;
    }
}

}  // namespace undercroft::nvme
