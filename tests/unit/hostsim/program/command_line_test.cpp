// What a verb is given, and what it refuses.
#include "hostsim/program/command_line.hpp"

#include <catch2/catch.hpp>

using namespace undercroft;

namespace {

constexpr OptionSpec options[] = {
    {.name = "nbd", .value = "WHERE", .help = "where to listen", .repeatable = true},
    {.name = "threads", .value = "N", .help = "how many"},
    {.name = "verbose", .value = nullptr, .help = "says more"},
};
const Verb verb{.name = "test",
                .summary = "Tests",
                .arguments = "[DISK]",
                .help = "",
                .options = options,
                .positional_max = 1,
                .run = [](const CommandLine&) { return 0; }};

Result<CommandLine, std::string> parse(std::vector<std::string> words) {
    std::vector<char*> pointers;
    for (std::string& word : words) {
        pointers.push_back(word.data());
    }
    return CommandLine::parse(verb, pointers);
}

}  // namespace

TEST_CASE("options are found in both spellings, repeated, and around the rest") {
    auto line = parse({"--nbd", "a", "mem:1M", "--nbd=b", "--verbose"});
    REQUIRE(line);
    CHECK(line->values("nbd").size() == 2);
    CHECK(line->value("nbd") == "b");
    CHECK(line->has("verbose"));
    CHECK_FALSE(line->has("threads"));
    REQUIRE(line->positional().size() == 1);
    CHECK(line->positional()[0] == "mem:1M");
    CHECK(*line->number("threads", 3, 1, 8) == 3);
}

TEST_CASE("what stands behind two dashes is no option") {
    auto line = parse({"--", "--nbd"});
    REQUIRE(line);
    CHECK(line->positional()[0] == "--nbd");
}

TEST_CASE("an unknown option is refused with the nearest one") {
    CHECK(parse({"--treads", "2"}).error() == "test has no option \"--treads\"; did you mean \"--threads\"?");
    CHECK(parse({"-x"}).error().contains("test has no option \"-x\""));
    CHECK(parse({"--threads"}).error() == "--threads needs a value");
    CHECK(parse({"--threads", "1", "--threads", "2"}).error() == "--threads is given twice");
    CHECK(parse({"a", "b"}).error() == "test has no use for \"b\"");
}

TEST_CASE("numbers are read whole and within their bounds") {
    CHECK(*parse({"--threads", "8"})->number("threads", 1, 1, 8) == 8);
    CHECK_FALSE(parse({"--threads", "9"})->number("threads", 1, 1, 8));
    CHECK_FALSE(parse({"--threads", "1x"})->number("threads", 1, 1, 8));
    CHECK(parse({"--threads", "-1"})->number("threads", 1, 1, 8).error() ==
          "--threads is \"-1\"; it has to be a number from 1 to 8");
}

TEST_CASE("help is the table of options") {
    CHECK(parse({"--help"})->wants_help());
    std::string text = help_text(verb);
    CHECK(text.contains("Usage: undercroft test [OPTION]... [DISK]"));
    CHECK(text.contains("--nbd WHERE"));
}
