// Counting operations, their latencies, and those under way.
#include "kernel/inspect/activity.hpp"

#include <catch2/catch.hpp>

using namespace undercroft;
using namespace undercroft::inspect;

namespace {

template <typename Describe>
std::string json(Describe&& describe) {
    return *Walk({}, 1 << 20).run(describe);
}

}  // namespace

TEST_CASE("Operations are counted by kind, with what they took") {
    Activity activity(4);
    for (u64 took_ns : {100, 100, 1000}) {
        Activity::Started started = activity.begin(IoKind::read, 0, 4096, 5000);
        activity.end(started, 5000 + took_ns);
    }
    activity.end(activity.begin(IoKind::flush, 0, 0, 10), 9);  // a clock that goes back is no reason to fall
    activity.count_failure(IoKind::flush);
    IoTotals totals;
    activity.add_to(totals);
    CHECK(json([&](Node& node) { totals.describe(node); }) ==
          R"({"read":{"count":3,"failures":0,"bytes":12288,"latency":{"average_ns":400,"p50_below_ns":128,)"
          R"("p99_below_ns":1024,"count_below_ns":{"128":2,"1024":1}}},)"
          R"("flush":{"count":1,"failures":1,"latency":{"average_ns":0,"p50_below_ns":1,"p99_below_ns":1,)"
          R"("count_below_ns":{"1":1}}}})");
    IoTotals twice = totals;
    twice.add(totals);
    CHECK(twice.kinds[0].ended() == 6);
    CHECK(twice.kinds[0].bytes == 2 * 12288);
}

TEST_CASE("What is under way is shown with its age, the oldest first") {
    Activity activity(2);
    Activity::Started first = activity.begin(IoKind::write, 512, 1024, 100);
    Activity::Started second = activity.begin(IoKind::read, 0, 512, 50);
    Activity::Started third = activity.begin(IoKind::read, 0, 512, 60);  // no room to show it
    CHECK(activity.in_flight() == 2);
    CHECK(json([&](Node& node) { activity.describe_in_flight(node, 150); }) ==
          R"({"0":{"operation":"read","offset_bytes":0,"length_bytes":512,"age_ns":100},)"
          R"("1":{"operation":"write","offset_bytes":512,"length_bytes":1024,"age_ns":50}})");
    activity.end(third, 200);
    activity.end(second, 200);
    activity.end(first, 200);
    CHECK(activity.in_flight() == 0);
    IoTotals totals;
    activity.add_to(totals);
    CHECK(totals.kinds[0].ended() == 2);
    CHECK(totals.kinds[1].ended() == 1);
    for (int round = 0; round < 10; ++round) {
        Activity::Started one = activity.begin(IoKind::read, 0, 0, 1);
        Activity::Started two = activity.begin(IoKind::read, 0, 0, 1);
        CHECK(activity.in_flight() == 2);
        activity.end(one, 2);
        activity.end(two, 2);
    }
}

TEST_CASE("Latencies from nothing to hours have a bucket") {
    CHECK(latency_bucket(0) == 0);
    CHECK(latency_bucket(1) == 1);
    CHECK(latency_bucket(1023) == 10);
    CHECK(latency_bucket(1024) == 11);
    CHECK(latency_bucket(~u64{0}) == latency_buckets - 1);
    CHECK(KindTotals{}.percentile_ns(990) == 0);
}
