// Delays: who waits how long, and that both numbers of a distribution are true.
#include "storage/layers/delay_disk.hpp"

#include "tests/unit/storage/layers/rig.hpp"

namespace undercroft::test {
namespace {

constexpr u64 ms = nanoseconds_per_millisecond;

std::string reason_of(const DelayOptions& options) {
    auto created = DelayDisk::create(handle(make_ram(8)), options);
    return created ? "" : created.error();
}

}  // namespace

TEST_CASE("each operation waits its own time, and the new one after a change") {
    Rig rig;
    auto delay = DelayDisk::create(handle(make_ram(64)), {.read = {.average_ns = 1 * ms},
                                                          .write = {.average_ns = 2 * ms},
                                                          .flush = {.average_ns = 3 * ms},
                                                          .unmap = {.average_ns = 4 * ms}})
                     .value();
    Disk disk = handle(delay);
    std::vector<std::byte> bytes(512);
    MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
    auto took = [&](auto task) {
        u64 before = rig.processors.now_ns();
        CHECK(rig.run(std::move(task)).has_value());
        return rig.processors.now_ns() - before;
    };
    CHECK(took(disk.read(0, {&segment, 1})) == 1 * ms);
    CHECK(took(disk.compare(0, {&segment, 1})) == 1 * ms);
    CHECK(took(disk.write(0, {&segment, 1})) == 2 * ms);
    CHECK(took(disk.write_zeroes({.start = 0, .count = 1}, true)) == 2 * ms);
    CHECK(took(disk.flush()) == 3 * ms);
    CHECK(took(disk.unmap({.start = 0, .count = 1})) == 4 * ms);
    CHECK(took(disk.block_status({.start = 0, .count = 1})) == 0);
    CHECK(delay->options().flush.average_ns == 3 * ms);
    REQUIRE(delay->set({.read = {.average_ns = 7 * ms}}).has_value());
    CHECK(took(disk.read(0, {&segment, 1})) == 7 * ms);
    CHECK(took(disk.write(0, {&segment, 1})) == 0);
}

TEST_CASE("the average and the 99th percentile are what was asked for") {
    for (u64 p99 : {1100u, 1500u, 2000u, 5000u, 20'000u, 50'000u}) {
        CAPTURE(p99);
        SeededSequence random(p99);
        DelayTime time{.average_ns = 1000, .p99_ns = p99};
        constexpr u64 draws = 200'000;
        u64 sum = 0;
        u64 above = 0;
        for (u64 draw = 0; draw < draws; ++draw) {
            u64 delay = DelayDisk::draw(time, random);
            sum += delay;
            above += delay > p99 ? 1 : 0;
        }
        CHECK(sum / draws >= 960);
        CHECK(sum / draws <= 1040);
        CHECK(above >= draws * 8 / 1000);
        CHECK(above <= draws * 12 / 1000);
    }
}

TEST_CASE("a delay that cannot be is refused, and changes nothing") {
    CHECK(reason_of({.read = {.average_ns = 3601 * nanoseconds_per_second}}) ==
          "the read delay is longer than an hour");
    CHECK(reason_of({.write = {.average_ns = 5, .p99_ns = 4}}) ==
          "the write delay has a 99th percentile below its average");
    CHECK(reason_of({.flush = {.average_ns = 5, .p99_ns = 251}}) ==
          "the flush delay has a 99th percentile of more than 50 times its average");
    auto delay = DelayDisk::create(handle(make_ram(8)), {.unmap = {.average_ns = 5}}).value();
    CHECK_FALSE(delay->set({.unmap = {.average_ns = 5, .p99_ns = 1}}).has_value());
    CHECK(delay->options().unmap.average_ns == 5);
}

}  // namespace undercroft::test
