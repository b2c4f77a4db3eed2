// Log lines: level, cut, and what happens with no sink.
#include "kernel/base/log.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "hostsim/platform/log_sink.hpp"

namespace undercroft {
namespace {

std::vector<std::string> captured;

void capture(LogLevel, std::string_view line) { captured.emplace_back(line); }

struct Capture {
    Capture() {
        captured.clear();
        set_log_sink(&capture);
    }
    ~Capture() {
        set_log_sink(nullptr);
        set_log_level(LogLevel::info);
    }
};

TEST_CASE("a line reaches the sink formatted, unless its level is too low") {
    Capture scope;
    log_info("queue %u of %s", 3u, "nvme0");
    log_debug("not this one");
    set_log_level(LogLevel::debug);
    log_debug("but this one");
    REQUIRE(captured == std::vector<std::string>{"queue 3 of nvme0", "but this one"});
}

TEST_CASE("a long line is cut and says so") {
    Capture scope;
    std::string text(1000, 'x');
    log_info("%s", text.c_str());
    REQUIRE(captured.size() == 1);
    REQUIRE(captured[0].size() == log_line_bytes_max - 1);
    REQUIRE(captured[0].ends_with("x..."));
}

TEST_CASE("without a sink a line is dropped") {
    set_log_sink(nullptr);
    log_error("nobody hears this");
    SUCCEED();
}

}  // namespace
}  // namespace undercroft
