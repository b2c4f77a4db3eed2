// Blobs on a server that obeys, and on servers that do everything else: each wrong answer is an error, none a hang.
#include "hostsim/backends/http_disk.hpp"

#include <chrono>

#include "hostsim/backends/http_blob.hpp"
#include "hostsim/backends/http_headers.hpp"
#include "kernel/async/task_group.hpp"
#include "storage/formats/vhd1.hpp"
#include "tests/support/scripted_http_server.hpp"
#include "tests/unit/hostsim/backends/backend_fixture.hpp"

namespace undercroft::test {
namespace {

using Reply = ScriptedHttpServer::Reply;

constexpr HttpDiskOptions impatient{.connect_timeout_ms = 1000, .request_timeout_ms = 1200, .slow_timeout_ms = 1000};

struct Range {
    usize first = 0;
    usize last = 0;
};

Range range_of(const std::string& request) {
    usize at = request.find("bytes=");
    REQUIRE(at != std::string::npos);
    usize dash = request.find('-', at);
    return {.first = std::stoul(request.substr(at + 6)), .last = std::stoul(request.substr(dash + 1))};
}

std::string partial(const std::string& blob, Range range, const std::string& more = "") {
    std::string body = blob.substr(range.first, range.last - range.first + 1);
    return "HTTP/1.1 206 Partial Content\r\nConnection: close\r\n" + more +
           "Content-Length: " + std::to_string(body.size()) + "\r\nContent-Range: bytes " +
           std::to_string(range.first) + "-" + std::to_string(range.last) + "/" + std::to_string(blob.size()) +
           "\r\n\r\n" + body;
}

std::string status_line(const std::string& status, const std::string& more = "") {
    return "HTTP/1.1 " + status + "\r\nConnection: close\r\n" + more + "Content-Length: 5\r\n\r\nhello";
}

std::string text_blob(usize sectors) {
    std::string blob;
    for (usize sector = 0; sector < sectors; ++sector) {
        blob += std::string(512, static_cast<char>('a' + sector % 26));
    }
    return blob;
}

// Serves `blob` well to the request that opens it, and `then` to all later ones.
struct TurningServer {
    TurningServer(std::string text, std::function<Reply(const std::string& blob, Range range)> reply)
        : blob(std::move(text)), then(std::move(reply)), server([this](const std::string& request) {
              bool first = server.requests() == 1;
              return first ? Reply{.pieces = {partial(blob, range_of(request))}} : then(blob, range_of(request));
          }) {}
    std::string blob;
    std::function<Reply(const std::string& blob, Range range)> then;
    ScriptedHttpServer server;
};

DiskResult<void> read_one(BackendFixture& fixture, const Disk& disk, u64 sector, CancelToken cancel = {}) {
    std::vector<std::byte> bytes(disk.sector_size());
    MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
    return fixture.run(disk.read(sector, {&segment, 1}, cancel));
}

Task<void> read_in_group(const Disk& disk, CancelToken cancel, std::optional<DiskResult<void>>& result) {
    std::vector<std::byte> bytes(disk.sector_size());
    MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
    result = co_await disk.read(1, {&segment, 1}, cancel);
}

}  // namespace

TEST_CASE("a flat blob is a read-only disk") {
    BackendFixture fixture;
    std::string blob = text_blob(40);
    ScriptedHttpServer server(
        [&](const std::string& request) { return Reply{.pieces = {partial(blob, range_of(request))}}; });
    Disk disk = fixture.open(open_http_disk(server.url(), impatient));
    CHECK(disk.sector_count() == 40);
    CHECK(disk.facts().read_only);
    CHECK(fixture.read(disk, 2) == 'c');
    CHECK(fixture.read(disk, 39) == 'a' + 39 % 26);
    CHECK(fixture.read(disk, 2, 2) == -1);
    CHECK(fixture.write(disk, 0, 1, 1).error() == DiskError::read_only);
    CHECK(fixture.run(disk.flush()).has_value());
    CHECK(read_one(fixture, disk, 40).error() == DiskError::illegal_block);
    CHECK(fixture.status(disk, 0, 40).state == BlockState::unknown);
}

TEST_CASE("a VHD blob is a disk without its footer") {
    BackendFixture fixture;
    std::array<std::byte, 16> id{std::byte{9}};
    Vhd1Footer footer = make_vhd1_footer(512 * 10, id, 0);
    // SAFETY: bytes of a wire structure.
    std::string blob = text_blob(10) + std::string(reinterpret_cast<const char*>(&footer), sizeof(footer));
    ScriptedHttpServer server(
        [&](const std::string& request) { return Reply{.pieces = {partial(blob, range_of(request))}}; });
    HttpDiskOptions options = impatient;
    options.format = BlobFormat::vhd1;
    Disk disk = fixture.open(open_http_disk(server.url(), options));
    CHECK(disk.sector_count() == 10);
    CHECK(disk.facts().id == id);
    CHECK(fixture.read(disk, 9) == 'j');
    blob[blob.size() - 100] = 'x';
    CHECK(contains(fixture.refusal(open_http_disk(server.url(), options)), "checksum"));
}

TEST_CASE("a blob that cannot be opened is refused with the reason") {
    struct Case {
        Reply reply;
        const char* reason;
    };
    std::string blob = text_blob(3);
    const Case cases[] = {
        {{.pieces = {status_line("404 Not Found")}}, "there is no such blob"},
        {{.pieces = {status_line("403 Forbidden")}}, "other credentials"},
        {{.pieces = {status_line("200 OK")}}, "knows no range requests"},
        {{.pieces = {status_line("416 Range Not Satisfiable")}}, "empty"},
        {{.pieces = {status_line("500 Oh")}}, "answers 500"},
        {{.pieces = {status_line("206 Partial Content")}}, "more than it was asked for"},
        {{.pieces = {partial("xyz", {0, 0})}}, "no whole number of sectors"},
        {{.pieces = {partial(blob, {0, 0}, "Content-Encoding: gzip\r\n")}}, "encoded"},
        {{.pieces = {partial(blob, {1, 1})}}, "another range"},
        {{.pieces = {"HTTP/1.1 206 P\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"}}, "another range"},
        {{.pieces = {"nonsense\r\n\r\n"}}, "cannot be read"},
        {{.pieces = {}}, "cannot be read"},
        {{.pieces = {status_line("302 Found")}}, "redirects to nowhere"},
        {{.pieces = {status_line("302 Found", "Location: file:///etc/passwd\r\n")}}, "neither HTTP nor HTTPS"},
        {{.pieces = {status_line("302 Found", "Location: /again\r\n")}}, "more than 5 times"},
    };
    for (const Case& one : cases) {
        BackendFixture fixture;
        ScriptedHttpServer server([&](const std::string&) { return one.reply; });
        CAPTURE(one.reason);
        std::string reason = fixture.refusal(open_http_disk(server.url(), impatient));
        CAPTURE(reason);
        CHECK(contains(reason, one.reason));
    }
    BackendFixture fixture;
    CHECK(contains(fixture.refusal(open_http_disk("ftp://127.0.0.1/x", impatient)), "begins with http"));
    CHECK(contains(fixture.refusal(open_http_disk("http://127.0.0.1:1/x", impatient)), "cannot be read"));
}

TEST_CASE("redirects are followed to the blob") {
    BackendFixture fixture;
    std::string blob = text_blob(5);
    ScriptedHttpServer server([&](const std::string& request) {
        return Reply{.pieces = {request.starts_with("GET /blob")
                                    ? status_line("307 Temporary Redirect", "Location: /elsewhere?x=1\r\n")
                                    : partial(blob, range_of(request))}};
    });
    Disk disk = fixture.open(open_http_disk(server.url(), impatient));
    CHECK(fixture.read(disk, 4) == 'e');
    CHECK(server.requests() == 4);
}

TEST_CASE("what a server does wrong later is an error of the read") {
    struct Case {
        const char* name;
        std::function<Reply(const std::string& blob, Range range)> reply;
        DiskError error;
    };
    const Case cases[] = {
        {"gone", [](const std::string&, Range) { return Reply{.pieces = {status_line("404 Not Found")}}; },
         DiskError::gone},
        {"shorter", [](const std::string&, Range) { return Reply{.pieces = {status_line("416 Range")}}; },
         DiskError::io},
        {"whole", [](const std::string&, Range) { return Reply{.pieces = {status_line("200 OK")}}; }, DiskError::io},
        {"another size",
         [](const std::string& blob, Range range) { return Reply{.pieces = {partial(blob + "more", range)}}; },
         DiskError::io},
        {"another version",
         [](const std::string& blob, Range range) {
             return Reply{.pieces = {partial(blob, range, "ETag: \"new\"\r\n")}};
         },
         DiskError::io},
        {"another range",
         [](const std::string& blob, Range range) {
             return Reply{.pieces = {partial(blob, {range.first + 1, range.last + 1})}};
         },
         DiskError::io},
        {"truncated",
         [](const std::string& blob, Range range) {
             std::string text = partial(blob, range);
             return Reply{.pieces = {text.substr(0, text.size() - 100)}};
         },
         DiskError::io},
        {"too long",
         [](const std::string& blob, Range range) {
             std::string text = partial(blob, range);
             usize at = text.find("Content-Length: 512");
             return Reply{.pieces = {text.replace(at, 19, "Content-Length: 600") + std::string(88, 'x')}};
         },
         DiskError::io},
        {"slow",
         [](const std::string& blob, Range range) {
             std::string text = partial(blob, range);
             return Reply{.pieces = {text.substr(0, text.size() - 3), "x", "x", "x"}, .pause_ms = 1500};
         },
         DiskError::timed_out},
        {"silent", [](const std::string&, Range) { return Reply{.pieces = {""}, .pause_ms = 5000}; },
         DiskError::timed_out},
    };
    for (const Case& one : cases) {
        BackendFixture fixture;
        TurningServer turning(text_blob(8), one.reply);
        Disk disk = fixture.open(open_http_disk(turning.server.url(), impatient));
        auto started = std::chrono::steady_clock::now();
        CAPTURE(one.name);
        DiskResult<void> result = read_one(fixture, disk, 3);
        REQUIRE(!result.has_value());
        CHECK(result.error() == one.error);
        CHECK(std::chrono::steady_clock::now() - started < std::chrono::seconds(4));
    }
}

TEST_CASE("what may pass by itself is tried again") {
    BackendFixture fixture;
    usize failures = 0;
    TurningServer turning(text_blob(8), [&](const std::string& blob, Range range) {
        std::string text = partial(blob, range);
        switch (failures++) {
        case 0:
            return Reply{.pieces = {status_line("503 Busy")}};
        case 1:
            return Reply{.pieces = {text.substr(0, text.size() - 100)}};
        default:
            return Reply{.pieces = {text}};
        }
    });
    Disk disk = fixture.open(open_http_disk(turning.server.url(), impatient));
    CHECK(fixture.read(disk, 3) == 'd');
    CHECK(failures == 3);
}

TEST_CASE("a read from a server that says nothing can be cancelled") {
    BackendFixture fixture;
    HttpDiskOptions patient{.request_timeout_ms = 60'000};
    TurningServer turning(text_blob(8),
                          [](const std::string&, Range) { return Reply{.pieces = {""}, .pause_ms = 9000}; });
    Disk disk = fixture.open(open_http_disk(turning.server.url(), patient));
    std::optional<DiskResult<void>> result;
    TaskGroup group;
    CurrentExecutorScope scope(fixture.executor);
    group.spawn(read_in_group(disk, group.token(), result));
    fixture.executor.run_ready();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    group.stop();
    CHECK(fixture.run(group.join({.deadline_ns = fixture.platform->now_ns() + 3 * nanoseconds_per_second})));
    REQUIRE(result.has_value());
    CHECK(result->error() == DiskError::cancelled);
}

TEST_CASE("the name of a blob holds no secret") {
    auto name = [](const char* url) { return HttpBlob(url, {}).name(); };
    CHECK(name("https://user:secret@host/path?sig=secret#x") == "https://host/path");
    CHECK(name("http://host") == "http://host");
    CHECK(name("http://host?sig=secret") == "http://host");
    CHECK(name("http://host/a@b") == "http://host/a@b");
}

TEST_CASE("a redirect never leaves HTTPS") {
    CHECK(redirect_problem("http://a/", "https://b/") == nullptr);
    CHECK(redirect_problem("http://a/", "http://b/") == nullptr);
    CHECK(redirect_problem("https://a/", "HTTPS://b/") == nullptr);
    CHECK(contains(redirect_problem("https://a/", "http://b/"), "not followed"));
    CHECK(contains(redirect_problem("HTTPS://a/", "http://b/"), "not followed"));
    CHECK(contains(redirect_problem("http://a/", "ftp://b/"), "neither"));
    CHECK(contains(redirect_problem("http://a/", "file:///etc/passwd"), "neither"));
}

TEST_CASE("header lines are read as they come") {
    CHECK(parse_content_range("bytes 0-0/5").has_value());
    CHECK(parse_content_range("BYTES 1-4/5")->last == 4);
    for (const char* bad : {"", "bytes", "bytes 0-5/5", "bytes 3-2/5", "bytes 0-1/*", "bytes */5", "items 0-1/5",
                            "bytes 0-1/5 x", "bytes -1-1/5", "bytes 0-1/99999999999999999999"}) {
        CAPTURE(bad);
        CHECK(!parse_content_range(bad).has_value());
    }
    ResponseHeaders headers;
    for (const char* line : {"HTTP/1.1 206 x\r\n", "content-RANGE:  bytes 1-2/3 \r\n", "ETag: \"v1\"\r\n",
                             "Content-Encoding: identity\r\n", "no header\r\n", ":\r\n", "\r\n"}) {
        headers.take(line);
    }
    CHECK(headers.content_range->first == 1);
    CHECK(headers.entity_tag == "\"v1\"");
    CHECK(!headers.is_encoded);
    headers.take("ETag: W/\"v1\"\r\n");
    CHECK(headers.entity_tag.empty());
    headers.take("HTTP/1.1 200 OK\r\n");
    CHECK(!headers.content_range.has_value());
}

}  // namespace undercroft::test
