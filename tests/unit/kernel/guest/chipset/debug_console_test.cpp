// The debug console at port E9h.
#include "kernel/guest/chipset/debug_console.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "tests/unit/kernel/guest/guest_fixture.hpp"

namespace undercroft::test {
namespace {

struct Lines : DebugLineSink {
    std::vector<std::string> lines;
    void debug_line(std::string_view line) override { lines.emplace_back(line); }
};

void print(GuestBus& bus, const std::string& text) {
    for (char character : text) {
        out8(bus, DebugConsole::port, static_cast<u8>(character));
    }
}

TEST_CASE("debug console: lines arrive whole, cut, cleaned and limited in number") {
    Lines sink;
    DebugConsole console(sink);
    GuestBus bus;
    REQUIRE(console.add_to(bus));
    CHECK(in8(bus, DebugConsole::port) == 0xE9);
    print(bus, "hello\n\x01z\n" + std::string(200, 'a') + "\nunfinished");
    CHECK(sink.lines == std::vector<std::string>{"hello", "?z", std::string(DebugConsole::line_bytes_max, 'a')});
    print(bus, "\n");
    CHECK(sink.lines.back() == "unfinished");
    for (u32 i = 0; i < DebugConsole::lines_max + 10; ++i) {
        print(bus, "\n");
    }
    CHECK(sink.lines.size() == DebugConsole::lines_max);
}

}  // namespace
}  // namespace undercroft::test
