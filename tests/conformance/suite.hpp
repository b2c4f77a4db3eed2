// What the cases of the suite share: the loop over every kind of disk, whole reads and writes, and a model of a disk's
// contents.
#pragma once

#include <catch2/catch.hpp>

#include "tests/conformance/disk_fixture.hpp"

namespace undercroft::test {

// One section per kind of disk. `fixture` is what the body uses.
#define FOR_EVERY_DISK(...)                                                                                            \
    for (const DiskFactory& factory : all_disks())                                                                     \
        DYNAMIC_SECTION(factory.name)                                                                                  \
    if (std::unique_ptr<DiskFixture> fixture = factory.make(__VA_ARGS__); true)

/// What a test knows of a disk's contents, sector by sector.
class DiskModel {
public:
    DiskModel(u64 sectors, u32 sector_size)
        : sector_size_(sector_size), known_(sectors, false), bytes_(sectors * sector_size) {}
    void set(u64 sector, std::span<const std::byte> data) {
        std::copy(data.begin(), data.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(sector * sector_size_));
        mark(sector, data.size() / sector_size_, true);
    }
    void set_zero(u64 sector, u64 count) {
        std::fill_n(bytes_.begin() + static_cast<std::ptrdiff_t>(sector * sector_size_), count * sector_size_,
                    std::byte{0});
        mark(sector, count, true);
    }
    void forget(u64 sector, u64 count) { mark(sector, count, false); }
    bool is_known_zero(u64 sector) const {
        auto begin = bytes_.begin() + static_cast<std::ptrdiff_t>(sector * sector_size_);
        return known_[sector] &&
               std::all_of(begin, begin + sector_size_, [](std::byte byte) { return byte == std::byte{0}; });
    }
    bool is_known(u64 sector) const { return known_[sector]; }
    /// Whether `data`, read at `sector`, agrees with all that is known.
    bool agrees(u64 sector, std::span<const std::byte> data) const {
        for (u64 index = 0; index < data.size() / sector_size_; ++index) {
            auto expected = bytes_.begin() + static_cast<std::ptrdiff_t>((sector + index) * sector_size_);
            if (known_[sector + index] &&
                !std::equal(expected, expected + sector_size_,
                            data.begin() + static_cast<std::ptrdiff_t>(index * sector_size_))) {
                UNSCOPED_INFO("sector " << sector + index << " differs");
                return false;
            }
        }
        return true;
    }

private:
    void mark(u64 sector, u64 count, bool known) {
        for (u64 index = 0; index < count; ++index) {
            known_[sector + index] = known;
        }
    }
    u32 sector_size_;
    std::vector<bool> known_;
    std::vector<std::byte> bytes_;
};

inline std::vector<std::byte> read_all(DiskFixture& fixture, u64 sector, u64 count) {
    std::vector<std::byte> bytes(count * fixture.sector_size(), std::byte{0xee});
    MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
    REQUIRE(fixture.run(fixture.disk->read(sector, {&segment, 1})).has_value());
    return bytes;
}

inline void write_all(DiskFixture& fixture, u64 sector, std::vector<std::byte> bytes,
                      ForceUnitAccess fua = ForceUnitAccess::no) {
    MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
    REQUIRE(fixture.run(fixture.disk->write(sector, {&segment, 1}, fua)).has_value());
}

inline std::vector<std::byte> pattern(usize size, u64 seed) {
    std::mt19937_64 random(seed);
    std::vector<std::byte> bytes(size);
    for (std::byte& byte : bytes) {
        byte = static_cast<std::byte>(random());
    }
    return bytes;
}

template <typename T>
std::optional<DiskError> error_of(const DiskResult<T>& result) {
    return result ? std::nullopt : std::optional(result.error());
}

}  // namespace undercroft::test
