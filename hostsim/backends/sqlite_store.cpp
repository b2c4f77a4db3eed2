// Reading and changing rows. A run of zeros may be cut by what is written into it; `clear` is the one place that does.
#include "hostsim/backends/sqlite_store.hpp"

#include <sqlite3.h>

#include <algorithm>

#include "kernel/base/log.hpp"
#include "storage/segments.hpp"

namespace undercroft {

namespace {

// Rows that one question about states looks at.
constexpr usize status_rows_max = 4096;
constexpr u64 row_number_max = u64{1} << 62;

bool is_zero(std::span<const std::byte> bytes) {
    return bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

}  // namespace

struct SqliteStore::Row {
    u64 sector;
    u64 count;
    bool is_zero;
    std::span<const std::byte> data;

    u64 end() const { return sector + count; }
};

DiskError SqliteStore::failure(const char* doing, int code) {
    log_error("%s: %s failed: %s", path_.c_str(), doing, sqlite_reason(database_, code).c_str());
    switch (code & 0xff) {
    case SQLITE_FULL:
        return DiskError::medium_write;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return DiskError::medium_read;
    case SQLITE_READONLY:
        return DiskError::read_only;
    case SQLITE_BUSY:
        return DiskError::timed_out;
    default:
        return DiskError::io;
    }
}

DiskError SqliteStore::damaged(const char* what) {
    log_error("%s is damaged: %s", path_.c_str(), what);
    return DiskError::medium_read;
}

namespace {

// A row as it was found; nothing where it makes no sense.
template <typename Row>
std::optional<Row> row_of(sqlite3_stmt* statement, u32 sector_size, bool with_data) {
    auto sector = static_cast<u64>(sqlite3_column_int64(statement, 0));
    auto count = static_cast<u64>(sqlite3_column_int64(statement, 1));
    // SAFETY: typeof() gives one of five ASCII words; the pointer lives until the next step.
    const auto* type = reinterpret_cast<const char*>(sqlite3_column_text(statement, 2));
    bool is_null = type != nullptr && std::strcmp(type, "null") == 0;
    bool is_blob = type != nullptr && std::strcmp(type, "blob") == 0;
    if (sector > row_number_max || count == 0 || count > row_number_max || !(is_null || (is_blob && count == 1))) {
        return std::nullopt;
    }
    Row row{.sector = sector, .count = count, .is_zero = is_null, .data = {}};
    if (with_data && is_blob) {
        const auto* bytes = static_cast<const std::byte*>(sqlite3_column_blob(statement, 3));
        if (bytes == nullptr || sqlite3_column_bytes(statement, 3) != static_cast<int>(sector_size)) {
            return std::nullopt;
        }
        row.data = {bytes, sector_size};
    }
    return row;
}

}  // namespace

DiskResult<std::optional<SqliteStore::Row>> SqliteStore::row_before(u64 sector) {
    if (sector == 0) {
        return std::optional<Row>();
    }
    SqliteUse use(statements_.before);
    use.bind(1, sector);
    if (!use.next()) {
        return use.code() == SQLITE_DONE ? DiskResult<std::optional<Row>>(std::optional<Row>())
                                         : fail(failure("reading", use.code()));
    }
    std::optional<Row> row = row_of<Row>(use.get(), facts_.sector_size, false);
    if (!row) {
        return fail(damaged("a row makes no sense"));
    }
    return row;
}

// Visits every row that has a part in `range`, upwards; the first may begin before it, the last end after it.
DiskResult<void> SqliteStore::walk(SectorRange range, bool with_data, const RowVisitor& visit) {
    std::optional<Row> before = TRY(row_before(range.start));
    u64 from = range.start;
    if (before && before->end() > range.start) {
        from = before->end();
        if (visit(*before) == Walk::stop) {
            return {};
        }
    }
    SqliteUse use(with_data ? statements_.rows : statements_.states);
    use.bind(1, range.start);
    use.bind(2, range.start + range.count);
    while (use.next()) {
        std::optional<Row> row = row_of<Row>(use.get(), facts_.sector_size, with_data);
        if (!row || row->sector < from) {
            return fail(damaged("rows overlap, or one makes no sense"));
        }
        from = row->end();
        if (visit(*row) == Walk::stop) {
            return {};
        }
    }
    return use.code() == SQLITE_DONE ? DiskResult<void>{} : fail(failure("reading", use.code()));
}

DiskResult<void> SqliteStore::read(SectorRange range, const Visitor& visit) {
    u64 end = range.start + range.count;
    return walk(range, true, [&](const Row& row) {
        u64 first = std::max(row.sector, range.start);
        u64 last = std::min(row.end(), end);
        visit({.start = first, .count = last - first}, row.data);
        return Walk::on;
    });
}

DiskResult<SqliteStore::Run> SqliteStore::status(SectorRange range) {
    u64 end = range.start + range.count;
    u64 at = range.start;
    usize rows = 0;
    std::optional<State> state;
    TRY(walk(range, false, [&](const Row& row) {
        if (row.sector > at) {
            if (state) {
                return Walk::stop;  // a gap ends what came before it
            }
            state = State::absent;
            at = std::min(row.sector, end);
            return Walk::stop;
        }
        State found = row.is_zero ? State::zero : State::data;
        if (state && *state != found) {
            return Walk::stop;
        }
        state = found;
        at = std::min(row.end(), end);
        return ++rows < status_rows_max ? Walk::on : Walk::stop;
    }));
    if (!state) {
        return Run{.sectors = range.count, .state = State::absent};
    }
    return Run{.sectors = at - range.start, .state = *state};
}

DiskResult<void> SqliteStore::set_synchronous(bool full) {
    if (full == synchronous_full_) {
        return {};
    }
    int code = sqlite_run(database_, full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
    if (code != SQLITE_OK) {
        return fail(failure("setting durability", code));
    }
    synchronous_full_ = full;
    return {};
}

DiskResult<void> SqliteStore::run(SqliteStatement& statement, std::initializer_list<u64> parameters) {
    SqliteUse use(statement);
    int index = 0;
    for (u64 parameter : parameters) {
        use.bind(++index, parameter);
    }
    use.next();
    return use.code() == SQLITE_DONE ? DiskResult<void>{} : fail(failure("writing", use.code()));
}

// A commit with `fua` waits for the log to be durable, with all that was committed before: the log is one file.
DiskResult<void> SqliteStore::in_transaction(ForceUnitAccess fua, const std::function<DiskResult<void>()>& body) {
    if (options_.read_only) {
        return fail(DiskError::read_only);
    }
    bool durable = fua == ForceUnitAccess::yes;
    TRY(set_synchronous(durable));
    TRY(run(statements_.begin, {}));
    DiskResult<void> done = body();
    if (done) {
        done = run(statements_.commit, {});
    }
    if (!done) {
        if (sqlite3_get_autocommit(database_.get()) == 0) {
            (void)run(statements_.roll_back, {});
        }
        return done;
    }
    is_dirty_ = !durable;
    return {};
}

DiskResult<void> SqliteStore::flush() {
    if (options_.read_only || !is_dirty_) {
        return {};
    }
    return in_transaction(ForceUnitAccess::yes, [&] { return run(statements_.flush, {}); });
}

DiskResult<void> SqliteStore::insert(SectorRange run, std::span<const std::byte> data) {
    SqliteUse use(statements_.insert);
    use.bind(1, run.start);
    use.bind(2, run.count);
    if (!data.empty()) {
        sqlite3_bind_blob(use.get(), 3, data.data(), static_cast<int>(data.size()), SQLITE_STATIC);
    }
    use.next();
    return use.code() == SQLITE_DONE ? DiskResult<void>{} : fail(failure("writing", use.code()));
}

// Makes `range` absent. Runs of zeros that begin before it or end after it keep the rest.
DiskResult<void> SqliteStore::clear(SectorRange range) {
    u64 end = range.start + range.count;
    std::optional<Row> before = TRY(row_before(range.start));
    std::optional<Row> last = TRY(row_before(end));
    TRY(run(statements_.remove, {range.start, end}));
    if (before && before->end() > range.start) {
        TRY(run(statements_.shorten, {before->sector, range.start - before->sector}));
    }
    if (last && last->end() > end) {
        TRY(insert({.start = end, .count = last->end() - end}, {}));
    }
    return {};
}

DiskResult<void> SqliteStore::write_zeroes(SectorRange range, ForceUnitAccess fua) {
    return in_transaction(fua, [&]() -> DiskResult<void> {
        TRY(clear(range));
        std::optional<Row> before = TRY(row_before(range.start));
        if (before && before->is_zero && before->end() == range.start) {
            return run(statements_.shorten, {before->sector, before->count + range.count});
        }
        return insert(range, {});
    });
}

DiskResult<void> SqliteStore::discard(SectorRange range, ForceUnitAccess fua) {
    return in_transaction(fua, [&] { return clear(range); });
}

DiskResult<void> SqliteStore::write(u64 sector, SegmentList from, WriteMode mode, ForceUnitAccess fua) {
    u64 count = total_bytes(from) / facts_.sector_size;
    SectorRange range{.start = sector, .count = count};
    return in_transaction(fua, [&]() -> DiskResult<void> {
        std::vector<bool> taken(count);
        if (mode == WriteMode::replace) {
            TRY(clear(range));
        } else {
            TRY(walk(range, false, [&](const Row& row) {
                u64 first = std::max(row.sector, sector) - sector;
                u64 last = std::min(row.end(), sector + count) - sector;
                std::fill(taken.begin() + static_cast<std::ptrdiff_t>(first),
                          taken.begin() + static_cast<std::ptrdiff_t>(last), true);
                return Walk::on;
            }));
        }
        return insert_sectors(sector, count, from, taken);
    });
}

// Each sector is copied first: its bytes may change meanwhile, and are looked at twice.
DiskResult<void> SqliteStore::insert_sectors(u64 sector, u64 count, SegmentList from, const std::vector<bool>& taken) {
    std::vector<std::byte> bytes(facts_.sector_size);
    SegmentCursor cursor(from);
    SectorRange zeros{.start = sector, .count = 0};
    for (u64 index = 0; index < count; ++index) {
        cursor.copy_out(bytes);
        bool zero = !taken[index] && is_zero(bytes);
        if (zero && zeros.count > 0) {
            ++zeros.count;
            continue;
        }
        if (zeros.count > 0) {
            TRY(insert(zeros, {}));
            zeros.count = 0;
        }
        if (zero) {
            zeros = {.start = sector + index, .count = 1};
        } else if (!taken[index]) {
            TRY(insert({.start = sector + index, .count = 1}, bytes));
        }
    }
    return zeros.count > 0 ? insert(zeros, {}) : DiskResult<void>{};
}

}  // namespace undercroft
