// The first 100 bytes of an SQLite database (SQLite's "Database File Format", section 1.3), as far as they tell whether
// a file is one of ours and whole. Looked at before the library opens it, which may change a file that it can repair.
#pragma once

#include <span>
#include <string>

#include "kernel/base/result.hpp"

namespace undercroft {

inline constexpr usize sqlite_header_bytes = 100;
/// "Application ID" of our databases: "UcDk".
inline constexpr u32 sqlite_application_id = 0x5563'446b;
/// "User version" of our databases: the version of the tables.
inline constexpr u32 sqlite_tables_version = 1;

struct SqliteHeader {
    u32 page_bytes = 0;
    u32 pages = 0;  ///< as the header says; a write-ahead log may know better
};

/// Reads the header of a file of `file_bytes`; `has_log`: a write-ahead log lies beside it, which may hold what the file
/// lacks. On failure: what is wrong, in words for a user.
Result<SqliteHeader, std::string> parse_sqlite_header(std::span<const std::byte, sqlite_header_bytes> bytes,
                                                      u64 file_bytes, bool has_log);

}  // namespace undercroft
