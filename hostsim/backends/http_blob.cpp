// One range request: attempts, redirects, and the checks of what came back.
#include "hostsim/backends/http_blob.hpp"

#include <curl/curl.h>

#include <chrono>
#include <thread>

#include "hostsim/backends/http_headers.hpp"
#include "kernel/config/identifiers.hpp"
#include "storage/segments.hpp"

namespace undercroft {

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto retry_wait = std::chrono::milliseconds(100);  // tripled each time
constexpr auto stop_check = std::chrono::milliseconds(20);
constexpr long buffer_bytes = 256L * 1024;
constexpr u64 redirect_bytes_max = 256 * kib;

constexpr long status_partial_content = 206;
constexpr long status_ok = 200;
constexpr long status_range_not_satisfiable = 416;

void initialise_library_once() {
    static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
    (void)done;
}

bool is_redirect(long status) { return status >= 300 && status < 400; }

std::string name_of(const std::string& url) {
    usize host = url.find("://");
    host = host == std::string::npos ? 0 : host + 3;
    std::string name = url.substr(0, url.find_first_of("?#", host));
    usize path = name.find('/', host);
    usize credentials_end = name.rfind('@', path == std::string::npos ? name.size() : path);
    if (credentials_end != std::string::npos && credentials_end >= host) {
        name.erase(host, credentials_end + 1 - host);
    }
    return name;
}

std::unexpected<HttpFailure> failure(DiskError error, std::string text, bool may_pass = false) {
    return std::unexpected(HttpFailure{.error = error, .text = std::move(text), .may_pass = may_pass});
}

bool may_pass(CURLcode code) {
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_WEIRD_SERVER_REPLY:
        return true;
    default:
        return false;
    }
}

std::unexpected<HttpFailure> failure_of_status(long status) {
    std::string text = "the server answers " + decimal(static_cast<u64>(status));
    switch (status) {
    case status_ok:
        return failure(DiskError::io, "the server knows no range requests: blobs need them");
    case 401:
    case 403:
        return failure(DiskError::io, text + ": it wants other credentials");
    case 404:
    case 410:
        return failure(DiskError::gone, text + ": there is no such blob");
    case status_range_not_satisfiable:
        return failure(DiskError::io, text + ": the blob is empty, or became shorter");
    case 408:
    case 429:
        return failure(DiskError::timed_out, text, true);
    default:
        return failure(DiskError::io, text, status >= 500);
    }
}

}  // namespace

void CurlCloser::operator()(CURL* handle) const { curl_easy_cleanup(handle); }

// One range, from asking to its last byte. libcurl's callbacks get it as their user pointer.
struct HttpBlob::Exchange {
    u64 first;
    u64 length;
    SegmentList into;
    const std::atomic<bool>& stop;
    Clock::time_point deadline;
    std::string url{};  // as redirected
    ResponseHeaders headers{};
    SegmentCursor cursor{into};
    u64 received = 0;
    u64 redirect_bytes = 0;  // of all bodies that were let pass
    bool too_long = false;
    CURL* handle = nullptr;

    void start_over(const std::string& from) {
        url = from;
        headers = {};
        cursor = SegmentCursor(into);
        received = 0;
        too_long = false;
    }
    long rest_ms() const {
        auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
        return rest > 0 ? static_cast<long>(rest) : 0;
    }

    static usize on_header(char* data, usize size, usize count, void* self) {
        static_cast<Exchange*>(self)->headers.take({data, size * count});
        return size * count;
    }
    // Bodies of other answers are not wanted, however long they are: refusing ends the transfer. Short ones of redirects
    // are let pass, as the library has no target before the end.
    static usize on_body(char* data, usize size, usize count, void* self) {
        auto& exchange = *static_cast<Exchange*>(self);
        usize bytes = size * count;
        long status = 0;
        curl_easy_getinfo(exchange.handle, CURLINFO_RESPONSE_CODE, &status);
        if (is_redirect(status) && bytes <= redirect_bytes_max - exchange.redirect_bytes) {
            exchange.redirect_bytes += bytes;
            return bytes;
        }
        if (status != status_partial_content || exchange.headers.is_encoded) {
            return 0;
        }
        if (bytes > exchange.length - exchange.received) {
            exchange.too_long = true;
            return 0;
        }
        // SAFETY: bytes are bytes.
        exchange.cursor.copy_in({reinterpret_cast<const std::byte*>(data), bytes});
        exchange.received += bytes;
        return bytes;
    }
    static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
        return static_cast<Exchange*>(self)->stop.load(std::memory_order_relaxed) ? 1 : 0;
    }
};

HttpBlob::HttpBlob(std::string url, const HttpDiskOptions& options)
    : url_(std::move(url)), options_(options), name_(name_of(url_)) {
    initialise_library_once();
}

CurlHandle HttpBlob::take_handle() {
    {
        std::lock_guard guard(lock_);
        if (!idle_.empty()) {
            CurlHandle handle = std::move(idle_.back());
            idle_.pop_back();
            return handle;
        }
    }
    CurlHandle handle(curl_easy_init());
    if (handle != nullptr) {
        curl_easy_setopt(handle.get(), CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(handle.get(), CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(handle.get(), CURLOPT_FOLLOWLOCATION, 0L);
        curl_easy_setopt(handle.get(), CURLOPT_HTTPGET, 1L);
        curl_easy_setopt(handle.get(), CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(handle.get(), CURLOPT_BUFFERSIZE, buffer_bytes);
        curl_easy_setopt(handle.get(), CURLOPT_USERAGENT, "undercroft");
        curl_easy_setopt(handle.get(), CURLOPT_HEADERFUNCTION, &Exchange::on_header);
        curl_easy_setopt(handle.get(), CURLOPT_WRITEFUNCTION, &Exchange::on_body);
        curl_easy_setopt(handle.get(), CURLOPT_XFERINFOFUNCTION, &Exchange::on_progress);
        curl_easy_setopt(handle.get(), CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout_ms));
        curl_easy_setopt(handle.get(), CURLOPT_LOW_SPEED_LIMIT, static_cast<long>(options_.slow_bytes_per_second));
        curl_easy_setopt(handle.get(), CURLOPT_LOW_SPEED_TIME,
                         static_cast<long>((options_.slow_timeout_ms + 999) / 1000));
    }
    return handle;
}

void HttpBlob::give_back(CurlHandle handle) {
    std::lock_guard guard(lock_);
    idle_.push_back(std::move(handle));
}

Result<void, HttpFailure> HttpBlob::attempt(Exchange& exchange) {
    CurlHandle handle = take_handle();
    if (handle == nullptr) {
        return failure(DiskError::io, "there is no memory for a request");
    }
    exchange.handle = handle.get();
    curl_easy_setopt(handle.get(), CURLOPT_HEADERDATA, &exchange);
    curl_easy_setopt(handle.get(), CURLOPT_WRITEDATA, &exchange);
    curl_easy_setopt(handle.get(), CURLOPT_XFERINFODATA, &exchange);
    std::string range = decimal(exchange.first) + "-" + decimal(exchange.first + exchange.length - 1);
    curl_easy_setopt(handle.get(), CURLOPT_RANGE, range.c_str());
    exchange.start_over(url_);
    Result<void, HttpFailure> outcome = follow(exchange, handle.get());
    if (outcome) {
        give_back(std::move(handle));  // after a failure the connection is in doubt
    }
    return outcome;
}

namespace {

std::unexpected<HttpFailure> failure_of_library(CURLcode code, bool stopped) {
    if (stopped) {
        return failure(DiskError::cancelled, "cancelled");
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return failure(DiskError::timed_out, "the server is too slow, or does not answer");
    }
    if (code == CURLE_PARTIAL_FILE) {
        return failure(DiskError::io, "the server ended the answer too early", true);
    }
    return failure(DiskError::io, curl_easy_strerror(code), may_pass(code));
}

// The next place, where there is one that may be gone to.
Result<std::string, HttpFailure> redirect_target(CURL* handle, const std::string& from) {
    char* target = nullptr;
    curl_easy_getinfo(handle, CURLINFO_REDIRECT_URL, &target);
    if (target == nullptr) {
        return failure(DiskError::io, "the server redirects to nowhere");
    }
    if (const char* problem = redirect_problem(from, target)) {
        return failure(DiskError::io, problem);
    }
    return std::string(target);
}

}  // namespace

Result<void, HttpFailure> HttpBlob::follow(Exchange& exchange, CURL* handle) {
    for (usize redirects = 0;; ++redirects) {
        long rest_ms = exchange.rest_ms();
        if (rest_ms == 0) {
            return failure(DiskError::timed_out, "the server is too slow, or does not answer");
        }
        curl_easy_setopt(handle, CURLOPT_URL, exchange.url.c_str());
        curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, rest_ms);
        CURLcode code = curl_easy_perform(handle);
        long status = 0;
        curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
        if (code != CURLE_OK && !(code == CURLE_WRITE_ERROR && status != status_partial_content)) {
            bool stopped = exchange.stop.load(std::memory_order_relaxed);
            if (!stopped && code == CURLE_WRITE_ERROR) {
                return failure(DiskError::io, exchange.too_long ? "the server sends more than it was asked for"
                                                                : "the server sends the blob in an encoded form");
            }
            return failure_of_library(code, stopped);
        }
        if (!is_redirect(status)) {
            return status == status_partial_content ? Result<void, HttpFailure>{} : failure_of_status(status);
        }
        if (redirects == redirects_max) {
            return failure(DiskError::io, "the server redirects more than " + decimal(redirects_max) + " times");
        }
        exchange.start_over(TRY(redirect_target(handle, exchange.url)));
    }
}

// Attempts until one succeeds, one fails for good, or the time is over.
Result<void, HttpFailure> HttpBlob::persist(Exchange& exchange) {
    auto wait = retry_wait;
    for (usize attempts = 1;; ++attempts) {
        Result<void, HttpFailure> outcome = attempt(exchange);
        if (outcome && exchange.received != exchange.length && exchange.headers.content_range) {
            outcome = failure(DiskError::io, "the server ended the answer too early", true);
        }
        if (outcome || !outcome.error().may_pass || attempts == attempts_max ||
            Clock::now() + wait > exchange.deadline) {
            return outcome;
        }
        for (auto end = Clock::now() + wait; Clock::now() < end;) {
            if (exchange.stop.load(std::memory_order_relaxed)) {
                return failure(DiskError::cancelled, "cancelled");
            }
            std::this_thread::sleep_for(stop_check);
        }
        wait *= 3;
    }
}

Result<void, HttpFailure> HttpBlob::fetch(u64 offset, SegmentList into, const std::atomic<bool>& stop) {
    Exchange exchange{.first = offset,
                      .length = total_bytes(into),
                      .into = into,
                      .stop = stop,
                      .deadline = Clock::now() + std::chrono::milliseconds(options_.request_timeout_ms)};
    TRY(persist(exchange));
    const ResponseHeaders& headers = exchange.headers;
    if (!headers.content_range || headers.content_range->first != offset ||
        headers.content_range->last != offset + exchange.length - 1) {
        return failure(DiskError::io, "the server sends another range than it was asked for");
    }
    if (exchange.received != exchange.length) {
        return failure(DiskError::io, "the server ended the answer too early");
    }
    if (size_bytes_ == 0) {
        size_bytes_ = headers.content_range->total;
        entity_tag_ = headers.entity_tag;
    } else if (headers.content_range->total != size_bytes_ || headers.entity_tag != entity_tag_) {
        return failure(DiskError::io, "the blob was changed on the server since it was opened");
    }
    return {};
}

Result<u64, HttpFailure> HttpBlob::measure() {
    std::byte first{};
    MemorySegment segment{.data = &first, .size = 1};
    std::atomic<bool> never{false};
    TRY(fetch(0, {&segment, 1}, never));
    return size_bytes_;
}

}  // namespace undercroft
