// Admin commands: what a driver asks before it trusts a controller.
#include <catch2/catch.hpp>

#include "tests/unit/storage/frontends/nvme/fixture.hpp"

using namespace undercroft;
using namespace undercroft::test;
using namespace undercroft::nvme;

namespace {

struct AdminFixture : NvmeFixture {
    explicit AdminFixture(const FixtureOptions& options = {}) : NvmeFixture(options) { REQUIRE(guest->enable()); }

    CompletionEntry get_feature(u8 feature, FeatureSelect select = FeatureSelect::current, u32 dword11 = 0) {
        SubmissionEntry entry = NvmeGuest::command(AdminOpcode::get_features);
        entry.dword10 = feature | static_cast<u32>(select) << 8;
        entry.dword11 = dword11;
        entry.data_pointer.prp1 = arena.allocate(4096);
        return guest->execute_admin(entry);
    }
    CompletionEntry set_feature(u8 feature, u32 dword11, u32 flags = 0) {
        SubmissionEntry entry = NvmeGuest::command(AdminOpcode::set_features);
        entry.dword10 = feature | flags;
        entry.dword11 = dword11;
        entry.data_pointer.prp1 = arena.allocate(4096);
        return guest->execute_admin(entry);
    }
    Status get_log(u8 page, u64 address, u64 bytes, u64 offset = 0, bool retain = false) {
        GetLogPage command = GetLogPage::make(LogPage{page}, bytes, retain);
        SubmissionEntry entry = NvmeGuest::command(AdminOpcode::get_log_page, all_namespaces);
        entry.dword10 = command.dword10;
        entry.dword11 = command.dword11;
        entry.dword12 = static_cast<u32>(offset);
        entry.dword13 = static_cast<u32>(offset >> 32);
        guest->point_at(entry, address, bytes);
        return guest->run_admin(entry);
    }
    u16 park_event_request() {
        u16 id = guest->submit(guest->admin(), NvmeGuest::command(AdminOpcode::asynchronous_event_request));
        guest->settle();
        return id;
    }
    std::optional<CompletionEntry> completion() {
        guest->settle();
        return guest->poll(guest->admin());
    }
};

Status status_of(const CompletionEntry& entry) { return entry.status_field().status(); }

}  // namespace

TEST_CASE("Identify Controller", "[nvme]") {
    AdminFixture fixture;
    std::optional<u64> page = fixture.guest->identify(IdentifyStructure::controller);
    REQUIRE(page);
    auto data = fixture.arena.read<IdentifyController>(*page);
    CHECK(data.version == 0x20000);
    CHECK(data.controller_type == 1);
    CHECK(data.transfer_size_max_log2 == 8);
    CHECK(data.submission_entry_sizes == 0x66);
    CHECK(data.completion_entry_sizes == 0x44);
    CHECK(data.namespace_id_max == 1);
    CHECK((data.volatile_write_cache & 1) == 1);
    CHECK(std::string(data.model_number, 15) == "Undercroft NVMe");
    CHECK(data.model_number[39] == ' ');
    CHECK(std::string(data.subsystem_qualified_name).starts_with("nqn."));
    CHECK((data.admin_commands_supported & optional_admin::doorbell_buffer) != 0);
    CHECK(data.keep_alive_granularity_100ms == 0);
}

TEST_CASE("Identify: namespaces, lists and descriptors", "[nvme]") {
    AdminFixture fixture;
    NvmeGuest& guest = *fixture.guest;
    std::optional<u64> page = guest.identify(IdentifyStructure::name_space, 1);
    REQUIRE(page);
    auto data = fixture.arena.read<IdentifyNamespace>(*page);
    CHECK(data.size_blocks == 64 * 1024);
    CHECK(data.lba_formats[0].data_bytes_log2 == 9);
    CHECK(data.lba_format_index() == 0);
    CHECK(std::any_of(std::begin(data.nguid), std::end(data.nguid), [](u8 value) { return value != 0; }));

    page = guest.identify(IdentifyStructure::active_namespaces, 0);
    REQUIRE(page);
    CHECK(fixture.arena.read<NamespaceList>(*page).ids[0] == 1);
    CHECK(fixture.arena.read<NamespaceList>(*page).ids[1] == 0);
    page = guest.identify(IdentifyStructure::active_namespaces, 1);
    REQUIRE(page);
    CHECK(fixture.arena.read<NamespaceList>(*page).ids[0] == 0);
    CHECK_FALSE(guest.identify(IdentifyStructure::active_namespaces, 0xffff'fffe));
    CHECK_FALSE(guest.identify(IdentifyStructure::active_namespaces, 0xffff'ffff));

    page = guest.identify(IdentifyStructure::namespace_descriptors, 1);
    REQUIRE(page);
    auto header = fixture.arena.read<NamespaceDescriptorHeader>(*page);
    CHECK(header.type == static_cast<u8>(NamespaceIdType::nguid));
    CHECK(std::memcmp(fixture.arena.at(*page + 4), data.nguid, 16) == 0);
    CHECK(fixture.arena.read<NamespaceDescriptorHeader>(*page + 20).type ==
          static_cast<u8>(NamespaceIdType::command_set));

    CHECK(guest.identify(IdentifyStructure::independent_namespace, 1));
    CHECK(guest.identify(IdentifyStructure::command_set_namespace, 1));
    CHECK(guest.identify(IdentifyStructure::command_set_active_namespaces, 0));
    CHECK(guest.identify(IdentifyStructure::allocated_namespaces, 0));
    CHECK(guest.identify(IdentifyStructure::allocated_namespace, 1));
    CHECK(guest.identify(IdentifyStructure::controllers));
    CHECK(guest.identify(IdentifyStructure::command_sets));
    CHECK(guest.identify(IdentifyStructure::name_space, all_namespaces));
    CHECK_FALSE(guest.identify(IdentifyStructure::name_space, 0));
    CHECK_FALSE(guest.identify(IdentifyStructure::name_space, 2));
    CHECK_FALSE(guest.identify(IdentifyStructure{0xc1}, 1));
}

TEST_CASE("what drivers insist on: mandatory features, CNS 06 and log 00", "[nvme]") {
    AdminFixture fixture;
    std::optional<u64> page = fixture.guest->identify(IdentifyStructure::command_set_controller);
    REQUIRE(page);
    auto limits = fixture.arena.read<IdentifyNvmController>(*page);
    CHECK(limits.dataset_ranges_max != 0);  // zero reads as "no discard" in some drivers
    CHECK(limits.dataset_range_blocks_max != 0u);
    CHECK(limits.dataset_blocks_max != 0u);
    for (u8 feature : {0x01, 0x02, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0e, 0x16, 0x80}) {
        INFO("feature " << int{feature});
        CHECK(status_of(fixture.get_feature(feature)) == Status::success);
        CHECK(status_of(fixture.get_feature(feature, FeatureSelect::default_value)) == Status::success);
        CHECK(status_of(fixture.get_feature(feature, FeatureSelect::saved)) == Status::success);
        CompletionEntry capabilities = fixture.get_feature(feature, FeatureSelect::capabilities);
        CHECK(status_of(capabilities) == Status::success);
        CHECK((capabilities.result & feature_capability::changeable) != 0);
    }
    u64 log = fixture.arena.allocate(4096);
    REQUIRE(fixture.get_log(0x00, log, 1024) == Status::success);
    auto supported = fixture.arena.read<SupportedLogPages>(log);
    for (u8 id : {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x12}) {
        INFO("log " << int{id});
        CHECK(supported.pages[id] == 1u);
        CHECK(fixture.get_log(id, log, 512) == Status::success);
    }
}

TEST_CASE("vendor log pages and unknown features fail cleanly", "[nvme]") {
    AdminFixture fixture;
    u64 log = fixture.arena.allocate(4096);
    for (u8 page : {0x06, 0x07, 0x80, 0xc0, 0xca, 0xff}) {
        CHECK(fixture.get_log(page, log, 512) == Status::invalid_log_page);
    }
    for (u8 feature : {0x00, 0x03, 0x0c, 0x0d, 0x0f, 0x10, 0x81, 0x83, 0xc0, 0xff}) {
        CHECK(status_of(fixture.get_feature(feature)) == Status::invalid_field);
        CHECK(status_of(fixture.set_feature(feature, 0)) == Status::invalid_field);
    }
    CHECK(status_of(fixture.set_feature(0x06, 1, feature_save)) == Status::feature_not_saveable);
    CHECK(status_of(fixture.set_feature(0x06, 2)) == Status::invalid_field);
    for (u8 opcode : {0x0d, 0x10, 0x11, 0x14, 0x15, 0x18, 0x19, 0x80, 0x81, 0x84, 0xc0, 0xff}) {
        CHECK(fixture.guest->run_admin(NvmeGuest::command(AdminOpcode{opcode})) == Status::invalid_opcode);
    }
}

TEST_CASE("log pages: offset, length, and what lies behind their end", "[nvme]") {
    AdminFixture fixture;
    u64 log = fixture.arena.allocate(64 * kib);
    std::memset(fixture.arena.at(log), 0xcc, 64 * kib);
    REQUIRE(fixture.get_log(0x02, log, 32 * kib) == Status::success);
    CHECK(fixture.arena.read<SmartLog>(log).available_spare_percent == 100);
    CHECK(fixture.arena.read<u32>(log + 512) == 0);
    CHECK(fixture.arena.read<u32>(log + 32 * kib) == 0xcccc'cccc);
    REQUIRE(fixture.get_log(0x03, log, 8, 8) == Status::success);
    CHECK(std::memcmp(fixture.arena.at(log), "1.0     ", 8) == 0);
    CHECK(fixture.get_log(0x02, log, 512, 512) == Status::success);  // at the end: nothing of it, zeros
    CHECK(fixture.get_log(0x02, log, 512, 516) == Status::invalid_field);
    CHECK(fixture.get_log(0x02, log, 512, 2) == Status::invalid_field);
    CHECK(fixture.get_log(0x02, log, 512, ~u64{3}) == Status::invalid_field);
    CHECK(fixture.get_log(0x02, log, 2 * mib) == Status::invalid_field);  // past MDTS
}

TEST_CASE("features keep what they are told until a reset", "[nvme]") {
    AdminFixture fixture;
    CHECK(fixture.get_feature(0x06).result == 1u);
    CHECK(status_of(fixture.set_feature(0x06, 0)) == Status::success);
    CHECK(fixture.get_feature(0x06).result == 0u);
    CHECK(fixture.get_feature(0x06, FeatureSelect::default_value).result == 1u);
    CHECK(status_of(fixture.set_feature(0x08, 0x0203)) == Status::success);
    CHECK(fixture.get_feature(0x08).result == 0x0203u);
    CHECK(status_of(fixture.set_feature(0x09, 0x1'0003)) == Status::success);
    CHECK(fixture.get_feature(0x09, FeatureSelect::current, 3).result == 0x1'0003u);
    CHECK(status_of(fixture.get_feature(0x09, FeatureSelect::current, 65)) == Status::invalid_field);
    CHECK(status_of(fixture.set_feature(0x02, 1)) == Status::invalid_field);  // one power state
    CHECK(fixture.set_feature(0x07, 7 | 3 << 16).result == (7u | 3u << 16));
    CHECK(fixture.set_feature(0x07, 200 | 300 << 16).result == (63u | 63u << 16));
    CHECK(status_of(fixture.set_feature(0x07, 0xffff)) == Status::invalid_field);
    REQUIRE(fixture.guest->create_queue_pair(1, 16));
    CHECK(status_of(fixture.set_feature(0x07, 1 | 1 << 16)) == Status::command_sequence_error);
    REQUIRE(fixture.guest->disable());
    REQUIRE(fixture.guest->enable());
    CHECK(fixture.get_feature(0x06).result == 1u);
    CHECK(fixture.get_feature(0x08).result == 0u);
}

TEST_CASE("the timestamp goes on from where it was set", "[nvme]") {
    AdminFixture fixture;
    u64 data = fixture.arena.allocate(4096);
    fixture.arena.write(data, u64{1'700'000'000'000});
    SubmissionEntry entry = NvmeGuest::command(AdminOpcode::set_features);
    entry.dword10 = 0x0eu;
    entry.data_pointer.prp1 = data;
    REQUIRE(fixture.guest->run_admin(entry) == Status::success);
    fixture.processors.clock().advance_to(fixture.processors.now_ns() + 5 * nanoseconds_per_second);
    entry.opcode = static_cast<u8>(AdminOpcode::get_features);
    REQUIRE(fixture.guest->run_admin(entry) == Status::success);
    CHECK((fixture.arena.read<u64>(data) & 0xffff'ffff'ffff) == 1'700'000'005'000);
}

TEST_CASE("event requests are parked, never failed, and end with what happened", "[nvme]") {
    AdminFixture fixture;
    u16 first = fixture.park_event_request();
    for (int count = 0; count < 3; ++count) {
        fixture.park_event_request();
    }
    CHECK_FALSE(fixture.completion());
    u16 excess = fixture.park_event_request();
    std::optional<CompletionEntry> refused = fixture.completion();
    REQUIRE(refused);
    CHECK(refused->command_id == excess);
    CHECK(status_of(*refused) == Status::event_request_limit_exceeded);

    // A doorbell that is not there.
    fixture.guest->write32(submission_doorbell_offset(9, 0), 1);
    std::optional<CompletionEntry> event = fixture.completion();
    REQUIRE(event);
    CHECK(event->command_id == first);
    EventResult result{event->result};
    CHECK(result.type() == EventType::error);
    CHECK(result.information() == event_information::error_invalid_doorbell_register);
    CHECK(result.log_page() == 1);
    // Silent until the log was read without "retain".
    fixture.guest->write32(submission_doorbell_offset(0, 0), 5000);
    CHECK_FALSE(fixture.completion());
    u64 log = fixture.arena.allocate(4096);
    REQUIRE(fixture.get_log(0x01, log, 64, 0, true) == Status::success);
    CHECK(fixture.arena.read<ErrorLogEntry>(log).submission_id == 0xffff);
    CHECK_FALSE(fixture.completion());
    // Here the event's completion comes before that of the command that let it through.
    u16 reader = 0;
    {
        GetLogPage command = GetLogPage::make(LogPage::error_information, 64, false);
        SubmissionEntry entry = NvmeGuest::command(AdminOpcode::get_log_page);
        entry.dword10 = command.dword10;
        entry.data_pointer.prp1 = log;
        reader = fixture.guest->submit(fixture.guest->admin(), entry);
    }
    REQUIRE(fixture.guest->wait(fixture.guest->admin(), reader));
    REQUIRE(fixture.guest->admin().unclaimed.size() == 1);
    result = EventResult{fixture.guest->admin().unclaimed.begin()->second.result};
    CHECK(result.information() == event_information::error_invalid_doorbell_value);
}

TEST_CASE("a resize of the disk reaches the guest as an event, a changed list and a new size", "[nvme]") {
    AdminFixture fixture;
    REQUIRE(status_of(fixture.set_feature(0x0b, event_configuration::namespace_attribute)) == Status::success);
    fixture.park_event_request();
    {
        CurrentExecutorScope scope(fixture.processors.executor(0));
        REQUIRE(fixture.disk->inner().resize(128 * 1024));
    }
    std::optional<CompletionEntry> event = fixture.completion();
    REQUIRE(event);
    EventResult result{event->result};
    CHECK(result.type() == EventType::notice);
    CHECK(result.information() == event_information::notice_namespace_attribute_changed);
    REQUIRE(result.log_page() == 4);
    u64 log = fixture.arena.allocate(4096);
    REQUIRE(fixture.get_log(0x04, log, 4096) == Status::success);
    CHECK(fixture.arena.read<NamespaceList>(log).ids[0] == 1);
    CHECK(fixture.arena.read<NamespaceList>(log).ids[1] == 0);
    REQUIRE(fixture.get_log(0x04, log, 4096) == Status::success);
    CHECK(fixture.arena.read<NamespaceList>(log).ids[0] == 0);
    std::optional<u64> page = fixture.guest->identify(IdentifyStructure::name_space, 1);
    REQUIRE(page);
    CHECK(fixture.arena.read<IdentifyNamespace>(*page).size_blocks == 128 * 1024);
}

TEST_CASE("without the event enabled a resize stays silent", "[nvme]") {
    AdminFixture fixture;
    fixture.park_event_request();
    {
        CurrentExecutorScope scope(fixture.processors.executor(0));
        REQUIRE(fixture.disk->inner().resize(1024));
    }
    CHECK_FALSE(fixture.completion());
}

TEST_CASE("Abort ends a command that executes, and a parked event request", "[nvme]") {
    AdminFixture fixture;
    GuestQueue queue = *fixture.guest->create_queue_pair(2, 16);
    fixture.disk->hold = true;
    SubmissionEntry read = NvmeGuest::command(IoOpcode::read, 1);
    read.data_pointer.prp1 = fixture.arena.allocate(4096);
    u16 id = fixture.guest->submit(queue, read);
    fixture.guest->settle();
    auto abort = [&](u16 queue_id, u16 command_id) {
        SubmissionEntry entry = NvmeGuest::command(AdminOpcode::abort);
        entry.dword10 = queue_id | u32{command_id} << 16;
        CompletionEntry completion = fixture.guest->execute_admin(entry);
        CHECK(status_of(completion) == Status::success);
        return completion.result == 0u;
    };
    CHECK(abort(2, id));
    std::optional<CompletionEntry> completion = fixture.guest->wait(queue, id);
    REQUIRE(completion);
    CHECK(status_of(*completion) == Status::abort_requested);
    CHECK_FALSE(abort(2, id));
    CHECK_FALSE(abort(7, 1));
    CHECK_FALSE(abort(0xffff, 1));
    u16 event = fixture.park_event_request();
    CHECK(abort(0, event));
    completion = fixture.guest->wait(fixture.guest->admin(), event);
    REQUIRE(completion);
    CHECK(status_of(*completion) == Status::abort_requested);
    // A disk that does not listen: the answer is "not aborted", within a bound, and the command still ends.
    fixture.disk->ignores_cancel = true;
    id = fixture.guest->submit(queue, read);
    fixture.guest->settle();
    CHECK_FALSE(abort(2, id));
    fixture.disk->release();
    completion = fixture.guest->wait(queue, id);
    REQUIRE(completion);
    CHECK(status_of(*completion) == Status::success);
}
