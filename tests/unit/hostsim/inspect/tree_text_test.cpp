// Answers as text for people.
#include "hostsim/inspect/tree_text.hpp"

#include <catch2/catch.hpp>

#include "hostsim/inspect/readable.hpp"

using namespace undercroft;

namespace {

std::string text_of(std::string_view line, const TreeTextOptions& options = {}) {
    NumbersSeen seen;
    Result<InspectAnswer, std::string> answer = parse_answer(line);
    REQUIRE(answer.has_value());
    return tree_text(*answer, options, seen);
}

}  // namespace

TEST_CASE("A tree is indented, with units, and settings say what they take") {
    CHECK(
        text_of(R"({"value":{"uptime_ns":1500000,"exports":{"a":{"size_bytes":1536,"count":7,"size":"1K"}},"none":{},)"
                R"("latency":{"count_below_ns":{"1024":3,"2097152":1}}},"settings":{"exports/a/size":"a size"}})") ==
        "uptime_ns: 1.5 ms\n"
        "exports\n"
        "  a\n"
        "    size_bytes: 1.5 KiB\n"
        "    count: 7\n"
        "    size = 1K   (a size)\n"
        "none: none\n"
        "latency\n"
        "  count_below_ns: <1 us 3, <2 ms 1\n");
}

TEST_CASE("A value alone is a line with its name") {
    CHECK(text_of(R"({"value":"64M","settings":{"a/size":"a size"}})", {.path = "a/size"}) ==
          "size = 64M   (a size)\n");
    CHECK(text_of(R"({"value":true,"settings":{}})", {.path = "on"}) == "on: true\n");
}

TEST_CASE("What grew since the last look is shown a second") {
    NumbersSeen before{{"a/count", 10}, {"a/age_ns", 1}, {"a/held", 5}};
    CHECK(text_of(R"({"value":{"count":30,"age_ns":2000,"held":4,"new":1},"settings":{}})",
                  {.path = "a", .before = &before, .elapsed_ns = 2 * nanoseconds_per_second}) ==
          "count: 30 (+10/s)\nage_ns: 2 us\nheld: 4\nnew: 1\n");
}

TEST_CASE("What is no answer is said so") {
    CHECK(parse_answer(R"({"error":"there is no \"x\""})").error() == "there is no \"x\"");
    for (std::string_view bad : {"", "hello", "[]", "{}", R"({"value":1})", R"({"value":1,"settings":2})"}) {
        CHECK(parse_answer(bad).error().find("no running Undercroft") != std::string::npos);
    }
    CHECK(!parse_answer(std::string(100'000, '[')));
}

TEST_CASE("Numbers are readable") {
    CHECK(readable_size(0) == "0 bytes");
    CHECK(readable_size(mib + mib / 2) == "1.5 MiB");
    CHECK(readable_time(0) == "0 ns");
    CHECK(readable_time(999) == "999 ns");
    CHECK(readable_time(1000) == "1 us");
    CHECK(readable_time(65'536) == "65.5 us");
    CHECK(readable_time(1'250'000'000) == "1.2 s");
    CHECK(readable_time(61 * nanoseconds_per_second) == "1 min 1 s");
    CHECK(readable_time(7500 * nanoseconds_per_second) == "2 h 5 min");
}
