// The driver on the project's own controller: life cycle, data path, splitting, bouncing, several processors.
#include "drivers/nvme/driver.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <random>

#include "tests/support/nvme_rig.hpp"

namespace undercroft::test {
namespace {

using Bytes = std::vector<std::byte>;

Bytes pattern(usize size, u64 seed) {
    std::mt19937_64 random(seed);
    Bytes bytes(size);
    for (std::byte& byte : bytes) {
        byte = static_cast<std::byte>(random());
    }
    return bytes;
}

Task<DiskResult<void>> write_bytes(const Disk& disk, u64 sector, Bytes& bytes) {
    MemorySegment segment{bytes.data(), bytes.size()};
    co_return co_await disk.write(sector, SegmentList(&segment, 1));
}

Task<DiskResult<void>> read_bytes(const Disk& disk, u64 sector, Bytes& bytes) {
    MemorySegment segment{bytes.data(), bytes.size()};
    co_return co_await disk.read(sector, SegmentList(&segment, 1));
}

TEST_CASE("the driver opens the controller, and closes it cleanly") {
    NvmeRig rig({});
    usize free_before = rig.device->arena().free_pages();
    REQUIRE(rig.open().has_value());
    REQUIRE(rig.driver->state() == nvme::Driver::State::running);
    REQUIRE(rig.driver->facts().serial_number[0] != 0);
    REQUIRE(rig.run(rig.driver->active_namespaces()).value() == std::vector<u32>{1});
    REQUIRE(rig.disk->sector_count() == 4096);
    REQUIRE(rig.disk->sector_size() == 512);
    REQUIRE(rig.disk->facts().id.has_value());
    REQUIRE(rig.driver->io_queue_count() == 0);  // made when first used
    REQUIRE(rig.close().has_value());
    REQUIRE_FALSE(rig.device->is_bus_master());
    REQUIRE(rig.device->arena().free_pages() == free_before);
    REQUIRE(rig.device->arena().check_freed());
    REQUIRE(rig.open().has_value());  // and again
}

TEST_CASE("what was written is read back, at every size around the limits") {
    NvmeRig rig({.sectors = 8192});
    REQUIRE(rig.open().has_value());
    for (usize size : {usize{512}, usize{4096}, usize{8192}, 64 * kib, 512 * kib, 512 * kib + 512, 2 * mib + 1024}) {
        CAPTURE(size);
        Bytes out = pattern(size, size);
        Bytes in(size);
        REQUIRE(rig.run(write_bytes(*rig.disk, 3, out)).has_value());
        REQUIRE(rig.run(read_bytes(*rig.disk, 3, in)).has_value());
        REQUIRE(in == out);
    }
    REQUIRE(rig.driver->io_queue_count() == 1);
    REQUIRE(rig.driver->statistics().resets == 0);
}

Task<DiskResult<void>> write_list(const Disk& disk, u64 sector, SegmentList list) {
    co_return co_await disk.write(sector, list);
}
Task<DiskResult<void>> read_list(const Disk& disk, u64 sector, SegmentList list) {
    co_return co_await disk.read(sector, list);
}

TEST_CASE("device memory is used in place or bounced, whatever its cuts") {
    NvmeRig rig({});
    REQUIRE(rig.open().has_value());
    DmaBuffer memory = rig.device->allocate_dma(256 * kib).value();
    std::mt19937_64 random(7);
    for (int round = 0; round < 200; ++round) {
        CAPTURE(round);
        usize sectors = 1 + random() % 64;
        usize size = sectors * 512;
        usize unit = random() % 3 == 0 ? 1 : random() % 2 == 0 ? 4 : 4096;
        std::vector<MemorySegment> list;
        usize at = random() % 8192 / unit * unit;
        for (usize left = size; left > 0;) {
            usize piece = std::min<usize>(left, 1 + random() % 9000);
            piece = std::min(left, unit == 1 ? piece : static_cast<usize>(align_up(piece, unit)));
            list.push_back({memory.data() + at, piece});
            at += piece + (random() % 2) * unit;
            left -= piece;
        }
        Bytes expected;
        for (MemorySegment& segment : list) {
            for (usize index = 0; index < segment.size; ++index) {
                segment.data[index] = static_cast<std::byte>(random());
            }
            expected.insert(expected.end(), segment.data, segment.data + segment.size);
        }
        REQUIRE(rig.run(write_list(*rig.disk, 100, list)).has_value());
        Bytes in(size);
        REQUIRE(rig.run(read_bytes(*rig.disk, 100, in)).has_value());
        REQUIRE(in == expected);
        std::memset(memory.data(), 0, memory.size_bytes());
        REQUIRE(rig.run(read_list(*rig.disk, 100, list)).has_value());
        Bytes got;
        for (MemorySegment& segment : list) {
            got.insert(got.end(), segment.data, segment.data + segment.size);
        }
        REQUIRE(got == expected);
    }
}

TEST_CASE("reads and writes of 4096-byte blocks") {
    NvmeRig rig({.sectors = 512, .sector_size = 4096});
    REQUIRE(rig.open().has_value());
    REQUIRE(rig.disk->sector_size() == 4096);
    Bytes out = pattern(128 * kib, 5);
    Bytes in(128 * kib);
    REQUIRE(rig.run(write_bytes(*rig.disk, 17, out)).has_value());
    REQUIRE(rig.run(read_bytes(*rig.disk, 17, in)).has_value());
    REQUIRE(in == out);
}

TEST_CASE("flush, write zeroes and unmap reach the device") {
    NvmeRig rig({});
    REQUIRE(rig.open().has_value());
    Bytes out = pattern(64 * kib, 1);
    REQUIRE(rig.run(write_bytes(*rig.disk, 0, out)).has_value());
    REQUIRE(rig.run(rig.disk->flush()).has_value());
    REQUIRE(rig.run(rig.disk->write_zeroes({.start = 8, .count = 8}, false)).has_value());
    REQUIRE(rig.run(rig.disk->unmap({.start = 64, .count = 16})).has_value());
    Bytes in(64 * kib);
    REQUIRE(rig.run(read_bytes(*rig.disk, 0, in)).has_value());
    std::fill_n(out.begin() + 8 * 512, 8 * 512, std::byte{0});
    bool zeroed =
        std::all_of(in.begin() + 64 * 512, in.begin() + 80 * 512, [](std::byte b) { return b == std::byte{0}; });
    if (rig.disk->facts().unmap == UnmapBehavior::zeroes) {
        REQUIRE(zeroed);
    }
    std::copy(in.begin() + 64 * 512, in.begin() + 80 * 512, out.begin() + 64 * 512);
    REQUIRE(in == out);
    REQUIRE(rig.run(rig.disk->write_zeroes({.start = 0, .count = 4096}, true)).has_value());
    REQUIRE(rig.run(read_bytes(*rig.disk, 0, in)).has_value());
    REQUIRE(in == Bytes(64 * kib));
}

TEST_CASE("a range past the end is refused, and touches nothing") {
    NvmeRig rig({.sectors = 100});
    REQUIRE(rig.open().has_value());
    Bytes bytes(1024);
    REQUIRE(rig.run(write_bytes(*rig.disk, 99, bytes)).error() == DiskError::illegal_block);
    REQUIRE(rig.run(rig.disk->unmap({.start = ~u64{0}, .count = 2})).error() == DiskError::illegal_block);
}

Task<DiskResult<void>> churn(const Disk& disk, u64 base, u64 seed) {
    std::mt19937_64 random(seed);
    Bytes model(64 * 512);
    CO_TRY(co_await write_bytes(disk, base, model));
    for (int round = 0; round < 40; ++round) {
        u64 offset = random() % 60;
        u64 count = 1 + random() % 4;
        Bytes part = pattern(count * 512, random());
        if (random() % 2 == 0) {
            CO_TRY(co_await write_bytes(disk, base + offset, part));
            std::copy(part.begin(), part.end(), model.begin() + static_cast<std::ptrdiff_t>(offset * 512));
        } else {
            CO_TRY(co_await read_bytes(disk, base + offset, part));
            if (!std::equal(part.begin(), part.end(), model.begin() + static_cast<std::ptrdiff_t>(offset * 512))) {
                co_return fail(DiskError::medium_read);
            }
        }
    }
    co_return DiskResult<void>{};
}

struct Churner {
    std::optional<DiskResult<void>> result;
};

Task<void> churn_into(const Disk& disk, u64 base, u64 seed, Churner& churner) {
    churner.result = co_await churn(disk, base, seed);
}

void churn_on_all(NvmeRig& rig, usize tasks) {
    std::vector<std::unique_ptr<TaskGroup>> groups;
    std::vector<std::unique_ptr<Churner>> churners;
    for (usize index = 0; index < tasks; ++index) {
        churners.push_back(std::make_unique<Churner>());
        groups.push_back(std::make_unique<TaskGroup>());
        CurrentExecutorScope scope(rig.processors.executor(index % rig.processors.count()));
        groups.back()->spawn(churn_into(*rig.disk, index * 64, index + 1, *churners.back()));
    }
    rig.processors.run_until(
        [&] { return std::all_of(groups.begin(), groups.end(), [](auto& group) { return group->running() == 0; }); },
        rig.processors.now_ns() + 3600 * nanoseconds_per_second);
    for (auto& churner : churners) {
        REQUIRE(churner->result.value().has_value());
    }
}

TEST_CASE("each processor uses a queue of its own") {
    for (u64 seed : {u64{0}, u64{11}, u64{12}}) {
        NvmeRig rig({.processors = 4, .seed = seed});
        REQUIRE(rig.open().has_value());
        churn_on_all(rig, 32);
        REQUIRE(rig.driver->io_queue_count() == 4);
    }
}

TEST_CASE("processors share queues where the device has too few vectors") {
    for (u16 vectors : {u16{1}, u16{2}, u16{3}}) {
        CAPTURE(vectors);
        NvmeRig rig({.processors = 4, .seed = 3, .vectors = vectors});
        REQUIRE(rig.open().has_value());
        churn_on_all(rig, 16);
        REQUIRE(rig.driver->io_queue_count() == std::max<usize>(1, vectors - 1u));
    }
}

TEST_CASE("more requests than slots wait their turn") {
    NvmeRig rig({.options = {.queue_entries_max = 4}});
    REQUIRE(rig.open().has_value());
    churn_on_all(rig, 60);
}

TEST_CASE("a resize reaches whoever waits for it") {
    NvmeRig rig({});
    REQUIRE(rig.open().has_value());
    TaskGroup group;
    std::optional<DiskResult<u64>> size;
    auto wait = [](const Disk& disk, std::optional<DiskResult<u64>>& into) -> Task<void> {
        into = co_await disk.wait_for_resize(4096);
    };
    {
        CurrentExecutorScope scope(rig.processors.executor(0));
        group.spawn(wait(*rig.disk, size));
        rig.ram->resize(8192).value();
    }
    rig.processors.run_until([&] { return size.has_value(); }, rig.processors.now_ns() + 60 * nanoseconds_per_second);
    REQUIRE(size->value() == 8192);
    REQUIRE(rig.disk->sector_count() == 8192);
    REQUIRE(group.running() == 0);
}

/// Loses every interrupt from when it is told to.
class MuteTamper final : public NvmeTamper {
public:
    bool mute = false;
    bool allow_interrupt(usize) override { return !mute; }
};

TEST_CASE("a resize is noticed even if its interrupt is lost and nobody uses the disk") {
    // Simulation seed 354: with nothing but the event request under way, nobody looked at the admin queue again.
    MuteTamper tamper;
    NvmeRig rig({.tamper = &tamper});
    REQUIRE(rig.open().has_value());
    tamper.mute = true;
    rig.ram->resize(8192).value();
    u64 before = rig.processors.now_ns();
    REQUIRE(rig.run(rig.disk->wait_for_resize(4096)).value() == 8192);
    REQUIRE(rig.processors.now_ns() - before < 3 * rig.options.idle_watch_interval_ns);
}

TEST_CASE("after close every operation ends with gone") {
    NvmeRig rig({});
    REQUIRE(rig.open().has_value());
    Disk disk = *rig.disk;
    auto nvme_disk = rig.nvme_disk;
    REQUIRE(rig.close().has_value());
    Bytes bytes(512);
    REQUIRE(rig.run(read_bytes(disk, 0, bytes)).error() == DiskError::gone);
    REQUIRE(rig.run(disk.flush()).error() == DiskError::gone);
    REQUIRE(rig.run(disk.wait_for_resize(4096)).error() == DiskError::gone);
}

}  // namespace
}  // namespace undercroft::test
