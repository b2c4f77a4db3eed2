// The layer of a layered disk that lives in an SQLite database (sqlite_store.hpp), and the read cache in one. A thread
// of its own runs the library, one operation after the other; executors never wait for it.
//
// - Durability: an operation that has ended survives the process; flush and FUA are durable commits.
// - A layer without a size of its own follows the stack: what it has past a new end is deleted before the next operation
//   runs (a read-only one hides it).
#pragma once

#include <string>

#include "hostsim/backends/sqlite_store.hpp"
#include "hostsim/platform/blocking_pool.hpp"
#include "storage/layers/layer.hpp"

namespace undercroft {

struct SqliteLayerOptions {
    bool read_only = false;
    /// Makes the database where there is none: of `sectors` (nothing: as large as what lies below) of `sector_size`.
    /// One that exists must be like that already.
    struct Create {
        u32 sector_size = 512;
        std::optional<u64> sectors{};
    };
    std::optional<Create> create{};
};

/// Opens the database at `path` as a layer. On failure: the reason, without the path.
Task<Result<std::shared_ptr<DiskLayer>, std::string>> open_sqlite_layer(std::string path, SqliteLayerOptions options);

/// Opens, or makes, the cache for `below` in `folder`, which is made if missing: `KEY.sqlite`, where an empty `key` is
/// the disk's identifier in hexadecimal. Other processes may use it at the same time. On failure: the reason.
Task<Result<std::shared_ptr<DiskLayer>, std::string>> open_autocache_layer(std::string folder, const std::string& key,
                                                                           Disk below);

class SqliteLayer final : public DiskLayer {
public:
    /// `pool`: one thread, which this layer has for itself.
    SqliteLayer(std::unique_ptr<SqliteStore> store, std::unique_ptr<BlockingPool> pool)
        : pool_(std::move(pool)), store_(std::move(store)) {}

    LayerFacts facts() const override;
    std::optional<u64> sector_count() const override { return store_->facts().sectors; }
    void follow(u64 sectors) override;

    Task<DiskResult<void>> read(u64 sector, SegmentList into, PresenceMap& found, CancelToken cancel) override;
    Task<DiskResult<void>> write(u64 sector, SegmentList from, Overwrite overwrite, ForceUnitAccess fua,
                                 CancelToken cancel) override;
    Task<DiskResult<void>> flush(CancelToken cancel) override;
    Task<DiskResult<void>> unmap(SectorRange range, BelowReads below, CancelToken cancel) override;
    Task<DiskResult<void>> write_zeroes(SectorRange range, BelowReads below, bool allow_unmap, ForceUnitAccess fua,
                                        CancelToken cancel) override;
    Task<DiskResult<PresenceRun>> presence(SectorRange range, CancelToken cancel) override;
    Task<DiskResult<u64>> wait_for_resize(u64 known_sectors, CancelToken cancel) override;

private:
    template <typename Body>
    auto on_thread(Body body, CancelToken cancel) -> Task<std::invoke_result_t<Body&>>;
    DiskResult<void> drop_what_was_cut();
    DiskResult<void> check(SectorRange range) const;
    DiskResult<void> read_now(u64 sector, SegmentList into, PresenceMap& found);
    PresenceRun presence_of(SqliteStore::Run run, SectorRange range) const;
    u64 hidden_from() const;

    std::unique_ptr<BlockingPool> pool_;
    std::unique_ptr<SqliteStore> store_;  // the thread's alone while an operation runs
    std::atomic<u64> cut_at_{~u64{0}};    // the smallest size that the stack had and the rows do not know of yet
    DiskSize never_resized_{0};
};

}  // namespace undercroft
