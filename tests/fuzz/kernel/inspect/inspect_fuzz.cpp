// Any bytes, in any pieces, are lines; each that is not empty has one answer: a line of JSON of bounded length, with the
// number that was given, and nothing but the one setting changes.
#include <rapidjson/document.h>

#include <cstdlib>

#include "kernel/inspect/request.hpp"

using namespace undercroft;
using namespace undercroft::inspect;

namespace {

constexpr usize answer_bytes_max = 512;

void require(bool condition) {
    if (!condition) {
        std::abort();
    }
}

struct Machine {
    std::string setting = "1";
    u64 changes = 0;

    void describe(Node& root, usize depth = 0) {
        root.number("number", 7);
        root.text("te/xt", setting);
        root.setting("a", setting, "up to 9 bytes", [&](std::string_view text) -> SetResult {
            if (text.size() > 9) {
                return std::unexpected(std::string("that is longer"));
            }
            setting = text;
            ++changes;
            return {};
        });
        if (depth < 3) {
            root.child("a/b", [&](Node& node) { describe(node, depth + 1); });
            root.child("b", [&](Node& node) { describe(node, depth + 1); });
        }
    }
};

void check_answer(std::string_view line, Machine& machine) {
    u64 changes = machine.changes;
    std::string text = answer(line, [&](Node& root) { machine.describe(root); }, answer_bytes_max);
    if (line.empty()) {
        require(text.empty() && machine.changes == changes);
        return;
    }
    require(text.ends_with('\n') && text.find('\n') == text.size() - 1);
    require(machine.changes == changes || line.find('=') != std::string_view::npos);
    std::string_view json = text;
    if (json.starts_with('#')) {
        usize tag = json.find(' ') + 1;
        require(line.substr(0, tag) == json.substr(0, tag));
        json.remove_prefix(tag);
    }
    rapidjson::Document document;
    document.Parse<rapidjson::kParseValidateEncodingFlag>(json.data(), json.size());
    require(!document.HasParseError() && document.IsObject());
    require(document.HasMember("error") != document.HasMember("value"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, usize size) {
    Machine machine;
    LineReader reader;
    std::string_view bytes(reinterpret_cast<const char*>(data), size);
    usize piece = bytes.empty() ? 1 : 1 + static_cast<u8>(bytes[0]) % 64;
    for (usize begin = 0; begin < bytes.size(); begin += piece) {
        reader.feed(bytes.substr(begin, piece), [&](std::string_view line) {
            require(line.size() <= request_bytes_max + 1);
            check_answer(line, machine);
        });
    }
    return 0;
}
