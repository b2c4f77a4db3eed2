// The thin layer over the library's C interface.
#include "hostsim/backends/sqlite_handle.hpp"

#include <sqlite3.h>

#include "kernel/base/assert.hpp"

namespace undercroft {

void SqliteCloser::operator()(sqlite3* database) const { sqlite3_close_v2(database); }
void SqliteCloser::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

int sqlite_run(const SqliteDatabase& database, const char* sql) {
    return sqlite3_exec(database.get(), sql, nullptr, nullptr, nullptr);
}

int sqlite_prepare(const SqliteDatabase& database, const char* sql, SqliteStatement& into) {
    sqlite3_stmt* statement = nullptr;
    int code = sqlite3_prepare_v3(database.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    into.reset(statement);
    return code;
}

std::string sqlite_reason(const SqliteDatabase& database, int code) {
    return database != nullptr && sqlite3_errcode(database.get()) != SQLITE_OK ? sqlite3_errmsg(database.get())
                                                                               : sqlite3_errstr(code);
}

SqliteUse::~SqliteUse() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
}

void SqliteUse::bind(int index, u64 value) {
    int code = sqlite3_bind_int64(statement_, index, static_cast<sqlite3_int64>(value));
    ASSERT(code == SQLITE_OK);
}

bool SqliteUse::next() {
    code_ = sqlite3_step(statement_);
    return code_ == SQLITE_ROW;
}

}  // namespace undercroft
