// Encryption seen from below: what lands on the disk, what passes through memory, what is asked of the layer below.
#include "storage/layers/crypt_disk.hpp"

#include <catch2/catch.hpp>
#include <vector>

#include "hostsim/platform/virtual_platform.hpp"
#include "kernel/async/task_group.hpp"
#include "storage/backends/ram_disk.hpp"
#include "tests/support/test_disks.hpp"

namespace undercroft {
namespace {

struct alignas(page_size) CryptPage {
    std::byte bytes[page_size];
};

std::array<std::byte, 64> crypt_test_key() {
    std::array<std::byte, 64> key;
    for (usize index = 0; index < key.size(); ++index) {
        key[index] = static_cast<std::byte>(index * 7 + 1);
    }
    return key;
}

struct CryptStack {
    explicit CryptStack(u32 sector_size = 512, usize bounce_pages = 8, u64 sectors = u64{1} << 20)
        : memory(bounce_pages), pool({memory[0].bytes, bounce_pages * page_size}),
          ram(RamDisk::create({.sectors = sectors, .sector_size = sector_size, .id = {}}).value()),
          below(Disk::create(ram).value()), held(std::make_shared<test::HeldDisk>(below)),
          crypt(Disk::create(CryptDisk::create(Disk::create(held).value(), crypt_test_key(), pool).value()).value()) {
        held->released.set();
    }
    std::vector<std::byte> read(const Disk& disk, u64 sector, usize size) {
        std::vector<std::byte> bytes(size);
        MemorySegment segment{.data = bytes.data(), .size = size};
        REQUIRE(processors.run(disk.read(sector, {&segment, 1})).has_value());
        return bytes;
    }
    void write(const Disk& disk, u64 sector, std::vector<std::byte> bytes, ForceUnitAccess fua = ForceUnitAccess::no) {
        MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
        REQUIRE(processors.run(disk.write(sector, {&segment, 1}, fua)).has_value());
    }
    SimulatedProcessors processors{1};
    std::vector<CryptPage> memory;
    BouncePool pool;
    std::shared_ptr<RamDisk> ram;
    Disk below;
    std::shared_ptr<test::HeldDisk> held;
    Disk crypt;
};

std::string hexadecimal(std::span<const std::byte> bytes) {
    std::string text;
    for (std::byte byte : bytes) {
        text += "0123456789abcdef"[std::to_integer<unsigned>(byte) >> 4];
        text += "0123456789abcdef"[std::to_integer<unsigned>(byte) & 15];
    }
    return text;
}

// Made by Python's cryptography 48.0 (OpenSSL): AES-256-XTS, key byte i = 7 i + 1, plaintext byte i = 13 i + sector,
// tweak = sector as 16 bytes little-endian; first and last block of the sector.
struct ForeignSector {
    u32 sector_size;
    u64 sector;
    const char* first;
    const char* last;
};
constexpr ForeignSector foreign_sectors[] = {
    {512, 0, "787d3414bf219e8a39f021d0008fdff0", "9adb92071ea8d52f434bd974ea187651"},
    {512, 1, "97f857e16e56f2f87974dba9fab526f4", "03c6efd5c852df34e0cb54ce70f847c6"},
    {512, 0x1'0000'0007, "ffaf6c01b369f85237585bbf7289cf46", "8a8eaa62c29e75e73791ebaec1e9c9fb"},
    {4096, 0, "787d3414bf219e8a39f021d0008fdff0", "5925acc34e9dac518ea364ed411200bf"},
    {4096, 1, "97f857e16e56f2f87974dba9fab526f4", "115f718bc05713a77ff8bd33ee1cac36"},
};

std::vector<std::byte> foreign_plaintext(const ForeignSector& sector) {
    std::vector<std::byte> bytes(sector.sector_size);
    for (usize index = 0; index < bytes.size(); ++index) {
        bytes[index] = static_cast<std::byte>(index * 13 + sector.sector);
    }
    return bytes;
}

}  // namespace

TEST_CASE("what lands below is what another implementation of XTS writes") {
    for (const ForeignSector& sector : foreign_sectors) {
        CAPTURE(sector.sector_size, sector.sector);
        CryptStack stack(sector.sector_size, 8, sector.sector + 1);
        stack.write(stack.crypt, sector.sector, foreign_plaintext(sector));
        std::vector<std::byte> ciphertext = stack.read(stack.below, sector.sector, sector.sector_size);
        CHECK(hexadecimal(std::span(ciphertext).first(16)) == sector.first);
        CHECK(hexadecimal(std::span(ciphertext).last(16)) == sector.last);
        CHECK(stack.read(stack.crypt, sector.sector, sector.sector_size) == foreign_plaintext(sector));
    }
}

TEST_CASE("bounce memory never holds plaintext") {
    CryptStack stack;
    std::vector<std::byte> plaintext(6 * page_size, std::byte{0x5a});
    stack.write(stack.crypt, 3, plaintext);
    CHECK(stack.read(stack.crypt, 3, plaintext.size()) == plaintext);
    for (const CryptPage& page : stack.memory) {
        usize same = static_cast<usize>(std::count(page.bytes, page.bytes + page_size, std::byte{0x5a}));
        CHECK(same < page_size / 16);
    }
}

TEST_CASE("a read shows the caller nothing before it is decrypted") {
    CryptStack stack;
    stack.write(stack.crypt, 0, std::vector<std::byte>(page_size, std::byte{1}));
    stack.held->released.reset();
    std::vector<std::byte> bytes(page_size, std::byte{0xcc});
    MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
    CancelSource source;
    struct Reader {
        static Task<void> read(const Disk& disk, MemorySegment& segment, CancelToken cancel,
                               std::optional<DiskResult<void>>& result) {
            result = co_await disk.read(0, {&segment, 1}, cancel);
        }
    };
    std::optional<DiskResult<void>> result;
    TaskGroup group;
    {
        CurrentExecutorScope scope(stack.processors.executor(0));
        group.spawn(Reader::read(stack.crypt, segment, source.token(), result));
        CHECK(stack.held->held == 1);
        source.cancel();
    }
    stack.processors.run_until([&] { return result.has_value(); });
    CHECK(result->error() == DiskError::cancelled);
    CHECK(bytes == std::vector<std::byte>(page_size, std::byte{0xcc}));
    CHECK(stack.pool.free_pages() == stack.pool.pages());
}

TEST_CASE("a request larger than the pool goes through in pieces") {
    CryptStack stack(4096, 3);
    std::vector<std::byte> plaintext(mib);
    for (usize index = 0; index < plaintext.size(); ++index) {
        plaintext[index] = static_cast<std::byte>(index >> 5);
    }
    stack.write(stack.crypt, 5, plaintext, ForceUnitAccess::yes);
    CHECK(stack.held->largest_bytes == 3 * page_size);
    CHECK(stack.held->fua_writes == stack.held->calls);  // every piece is durable
    CHECK(stack.read(stack.crypt, 5, plaintext.size()) == plaintext);
}

TEST_CASE("many requests larger than a pool of one page all end") {
    struct Worker {
        static Task<void> run(const Disk& disk, u64 sector, usize& succeeded) {
            std::vector<std::byte> out(10 * page_size, static_cast<std::byte>(sector));
            std::vector<std::byte> in(out.size());
            MemorySegment from{.data = out.data(), .size = out.size()};
            MemorySegment into{.data = in.data(), .size = in.size()};
            if (co_await disk.write(sector, {&from, 1}) && co_await disk.read(sector, {&into, 1}) && in == out) {
                ++succeeded;
            }
        }
    };
    CryptStack stack(4096, 1);
    usize succeeded = 0;
    TaskGroup group;
    {
        CurrentExecutorScope scope(stack.processors.executor(0));
        for (u64 index = 0; index < 40; ++index) {
            group.spawn(Worker::run(stack.crypt, index * 10, succeeded));
        }
    }
    stack.processors.run_until([&] { return group.running() == 0; });
    CHECK(succeeded == 40);
}

TEST_CASE("crypt tells holes from data only where the disk below can") {
    CryptStack stack;
    CHECK(stack.crypt.facts().knows_holes);
    CHECK(stack.read(stack.crypt, 0, page_size) == std::vector<std::byte>(page_size));
    CHECK(stack.held->calls == 0);  // nothing was read to know that
    stack.write(stack.crypt, 2, std::vector<std::byte>(512, std::byte{9}));
    std::vector<std::byte> around = stack.read(stack.crypt, 0, 6 * 512);
    CHECK(std::count(around.begin(), around.end(), std::byte{9}) == 512);
    CHECK(std::count(around.begin(), around.end(), std::byte{0}) == 5 * 512);
}

TEST_CASE("zeroes that may be unmapped become a hole below, others ciphertext") {
    CryptStack stack;
    stack.write(stack.crypt, 0, std::vector<std::byte>(8192, std::byte{1}));
    auto zeroes = [&](u64 start, bool allow_unmap, ForceUnitAccess fua) {
        REQUIRE(
            stack.processors.run(stack.crypt.write_zeroes({.start = start, .count = 4}, allow_unmap, fua)).has_value());
        return stack.processors.run(stack.below.block_status({.start = start, .count = 4}))->state;
    };
    CHECK(zeroes(0, true, ForceUnitAccess::no) == BlockState::zero);
    CHECK(stack.held->flushes == 0);
    CHECK(zeroes(4, true, ForceUnitAccess::yes) == BlockState::zero);
    CHECK(stack.held->flushes == 1);
    CHECK(zeroes(8, false, ForceUnitAccess::no) == BlockState::data);
    CHECK(stack.read(stack.below, 8, 512) != std::vector<std::byte>(512));
    CHECK(stack.read(stack.crypt, 0, 12 * 512) == std::vector<std::byte>(12 * 512));
}

TEST_CASE("over a disk that cannot tell, zeros below are decrypted and unmap promises nothing") {
    CryptStack stack;
    std::vector<CryptPage> memory(4);
    BouncePool pool({memory[0].bytes, 4 * page_size});
    auto null = std::make_shared<test::NullDisk>(64, 512);
    Disk crypt = Disk::create(CryptDisk::create(Disk::create(null).value(), crypt_test_key(), pool).value()).value();
    std::fill_n(memory[0].bytes, page_size, std::byte{0});
    std::vector<std::byte> bytes = stack.read(crypt, 0, 512);
    CHECK(bytes != std::vector<std::byte>(512));
    CHECK_FALSE(crypt.facts().knows_holes);
    CHECK(crypt.facts().unmap == UnmapBehavior::ignored);
    CHECK(stack.processors.run(crypt.block_status({.start = 0, .count = 64}))->state == BlockState::unknown);
}

TEST_CASE("equal key halves and large sectors are refused") {
    CryptStack stack;
    std::array<std::byte, 64> key{};
    CHECK(CryptDisk::create(stack.below, key, stack.pool).error() == DiskError::invalid_input);
    Disk large = Disk::create(RamDisk::create({.sectors = 8, .sector_size = 8192, .id = {}}).value()).value();
    CHECK(CryptDisk::create(large, crypt_test_key(), stack.pool).error() == DiskError::invalid_input);
}

TEST_CASE("an error below arrives above, and the bounce memory comes back") {
    CryptStack stack;
    stack.write(stack.crypt, 0, std::vector<std::byte>(page_size, std::byte{1}));
    std::vector<std::byte> bytes(page_size);
    MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
    Task<DiskResult<void>> read =
        stack.crypt.read(0, {&segment, 1});  // checked by the handle, and then the disk shrinks
    REQUIRE(stack.ram->resize(4).has_value());
    CHECK(stack.processors.run(std::move(read)).error() == DiskError::illegal_block);
    CHECK(stack.pool.free_pages() == stack.pool.pages());
}

}  // namespace undercroft
