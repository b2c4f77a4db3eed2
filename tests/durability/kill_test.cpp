// A process writes to a disk and is killed with SIGKILL at a random moment, again and again on the same file: whatever
// was flushed before is there afterwards, no sector is half of one write and half of another, and the file opens.
//
// UNDERCROFT_KILL_POINTS=N: so many moments for each kind of disk (20 if not set). UNDERCROFT_KILL_SEED=N repeats one.
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <map>
#include <random>
#include <set>

#include "hostsim/backends/sqlite_layer.hpp"
#include "hostsim/backends/vhd1_disk.hpp"
#include "storage/layers/layered_disk.hpp"
#include "tests/unit/hostsim/backends/backend_fixture.hpp"

namespace undercroft::test {
namespace {

constexpr u64 sectors = 256;
constexpr u64 sector_bytes = 512;
constexpr u64 operations_max = 4000;

u64 number_from_environment(const char* name, u64 fallback) {
    const char* text = getenv(name);
    return text == nullptr ? fallback : strtoull(text, nullptr, 10);
}

// One thing that the process does; all follows from the round's seed, so that the parent knows it too.
struct Operation {
    enum class Kind : u8 { write, zero, flush } kind;
    u64 sector;
    u64 count;
    u64 value;  // what every word of the sectors holds afterwards
};

Operation operation_at(u64 seed, u64 index) {
    std::mt19937_64 random(seed * 1'000'003 + index);
    if (index % 8 == 7) {
        return {.kind = Operation::Kind::flush, .sector = 0, .count = 0, .value = 0};
    }
    u64 count = 1 + random() % 8;
    bool zero = random() % 6 == 0;
    return {.kind = zero ? Operation::Kind::zero : Operation::Kind::write,
            .sector = random() % (sectors - count),
            .count = count,
            .value = zero ? 0 : (seed << 32) + index + 1};
}

using Open = Task<Result<Disk, std::string>> (*)(std::string path);

Task<Result<Disk, std::string>> open_vhd(std::string path) {
    co_return co_await open_vhd1_disk(path, {.create_bytes = sectors * sector_bytes});
}

Task<Result<Disk, std::string>> open_database(std::string path) {
    SqliteLayerOptions options{.create = SqliteLayerOptions::Create{sector_bytes, sectors}};
    std::vector<LayerPlacement> layers;
    layers.push_back({.layer = CO_TRY(co_await open_sqlite_layer(path, options))});
    co_return *Disk::create(LayeredDisk::create(std::move(layers)).value());
}

Task<bool> carry_out(const Disk& disk, Operation operation) {
    SectorRange range{.start = operation.sector, .count = operation.count};
    switch (operation.kind) {
    case Operation::Kind::flush:
        co_return (co_await disk.flush()).has_value();
    case Operation::Kind::zero:
        co_return (co_await disk.write_zeroes(range, true)).has_value();
    default:
        std::vector<u64> words(operation.count * sector_bytes / sizeof(u64), operation.value);
        std::span<std::byte> bytes = std::as_writable_bytes(std::span(words));
        MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
        co_return (co_await disk.write(operation.sector, {&segment, 1})).has_value();
    }
}

// The process: tells of every flush that has ended, until it is killed.
[[noreturn]] void run_child(Open open, const std::string& path, u64 seed, int report) {
    std::unique_ptr<RingPlatform> platform = std::move(*RingPlatform::create());
    Executor executor(*platform);
    Result<Disk, std::string> disk = run_blocking(executor, open(path));
    if (!disk) {
        (void)fprintf(stderr, "%s\n", disk.error().c_str());
        _exit(1);
    }
    for (u64 index = 0; index < operations_max; ++index) {
        Operation operation = operation_at(seed, index);
        if (!run_blocking(executor, carry_out(*disk, operation))) {
            _exit(1);
        }
        if (operation.kind == Operation::Kind::flush && ::write(report, &index, sizeof(index)) != sizeof(index)) {
            _exit(1);
        }
    }
    pause();
    _exit(1);
}

// Starts the process, kills it after `delay_us`; how many operations were flushed, 0 where none.
u64 run_and_kill(Open open, const std::string& path, u64 seed, u64 delay_us) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        close(ends[0]);
        run_child(open, path, seed, ends[1]);
    }
    close(ends[1]);
    usleep(static_cast<useconds_t>(delay_us));
    REQUIRE(kill(child, SIGKILL) == 0);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));  // it did not end by itself, which would be an error of the disk
    u64 flushed = 0;
    u64 index = 0;
    while (::read(ends[0], &index, sizeof(index)) == sizeof(index)) {
        flushed = index + 1;
    }
    close(ends[0]);
    return flushed;
}

// What each sector holds; a sector of two values is a torn one.
std::vector<u64> read_all(BackendFixture& fixture, const Disk& disk) {
    std::vector<u64> words(sectors * sector_bytes / sizeof(u64));
    std::span<std::byte> bytes = std::as_writable_bytes(std::span(words));
    MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
    REQUIRE(fixture.run(disk.read(0, {&segment, 1})).has_value());
    std::vector<u64> values;
    for (u64 sector = 0; sector < sectors; ++sector) {
        std::span<const u64> one = std::span(words).subspan(sector * sector_bytes / 8, sector_bytes / 8);
        bool whole = std::all_of(one.begin(), one.end(), [&](u64 word) { return word == one[0]; });
        CHECK(whole);
        values.push_back(one[0]);
    }
    return values;
}

// What each sector may hold after `flushed` operations of the round were flushed and any number of later ones made.
std::vector<std::set<u64>> allowed_after(const std::vector<u64>& before, u64 seed, u64 flushed) {
    std::vector<std::set<u64>> allowed(sectors);
    for (u64 sector = 0; sector < sectors; ++sector) {
        allowed[sector] = {before[sector]};
    }
    for (u64 index = 0; index < operations_max; ++index) {
        Operation operation = operation_at(seed, index);
        for (u64 sector = operation.sector; sector < operation.sector + operation.count; ++sector) {
            if (index < flushed) {
                allowed[sector].clear();
            }
            allowed[sector].insert(operation.value);
        }
    }
    return allowed;
}

void kill_again_and_again(Open open, const char* name) {
    u64 points = number_from_environment("UNDERCROFT_KILL_POINTS", 20);
    u64 first_seed = number_from_environment("UNDERCROFT_KILL_SEED", std::random_device()());
    first_seed %= 1'000'000;
    TemporaryFolder folder;
    std::string path = folder / name;
    std::vector<u64> values(sectors, 0);
    u64 flushed_in_all = 0;
    for (u64 point = 0; point < points; ++point) {
        u64 seed = first_seed + point;
        std::mt19937_64 random(seed);
        if (point % 5 == 0) {  // from the making of the file on
            for (const char* suffix : {"", "-wal", "-shm"}) {
                unlink((path + suffix).c_str());
            }
            values.assign(sectors, 0);
        }
        u64 delay_us = random() % (random() % 3 == 0 ? 8'000 : 80'000);
        CAPTURE(name, point, seed, delay_us);
        u64 flushed = run_and_kill(open, path, seed, delay_us);
        flushed_in_all += flushed;
        BackendFixture fixture;
        Disk disk = fixture.open(open(path));
        std::vector<std::set<u64>> allowed = allowed_after(values, seed, flushed);
        values = read_all(fixture, disk);
        for (u64 sector = 0; sector < sectors; ++sector) {
            CAPTURE(sector, values[sector], flushed);
            CHECK(allowed[sector].contains(values[sector]));
        }
    }
    CHECK(flushed_in_all > points);  // else nothing was shown
    printf("%s: %llu kills from seed %llu, %llu operations flushed\n", name, static_cast<unsigned long long>(points),
           static_cast<unsigned long long>(first_seed), static_cast<unsigned long long>(flushed_in_all));
}

}  // namespace

TEST_CASE("a VHD survives the killing of its process") { kill_again_and_again(open_vhd, "disk.vhd"); }

TEST_CASE("a database survives the killing of its process") { kill_again_and_again(open_database, "disk.sqlite"); }

}  // namespace undercroft::test
