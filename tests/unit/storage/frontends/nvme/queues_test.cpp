// Queues: creating, deleting, sharing, running full, shadow doorbells, several processors.
#include <catch2/catch.hpp>

#include "tests/unit/storage/frontends/nvme/fixture.hpp"

using namespace undercroft;
using namespace undercroft::test;
using namespace undercroft::nvme;

namespace {

SubmissionEntry flush() { return NvmeGuest::command(IoOpcode::flush, 1); }

}  // namespace

TEST_CASE("queue creation and deletion check everything", "[nvme]") {
    NvmeFixture fixture;
    NvmeGuest& guest = *fixture.guest;
    REQUIRE(guest.enable());
    GuestQueue queue = guest.make_queue(1, 16);
    CHECK(guest.create_submission_queue(queue, 1) == Status::completion_queue_invalid);
    CHECK(guest.create_submission_queue(queue, 0) == Status::invalid_queue_identifier);
    CHECK(guest.create_submission_queue(queue, 65) == Status::invalid_queue_identifier);
    CHECK(guest.create_completion_queue(queue, true, 65) == Status::invalid_interrupt_vector);

    GuestQueue wrong = queue;
    wrong.id = 0;
    CHECK(guest.create_completion_queue(wrong, true, 1) == Status::invalid_queue_identifier);
    wrong.id = 65;
    CHECK(guest.create_completion_queue(wrong, true, 1) == Status::invalid_queue_identifier);
    wrong = queue;
    wrong.completion_entries = 1;
    CHECK(guest.create_completion_queue(wrong, true, 1) == Status::invalid_queue_size);
    wrong.completion_entries = 1025;
    CHECK(guest.create_completion_queue(wrong, true, 1) == Status::invalid_queue_size);
    wrong = queue;
    wrong.completion_address += 16;
    CHECK(guest.create_completion_queue(wrong, true, 1) == Status::prp_offset_invalid);
    wrong.completion_address = fixture.arena.size_bytes();
    CHECK(guest.create_completion_queue(wrong, true, 1) == Status::invalid_field);
    SubmissionEntry scattered = NvmeGuest::command(AdminOpcode::create_completion_queue);
    scattered.data_pointer.prp1 = queue.completion_address;
    scattered.dword10 = CreateQueueSize::make(1, 16).raw;
    CHECK(guest.run_admin(scattered) == Status::invalid_field);

    REQUIRE(guest.create_completion_queue(queue, true, 1) == Status::success);
    CHECK(guest.create_completion_queue(queue, true, 1) == Status::invalid_queue_identifier);
    REQUIRE(guest.create_submission_queue(queue, 1) == Status::success);
    CHECK(guest.create_submission_queue(queue, 1) == Status::invalid_queue_identifier);
    CHECK(guest.run(queue, flush()) == Status::success);

    CHECK(guest.delete_queue(AdminOpcode::delete_completion_queue, 1) == Status::invalid_queue_deletion);
    CHECK(guest.delete_queue(AdminOpcode::delete_completion_queue, 0) == Status::invalid_queue_identifier);
    CHECK(guest.delete_queue(AdminOpcode::delete_submission_queue, 0) == Status::invalid_queue_identifier);
    CHECK(guest.delete_queue(AdminOpcode::delete_submission_queue, 2) == Status::invalid_queue_identifier);
    CHECK(guest.delete_queue(AdminOpcode::delete_submission_queue, 1) == Status::success);
    CHECK(guest.delete_queue(AdminOpcode::delete_submission_queue, 1) == Status::invalid_queue_identifier);
    CHECK(guest.delete_queue(AdminOpcode::delete_completion_queue, 1) == Status::success);
    std::optional<GuestQueue> again = guest.create_queue_pair(1, 32);
    REQUIRE(again);
    CHECK(guest.run(*again, flush()) == Status::success);
}

TEST_CASE("entry sizes that were not configured refuse I/O queues", "[nvme]") {
    NvmeFixture fixture;
    NvmeGuest& guest = *fixture.guest;
    guest.set_admin_queues(16);
    guest.write32(register_offset::configuration, Configuration{}.with_page_size_log2(12).with_enable(true).raw);
    REQUIRE(guest.run_until([&] { return guest.status().ready(); }));
    GuestQueue queue = guest.make_queue(1, 16);
    CHECK(guest.create_completion_queue(queue, true, 1) == Status::invalid_queue_size);
}

TEST_CASE("all 64 queue pairs work, spread over the processors", "[nvme]") {
    usize processors = GENERATE(usize{1}, usize{4});
    NvmeFixture fixture({.processors = processors, .seed = 77});
    NvmeGuest& guest = *fixture.guest;
    REQUIRE(guest.enable());
    guest.enable_messages(vectors_max);
    std::vector<GuestQueue> queues;
    for (u16 id = 1; id <= io_queues_max; ++id) {
        std::optional<GuestQueue> queue = guest.create_queue_pair(id, 8);
        REQUIRE(queue);
        queues.push_back(*queue);
    }
    std::vector<u16> ids;
    for (GuestQueue& queue : queues) {
        // Doorbells come from any processor.
        CurrentExecutorScope scope(fixture.processors.executor(queue.id * 7 % processors));
        ids.push_back(guest.submit(queue, flush()));
    }
    for (usize index = 0; index < queues.size(); ++index) {
        std::optional<CompletionEntry> completion = guest.wait(queues[index], ids[index]);
        REQUIRE(completion);
        CHECK(completion->submission_id == queues[index].id);
        CHECK(fixture.messages.count(queues[index].id) == 1);
    }
}

TEST_CASE("several submission queues share a completion queue", "[nvme]") {
    NvmeFixture fixture({.processors = 3, .seed = 5});
    NvmeGuest& guest = *fixture.guest;
    REQUIRE(guest.enable());
    GuestQueue shared = guest.make_queue(1, 8);
    REQUIRE(guest.create_completion_queue(shared, true, 1) == Status::success);
    std::vector<GuestQueue> queues;
    for (u16 id = 1; id <= 5; ++id) {
        queues.push_back(guest.make_queue(id, 32));
        REQUIRE(guest.create_submission_queue(queues.back(), 1) == Status::success);
    }
    for (GuestQueue& queue : queues) {
        for (int count = 0; count < 31; ++count) {
            guest.push(queue, flush());
        }
        guest.ring(queue);
    }
    guest.settle();
    // Seven completions fill the queue; what is behind them waits until the host has taken some.
    CHECK(fixture.disk->flushes == 7);
    std::map<u16, usize> completed;
    guest.run_until([&] {
        while (auto entry = guest.poll(shared)) {
            ++completed[entry->submission_id];
        }
        return false;
    });
    for (GuestQueue& queue : queues) {
        CHECK(completed[queue.id] == 31);
    }
}

TEST_CASE("deleting a submission queue ends its commands first", "[nvme]") {
    NvmeFixture fixture({.processors = 2, .seed = GENERATE(u64{0}, u64{8})});
    NvmeGuest& guest = *fixture.guest;
    REQUIRE(guest.enable());
    GuestQueue queue = *guest.create_queue_pair(2, 16);
    fixture.disk->hold = true;
    std::vector<u16> ids;
    for (int count = 0; count < 5; ++count) {
        ids.push_back(guest.submit(queue, flush()));
    }
    guest.settle();
    REQUIRE(fixture.disk->holding == 5);
    REQUIRE(guest.delete_queue(AdminOpcode::delete_submission_queue, 2) == Status::success);
    CHECK(fixture.disk->holding == 0);
    for (u16 id : ids) {
        bool found = false;
        while (auto entry = guest.poll(queue)) {
            queue.unclaimed[entry->command_id] = *entry;
        }
        found = queue.unclaimed.contains(id);
        REQUIRE(found);
        CHECK(queue.unclaimed[id].status_field().status() == Status::aborted_queue_deleted);
    }
    CHECK(guest.delete_queue(AdminOpcode::delete_completion_queue, 2) == Status::success);
}

TEST_CASE("nonsense in doorbells is reported and changes nothing", "[nvme]") {
    NvmeFixture fixture;
    NvmeGuest& guest = *fixture.guest;
    guest.write32(submission_doorbell_offset(0, 0), 3);  // before there is a queue
    REQUIRE(guest.enable());
    GuestQueue queue = *guest.create_queue_pair(1, 16);
    for (u32 value : {16u, 0xffffu, 0xffff'ffffu}) {
        guest.write32(submission_doorbell_offset(1, 0), value);
        guest.write32(completion_doorbell_offset(1, 0), value);
    }
    guest.write32(completion_doorbell_offset(1, 0), 3);  // more than was posted
    for (u16 id = 2; id < 200; ++id) {
        guest.write32(submission_doorbell_offset(id, 0), 1);
        guest.write32(completion_doorbell_offset(id, 0), 1);
    }
    guest.settle();
    for (int count = 0; count < 40; ++count) {
        REQUIRE(guest.run(queue, flush()) == Status::success);
    }
    CHECK(fixture.controller->counters().doorbell_writes > 80);
}

TEST_CASE("one interrupt for what one look at the queue completed", "[nvme]") {
    NvmeFixture fixture;
    NvmeGuest& guest = *fixture.guest;
    REQUIRE(guest.enable());
    guest.enable_messages(2);
    GuestQueue queue = *guest.create_queue_pair(1, 64);
    for (int count = 0; count < 32; ++count) {
        guest.push(queue, flush());
    }
    guest.ring(queue);
    guest.settle();
    CHECK(fixture.messages.count(1) == 1);
    usize completed = 0;
    while (guest.poll(queue)) {
        ++completed;
    }
    CHECK(completed == 32);
}

TEST_CASE("interrupt coalescing holds an interrupt back until enough has completed, or time has passed", "[nvme]") {
    NvmeFixture fixture;
    NvmeGuest& guest = *fixture.guest;
    REQUIRE(guest.enable());
    guest.enable_messages(3);
    GuestQueue queue = *guest.create_queue_pair(1, 64);
    GuestQueue other = *guest.create_queue_pair(2, 64);
    auto set_feature = [&](Feature feature, u32 value) {
        SubmissionEntry entry = NvmeGuest::command(AdminOpcode::set_features);
        entry.dword10 = static_cast<u32>(feature);
        entry.dword11 = value;
        REQUIRE(guest.run_admin(entry) == Status::success);
    };
    set_feature(Feature::interrupt_coalescing, 3 | 50 << 8);  // four completions, or 5 ms
    set_feature(Feature::interrupt_vector_configuration, 2 | 1 << 16);
    u64 start = fixture.processors.now_ns();
    auto submit_and_settle_now = [&](GuestQueue& target, int count) {
        for (; count > 0; --count) {
            guest.submit(target, flush());
        }
        for (int round = 0; round < 4; ++round) {
            for (usize index = 0; index < 2; ++index) {
                CurrentExecutorScope scope(fixture.processors.executor(index));
                fixture.processors.executor(index).run_ready();
            }
        }
        CHECK(fixture.processors.now_ns() == start);
    };
    submit_and_settle_now(queue, 4);
    CHECK(fixture.messages.count(1) == 1);
    submit_and_settle_now(other, 1);  // switched off for this vector
    CHECK(fixture.messages.count(2) == 1);
    submit_and_settle_now(queue, 3);
    CHECK(fixture.messages.count(1) == 1);
    guest.settle();
    CHECK(fixture.messages.count(1) == 2);
    CHECK(fixture.processors.now_ns() == start + 5 * nanoseconds_per_millisecond);
}

namespace {

/// The driver's side of shadow doorbells, as Linux does it.
struct ShadowGuest {
    NvmeFixture& fixture;
    u64 doorbells;
    u64 events;

    explicit ShadowGuest(NvmeFixture& owner)
        : fixture(owner), doorbells(owner.arena.allocate(4096)), events(owner.arena.allocate(4096)) {}

    Status configure() {
        SubmissionEntry entry = NvmeGuest::command(AdminOpcode::doorbell_buffer_config);
        entry.data_pointer.prp1 = doorbells;
        entry.data_pointer.prp2 = events;
        return fixture.guest->run_admin(entry);
    }
    /// Writes the shared word; by MMIO too where the controller asked for that.
    bool write(u32 index, u32 value) {
        u32 old = fixture.arena.read<u32>(doorbells + index * 4);
        fixture.arena.write(doorbells + index * 4, value);
        u32 event = fixture.arena.read<u32>(events + index * 4);
        bool needed = static_cast<u16>(value - event - 1) < static_cast<u16>(value - old);
        if (needed) {
            fixture.guest->write32(register_offset::doorbells + index * 4, value);
        }
        return needed;
    }
};

}  // namespace

TEST_CASE("shadow doorbells: memory is the truth, and the event index says when to call", "[nvme]") {
    NvmeFixture fixture({.processors = 2, .seed = GENERATE(u64{0}, u64{3})});
    NvmeGuest& guest = *fixture.guest;
    REQUIRE(guest.enable());
    GuestQueue before = *guest.create_queue_pair(1, 16);
    REQUIRE(guest.run(before, flush()) == Status::success);
    ShadowGuest shadow(fixture);
    REQUIRE(shadow.configure() == Status::success);
    guest.settle();
    // A queue that was there already goes on from where it was.
    CHECK(fixture.arena.read<u32>(shadow.doorbells + 2 * 4) == 1);
    CHECK(fixture.arena.read<u32>(shadow.doorbells + 3 * 4) == 1);

    GuestQueue queue = *guest.create_queue_pair(2, 64);
    u64 doorbells_before = fixture.controller->counters().doorbell_writes;
    usize completed = 0;
    usize called = 0;
    for (int round = 0; round < 200; ++round) {
        for (int count = 0; count < 5; ++count) {
            guest.push(queue, flush());
            called += shadow.write(2u * queue.id, queue.tail) ? 1 : 0;
        }
        guest.settle();
        while (guest.poll(queue, false)) {
            ++completed;
        }
        called += shadow.write(2u * queue.id + 1, queue.head) ? 1 : 0;
        guest.settle();
    }
    CHECK(completed == 1000);
    // One call a batch at the most, and hardly any for the completion queue.
    CHECK(called <= 230);
    CHECK(fixture.controller->counters().doorbell_writes - doorbells_before == called);
    // The admin queue has no shared doorbell: drivers ring it by MMIO alone.
    CHECK(guest.identify(IdentifyStructure::controller));

    // What the guest puts there is not believed.
    fixture.arena.write(shadow.doorbells + 4 * 4, u32{0xffff'ffff});
    guest.write32(submission_doorbell_offset(2, 0), queue.tail);
    guest.settle();
    fixture.arena.write(shadow.doorbells + 5 * 4, u32{0xffff'ffff});
    guest.write32(completion_doorbell_offset(2, 0), queue.head);
    guest.settle();

    // A reset drops them.
    REQUIRE(guest.disable());
    REQUIRE(guest.enable());
    GuestQueue plain = *guest.create_queue_pair(1, 16);
    CHECK(guest.run(plain, flush()) == Status::success);
}

TEST_CASE("shadow doorbells: a full completion queue asks for its head", "[nvme]") {
    NvmeFixture fixture;
    NvmeGuest& guest = *fixture.guest;
    REQUIRE(guest.enable());
    ShadowGuest shadow(fixture);
    REQUIRE(shadow.configure() == Status::success);
    GuestQueue queue = guest.make_queue(1, 64);
    queue.completion_entries = 4;
    REQUIRE(guest.create_completion_queue(queue, true, 1) == Status::success);
    REQUIRE(guest.create_submission_queue(queue, 1) == Status::success);
    for (int count = 0; count < 50; ++count) {
        guest.push(queue, flush());
    }
    shadow.write(2, queue.tail);
    guest.settle();
    CHECK(fixture.disk->flushes == 3);
    usize completed = 0;
    for (int round = 0; round < 60; ++round) {
        if (guest.poll(queue, false)) {
            ++completed;
            shadow.write(3, queue.head);
            guest.settle();
        }
    }
    CHECK(completed == 50);
}

TEST_CASE("shadow doorbells: a busy queue looks by itself, a slow one asks to be called again", "[nvme]") {
    NvmeFixture fixture({.processors = 1});
    NvmeGuest& guest = *fixture.guest;
    REQUIRE(guest.enable());
    ShadowGuest shadow(fixture);
    REQUIRE(shadow.configure() == Status::success);
    GuestQueue queue = *guest.create_queue_pair(1, 64);
    auto submit = [&](int count) {
        bool called = false;
        for (; count > 0; --count) {
            guest.push(queue, flush());
            called |= shadow.write(2, queue.tail);
        }
        return called;
    };
    auto run_now = [&] {  // no time passes
        CurrentExecutorScope scope(fixture.processors.executor(0));
        fixture.processors.executor(0).run_ready();
    };
    fixture.disk->hold = true;
    CHECK(submit(10));
    run_now();
    REQUIRE(fixture.disk->holding == 10);
    CHECK_FALSE(submit(5));
    run_now();
    CHECK(fixture.disk->holding == 10);
    SECTION("the next completion takes them in") {
        fixture.disk->release();
        run_now();
        CHECK(fixture.disk->flushes == 15);
        CHECK(submit(1));  // idle: asks
    }
    SECTION("while completions keep coming it does not ask") {
        run_now();
        for (usize round = 0; round < 20; ++round) {
            fixture.processors.clock().advance_to(fixture.processors.now_ns() + polling_time_ns * 3 / 4);
            run_now();
            fixture.disk->release_one();
            run_now();
            CHECK_FALSE(submit(1));
        }
        CHECK(fixture.disk->flushes >= 30);
    }
    SECTION("so does the end of the polling time") {
        guest.settle();
        CHECK(fixture.disk->holding == 15);
        CHECK(submit(1));
        guest.settle();
        CHECK(fixture.disk->holding == 16);
        REQUIRE(guest.disable());
        CHECK(fixture.disk->holding == 0);
    }
}

TEST_CASE("shadow doorbells: bad addresses are refused", "[nvme]") {
    NvmeFixture fixture;
    NvmeGuest& guest = *fixture.guest;
    REQUIRE(guest.enable());
    ShadowGuest shadow(fixture);
    shadow.events = fixture.arena.size_bytes();
    CHECK(shadow.configure() == Status::invalid_field);
    shadow.events = shadow.doorbells + 8;
    CHECK(shadow.configure() == Status::invalid_field);
}
