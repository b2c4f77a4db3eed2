// The page for people who bring their own disk: what it shows can be written.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "kernel/config/disk_config.hpp"

namespace undercroft {
namespace {

constexpr std::string_view kinds[] = {"nvme", "mem",   "crypt", "memdiff", "striped", "prwrap",  "delay",     "fault",
                                      "file", "block", "vhd1",  "blob",    "sql",     "sqldiff", "autocache", "vscsi"};

namespace fs = std::filesystem;

bool replace(std::string& text, std::string_view word, std::string_view by) {
    usize at = text.find(word);
    if (at != std::string::npos) {
        text.replace(at, word.size(), by);
    }
    return at != std::string::npos;
}

// What the page writes for things to be filled in.
std::string filled(std::string text) {
    constexpr std::pair<std::string_view, std::string_view> words[] = {{"GUID", "00112233-4455-6677-8899-aabbccddeeff"},
                                                                       {"LUN", "5"},
                                                                       {"RULES", "write-fail"},
                                                                       {"DISK,...", "mem:1M"},
                                                                       {"DISK", "mem:1M"},
                                                                       {"PATH", "/srv/path"},
                                                                       {"KEY", "key"},
                                                                       {"TIME", "10ms"},
                                                                       {"URL", "https://example.org/x"},
                                                                       {"SIZE", "1G"},
                                                                       {"(...)", "(mem:1M,mem:1M)"}};
    for (auto [word, by] : words) {
        while (replace(text, word, by)) {
        }
    }
    return text;
}

// The disks in a line of the page: between backticks, or all of an indented line.
std::vector<std::string> disk_examples(const std::string& line) {
    std::vector<std::string> found;
    auto add = [&](std::string text) {
        std::string_view kind = std::string_view(text).substr(0, text.find_first_of(":;"));
        bool known = std::ranges::any_of(kinds, [&](std::string_view name) { return name == kind; });
        if (known && text.size() > kind.size() + 1) {
            found.push_back(filled(std::move(text)));
        }
    };
    if (line.starts_with("    ")) {
        add(line.substr(4));
        return found;
    }
    for (usize begin = line.find('`'); begin != std::string::npos;) {
        usize end = line.find('`', begin + 1);
        if (end == std::string::npos) {
            break;
        }
        add(line.substr(begin + 1, end - begin - 1));
        begin = line.find('`', end + 1);
    }
    return found;
}

}  // namespace

TEST_CASE("every line in the page about disks is one") {
    fs::path page =
        fs::path(__FILE__).parent_path().parent_path().parent_path().parent_path().parent_path() / "docs" / "disks.md";
    std::ifstream file(page);
    REQUIRE(file.good());
    usize count = 0;
    std::string line;
    while (std::getline(file, line)) {
        for (const std::string& disk : disk_examples(line)) {
            CAPTURE(disk);
            Result<DiskConfig, ConfigErrors> parsed = parse_disk(disk);
            CHECK((parsed ? "" : to_string(parsed.error()[0])) == "");
            ++count;
        }
    }
    CHECK(count > 30);
}

}  // namespace undercroft
