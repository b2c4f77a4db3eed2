// Sectors in memory against a plain model: what each is, what it holds, and what is left of the budget.
#include "storage/backends/sparse_memory.hpp"

#include <catch2/catch.hpp>

#include <random>
#include <vector>

namespace undercroft {
namespace {

constexpr u32 sector_size = 4096;  // 16 a chunk, 4096 a leaf
constexpr u64 sectors = 6 * 4096 + 5;

/// One number a sector: 0 absent, 1 zero, else data filled with it.
using Model = std::vector<int>;

void write(SparseMemory& memory, Model& model, u64 start, u64 count, int value, Overwrite overwrite) {
    std::vector<std::byte> bytes(count * sector_size, static_cast<std::byte>(value));
    MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
    REQUIRE(memory.write(start, {&segment, 1}, overwrite).has_value());
    for (u64 sector = start; sector < start + count; ++sector) {
        if (overwrite == Overwrite::everything || model[sector] == 0) {
            model[sector] = value;
        }
    }
}

void check_read(SparseMemory& memory, const Model& model, u64 start, u64 count) {
    std::vector<std::byte> bytes(count * sector_size, std::byte{1});
    MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
    PresenceMap found;
    REQUIRE(memory.read_present(start, {&segment, 1}, found).has_value());
    for (u64 index = 0; index < count; ++index) {
        int value = model[start + index];
        Presence expected = value == 0 ? Presence::absent : value == 1 ? Presence::zero : Presence::data;
        REQUIRE(found.at(index) == expected);
        // Memory of sectors that are not data is not touched.
        auto byte = static_cast<std::byte>(value > 1 ? value : 1);
        REQUIRE(bytes[index * sector_size] == byte);
        REQUIRE(bytes[(index + 1) * sector_size - 1] == byte);
    }
}

void check_presence(const SparseMemory& memory, const Model& model, u64 start, u64 end) {
    while (start < end) {
        PresenceRun run = memory.presence({.start = start, .count = end - start}).value();
        REQUIRE(run.sectors >= 1);
        for (u64 sector = start; sector < start + run.sectors; ++sector) {
            Presence expected = model[sector] == 0   ? Presence::absent
                                : model[sector] == 1 ? Presence::zero
                                                     : Presence::data;
            REQUIRE(run.presence == expected);
        }
        start += run.sectors;
    }
}

}  // namespace

TEST_CASE("sparse memory agrees with a model through a long random history") {
    for (u64 seed : {1u, 2u, 3u}) {
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        SparseMemory memory(sector_size, sectors, ~u64{0});
        Model model(sectors, 0);
        for (usize step = 0; step < 400; ++step) {
            u64 count = 1 + random() % (random() % 6 == 0 ? 9000 : random() % 3 == 0 ? 60 : 6);
            u64 start = random() % 2 == 0 ? random() % (sectors - count) : random() % 200;
            u64 small = std::min<u64>(count, 40);
            switch (random() % 7) {
            case 0:
            case 1:
                write(memory, model, start, small, 2 + static_cast<int>(random() % 200), Overwrite::everything);
                break;
            case 2:
                write(memory, model, start, small, 2 + static_cast<int>(random() % 200), Overwrite::only_absent);
                break;
            case 3:
            case 4: {
                bool zero = random() % 2 == 0;
                REQUIRE(
                    memory.set({.start = start, .count = count}, zero ? Presence::zero : Presence::absent).has_value());
                std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(start), count, zero ? 1 : 0);
                break;
            }
            case 5:
                if (random() % 8 == 0) {
                    memory.forget_from(start);
                    std::fill(model.begin() + static_cast<std::ptrdiff_t>(start), model.end(), 0);
                }
                break;
            default:
                check_read(memory, model, start, small);
            }
        }
        check_presence(memory, model, 0, sectors);
        REQUIRE(memory.resize(100).has_value());
        REQUIRE(memory.resize(sectors).has_value());
        std::fill(model.begin() + 100, model.end(), 0);
        check_presence(memory, model, 0, sectors);
        memory.forget_from(0);
        CHECK(memory.used_bytes() == 0);
    }
}

TEST_CASE("past the budget nothing is taken, and what is there stays") {
    SparseMemory memory(sector_size, sectors, 80 * kib);  // a chunk and a leaf
    Model model(sectors, 0);
    write(memory, model, 3, 4, 9, Overwrite::everything);
    std::byte bytes[sector_size] = {};
    MemorySegment segment{.data = bytes, .size = sector_size};
    CHECK(memory.write(100, {&segment, 1}, Overwrite::everything).error() == DiskError::medium_write);
    CHECK(memory.write(9000, {&segment, 1}, Overwrite::only_absent).error() == DiskError::medium_write);
    CHECK(memory.set({.start = 8200, .count = 20}, Presence::zero).error() == DiskError::medium_write);
    CHECK(memory.set({.start = 8200, .count = 20}, Presence::absent).has_value());
    CHECK(memory.used_bytes() <= 80 * kib);
    check_presence(memory, model, 0, sectors);
    CHECK(memory.write(sectors, {&segment, 1}, Overwrite::everything).error() == DiskError::illegal_block);
    CHECK(memory.read(sectors, {&segment, 1}).error() == DiskError::illegal_block);
    PresenceMap found;
    CHECK(memory.read_present(sectors, {&segment, 1}, found).error() == DiskError::illegal_block);
    CHECK(memory.set({.start = sectors, .count = 1}, Presence::zero).error() == DiskError::illegal_block);
    CHECK(memory.presence({.start = sectors, .count = 1}).error() == DiskError::illegal_block);
}

TEST_CASE("a part of a chunk that is zero takes no chunk, and one without data is given back") {
    SparseMemory memory(sector_size, sectors, ~u64{0});
    Model model(sectors, 0);
    REQUIRE(memory.set({.start = 3, .count = 4}, Presence::zero).has_value());
    std::fill_n(model.begin() + 3, 4, 1);
    CHECK(memory.used_bytes() < SparseMemory::chunk_bytes);
    write(memory, model, 2, 3, 9, Overwrite::everything);
    CHECK(memory.used_bytes() > SparseMemory::chunk_bytes);
    check_presence(memory, model, 0, sectors);
    REQUIRE(memory.set({.start = 2, .count = 3}, Presence::absent).has_value());
    std::fill_n(model.begin() + 2, 3, 0);
    CHECK(memory.used_bytes() < SparseMemory::chunk_bytes);
    check_presence(memory, model, 0, sectors);
    check_read(memory, model, 0, 16);
}

}  // namespace undercroft
