// A sound database with any of its bytes changed, cut anywhere: opening it succeeds or is refused in words and leaves the
// file as it was; what was opened is read, checked and written without a fault. The input is a list of changes.
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

#include "hostsim/backends/sqlite_header.hpp"
#include "hostsim/backends/sqlite_store.hpp"
#include "kernel/base/assert.hpp"
#include "tests/fuzz/fuzz_input.hpp"

using namespace undercroft;

namespace {

constexpr u32 sector_size = 512;
constexpr usize changes_max = 64;

std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void remove_all(const std::string& path) {
    for (const char* suffix : {"", "-wal", "-shm"}) {
        unlink((path + suffix).c_str());
    }
}

void write_one(SqliteStore& store, u64 sector, std::byte value) {
    std::vector<std::byte> bytes(sector_size, value);
    MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
    (void)store.write(sector, {&segment, 1}, SqliteStore::WriteMode::replace, ForceUnitAccess::no);
}

struct Template {
    Template() {
        char name[] = "/dev/shm/undercroft-fuzz-XXXXXX";
        ASSERT(mkdtemp(name) != nullptr);
        folder = name;
        path = folder + "/disk.sqlite";
        ASSERT(SqliteStore::create(path, {.sector_size = sector_size, .sectors = 100}).has_value());
        auto store = SqliteStore::open(path, {});
        ASSERT(store.has_value());
        for (u64 sector = 0; sector < 40; ++sector) {
            write_one(**store, sector * 2, static_cast<std::byte>(sector));
        }
        ASSERT((*store)->write_zeroes({.start = 30, .count = 11}, ForceUnitAccess::no).has_value());
        store->reset();
        sound = read_file(path);
    }
    ~Template() {
        remove_all(path);
        rmdir(folder.c_str());
    }
    std::string folder;
    std::string path;
    std::string sound;
};

void use(SqliteStore& store) {
    SectorRange all{.start = 0, .count = store.facts().sectors.value_or(1000)};
    (void)store.read(all, [&](SectorRange run, std::span<const std::byte> data) {
        ASSERT(run.count > 0 && run.start + run.count <= all.start + all.count);
        ASSERT(data.empty() || data.size() == store.facts().sector_size);
    });
    if (all.count > 0) {
        if (DiskResult<SqliteStore::Run> run = store.status(all)) {
            ASSERT(run->sectors >= 1 && run->sectors <= all.count);
        }
    }
    (void)store.check();
    if (store.facts().sector_size == sector_size) {
        write_one(store, 7, std::byte{7});
    }
    (void)store.write_zeroes({.start = 5, .count = 20}, ForceUnitAccess::no);
    (void)store.discard({.start = 8, .count = 3}, ForceUnitAccess::no);
    (void)store.flush();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, size_t size) {
    static const Template known;
    fuzz::Input input(data, size);
    std::string text = known.sound;
    if (input.take<u8>() % 8 == 0) {
        text.resize(input.take<u32>() % (text.size() + 1));
    }
    for (usize change = 0; change < changes_max && !input.is_empty() && !text.empty(); ++change) {
        // Half of the changes into the header and the first page, where everything is decided.
        usize at = input.take<u16>();
        bool near = (at & 1) != 0;
        at = near ? (at >> 1) % std::min<usize>(text.size(), 512) : (at * 61) % text.size();
        text[at] = static_cast<char>(input.take<u8>());
    }
    std::array<std::byte, sqlite_header_bytes> header{};
    std::transform(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(std::min(text.size(), header.size())),
                   header.begin(), [](char c) { return static_cast<std::byte>(c); });
    (void)parse_sqlite_header(header, text.size(), false);
    remove_all(known.path);
    std::ofstream(known.path, std::ios::binary) << text;
    Result<std::unique_ptr<SqliteStore>, std::string> store = SqliteStore::open(known.path, {});
    if (store) {
        use(**store);
    } else {
        ASSERT(!store.error().empty() && read_file(known.path) == text);
    }
    return 0;
}
