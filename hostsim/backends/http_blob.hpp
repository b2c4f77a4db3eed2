// Ranges of one blob on an HTTP server, fetched with libcurl by whoever calls: blocking, from several threads at once.
// `HttpDisk` brings it to executors; http_disk.hpp says what is promised.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "hostsim/backends/http_disk.hpp"

using CURL = void;

namespace undercroft {

/// Why a fetch failed: for the disk, and in words.
struct HttpFailure {
    DiskError error = DiskError::io;
    std::string text;
    bool may_pass = false;  ///< worth another attempt
};

struct CurlCloser {
    void operator()(CURL* handle) const;
};
using CurlHandle = std::unique_ptr<CURL, CurlCloser>;

class HttpBlob {
public:
    static constexpr usize redirects_max = 5;
    static constexpr usize attempts_max = 4;

    HttpBlob(std::string url, const HttpDiskOptions& options);

    /// Asks for the size, and remembers what the blob must stay like. Before anything else, by one thread.
    Result<u64, HttpFailure> measure();
    /// Fetches `total_bytes(into)` bytes (not 0) from `offset`. Ends soon after `stop` is set.
    Result<void, HttpFailure> fetch(u64 offset, SegmentList into, const std::atomic<bool>& stop);

    /// The URL without what may be secret in it: credentials, query, fragment.
    const std::string& name() const { return name_; }

private:
    struct Exchange;
    Result<void, HttpFailure> attempt(Exchange& exchange);
    Result<void, HttpFailure> follow(Exchange& exchange, CURL* handle);
    Result<void, HttpFailure> persist(Exchange& exchange);
    CurlHandle take_handle();
    void give_back(CurlHandle handle);

    const std::string url_;
    const HttpDiskOptions options_;
    std::string name_;
    u64 size_bytes_ = 0;  // 0: not measured yet
    std::string entity_tag_;
    std::mutex lock_;
    std::vector<CurlHandle> idle_;  // with their connections
};

}  // namespace undercroft
