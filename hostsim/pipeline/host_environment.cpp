// From descriptions to the host's backends.
#include "hostsim/pipeline/host_environment.hpp"

#include <cstdlib>

#include "hostsim/backends/block_disk.hpp"
#include "hostsim/backends/file_disk.hpp"
#include "hostsim/backends/http_disk.hpp"
#include "hostsim/backends/sqlite_layer.hpp"
#include "hostsim/backends/vhd1_disk.hpp"
#include "hostsim/platform/ring_platform.hpp"
#include "kernel/base/assert.hpp"
#include "storage/layers/layered_disk.hpp"
#include "storage/layers/whole_disk_layer.hpp"

namespace undercroft {

namespace {

using OpenedDisk = Result<Disk, Refusal>;

// The backends' reasons leave out which file it was about.
std::unexpected<Refusal> about(const std::string& path, const std::string& reason) {
    return std::unexpected("\"" + path + "\": " + reason);
}

OpenedDisk with_path(const std::string& path, OpenedDisk opened) {
    return opened ? std::move(opened) : OpenedDisk(about(path, opened.error()));
}

OpenedDisk layered(std::vector<LayerPlacement> layers, const LayeredDiskOptions& options = {}) {
    std::shared_ptr<LayeredDisk> disk = TRY(LayeredDisk::create(std::move(layers), options));
    DiskResult<Disk> handle = Disk::create(std::move(disk));
    if (!handle) {
        return std::unexpected(Refusal("contradicts itself"));
    }
    return std::move(*handle);
}

Task<OpenedDisk> open_file(const FileDiskConfig& file) {
    FileDiskOptions options{.sector_size = file.sector_size,
                            .direct = file.direct,
                            .read_only = file.read_only,
                            .create_bytes = file.create_bytes};
    co_return with_path(file.path, co_await open_file_disk(file.path, options));
}

Task<OpenedDisk> open_block(const BlockDeviceConfig& block) {
    co_return with_path(block.path, co_await open_block_disk(block.path, {.read_only = block.read_only}));
}

Task<OpenedDisk> open_vhd1(const Vhd1DiskConfig& vhd) {
    Vhd1DiskOptions options{.direct = vhd.direct, .read_only = vhd.read_only, .create_bytes = vhd.create_bytes};
    co_return with_path(vhd.path, co_await open_vhd1_disk(vhd.path, options));
}

Task<OpenedDisk> open_blob(const BlobDiskConfig& blob) {
    BlobFormat format = blob.format == BlobDiskConfig::Format::vhd1 ? BlobFormat::vhd1 : BlobFormat::flat;
    co_return with_path(public_url(blob.url), co_await open_http_disk(blob.url, {.format = format}));
}

/// As its only writer; or, where that fails and `reads_in_use`, as a reader. One that is no reader's problem is said again.
Task<Result<std::shared_ptr<DiskLayer>, std::string>> open_database(std::string path, SqliteLayerOptions options,
                                                                    bool reads_in_use) {
    auto layer = co_await open_sqlite_layer(path, options);
    if (!layer && reads_in_use && !options.create) {
        options.read_only = true;
        layer = co_await open_sqlite_layer(std::move(path), options);
    }
    co_return layer;
}

Task<OpenedDisk> open_sqlite(const SqliteDiskConfig& sqlite, bool reads_in_use) {
    SqliteLayerOptions options;
    if (sqlite.create_bytes) {
        options.create = SqliteLayerOptions::Create{.sector_size = sqlite.sector_size,
                                                    .sectors = *sqlite.create_bytes / sqlite.sector_size};
    }
    auto layer = co_await open_database(sqlite.path, options, reads_in_use);
    if (!layer) {
        co_return about(sqlite.path, layer.error());
    }
    if (!(*layer)->sector_count()) {
        co_return about(sqlite.path, "holds what differs from another disk; give that too: sqldiff:PATH:DISK");
    }
    bool read_only = (*layer)->facts().read_only;
    std::vector<LayerPlacement> layers;
    layers.push_back({.layer = std::move(*layer)});
    co_return with_path(sqlite.path, layered(std::move(layers), {.read_only = read_only}));
}

Task<OpenedDisk> open_sqlite_diff(const SqliteDiffConfig& diff, Disk below, bool reads_in_use) {
    SqliteLayerOptions options;
    if (diff.create) {
        options.create = SqliteLayerOptions::Create{.sector_size = below.sector_size(), .sectors = {}};
    }
    auto layer = co_await open_database(diff.path, options, reads_in_use);
    if (!layer) {
        co_return about(diff.path, layer.error());
    }
    bool read_only = (*layer)->facts().read_only;
    std::vector<LayerPlacement> layers;
    layers.push_back({.layer = std::move(*layer)});
    layers.push_back({.layer = std::make_shared<WholeDiskLayer>(std::move(below))});
    co_return with_path(diff.path, layered(std::move(layers), {.read_only = read_only}));
}

// What is written goes to the disk below as well: other programs share the cache, and it may be thrown away.
Task<OpenedDisk> open_auto_cache(const AutoCacheConfig& cache, Disk below, const std::string& folder,
                                 BounceSource* bounce) {
    bool read_only = below.facts().read_only;
    auto layer = co_await open_autocache_layer(folder, cache.key, below);
    if (!layer) {
        co_return about(folder, layer.error());
    }
    std::vector<LayerPlacement> layers;
    layers.push_back({.layer = std::move(*layer), .write_through = !read_only, .read_cache = true});
    layers.push_back({.layer = std::make_shared<WholeDiskLayer>(std::move(below))});
    co_return with_path(folder, layered(std::move(layers), {.read_only = read_only, .bounce = bounce}));
}

}  // namespace

std::string default_cache_folder() {
    const char* cache = std::getenv("XDG_CACHE_HOME");
    const char* home = std::getenv("HOME");
    if (cache != nullptr && *cache == '/') {
        return std::string(cache) + "/undercroft";
    }
    return home != nullptr && *home == '/' ? std::string(home) + "/.cache/undercroft" : "";
}

HostPipelineEnvironment::HostPipelineEnvironment(std::vector<Executor*> executors, HostPipelineOptions options)
    : executors_(std::move(executors)), options_(std::move(options)) {
    if (options_.cache_folder.empty()) {
        options_.cache_folder = default_cache_folder();
    }
}

BounceSource& HostPipelineEnvironment::bounce(usize nesting) {
    std::unique_ptr<ExecutorBouncePools>& pools = bounce_.at(nesting);
    if (pools == nullptr) {
        pools = std::make_unique<ExecutorBouncePools>(executors_, options_.bounce_pool_bytes);
    }
    return *pools;
}

std::optional<Refusal> HostPipelineEnvironment::refuse_backend(const DiskConfig& disk) {
    if (std::holds_alternative<NvmeDiskConfig>(disk.kind)) {
        return "nvme: is for the image, which owns the machine's controllers; here use block:/dev/nvme0n1";
    }
    if (std::holds_alternative<VmbusDiskConfig>(disk.kind)) {
        return std::string(kind_name(disk)) + ": a Linux program has no VMBus; use file: or block:";
    }
    if (std::holds_alternative<AutoCacheConfig>(disk.kind) && options_.cache_folder.empty()) {
        return "autocache: needs a folder; set HOME or XDG_CACHE_HOME";
    }
    return std::nullopt;
}

Task<Result<Disk, Refusal>> HostPipelineEnvironment::open_backend(const DiskConfig& disk, std::optional<Disk> below,
                                                                  BounceSource* bounce) {
    if (std::optional<Refusal> refusal = refuse_backend(disk)) {
        co_return std::unexpected(std::move(*refusal));
    }
    if (!RingPlatform::is_current()) {
        co_return std::unexpected(Refusal("files need an executor that runs on io_uring"));
    }
    if (const auto* file = std::get_if<FileDiskConfig>(&disk.kind)) {
        co_return co_await open_file(*file);
    }
    if (const auto* block = std::get_if<BlockDeviceConfig>(&disk.kind)) {
        co_return co_await open_block(*block);
    }
    if (const auto* vhd = std::get_if<Vhd1DiskConfig>(&disk.kind)) {
        co_return co_await open_vhd1(*vhd);
    }
    if (const auto* blob = std::get_if<BlobDiskConfig>(&disk.kind)) {
        co_return co_await open_blob(*blob);
    }
    if (const auto* sqlite = std::get_if<SqliteDiskConfig>(&disk.kind)) {
        co_return co_await open_sqlite(*sqlite, reads_databases_in_use_);
    }
    if (const auto* diff = std::get_if<SqliteDiffConfig>(&disk.kind)) {
        co_return co_await open_sqlite_diff(*diff, std::move(*below), reads_databases_in_use_);
    }
    const auto* cache = std::get_if<AutoCacheConfig>(&disk.kind);
    ASSERT(cache != nullptr && below && bounce != nullptr);
    co_return co_await open_auto_cache(*cache, std::move(*below), options_.cache_folder, bounce);
}

}  // namespace undercroft
