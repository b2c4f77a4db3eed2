// Sectors in a database: against a plain model, after every kind of damage, and with two who want it.
#include "hostsim/backends/sqlite_store.hpp"

#include <sqlite3.h>

#include <map>
#include <random>

#include "hostsim/backends/sqlite_header.hpp"
#include "tests/unit/hostsim/backends/backend_fixture.hpp"

namespace undercroft::test {
namespace {

using State = SqliteStore::State;
using WriteMode = SqliteStore::WriteMode;

constexpr u32 sector_size = 512;

std::unique_ptr<SqliteStore> make_store(const std::string& path, std::optional<u64> sectors = 1000) {
    REQUIRE(SqliteStore::create(path, {.sector_size = sector_size, .sectors = sectors}).has_value());
    Result<std::unique_ptr<SqliteStore>, std::string> store = SqliteStore::open(path, {});
    INFO((store ? "" : store.error()));
    REQUIRE(store.has_value());
    return std::move(*store);
}

std::string open_error(const std::string& path, const SqliteStoreOptions& options = {}) {
    Result<std::unique_ptr<SqliteStore>, std::string> store = SqliteStore::open(path, options);
    return store ? "" : store.error();
}

DiskResult<void> write(SqliteStore& store, u64 sector, std::vector<u8> values, WriteMode mode = WriteMode::replace,
                       ForceUnitAccess fua = ForceUnitAccess::no) {
    std::vector<std::byte> bytes(values.size() * sector_size);
    for (usize index = 0; index < bytes.size(); ++index) {
        bytes[index] = std::byte{values[index / sector_size]};
    }
    MemorySegment halves[2] = {{.data = bytes.data(), .size = 100},
                               {.data = bytes.data() + 100, .size = bytes.size() - 100}};
    return store.write(sector, halves, mode, fua);
}

// -1: absent; 0: zero; else the value of the bytes.
std::map<u64, int> contents(SqliteStore& store, SectorRange range) {
    std::map<u64, int> found;
    REQUIRE(store
                .read(range,
                      [&](SectorRange run, std::span<const std::byte> data) {
                          for (u64 sector = run.start; sector < run.start + run.count; ++sector) {
                              found[sector] = data.empty() ? 0 : std::to_integer<int>(data[5]);
                          }
                      })
                .has_value());
    return found;
}

std::unique_ptr<sqlite3, SqliteCloser> raw(const std::string& path) {
    sqlite3* handle = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &handle) == SQLITE_OK);
    return std::unique_ptr<sqlite3, SqliteCloser>(handle);
}

}  // namespace

TEST_CASE("a store remembers data, zeros and absence across openings") {
    TemporaryFolder folder;
    std::string path = folder / "disk.sqlite";
    {
        std::unique_ptr<SqliteStore> store = make_store(path);
        REQUIRE(write(*store, 10, {1, 2, 0, 0, 5}).has_value());
        REQUIRE(store->write_zeroes({.start = 100, .count = 500}, ForceUnitAccess::no).has_value());
        REQUIRE(write(*store, 200, {9}).has_value());
        REQUIRE(store->discard({.start = 300, .count = 10}, ForceUnitAccess::no).has_value());
        REQUIRE(store->flush().has_value());
    }
    CHECK(!std::filesystem::exists(path + "-wal"));
    std::unique_ptr<SqliteStore> store = std::move(*SqliteStore::open(path, {}));
    CHECK(store->facts().sectors == 1000);
    std::map<u64, int> found = contents(*store, {.start = 0, .count = 1000});
    CHECK(found.size() == 5 + 500 - 10);
    CHECK((found[10] == 1 && found[11] == 2 && found[12] == 0 && found[14] == 5 && found[200] == 9));
    CHECK(found.count(305) == 0);
    CHECK(store->status({.start = 0, .count = 1000})->sectors == 10);
    CHECK(store->status({.start = 0, .count = 1000})->state == State::absent);
    CHECK(store->status({.start = 12, .count = 100})->sectors == 2);
    CHECK(store->status({.start = 150, .count = 100})->sectors == 50);
    CHECK(store->status({.start = 150, .count = 100})->state == State::zero);
    CHECK(store->status({.start = 600, .count = 100})->state == State::absent);
    CHECK(store->check().has_value());
}

TEST_CASE("a long random history of a store agrees with a plain map") {
    TemporaryFolder folder;
    std::unique_ptr<SqliteStore> store = make_store(folder / "disk.sqlite", std::nullopt);
    std::mt19937_64 random(5);
    std::map<u64, int> model;
    for (usize step = 0; step < 400; ++step) {
        SectorRange range{.start = random() % 120, .count = 1 + random() % (random() % 3 == 0 ? 80 : 6)};
        u64 end = range.start + range.count;
        switch (random() % 6) {
        case 0:
            REQUIRE(store->write_zeroes(range, ForceUnitAccess::no).has_value());
            for (u64 sector = range.start; sector < end; ++sector) {
                model[sector] = 0;
            }
            break;
        case 1:
            REQUIRE(store->discard(range, ForceUnitAccess::no).has_value());
            model.erase(model.lower_bound(range.start), model.lower_bound(end));
            break;
        case 2: {
            SqliteStore::Run run = store->status(range).value();
            auto state_at = [&](u64 sector) {
                auto found = model.find(sector);
                return found == model.end() ? State::absent : found->second == 0 ? State::zero : State::data;
            };
            REQUIRE((run.sectors >= 1 && run.sectors <= range.count));
            for (u64 sector = range.start; sector < range.start + run.sectors; ++sector) {
                REQUIRE(state_at(sector) == run.state);
            }
            break;
        }
        default: {
            bool fill = random() % 2 == 0;
            std::vector<u8> values(range.count);
            for (u8& value : values) {
                value = random() % 3 == 0 ? 0 : static_cast<u8>(1 + random() % 200);
            }
            REQUIRE(write(*store, range.start, values, fill ? WriteMode::only_absent : WriteMode::replace).has_value());
            for (u64 index = 0; index < range.count; ++index) {
                if (!fill || model.count(range.start + index) == 0) {
                    model[range.start + index] = values[index];
                }
            }
        }
        }
        REQUIRE(contents(*store, {.start = 0, .count = 220}) == model);
    }
    CHECK(store->check().has_value());
}

TEST_CASE("a store takes zeros of any length in one row") {
    TemporaryFolder folder;
    std::string path = folder / "disk.sqlite";
    u64 sectors = u64{1} << 40;
    std::unique_ptr<SqliteStore> store = make_store(path, sectors);
    REQUIRE(store->write_zeroes({.start = 0, .count = sectors}, ForceUnitAccess::yes).has_value());
    REQUIRE(write(*store, sectors / 2, {3}).has_value());
    CHECK(store->status({.start = 0, .count = sectors})->sectors == sectors / 2);
    CHECK(store->status({.start = sectors / 2 + 1, .count = 100})->state == State::zero);
    store.reset();
    CHECK(std::filesystem::file_size(path) < 200 * kib);
}

TEST_CASE("a store is never made over something, and not with a geometry that is none") {
    TemporaryFolder folder;
    std::string path = folder / "disk.sqlite";
    set_file_text(path, "something");
    CHECK(contains(SqliteStore::create(path, {.sectors = 10}).error(), "exists already"));
    CHECK(file_text(path) == "something");
    CHECK(contains(SqliteStore::create(folder / "a", {.sector_size = 100}).error(), "power of two"));
    CHECK(contains(SqliteStore::create(folder / "a", {.sectors = u64{1} << 60}).error(), "too large"));
    CHECK(contains(SqliteStore::create(folder / "none/a", {}).error(), "cannot be made"));
    CHECK(std::distance(std::filesystem::directory_iterator(folder / ""), std::filesystem::directory_iterator()) == 1);
}

TEST_CASE("a store has one writer, unless it is shared, and readers beside it") {
    TemporaryFolder folder;
    std::string path = folder / "disk.sqlite";
    {
        std::unique_ptr<SqliteStore> store = make_store(path);
        CHECK(contains(open_error(path), "in use by another process"));
        CHECK(write(*store, 1, {1}).has_value());
        std::unique_ptr<SqliteStore> reader = std::move(*SqliteStore::open(path, {.read_only = true}));
        CHECK(contents(*reader, {.start = 0, .count = 10}).size() == 1);
        CHECK(write(*store, 5, {5}).has_value());
        CHECK(contents(*reader, {.start = 0, .count = 10}).size() == 2);
        CHECK(store->discard({.start = 5, .count = 1}, ForceUnitAccess::no).has_value());
        CHECK(contents(*reader, {.start = 0, .count = 10}).size() == 1);
    }
    {
        std::unique_ptr<SqliteStore> first = std::move(*SqliteStore::open(path, {.shared = true}));
        std::unique_ptr<SqliteStore> second = std::move(*SqliteStore::open(path, {.shared = true}));
        CHECK(write(*first, 2, {2}).has_value());
        CHECK(write(*second, 3, {3}).has_value());
        CHECK(contents(*first, {.start = 0, .count = 10}).size() == 3);
        CHECK(contains(open_error(path), "in use by another process"));
    }
    std::unique_ptr<SqliteStore> reader = std::move(*SqliteStore::open(path, {.read_only = true}));
    CHECK(contents(*reader, {.start = 0, .count = 10}).size() == 3);
    CHECK(write(*reader, 4, {4}).error() == DiskError::read_only);
    CHECK(reader->flush().has_value());
}

TEST_CASE("a database with damaged header or metadata is refused and left as it was") {
    TemporaryFolder folder;
    std::string path = folder / "disk.sqlite";
    std::unique_ptr<SqliteStore> store = make_store(path);
    REQUIRE(write(*store, 1, {1, 2, 3}).has_value());
    store.reset();
    std::string sound = file_text(path);
    auto refused = [&](const std::string& text, const std::string& reason) {
        set_file_text(path, text);
        CHECK(contains(open_error(path), reason));
        CHECK(file_text(path) == text);
        CHECK(!std::filesystem::exists(path + "-wal"));
    };
    refused("", "too short");
    refused(sound.substr(0, 50), "too short");
    refused(sound.substr(0, sound.size() - 20000), "it was cut");
    refused("X" + sound.substr(1), "no SQLite database");
    refused(std::string(sound).replace(68, 1, "X"), "was not made by");
    refused(std::string(sound).replace(63, 1, "\x07"), "version 7 of the tables");
    refused(std::string(sound).replace(16, 2, "\x12\x34"), "header is damaged");
    refused(std::string(sound).replace(sound.size() - 16384 * 3 + 16384, 16384, std::string(16384, '\x5a')), "damaged");
    struct {
        const char* sql;
        const char* reason;
    } changes[] = {{"DELETE FROM disk", "does not say"},
                   {"UPDATE disk SET sector_size = 1000", "make no sense"},
                   {"UPDATE disk SET sector_size = 'x'", "make no sense"},
                   {"UPDATE disk SET id = x'00'", "make no sense"},
                   {"UPDATE disk SET sectors = -1", "size makes no sense"},
                   {"UPDATE disk SET sectors = 'many'", "size makes no sense"},
                   {"DROP TABLE sectors", "no such table"},
                   {"DROP TABLE disk; CREATE VIEW disk AS SELECT 1 AS one, 512 AS sector_size", ""}};
    for (const auto& change : changes) {
        set_file_text(path, sound);
        REQUIRE(sqlite3_exec(raw(path).get(), change.sql, nullptr, nullptr, nullptr) == SQLITE_OK);
        std::string text = file_text(path);
        CAPTURE(change.sql);
        CHECK(!open_error(path).empty());
        CHECK(contains(open_error(path), change.reason));
        CHECK(file_text(path) == text);
    }
}

TEST_CASE("a damaged database with a log beside it keeps both") {
    TemporaryFolder folder;
    std::string path = folder / "disk.sqlite";
    std::unique_ptr<SqliteStore> store = make_store(path);
    REQUIRE(write(*store, 1, {1}).has_value());
    std::string log = file_text(path + "-wal");
    std::string copy = folder / "copy.sqlite";
    std::string damaged = std::string(file_text(path)).replace(16384, 16384, std::string(16384, '\x5a'));
    set_file_text(copy, damaged);
    set_file_text(copy + "-wal", log);
    CHECK(!open_error(copy).empty());
    CHECK(file_text(copy) == damaged);
    CHECK(file_text(copy + "-wal") == log);
}

TEST_CASE("rows that make no sense are a medium error, not data") {
    for (const char* sql :
         {"UPDATE sectors SET data = x'0102' WHERE sector = 1", "UPDATE sectors SET data = 'text' WHERE sector = 1",
          "UPDATE sectors SET count = 0 WHERE sector = 1", "UPDATE sectors SET count = 5 WHERE sector = 1",
          "UPDATE sectors SET count = 'x', data = NULL WHERE sector = 1",
          "UPDATE sectors SET count = 9000000000000000000, data = NULL WHERE sector = 1",
          "UPDATE sectors SET count = 2, data = NULL WHERE sector = 1"}) {
        TemporaryFolder folder;
        std::string path = folder / "disk.sqlite";
        std::unique_ptr<SqliteStore> store = make_store(path);
        REQUIRE(write(*store, 1, {1, 2, 3}).has_value());
        store.reset();
        REQUIRE(sqlite3_exec(raw(path).get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK);
        store = std::move(*SqliteStore::open(path, {}));
        CAPTURE(sql);
        auto ignore = [](SectorRange, std::span<const std::byte>) {};
        CHECK(store->read({.start = 0, .count = 10}, ignore).error() == DiskError::medium_read);
        CHECK(!store->check().has_value());
    }
}

}  // namespace undercroft::test
