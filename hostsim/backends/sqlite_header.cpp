// The checks of an SQLite header, from "is it one at all" to "is all of it there".
#include "hostsim/backends/sqlite_header.hpp"

#include <bit>
#include <cstring>

#include "kernel/base/endian.hpp"
#include "kernel/config/identifiers.hpp"

namespace undercroft {

namespace {

constexpr char magic[16] = "SQLite format 3";  // with its zero

struct [[gnu::packed]] RawHeader {
    char magic[16] = {};
    Be<u16> page_bytes;    // 1: 65536
    u8 write_version = 0;  // 1: rollback journal, 2: write-ahead log
    u8 read_version = 0;
    u8 reserved_bytes = 0;
    u8 payload_fractions[3] = {};  // always 64, 32, 32
    Be<u32> change_counter;
    Be<u32> pages;
    Be<u32> free_list[2];
    Be<u32> schema_cookie;
    Be<u32> schema_format;  // 1 to 4
    Be<u32> cache_pages;
    Be<u32> vacuum_root;
    Be<u32> text_encoding;  // 1: UTF-8
    Be<u32> user_version;
    Be<u32> vacuum_incremental;
    Be<u32> application_id;
    u8 unused[20] = {};
    Be<u32> version_valid_for;
    Be<u32> library_version;
};
static_assert(sizeof(RawHeader) == sqlite_header_bytes);
static_assert(offsetof(RawHeader, application_id) == 68);
static_assert(offsetof(RawHeader, library_version) == 96);

constexpr u32 page_bytes_min = 512;
constexpr u32 page_bytes_max = 65536;
constexpr u8 file_version_max = 2;
constexpr u32 schema_format_max = 4;
constexpr u32 encoding_utf8 = 1;

bool fields_are_sound(const RawHeader& raw) {
    return raw.write_version >= 1 && raw.write_version <= file_version_max && raw.read_version >= 1 &&
           raw.read_version <= file_version_max && raw.payload_fractions[0] == 64 && raw.payload_fractions[1] == 32 &&
           raw.payload_fractions[2] == 32 && raw.schema_format >= 1 && raw.schema_format <= schema_format_max &&
           raw.text_encoding == encoding_utf8;
}

}  // namespace

Result<SqliteHeader, std::string> parse_sqlite_header(std::span<const std::byte, sqlite_header_bytes> bytes,
                                                      u64 file_bytes, bool has_log) {
    RawHeader raw;
    std::memcpy(&raw, bytes.data(), sizeof(raw));
    if (std::memcmp(raw.magic, magic, sizeof(magic)) != 0) {
        return fail(std::string("this is no SQLite database, or its beginning is damaged"));
    }
    if (raw.application_id != sqlite_application_id) {
        return fail(std::string("this SQLite database was not made by `undercroft disk create`, or is damaged"));
    }
    if (raw.user_version != sqlite_tables_version) {
        return fail("this database has version " + decimal(raw.user_version) + " of the tables; only version " +
                    decimal(sqlite_tables_version) + " is known");
    }
    u32 page_bytes = raw.page_bytes == 1 ? page_bytes_max : u32{raw.page_bytes.value()};
    if (!std::has_single_bit(page_bytes) || page_bytes < page_bytes_min || !fields_are_sound(raw)) {
        return fail(std::string("the database's header is damaged"));
    }
    if (raw.pages == 0) {
        return fail(std::string("the database's header is damaged"));
    }
    if (!has_log && file_bytes / page_bytes < raw.pages) {
        return fail("the database's header promises " + decimal(u64{raw.pages} * page_bytes) +
                    " bytes, but the file has " + decimal(file_bytes) + ": it was cut");
    }
    return SqliteHeader{.page_bytes = page_bytes, .pages = raw.pages};
}

}  // namespace undercroft
