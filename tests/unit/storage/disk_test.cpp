// The handle, where the conformance suite cannot look: implementations that contradict themselves, and that nothing
// wrong gets past the handle.
#include "storage/disk.hpp"

#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "hostsim/platform/virtual_platform.hpp"
#include "storage/segments.hpp"
#include "tests/support/test_disks.hpp"

namespace undercroft {
namespace {

class FactsDisk final : public test::PassThroughDisk {
public:
    FactsDisk(DiskFacts facts, u64 sectors)
        : PassThroughDisk(Disk::create(std::make_shared<test::NullDisk>(8)).value()), facts_(facts), sectors_(sectors) {
    }
    DiskFacts facts() const override { return facts_; }
    u64 sector_count() const override { return sectors_; }

private:
    DiskFacts facts_;
    u64 sectors_;
};

bool is_accepted(const DiskFacts& facts, u64 sectors = 8) {
    DiskResult<Disk> disk = Disk::create(std::make_shared<FactsDisk>(facts, sectors));
    return disk.has_value();
}

}  // namespace

TEST_CASE("every disk error has a text of its own") {
    std::set<std::string> texts;
    for (usize value = 0; value < disk_error_count; ++value) {
        texts.insert(to_string(static_cast<DiskError>(value)));
    }
    CHECK(texts.size() == disk_error_count);
    CHECK(texts.count("unknown disk error") == 0);
    CHECK(std::string(to_string(static_cast<DiskError>(disk_error_count))) == "unknown disk error");
}

TEST_CASE("a handle refuses facts that contradict the contract") {
    CHECK(Disk::create(nullptr).error() == DiskError::invalid_input);
    CHECK(is_accepted({.id = {}}));
    CHECK_FALSE(is_accepted({.sector_size = 256, .id = {}}));
    CHECK_FALSE(is_accepted({.sector_size = 0, .id = {}}));
    CHECK_FALSE(is_accepted({.sector_size = 520, .physical_sector_size = 1024, .id = {}}));
    CHECK_FALSE(is_accepted({.sector_size = 4096, .physical_sector_size = 512, .id = {}}));
    CHECK_FALSE(is_accepted({.sector_size = 512, .physical_sector_size = 1536, .id = {}}));
    CHECK_FALSE(is_accepted({.id = {}, .optimal_unmap_sectors = 0}));
    CHECK_FALSE(is_accepted({.id = {}, .unmap = UnmapBehavior::unspecified, .knows_holes = true}));
    CHECK(is_accepted({.id = {}}, (u64{1} << 54) - 1));
    CHECK_FALSE(is_accepted({.id = {}}, u64{1} << 54));
    CHECK_FALSE(is_accepted({.id = {}}, ~u64{0}));
}

TEST_CASE("a refused operation never reaches the implementation") {
    SimulatedProcessors processors(1);
    auto held = std::make_shared<test::HeldDisk>(Disk::create(std::make_shared<test::NullDisk>(8)).value());
    Disk disk = Disk::create(held).value();
    std::byte bytes[8192];
    MemorySegment two{.data = bytes, .size = sizeof(bytes)};
    MemorySegment odd{.data = bytes, .size = 5000};
    CHECK(processors.run(disk.read(7, {&two, 1})).error() == DiskError::illegal_block);
    CHECK(processors.run(disk.write(~u64{0}, {&two, 1})).error() == DiskError::illegal_block);
    CHECK(processors.run(disk.write(0, {&odd, 1})).error() == DiskError::invalid_input);
    CHECK(held->calls == 0);
}

TEST_CASE("a segment cursor crosses empty and odd segments") {
    std::byte a[3];
    std::byte b[5];
    MemorySegment segments[] = {
        {.data = nullptr, .size = 0}, {.data = a, .size = 3}, {.data = nullptr, .size = 0}, {.data = b, .size = 5}};
    std::byte bytes[8];
    for (usize index = 0; index < 8; ++index) {
        bytes[index] = static_cast<std::byte>(index + 1);
    }
    SegmentCursor in(segments);
    in.copy_in(bytes);
    CHECK(in.at_end());
    CHECK(a[2] == std::byte{3});
    CHECK(b[0] == std::byte{4});
    SegmentCursor zero(segments);
    zero.skip(1);
    CHECK(zero.contiguous().size() == 2);
    zero.fill_zero(4);
    CHECK(zero.contiguous().data() == b + 2);
    SegmentCursor out(segments);
    std::byte copied[8];
    out.copy_out(copied);
    CHECK(copied[0] == std::byte{1});
    CHECK(copied[1] == std::byte{0});
    CHECK(copied[4] == std::byte{0});
    CHECK(copied[5] == std::byte{6});
    CHECK(total_bytes(segments) == 8);
}

}  // namespace undercroft
