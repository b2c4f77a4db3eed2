// I/O commands: data arrives where it belongs, and what must be refused is refused with the right status.
#include <catch2/catch.hpp>

#include "tests/unit/storage/frontends/nvme/fixture.hpp"

using namespace undercroft;
using namespace undercroft::test;
using namespace undercroft::nvme;

namespace {

struct IoFixture : NvmeFixture {
    explicit IoFixture(const FixtureOptions& options = {}) : NvmeFixture(options) {
        REQUIRE(guest->enable());
        guest->enable_messages(4);
        queue = *guest->create_queue_pair(1, 64);
    }
    Status run(const SubmissionEntry& entry) { return guest->run(queue, entry); }
    GuestQueue queue;
};

Status set_write_cache(NvmeGuest& guest, bool enabled) {
    SubmissionEntry entry = NvmeGuest::command(AdminOpcode::set_features);
    entry.dword10 = static_cast<u32>(Feature::volatile_write_cache);
    entry.dword11 = enabled ? 1 : 0;
    return guest.run_admin(entry);
}

}  // namespace

TEST_CASE("what is written is read back, at every transfer size", "[nvme]") {
    u32 sector_size = GENERATE(512u, 4096u);
    IoFixture fixture({.disk = ram_disk(8192, sector_size)});
    for (u64 bytes : {u64{4096}, 8 * kib, 12 * kib, 128 * kib, 512 * kib, 1024 * kib}) {
        std::vector<std::byte> data = pattern(bytes, static_cast<u32>(bytes));
        CHECK(fixture.guest->write_blocks(fixture.queue, 1, 7, data, sector_size) == Status::success);
        std::vector<std::byte> back(bytes);
        CHECK(fixture.guest->read_blocks(fixture.queue, 1, 7, back, sector_size) == Status::success);
        CHECK(data == back);
    }
    Counters counters = fixture.controller->counters();
    CHECK(counters.io_commands == 12);
    CHECK(counters.failed_commands == 0);
    CHECK(counters.bytes_read == counters.bytes_written);
    CHECK(fixture.messages.count(1) > 0);
}

TEST_CASE("a transfer of 1 MiB that begins inside a page works", "[nvme]") {
    IoFixture fixture;
    std::vector<std::byte> data = pattern(1 * mib, 5);
    u64 buffer = fixture.arena.allocate(1 * mib + page_size) + 0x204;
    std::memcpy(fixture.arena.at(buffer), data.data(), data.size());
    SubmissionEntry write = NvmeGuest::command(IoOpcode::write, 1, 0, 2048);
    fixture.guest->point_at(write, buffer, data.size());
    REQUIRE(fixture.run(write) == Status::success);
    std::vector<std::byte> back(data.size());
    REQUIRE(fixture.guest->read_blocks(fixture.queue, 1, 0, back) == Status::success);
    CHECK(data == back);
}

TEST_CASE("many commands at once, more than execute at the same time", "[nvme]") {
    u64 seed = GENERATE(u64{0}, u64{11}, u64{12});
    NvmeFixture fixture({.processors = 2, .seed = seed});
    NvmeGuest& guest = *fixture.guest;
    REQUIRE(guest.enable());
    GuestQueue queue = *guest.create_queue_pair(2, 1024);
    u64 buffer = fixture.arena.allocate(4096);
    fixture.disk->hold = true;
    for (u32 count = 0; count < 1000; ++count) {
        SubmissionEntry entry = NvmeGuest::command(IoOpcode::read, 1, count, 1);
        guest.point_at(entry, buffer, 512);
        guest.push(queue, entry);
    }
    guest.ring(queue);
    guest.settle();
    CHECK(fixture.disk->holding == requests_per_queue_max);
    fixture.disk->release();
    usize completed = 0;
    guest.run_until([&] {
        while (auto entry = guest.poll(queue)) {
            CHECK(entry->status_field().status() == Status::success);
            ++completed;
        }
        return completed == 1000;
    });
    CHECK(completed == 1000);
}

TEST_CASE("ranges past the end, unknown namespaces and opcodes are refused", "[nvme]") {
    IoFixture fixture;
    u64 size = fixture.disk->sector_count();
    u64 buffer = fixture.arena.allocate(8192);
    auto read = [&](u32 namespace_id, u64 lba, u32 blocks) {
        SubmissionEntry entry = NvmeGuest::command(IoOpcode::read, namespace_id, lba, blocks);
        fixture.guest->point_at(entry, buffer, u64{blocks} * 512);
        return fixture.run(entry);
    };
    CHECK(read(1, size - 1, 1) == Status::success);
    CHECK(read(1, size - 1, 2) == Status::lba_out_of_range);
    CHECK(read(1, size, 1) == Status::lba_out_of_range);
    CHECK(read(1, ~u64{0}, 2) == Status::lba_out_of_range);
    CHECK(read(0, 0, 1) == Status::invalid_namespace_or_format);
    CHECK(read(2, 0, 1) == Status::invalid_namespace_or_format);
    CHECK(read(0xffff'ffff, 0, 1) == Status::invalid_namespace_or_format);
    CHECK(fixture.run(NvmeGuest::command(IoOpcode::read, 1, 0, 2049)) == Status::invalid_field);  // past MDTS
    for (IoOpcode opcode :
         {IoOpcode::write_uncorrectable, IoOpcode::copy, IoOpcode::reservation_acquire, IoOpcode{0x99}}) {
        CHECK(fixture.run(NvmeGuest::command(opcode, 1)) == Status::invalid_opcode);
    }
    SubmissionEntry fused = NvmeGuest::command(IoOpcode::flush, 1);
    fused.flags = static_cast<u8>(FusedOperation::first);
    CHECK(fixture.run(fused) == Status::invalid_field);
    CHECK(fixture.disk->reads == 1);
}

TEST_CASE("errors of the disk reach the guest", "[nvme]") {
    IoFixture fixture;
    u64 buffer = fixture.arena.allocate(4096);
    SubmissionEntry entry = NvmeGuest::command(IoOpcode::read, 1, 0, 8);
    fixture.guest->point_at(entry, buffer, 4096);
    for (usize error = 0; error < disk_error_count; ++error) {
        fixture.disk->fail_with = static_cast<DiskError>(error);
        CompletionEntry completion = fixture.guest->execute(fixture.queue, entry);
        Outcome expected = outcome_of(static_cast<DiskError>(error));
        CHECK(completion.status_field().status() == expected.status);
        CHECK(completion.status_field().do_not_retry() == expected.do_not_retry);
    }
    CHECK(fixture.controller->counters().failed_commands == disk_error_count);
}

TEST_CASE("flush, FUA and the volatile write cache tell the truth", "[nvme]") {
    IoFixture fixture;
    FakeDisk& disk = *fixture.disk;
    REQUIRE(disk.facts_.fua_respected);
    u64 buffer = fixture.arena.allocate(4096);
    SubmissionEntry write = NvmeGuest::command(IoOpcode::write, 1, 0, 8);
    fixture.guest->point_at(write, buffer, 4096);
    SubmissionEntry durable = write;
    durable.dword12 = IoControl{write.dword12}.with_force_unit_access(true).raw;

    CHECK(fixture.run(NvmeGuest::command(IoOpcode::flush, 1)) == Status::success);
    CHECK(fixture.run(NvmeGuest::command(IoOpcode::flush, all_namespaces)) == Status::success);
    CHECK(disk.flushes == 2);
    CHECK(fixture.run(NvmeGuest::command(IoOpcode::flush, 7)) == Status::invalid_namespace_or_format);
    REQUIRE(fixture.run(write) == Status::success);
    CHECK(disk.fua_writes == 0);
    REQUIRE(fixture.run(durable) == Status::success);
    CHECK(disk.fua_writes == 1);
    // With the cache off every write is durable.
    REQUIRE(set_write_cache(*fixture.guest, false) == Status::success);
    REQUIRE(fixture.run(write) == Status::success);
    CHECK(disk.fua_writes == 2);
    REQUIRE(set_write_cache(*fixture.guest, true) == Status::success);
    REQUIRE(fixture.run(write) == Status::success);
    CHECK(disk.fua_writes == 2);
    CHECK(disk.flushes == 2);
}

TEST_CASE("a disk that knows no FUA is flushed instead", "[nvme]") {
    FixtureOptions options;
    SimulatedProcessors processors(1);
    SimulatedMachine machine(processors);
    GuestArena arena(4 * mib);
    RecordingMessages messages;
    auto disk = std::make_shared<FakeDisk>(ram_disk(128));
    disk->facts_.fua_respected = false;
    NamespaceConfig config{.id = 1, .disk = *Disk::create(disk)};
    std::vector<Executor*> executors = processors.executors();
    auto controller = std::move(*Controller::create(
        {.memory = arena.memory(), .messages = messages, .executors = executors, .namespaces = std::span(&config, 1)}));
    NvmeGuest guest(*controller, arena, machine);
    REQUIRE(guest.enable());
    GuestQueue queue = *guest.create_queue_pair(1, 8);
    SubmissionEntry write = NvmeGuest::command(IoOpcode::write, 1, 0, 8);
    guest.point_at(write, arena.allocate(4096), 4096);
    write.dword12 = IoControl{write.dword12}.with_force_unit_access(true).raw;
    CHECK(guest.run(queue, write) == Status::success);
    CHECK(disk->fua_writes == 0);
    CHECK(disk->flushes == 1);
    processors.run([](Controller& device) -> Task<bool> {
        co_await device.close();
        co_return true;
    }(*controller));
}

TEST_CASE("write zeroes, and deallocation where it is allowed", "[nvme]") {
    IoFixture fixture;
    std::vector<std::byte> data = pattern(8192, 3);
    REQUIRE(fixture.guest->write_blocks(fixture.queue, 1, 0, data) == Status::success);
    SubmissionEntry zeroes = NvmeGuest::command(IoOpcode::write_zeroes, 1, 4, 4);
    REQUIRE(fixture.run(zeroes) == Status::success);
    CHECK(fixture.disk->unmapping_zeroings == 0);
    zeroes.dword12 = IoControl{zeroes.dword12}.with_deallocate(true).raw;
    REQUIRE(fixture.run(zeroes) == Status::success);
    CHECK(fixture.disk->unmapping_zeroings == 1);
    std::vector<std::byte> back(8192);
    REQUIRE(fixture.guest->read_blocks(fixture.queue, 1, 0, back) == Status::success);
    std::fill(data.begin() + 4 * 512, data.begin() + 8 * 512, std::byte{0});
    CHECK(data == back);
    // 65536 blocks: the largest that one command can name.
    REQUIRE(fixture.run(NvmeGuest::command(IoOpcode::write_zeroes, 1, 0, 65536)) == Status::success);
}

TEST_CASE("dataset management deallocates its ranges, after all were checked", "[nvme]") {
    IoFixture fixture;
    std::vector<std::byte> data = pattern(64 * 1024, 4);
    REQUIRE(fixture.guest->write_blocks(fixture.queue, 1, 0, data) == Status::success);
    u64 list = fixture.arena.allocate(4096);
    auto set_range = [&](u32 index, u64 lba, u32 blocks) {
        DatasetRange range;
        range.starting_lba = lba;
        range.blocks = blocks;
        fixture.arena.write(list + index * sizeof range, range);
    };
    SubmissionEntry entry = NvmeGuest::command(IoOpcode::dataset_management, 1);
    entry.data_pointer.prp1 = list;
    entry.dword12 = 0u;
    entry.dword10 = 1u;  // two ranges
    entry.dword11 = dataset_attribute::deallocate;
    set_range(0, 8, 8);
    set_range(1, fixture.disk->sector_count(), 1);
    CHECK(fixture.run(entry) == Status::lba_out_of_range);
    CHECK(fixture.disk->unmaps == 0);
    set_range(1, 64, 16);
    CHECK(fixture.run(entry) == Status::success);
    CHECK(fixture.disk->unmaps == 2);
    std::vector<std::byte> back(data.size());
    REQUIRE(fixture.guest->read_blocks(fixture.queue, 1, 0, back) == Status::success);
    std::fill(data.begin() + 8 * 512, data.begin() + 16 * 512, std::byte{0});
    std::fill(data.begin() + 64 * 512, data.begin() + 80 * 512, std::byte{0});
    CHECK(data == back);
    // The other attributes are advice.
    entry.dword11 = dataset_attribute::integral_read;
    CHECK(fixture.run(entry) == Status::success);
    CHECK(fixture.disk->unmaps == 2);
    entry.dword10 = 255u;
    CHECK(fixture.run(entry) == Status::success);
}

TEST_CASE("compare and verify", "[nvme]") {
    IoFixture fixture;
    std::vector<std::byte> data = pattern(256 * kib, 6);
    REQUIRE(fixture.guest->write_blocks(fixture.queue, 1, 16, data) == Status::success);
    u64 buffer = fixture.arena.allocate(data.size());
    std::memcpy(fixture.arena.at(buffer), data.data(), data.size());
    SubmissionEntry compare = NvmeGuest::command(IoOpcode::compare, 1, 16, 512);
    fixture.guest->point_at(compare, buffer, data.size());
    CHECK(fixture.run(compare) == Status::success);
    *fixture.arena.at(buffer + data.size() - 1) ^= std::byte{1};
    CHECK(fixture.run(compare) == Status::compare_failure);
    CHECK(fixture.run(NvmeGuest::command(IoOpcode::verify, 1, 16, 512)) == Status::success);
    fixture.disk->fail_with = DiskError::medium_read;
    CHECK(fixture.run(NvmeGuest::command(IoOpcode::verify, 1, 16, 512)) == Status::unrecovered_read_error);
    CHECK(fixture.run(compare) == Status::unrecovered_read_error);
}

TEST_CASE("a read-only disk says so, and refuses every change with 182h", "[nvme]") {
    IoFixture fixture({.disk = ram_disk(1024, 512, true)});
    std::optional<u64> page = fixture.guest->identify(IdentifyStructure::name_space, 1);
    REQUIRE(page);
    CHECK(fixture.arena.read<IdentifyNamespace>(*page).attributes == namespace_write_protected);
    u64 buffer = fixture.arena.allocate(4096);
    SubmissionEntry write = NvmeGuest::command(IoOpcode::write, 1, 0, 8);
    fixture.guest->point_at(write, buffer, 4096);
    CompletionEntry completion = fixture.guest->execute(fixture.queue, write);
    CHECK(static_cast<u16>(completion.status_field().status()) == 0x182);
    CHECK(completion.status_field().do_not_retry());
    CHECK(static_cast<u16>(fixture.run(NvmeGuest::command(IoOpcode::write_zeroes, 1))) == 0x182);
    SubmissionEntry trim = NvmeGuest::command(IoOpcode::dataset_management, 1);
    trim.data_pointer.prp1 = buffer;
    trim.dword11 = dataset_attribute::deallocate;
    CHECK(static_cast<u16>(fixture.run(trim)) == 0x182);
    CHECK(fixture.disk->writes + fixture.disk->zeroings + fixture.disk->unmaps == 0);
    std::vector<std::byte> back(4096);
    CHECK(fixture.guest->read_blocks(fixture.queue, 1, 0, back) == Status::success);
}

TEST_CASE("large transfers wait for their lists, and all end", "[nvme]") {
    IoFixture fixture({.memory_bytes = 32 * mib});
    u64 buffer = fixture.arena.allocate(256 * kib);
    SubmissionEntry entry = NvmeGuest::command(IoOpcode::read, 1, 0, 512);
    fixture.guest->point_at(entry, buffer, 256 * kib);
    fixture.disk->hold = true;
    std::vector<u16> ids;
    for (usize count = 0; count < 40; ++count) {
        ids.push_back(fixture.guest->submit(fixture.queue, entry));
    }
    fixture.guest->settle();
    CHECK(fixture.disk->holding == large_lists_per_queue_max);
    fixture.disk->release();
    for (u16 id : ids) {
        std::optional<CompletionEntry> completion = fixture.guest->wait(fixture.queue, id);
        REQUIRE(completion);
        CHECK(completion->status_field().status() == Status::success);
    }
}
