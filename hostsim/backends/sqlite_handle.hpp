// Owners for the handles of the SQLite library, and the few calls that every user of it makes.
#pragma once

#include <memory>
#include <string>

#include "kernel/base/types.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace undercroft {

/// Closes handles of the library.
struct SqliteCloser {
    void operator()(sqlite3* database) const;
    void operator()(sqlite3_stmt* statement) const;
};
using SqliteDatabase = std::unique_ptr<sqlite3, SqliteCloser>;
using SqliteStatement = std::unique_ptr<sqlite3_stmt, SqliteCloser>;

/// Runs `sql`, which has no result that matters. Returns the library's code.
int sqlite_run(const SqliteDatabase& database, const char* sql);
/// Compiles `sql`, for many uses. Returns the library's code.
int sqlite_prepare(const SqliteDatabase& database, const char* sql, SqliteStatement& into);
/// What the library says went wrong last, or what `code` means where it opened nothing.
std::string sqlite_reason(const SqliteDatabase& database, int code);

/// Resets a statement at the end of its use, so that it holds no lock and can be run again.
class SqliteUse {
public:
    explicit SqliteUse(SqliteStatement& statement) : statement_(statement.get()) {}
    SqliteUse(const SqliteUse&) = delete;
    SqliteUse& operator=(const SqliteUse&) = delete;
    ~SqliteUse();

    /// Binds parameter `index`, from 1. Values up to 2^63 - 1.
    void bind(int index, u64 value);
    /// The next row: true with one, false at the end or on error, which `code` tells apart.
    bool next();
    /// SQLITE_ROW, SQLITE_DONE, or an error.
    int code() const { return code_; }
    sqlite3_stmt* get() const { return statement_; }

private:
    sqlite3_stmt* statement_;
    int code_ = 0;
};

}  // namespace undercroft
