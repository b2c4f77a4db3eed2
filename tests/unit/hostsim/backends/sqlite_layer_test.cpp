// The layer in a database, on its thread: presence, filling a cache, following the stack, and the cache by its key.
#include "hostsim/backends/sqlite_layer.hpp"

#include "hostsim/backends/file_disk.hpp"
#include "hostsim/backends/vhd1_disk.hpp"
#include "tests/unit/hostsim/backends/backend_fixture.hpp"

namespace undercroft::test {
namespace {

using LayerPointer = std::shared_ptr<DiskLayer>;

struct LayerFixture : BackendFixture {
    LayerPointer layer(Task<Result<LayerPointer, std::string>> task) {
        Result<LayerPointer, std::string> opened = run(std::move(task));
        INFO((opened ? "" : opened.error()));
        REQUIRE(opened.has_value());
        return *opened;
    }
    LayerPointer make(const std::string& name, std::optional<u64> sectors) {
        return layer(open_sqlite_layer(folder / name, {.create = SqliteLayerOptions::Create{512, sectors}}));
    }
    std::string problem(Task<Result<LayerPointer, std::string>> task) {
        Result<LayerPointer, std::string> opened = run(std::move(task));
        REQUIRE(!opened.has_value());
        return opened.error();
    }
    DiskResult<void> fill(DiskLayer& layer, u64 sector, u8 value, u64 sectors,
                          Overwrite overwrite = Overwrite::everything) {
        std::vector<std::byte> bytes(sectors * 512, std::byte{value});
        MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
        return run(layer.write(sector, {&segment, 1}, overwrite, ForceUnitAccess::no, {}));
    }
    // A letter a sector: '.' absent and untouched, '0' zero and untouched, else the value.
    std::string look(DiskLayer& layer, u64 sector, u64 sectors) {
        std::vector<std::byte> bytes(sectors * 512, std::byte{'?'});
        MemorySegment segments[2] = {{.data = bytes.data(), .size = 700},
                                     {.data = bytes.data() + 700, .size = bytes.size() - 700}};
        PresenceMap found;
        REQUIRE(run(layer.read(sector, segments, found, {})).has_value());
        std::string text;
        for (u64 index = 0; index < sectors; ++index) {
            char value = static_cast<char>(bytes[index * 512 + 511]);
            Presence presence = found.at(index);
            REQUIRE((presence == Presence::data || value == '?'));
            text += presence == Presence::data ? value : presence == Presence::zero ? '0' : '.';
        }
        return text;
    }
};

}  // namespace

TEST_CASE("a layer in a database says of each sector what it has") {
    LayerFixture fixture;
    LayerPointer layer = fixture.make("layer", 100);
    CHECK(layer->sector_count() == 100);
    CHECK(layer->facts().writes_only_absent);
    CHECK(layer->facts().fua_respected);
    CHECK(layer->facts().id.has_value());
    CHECK(fixture.look(*layer, 0, 4) == "....");
    REQUIRE(fixture.fill(*layer, 1, 'a', 3).has_value());
    REQUIRE(fixture.fill(*layer, 3, 'b', 3, Overwrite::only_absent).has_value());
    REQUIRE(fixture.run(layer->unmap({.start = 2, .count = 1}, BelowReads::anything, {})).has_value());
    CHECK(fixture.look(*layer, 0, 8) == ".a0abb..");
    REQUIRE(fixture.run(layer->unmap({.start = 1, .count = 2}, BelowReads::zeroes, {})).has_value());
    CHECK(fixture.look(*layer, 0, 8) == "...abb..");
    PresenceRun run = fixture.run(layer->presence({.start = 3, .count = 50}, {})).value();
    CHECK(run.sectors == 3);
    CHECK(run.presence == Presence::data);
    CHECK(fixture.fill(*layer, 99, 'c', 2).error() == DiskError::illegal_block);
    CHECK(fixture.run(layer->presence({.start = 100, .count = 1}, {})).error() == DiskError::illegal_block);
    REQUIRE(fixture.run(layer->flush({})).has_value());
    CancelSource source;
    source.cancel();
    CHECK(fixture.run(layer->flush(source.token())).error() == DiskError::cancelled);
}

TEST_CASE("a layer without a size forgets what the stack cut off") {
    LayerFixture fixture;
    {
        LayerPointer layer = fixture.make("layer", std::nullopt);
        CHECK(!layer->sector_count().has_value());
        REQUIRE(fixture.fill(*layer, 0, 'a', 10).has_value());
        layer->follow(6);
        layer->follow(8);
        CHECK(fixture.look(*layer, 0, 10) == "aaaaaa....");
        REQUIRE(fixture.fill(*layer, 7, 'b', 1).has_value());
        CHECK(fixture.look(*layer, 0, 10) == "aaaaaa.b..");
    }
    LayerPointer layer = fixture.layer(open_sqlite_layer(fixture.folder / "layer", {.read_only = true}));
    CHECK(layer->facts().read_only);
    CHECK(fixture.look(*layer, 0, 10) == "aaaaaa.b..");
    layer->follow(3);
    CHECK(fixture.look(*layer, 0, 10) == "aaa.......");
    CHECK(fixture.run(layer->presence({.start = 1, .count = 9}, {}))->sectors == 2);
    CHECK(fixture.run(layer->presence({.start = 3, .count = 7}, {}))->presence == Presence::absent);
    CHECK(fixture.fill(*layer, 0, 'x', 1).error() == DiskError::read_only);
}

TEST_CASE("a database is opened again only as what it was made") {
    LayerFixture fixture;
    std::string path = fixture.folder / "layer";
    CHECK(contains(fixture.problem(open_sqlite_layer(path, {})), "cannot be opened"));
    (void)fixture.make("layer", 100);
    (void)fixture.make("layer", 100);
    CHECK(contains(fixture.problem(open_sqlite_layer(path, {.create = SqliteLayerOptions::Create{512, 200}})),
                   "exists already with sectors of 512 bytes and 100 sectors"));
    LayerPointer held = fixture.layer(open_sqlite_layer(path, {}));
    CHECK(contains(fixture.problem(open_sqlite_layer(path, {})), "in use by another process"));
}

TEST_CASE("a cache is found by its key, and belongs to one disk") {
    LayerFixture fixture;
    std::string folder = fixture.folder / "some/where";
    Disk plain = fixture.open(open_file_disk(fixture.folder / "disk.img", {.create_bytes = 64 * kib}));
    Disk known = fixture.open(open_vhd1_disk(fixture.folder / "disk.vhd", {.create_bytes = 64 * kib}));
    CHECK(contains(fixture.problem(open_autocache_layer(folder, "", plain)), "no identifier"));
    for (const char* key : {"a/b", "..", ".hidden", "ü"}) {
        CHECK(contains(fixture.problem(open_autocache_layer(folder, key, plain)), "letters, digits"));
    }
    LayerPointer cache = fixture.layer(open_autocache_layer(folder, "mine", plain));
    REQUIRE(fixture.fill(*cache, 4, 'c', 2, Overwrite::only_absent).has_value());
    LayerPointer second = fixture.layer(open_autocache_layer(folder, "mine", plain));
    CHECK(fixture.look(*second, 3, 4) == ".cc.");
    CHECK(contains(fixture.problem(open_autocache_layer(folder, "mine", known)), "belongs to another disk"));
    LayerPointer by_id = fixture.layer(open_autocache_layer(folder, "", known));
    CHECK(by_id->facts().id == known.facts().id);
    CHECK(std::distance(std::filesystem::directory_iterator(folder), {}) >= 2);
    set_file_text(folder + "/broken.sqlite", "nonsense");
    CHECK(contains(fixture.problem(open_autocache_layer(folder, "broken", plain)), "can be removed"));
}

}  // namespace undercroft::test
