// Making, opening and checking databases: everything that `SqliteStore` does before and beside its reads and writes.
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <bit>

#include "hostsim/backends/file_open.hpp"
#include "hostsim/backends/sqlite_header.hpp"
#include "hostsim/backends/sqlite_store.hpp"
#include "kernel/config/identifiers.hpp"

namespace undercroft {

namespace {

// Large enough for several sectors of 4096 bytes beside each other, small enough for one that is written alone.
constexpr const char* create_pragmas =
    "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA application_id = "
    "0x5563446b; PRAGMA user_version = 1;";
static_assert(sqlite_application_id == 0x5563'446b && sqlite_tables_version == 1);

constexpr const char* create_tables =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE disk (one INTEGER PRIMARY KEY CHECK (one = 1), sector_size INTEGER NOT NULL, sectors INTEGER, "
    "id BLOB NOT NULL, flushes INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE sectors (sector INTEGER PRIMARY KEY, count INTEGER NOT NULL, data BLOB);";

constexpr int shared_wait_ms = 5000;

bool is_sector_size(u64 bytes) {
    return std::has_single_bit(bytes) && bytes >= 512 && bytes <= SqliteStore::sector_bytes_max;
}
u64 sectors_max(u64 sector_size) { return (u64{1} << 63) / sector_size - 1; }

// A database of its own name, not yet anybody's; removed unless it was published.
class DatabaseInTheMaking {
public:
    explicit DatabaseInTheMaking(const std::string& path)
        : path(path + ".making-" + decimal(static_cast<u64>(getpid()))) {}
    DatabaseInTheMaking(const DatabaseInTheMaking&) = delete;
    DatabaseInTheMaking& operator=(const DatabaseInTheMaking&) = delete;
    ~DatabaseInTheMaking() {
        for (const char* suffix : {"", "-wal", "-shm"}) {
            unlink((path + suffix).c_str());
        }
    }
    const std::string path;
};

int fill_metadata(const SqliteDatabase& database, const SqliteStoreFacts& facts) {
    SqliteStatement insert;
    int code =
        sqlite_prepare(database, "INSERT INTO disk (one, sector_size, sectors, id) VALUES (1, ?1, ?2, ?3)", insert);
    if (code != SQLITE_OK) {
        return code;
    }
    SqliteUse use(insert);
    use.bind(1, facts.sector_size);
    if (facts.sectors) {
        use.bind(2, *facts.sectors);
    }
    sqlite3_bind_blob(use.get(), 3, facts.id.data(), static_cast<int>(facts.id.size()), SQLITE_STATIC);
    use.next();
    return use.code() == SQLITE_DONE ? SQLITE_OK : use.code();
}

Result<void, std::string> make_database(const std::string& path, const SqliteStoreFacts& facts) {
    sqlite3* handle = nullptr;
    int code = sqlite3_open_v2(path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                               nullptr);
    SqliteDatabase database(handle);
    for (const char* sql : {create_pragmas, create_tables}) {
        code = code == SQLITE_OK ? sqlite_run(database, sql) : code;
    }
    code = code == SQLITE_OK ? fill_metadata(database, facts) : code;
    code = code == SQLITE_OK ? sqlite_run(database, "COMMIT") : code;
    // Into the file itself: it is renamed without its log.
    code = code == SQLITE_OK ? sqlite_run(database, "PRAGMA wal_checkpoint(TRUNCATE)") : code;
    if (code != SQLITE_OK) {
        return fail("cannot be made: " + sqlite_reason(database, code));
    }
    return {};
}

Result<SqliteHeader, std::string> look_at_header(const std::string& path, bool has_log) {
    FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status{};
    if (!file || fstat(file.get(), &status) != 0) {
        return fail("cannot be opened: " + system_error_text(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        return fail(std::string("is no regular file"));
    }
    std::array<std::byte, sqlite_header_bytes> bytes{};
    if (pread(file.get(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
        return fail(std::string("is too short for an SQLite database"));
    }
    return parse_sqlite_header(bytes, static_cast<u64>(status.st_size), has_log);
}

constexpr const char* in_use = "is in use by another process: stop that one first, or work on a copy";

// One writer at a time, or those that share a cache, and readers beside them: SQLite's own exclusive mode would keep
// readers out as well. Its locks are of another kind (fcntl), and do not see this one.
Result<FileDescriptor, std::string> lock_for_writing(const std::string& path, bool shared) {
    FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file) {
        return fail("cannot be opened: " + system_error_text(errno));
    }
    while (flock(file.get(), (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
        if (errno != EINTR) {
            return fail(errno == EWOULDBLOCK ? std::string(in_use) : "cannot be locked: " + system_error_text(errno));
        }
    }
    return file;
}

bool has_write_ahead_log(const std::string& path) {
    struct stat status{};
    return stat((path + "-wal").c_str(), &status) == 0 && status.st_size > 0;
}

// What a database may make the library do is cut down to reading and writing its two tables.
void distrust(const SqliteDatabase& database, bool has_log) {
    sqlite3_db_config(database.get(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    sqlite3_db_config(database.get(), SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    sqlite3_db_config(database.get(), SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
    sqlite3_db_config(database.get(), SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
    // Until all was looked at: a log that was left behind stays where it is should the rest be damaged.
    sqlite3_db_config(database.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, has_log ? 1 : 0, nullptr);
}

std::string open_problem(const SqliteDatabase& database, int code) {
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return in_use;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return "cannot be written: " + sqlite_reason(database, code) + " (open it read-only?)";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return "is damaged: " + sqlite_reason(database, code);
    default:
        return "cannot be opened: " + sqlite_reason(database, code);
    }
}

}  // namespace

Result<void, std::string> SqliteStore::create(const std::string& path, const SqliteStoreFacts& facts) {
    if (!is_sector_size(facts.sector_size)) {
        return fail("sectors of " + decimal(facts.sector_size) +
                    " bytes are not possible: a power of two, 512 to 65536");
    }
    if (facts.sectors && *facts.sectors > sectors_max(facts.sector_size)) {
        return fail("a disk of " + decimal(*facts.sectors) + " sectors is too large");
    }
    DatabaseInTheMaking made(path);
    TRY(make_database(made.path, facts));
    if (renameat2(AT_FDCWD, made.path.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) != 0) {
        return fail(errno == EEXIST ? std::string("exists already, and is left as it is")
                                    : "cannot be made: " + system_error_text(errno));
    }
    if (!sync_folder_of(path)) {
        return fail("was made, but its folder cannot be made durable: " + system_error_text(errno));
    }
    return {};
}

Result<std::unique_ptr<SqliteStore>, std::string> SqliteStore::open(const std::string& path,
                                                                    const SqliteStoreOptions& options) {
    std::unique_ptr<SqliteStore> store(new SqliteStore(path, options));
    if (!options.read_only) {
        store->lock_ = TRY(lock_for_writing(path, options.shared));
    }
    bool has_log = has_write_ahead_log(path);
    TRY(look_at_header(path, has_log));
    TRY(store->connect(has_log));
    TRY(store->read_facts());
    if (int code = store->prepare_all(); code != SQLITE_OK) {
        return fail(open_problem(store->database_, code));
    }
    sqlite3_db_config(store->database_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, nullptr);
    return store;
}

Result<void, std::string> SqliteStore::connect(bool has_log) {
    sqlite3* handle = nullptr;
    int flags = SQLITE_OPEN_NOMUTEX | (options_.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
    int code = sqlite3_open_v2(path_.c_str(), &handle, flags, nullptr);
    database_.reset(handle);
    if (code != SQLITE_OK) {
        return fail(open_problem(database_, code));
    }
    distrust(database_, has_log);
    sqlite3_extended_result_codes(database_.get(), 1);
    sqlite3_busy_timeout(database_.get(), shared_wait_ms);
    code = sqlite_run(database_, "PRAGMA synchronous = NORMAL;");
    code = code == SQLITE_OK ? sqlite_run(database_, "PRAGMA cell_size_check = ON;") : code;
    return code == SQLITE_OK ? Result<void, std::string>{} : fail(open_problem(database_, code));
}

Result<void, std::string> SqliteStore::read_facts() {
    SqliteStatement select;
    int code = sqlite_prepare(database_, "SELECT sector_size, sectors, id FROM disk WHERE one = 1", select);
    if (code != SQLITE_OK) {
        return fail(open_problem(database_, code));
    }
    SqliteUse use(select);
    if (!use.next()) {
        return fail(use.code() == SQLITE_DONE ? std::string("is damaged: it does not say what disk it is")
                                              : open_problem(database_, use.code()));
    }
    bool types_are_right = sqlite3_column_type(use.get(), 0) == SQLITE_INTEGER &&
                           sqlite3_column_type(use.get(), 2) == SQLITE_BLOB &&
                           sqlite3_column_bytes(use.get(), 2) == static_cast<int>(facts_.id.size());
    u64 sector_size = static_cast<u64>(sqlite3_column_int64(use.get(), 0));
    if (!types_are_right || !is_sector_size(sector_size)) {
        return fail(std::string("is damaged: sector size or identifier make no sense"));
    }
    facts_.sector_size = static_cast<u32>(sector_size);
    std::memcpy(facts_.id.data(), sqlite3_column_blob(use.get(), 2), facts_.id.size());
    if (sqlite3_column_type(use.get(), 1) != SQLITE_NULL) {
        u64 sectors = static_cast<u64>(sqlite3_column_int64(use.get(), 1));
        if (sqlite3_column_type(use.get(), 1) != SQLITE_INTEGER || sectors > sectors_max(sector_size)) {
            return fail(std::string("is damaged: its size makes no sense"));
        }
        facts_.sectors = sectors;
    }
    return {};
}

int SqliteStore::prepare_all() {
    const struct {
        SqliteStatement& statement;
        const char* sql;
    } all[] = {
        {statements_.begin, "BEGIN IMMEDIATE"},
        {statements_.commit, "COMMIT"},
        {statements_.roll_back, "ROLLBACK"},
        {statements_.before,
         "SELECT sector, count, typeof(data) FROM sectors WHERE sector < ?1 ORDER BY sector DESC LIMIT 1"},
        {statements_.rows,
         "SELECT sector, count, typeof(data), data FROM sectors WHERE sector >= ?1 AND sector < ?2 ORDER BY sector"},
        {statements_.states,
         "SELECT sector, count, typeof(data) FROM sectors WHERE sector >= ?1 AND sector < ?2 ORDER BY sector"},
        {statements_.insert, "INSERT INTO sectors (sector, count, data) VALUES (?1, ?2, ?3)"},
        {statements_.shorten, "UPDATE sectors SET count = ?2 WHERE sector = ?1"},
        {statements_.remove, "DELETE FROM sectors WHERE sector >= ?1 AND sector < ?2"},
        {statements_.flush, "UPDATE disk SET flushes = flushes + 1"},
    };
    for (const auto& one : all) {
        if (int code = sqlite_prepare(database_, one.sql, one.statement); code != SQLITE_OK) {
            return code;
        }
    }
    return SQLITE_OK;
}

Result<void, std::string> SqliteStore::check() {
    Result<void, std::string> sound = check_pages();
    if (sound) {
        u64 sectors = facts_.sectors.value_or(sectors_max(facts_.sector_size));
        if (!read({.start = 0, .count = sectors}, [](SectorRange, std::span<const std::byte>) {})) {
            sound = fail(std::string("is damaged: its rows contradict each other or have a wrong size"));
        }
    }
    if (!sound && has_write_ahead_log(path_)) {
        sqlite3_db_config(database_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);  // it stays as it is
    }
    return sound;
}

Result<void, std::string> SqliteStore::check_pages() {
    SqliteStatement check;
    if (int code = sqlite_prepare(database_, "PRAGMA integrity_check(1)", check); code != SQLITE_OK) {
        return fail(open_problem(database_, code));
    }
    SqliteUse use(check);
    if (!use.next()) {
        return fail(open_problem(database_, use.code()));
    }
    const unsigned char* text = sqlite3_column_text(use.get(), 0);
    // SAFETY: the library's text is bytes; ours are of the other signedness.
    std::string verdict = text == nullptr ? "" : reinterpret_cast<const char*>(text);
    return verdict == "ok" ? Result<void, std::string>{} : fail("is damaged: " + verdict);
}

}  // namespace undercroft
