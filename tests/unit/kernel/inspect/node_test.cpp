// The tree: what a path finds, what is printed of it, what may be set, and what is said where there is nothing.
#include "kernel/inspect/node.hpp"

#include <catch2/catch.hpp>

#include "kernel/config/identifiers.hpp"

using namespace undercroft;
using namespace undercroft::inspect;

namespace {

/// A little machine.
struct Machine {
    u64 size = 64 * mib;
    int described = 0;

    void describe(Node& root) {
        root.text("version", "1 \"one\"");
        root.child("exports", [&](Node& exports) {
            exports.child("a/b", [&](Node& node) { node.number("sectors", 7); });
            exports.child("a", [&](Node& node) {
                ++described;
                node.boolean("read_only", false);
                node.child("mem", [&](Node& mem) {
                    mem.setting("size", size_text(size), "a size such as 64M", [&](std::string_view text) -> SetResult {
                        std::optional<u64> bytes = parse_size(text);
                        if (!bytes) {
                            return std::unexpected(std::string("that is no size"));
                        }
                        size = *bytes;
                        return {};
                    });
                });
            });
        });
        root.child("empty", [](Node&) {});
    }
};

Result<std::string, std::string> ask(Machine& machine, std::string_view path, const std::string* value = nullptr) {
    return Walk({.path = path, .value = value}, 4096).run([&](Node& root) { machine.describe(root); });
}

std::string error_of(Machine& machine, std::string_view path, const std::string* value = nullptr) {
    return ask(machine, path, value).error_or("no error");
}

}  // namespace

TEST_CASE("The whole tree is one JSON object") {
    Machine machine;
    CHECK(*ask(machine, "") == R"({"version":"1 \"one\"","exports":{"a/b":{"sectors":7},)"
                               R"("a":{"read_only":false,"mem":{"size":"64M"}}},"empty":{}})");
}

TEST_CASE("A path finds a node or a value, through names with slashes") {
    Machine machine;
    CHECK(*ask(machine, "exports/a/mem") == R"({"size":"64M"})");
    CHECK(*ask(machine, "exports/a/mem/size") == R"("64M")");
    CHECK(*ask(machine, "exports/a/read_only") == "false");
    CHECK(*ask(machine, "exports/a/b") == R"({"sectors":7})");
    CHECK(*ask(machine, "exports/a/b/sectors") == "7");
    CHECK(*ask(machine, "empty") == "{}");
}

TEST_CASE("What is not asked for is not described") {
    Machine machine;
    REQUIRE(ask(machine, "version").has_value());
    REQUIRE(ask(machine, "empty").has_value());
    CHECK(machine.described == 0);
}

TEST_CASE("A wrong path says what is there, and what was likely meant") {
    Machine machine;
    CHECK(error_of(machine, "exprots") == R"(there is no "exprots" in the root; did you mean "exports"?)");
    CHECK(error_of(machine, "exports/a/mme") == R"(there is no "mme" in "exports/a"; did you mean "mem"?)");
    CHECK(error_of(machine, "exports/zzz") == R"(there is no "zzz" in "exports"; known are "a/b", "a")");
    CHECK(error_of(machine, "exports/a/mem/size/x") == R"("size" in "exports/a/mem" is a value: nothing is below it)");
    CHECK(error_of(machine, "empty/x") == R"(there is no "x" in "empty")");
}

TEST_CASE("A setting is changed where its value is good, and only there") {
    Machine machine;
    std::string good = "1G";
    CHECK(ask(machine, "exports/a/mem/size", &good).has_value());
    CHECK(machine.size == gib);
    std::string bad = "much";
    CHECK(error_of(machine, "exports/a/mem/size", &bad) ==
          R"("exports/a/mem/size" cannot be "much": that is no size; it takes a size such as 64M)");
    CHECK(machine.size == gib);
}

TEST_CASE("What is no setting cannot be set") {
    Machine machine;
    std::string value = "1G";
    CHECK(error_of(machine, "version", &value) == R"("version" is no setting: it can only be read)");
    CHECK(error_of(machine, "exports/a/mem", &value) == R"("exports/a/mem" is no setting, but has values below it)");
    CHECK(error_of(machine, "exports/a/mem/sise", &value).find("did you mean \"size\"") != std::string::npos);
    CHECK(error_of(machine, "", &value) == "say which setting, as PATH=VALUE");
    CHECK(machine.size == 64 * mib);
}

TEST_CASE("The settings of what was printed are known by their whole paths") {
    Machine machine;
    for (std::string_view path : {"", "exports", "exports/a/mem", "exports/a/mem/size"}) {
        Walk walk({.path = path}, 4096);
        REQUIRE(walk.run([&](Node& root) { machine.describe(root); }).has_value());
        REQUIRE(walk.settings().size() == 1);
        CHECK(walk.settings()[0].path == "exports/a/mem/size");
        CHECK(walk.settings()[0].takes == std::string("a size such as 64M"));
    }
}

TEST_CASE("A tree that is too large is an error, and costs no more than its bound") {
    u64 described = 0;
    auto root = [&](Node& node) {
        for (u64 index = 0; index < 100000; ++index) {
            node.child(decimal(index), [&](Node& below) {
                ++described;
                below.number("number", index);
            });
        }
    };
    Result<std::string, std::string> json = Walk({}, 1000).run(root);
    CHECK(json.error_or("") == "that is more than 1000 bytes; ask for less, by a longer path");
    CHECK(described < 100);
    CHECK(*Walk({.path = "99999/number"}, 1000).run(root) == "99999");
}
