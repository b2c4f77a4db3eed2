// Lines: requests, answers, and texts in JSON.
#include "kernel/inspect/request.hpp"

#include <catch2/catch.hpp>
#include <rapidjson/document.h>

#include "kernel/inspect/json_text.hpp"

using namespace undercroft;
using namespace undercroft::inspect;

namespace {

std::string ask(std::string_view line) {
    static std::string mode;
    mode = "slow";
    return answer(
        line,
        [](Node& root) {
            root.number("one", 1);
            root.setting("mode", mode, "slow or fast", [](std::string_view text) -> SetResult {
                if (text != "slow" && text != "fast") {
                    return std::unexpected(std::string("there is no such mode"));
                }
                mode = text;
                return {};
            });
        },
        1000);
}

std::string json_of(std::string_view text) {
    std::string json;
    append_json_text(json, text);
    return json;
}

}  // namespace

TEST_CASE("A request is a path, perhaps a value, perhaps a number") {
    Request plain = *parse_request("exports/a/");
    CHECK(plain.path == "exports/a");
    CHECK(!plain.value);
    Request change = *parse_request("#17 /a/rules=write-fail/count=3");
    CHECK(change.tag == "#17 ");
    CHECK(change.path == "a/rules");
    CHECK(*change.value == "write-fail/count=3");
    CHECK(parse_request("a=")->value == "");
    CHECK(parse_request("#3 ")->path.empty());
    CHECK(!parse_request("#x a"));
    CHECK(!parse_request("#123456789012345678901 a"));
    CHECK(!parse_request("#12"));
    CHECK(!parse_request("a\tb"));
    CHECK(!parse_request(std::string(request_bytes_max + 1, 'a')));
    CHECK(parse_request(std::string(request_bytes_max, 'a')).has_value());
}

TEST_CASE("An answer is one line with the value and what can be set in it") {
    CHECK(ask("/") == "{\"value\":{\"one\":1,\"mode\":\"slow\"},\"settings\":{\"mode\":\"slow or fast\"}}\n");
    CHECK(ask("#5 one") == "#5 {\"value\":1,\"settings\":{}}\n");
    CHECK(ask("#6 mode=fast") == "#6 {\"value\":\"fast\",\"settings\":{\"mode\":\"slow or fast\"}}\n");
    CHECK(ask("").empty());
}

TEST_CASE("An error is an answer too, with its number") {
    CHECK(ask("#7 moed") == "#7 {\"error\":\"there is no \\\"moed\\\" in the root; did you mean \\\"mode\\\"?\"}\n");
    CHECK(ask("#8 mode=x") == "#8 {\"error\":\"\\\"mode\\\" cannot be \\\"x\\\": there is no such mode; it takes slow "
                              "or fast\"}\n");
    CHECK(ask("#9 a\x01") == "#9 {\"error\":\"a request has no control characters\"}\n");
}

TEST_CASE("Any bytes become a text that a JSON reader takes") {
    CHECK(json_of("a\"b\\c\n\x7f") == "\"a\\\"b\\\\c\\u000a\\u007f\"");
    CHECK(json_of("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80") == "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
    // Overlong, a surrogate, past U+10FFFF, cut, and a lone continuation.
    for (std::string_view bad : {"\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80"}) {
        std::string json = json_of(bad);
        CHECK(json.find("\xef\xbf\xbd") != std::string::npos);
        rapidjson::Document document;
        document.Parse<rapidjson::kParseValidateEncodingFlag>(json.c_str());
        CHECK(!document.HasParseError());
    }
}

TEST_CASE("Lines arrive in pieces, and long ones are cut") {
    std::vector<std::string> lines;
    LineReader reader;
    auto feed = [&](std::string_view bytes) {
        reader.feed(bytes, [&](std::string_view line) { lines.emplace_back(line); });
    };
    feed("on");
    feed("e\ntwo\r\n\nth");
    feed("ree");
    CHECK(lines == std::vector<std::string>{"one", "two", ""});
    feed("\n");
    CHECK(lines.back() == "three");
    for (int index = 0; index < 10; ++index) {
        feed(std::string(1000, 'x'));
    }
    feed("\nnext\n");
    REQUIRE(lines.size() == 6);
    CHECK(lines[4].size() == request_bytes_max + 1);
    CHECK(lines[5] == "next");
}
