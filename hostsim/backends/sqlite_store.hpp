// Sectors in an SQLite database. Blocking, and for one thread at a time: `SqliteLayer` brings it to executors. The
// database is in write-ahead-log mode: a process that is killed at any moment loses nothing that was committed, and
// every change is one transaction.
//
//   disk(one, sector_size, sectors, id, flushes)            one row; `sectors` is NULL for a layer without a size
//   sectors(sector INTEGER PRIMARY KEY, count, data BLOB)   what it holds
//
// A row is one sector of data, or, where `data` is NULL, `count` sectors of zeros; a sector of no row is absent. Rows do
// not overlap. A database is data from outside: its header and metadata are checked before the library may change
// anything, triggers and views in it are never run, and every row is checked when it is read.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "hostsim/backends/file_descriptor.hpp"
#include "hostsim/backends/sqlite_handle.hpp"
#include "storage/disk.hpp"

namespace undercroft {

struct SqliteStoreFacts {
    u32 sector_size = 512;
    std::optional<u64> sectors{};  ///< nothing: a layer without a size of its own
    std::array<std::byte, 16> id{};
};

struct SqliteStoreOptions {
    bool read_only = false;
    /// Others that say so may have the database open for writing as well (a cache). Any other second writer is refused;
    /// readers never are.
    bool shared = false;
};

class SqliteStore {
public:
    enum class State : u8 { absent, zero, data };
    enum class WriteMode : u8 { replace, only_absent };
    struct Run {
        u64 sectors;
        State state;
    };
    /// Called for each run that is present, upwards; `data` is one sector, or empty for zeros.
    using Visitor = std::function<void(SectorRange run, std::span<const std::byte> data)>;

    static constexpr u32 sector_bytes_max = 65536;

    /// Makes a database at `path`, which must not exist: afterwards all of it is there, or nothing.
    static Result<void, std::string> create(const std::string& path, const SqliteStoreFacts& facts);
    /// Opens the database at `path`. A file that is damaged or none of ours is left as it was.
    static Result<std::unique_ptr<SqliteStore>, std::string> open(const std::string& path,
                                                                  const SqliteStoreOptions& options);

    const SqliteStoreFacts& facts() const { return facts_; }
    bool is_read_only() const { return options_.read_only; }

    /// Visits what is present of `range`. `medium_read` for rows that are damaged.
    DiskResult<void> read(SectorRange range, const Visitor& visit);
    /// Stores the sectors of `from`; those of zeros become NULL. All or nothing.
    DiskResult<void> write(u64 sector, SegmentList from, WriteMode mode, ForceUnitAccess fua);
    /// Makes the range zeros.
    DiskResult<void> write_zeroes(SectorRange range, ForceUnitAccess fua);
    /// Makes the range absent.
    DiskResult<void> discard(SectorRange range, ForceUnitAccess fua);
    /// What the first sectors of `range`, which is not empty, are.
    DiskResult<Run> status(SectorRange range);
    /// Makes everything that was written so far durable.
    DiskResult<void> flush();
    /// Reads the whole database. On failure: what is wrong with it.
    Result<void, std::string> check();

private:
    struct Row;
    struct Statements {
        SqliteStatement begin, commit, roll_back, before, rows, states, insert, shorten, remove, flush;
    };
    enum class Walk : bool { on, stop };
    using RowVisitor = std::function<Walk(const Row& row)>;

    SqliteStore(std::string path, const SqliteStoreOptions& options) : path_(std::move(path)), options_(options) {}

    Result<void, std::string> connect(bool has_log);
    Result<void, std::string> read_facts();
    Result<void, std::string> check_pages();
    int prepare_all();
    DiskResult<void> set_synchronous(bool full);
    DiskResult<void> in_transaction(ForceUnitAccess fua, const std::function<DiskResult<void>()>& body);
    DiskResult<void> run(SqliteStatement& statement, std::initializer_list<u64> parameters);
    DiskResult<void> walk(SectorRange range, bool with_data, const RowVisitor& visit);
    DiskResult<std::optional<Row>> row_before(u64 sector);
    DiskResult<void> clear(SectorRange range);
    DiskResult<void> insert(SectorRange run, std::span<const std::byte> data);
    DiskResult<void> insert_sectors(u64 sector, u64 count, SegmentList from, const std::vector<bool>& taken);
    DiskError failure(const char* doing, int code);
    DiskError damaged(const char* what);

    std::string path_;
    SqliteStoreOptions options_;
    FileDescriptor lock_;  // of the one writer; closed behind the database
    SqliteDatabase database_;
    Statements statements_;  // after the database: they go before it
    SqliteStoreFacts facts_;
    bool synchronous_full_ = false;
    bool is_dirty_ = false;  // committed since the last durable commit
};

}  // namespace undercroft
