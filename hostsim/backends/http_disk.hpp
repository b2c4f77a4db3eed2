// Disks that lie on an HTTP server as one blob (RFC 9110, range requests), read-only: flat, or a fixed VHD. libcurl on
// threads of the disk's own; executors never wait for it. Leaves out everything but GET: no credentials, no proxies from
// the environment but those that libcurl takes by itself.
//
// - Nothing the server says is believed unchecked: a range must come back as that range of a blob of the size known from
//   the start (and with the same strong entity tag, where there was one), and as many bytes as it promised.
// - Redirects are followed, `redirects_max` of them, to HTTP and HTTPS only, and never from HTTPS to HTTP.
// - No wait is for ever: connecting, a server that sends slower than `slow_bytes_per_second`, and the whole request have
//   limits; what may pass by itself (a lost connection, a server's 5xx) is tried again within the last of them.
#pragma once

#include <string>

#include "hostsim/platform/blocking_pool.hpp"
#include "storage/disk_size.hpp"

namespace undercroft {

enum class BlobFormat : u8 { flat, vhd1 };

struct HttpDiskOptions {
    BlobFormat format = BlobFormat::flat;
    u32 sector_size = 512;  ///< bytes; of flat blobs
    u32 connections = 4;    ///< requests at a time
    u64 connect_timeout_ms = 10'000;
    u64 request_timeout_ms = 30'000;  ///< with all its attempts
    u64 slow_bytes_per_second = 1000;
    u64 slow_timeout_ms = 10'000;  ///< so long it may be that slow
};

/// Opens the blob at `url` (http or https). On failure: the reason, without the URL.
Task<Result<Disk, std::string>> open_http_disk(std::string url, HttpDiskOptions options);

}  // namespace undercroft
