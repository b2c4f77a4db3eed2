// SANITIZE: what is left of the data, what other commands are told meanwhile, and what becomes of a failure (SBC-3 4.11).
#include "tests/unit/storage/scsi/initiator.hpp"

using namespace undercroft;
using namespace undercroft::test;
using scsi::TaskManagement;

namespace {

constexpr u64 sectors = 1024;
constexpr u32 in_progress = 0x02'04'1b;
constexpr u32 sanitize_failed = 0x03'31'03;
const Bytes test_unit_ready{0, 0, 0, 0, 0, 0};
const Bytes request_sense{3, 0, 0, 0, 252, 0};
const Bytes block_erase{0x48, 0x02, 0, 0, 0, 0, 0, 0, 0, 0};
const Bytes leave_failure{0x48, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0};
constexpr u8 immediate = 0x80;
constexpr u8 unrestricted = 0x20;

/// Writes and erasures fail as long as it is told so; operations are counted.
class BrokenDisk final : public PassThroughDisk {
public:
    using PassThroughDisk::PassThroughDisk;
    bool is_broken = false;
    usize writes = 0;
    Bytes first_bytes;  ///< of each write to sector 0

    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) override {
        ++writes;
        if (sector == 0) {
            first_bytes.push_back(static_cast<u8>(from.front().data[0]));
        }
        return is_broken ? Task<DiskResult<void>>::ready(fail(DiskError::medium_write))
                         : below_.write(sector, from, fua, cancel);
    }
    Task<DiskResult<void>> write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                        CancelToken cancel) override {
        return is_broken ? Task<DiskResult<void>>::ready(fail(DiskError::medium_write))
                         : below_.write_zeroes(range, allow_unmap, fua, cancel);
    }
};

/// Unit 0 over `disk`, every sector of which holds A5h.
struct Rig {
    explicit Rig(std::shared_ptr<DiskInterface> disk, scsi::UnitIdentity identity = {.nexuses = 2})
        : Rig(scsi::BlockUnitConfig{.disk = *Disk::create(std::move(disk)), .identity = std::move(identity)}) {}
    explicit Rig(scsi::BlockUnitConfig config) {
        CurrentExecutorScope scope(host.executor);
        REQUIRE(target.add(0, std::make_shared<scsi::BlockUnit>(std::move(config))));
        host.settle();
        Bytes bytes(64 * kib, 0xa5);
        MemorySegment segment{.data = reinterpret_cast<std::byte*>(bytes.data()), .size = bytes.size()};
        for (u64 at = 0; at < sectors; at += 128) {
            REQUIRE(run_blocking(host.executor, Disk::create(ram)->write(at, {&segment, 1})));
        }
    }
    ~Rig() { run_blocking(host.executor, target.close()); }
    void manage(TaskManagement function) { run_blocking(host.executor, target.manage(0, function, 0, host.tag)); }
    /// Every byte of the medium, if it is one and the same; else nothing.
    std::optional<u8> uniform() {
        Bytes bytes(sectors * 512);
        MemorySegment segment{.data = reinterpret_cast<std::byte*>(bytes.data()), .size = bytes.size()};
        REQUIRE(run_blocking(host.executor, Disk::create(ram)->read(0, {&segment, 1})));
        bool alike = std::all_of(bytes.begin(), bytes.end(), [&](u8 byte) { return byte == bytes[0]; });
        return alike ? std::optional(bytes[0]) : std::nullopt;
    }
    void release(HeldDisk& disk) {
        CurrentExecutorScope scope(host.executor);
        disk.released.set();
    }
    static Task<int> sleep_a_little() {
        (void)co_await sleep_for(nanoseconds_per_millisecond);
        co_return 0;
    }
    void pause() { (void)run_blocking(host.executor, sleep_a_little()); }
    /// Mends the disk and erases it as soon as the unit would take that.
    Task<Answer> erase_next(BrokenDisk& disk) {
        for (;;) {
            Answer answer = co_await host.send_task(test_unit_ready, 0, {});
            if (answer.error() != in_progress) {
                break;
            }
            co_await yield();
        }
        disk.is_broken = false;
        co_return co_await host.send_task(block_erase, 0, {});
    }
    u32 ready() { return host.send(test_unit_ready).error(); }
    Answer sense() { return host.send(request_sense, 252); }

    static std::shared_ptr<RamDisk> make_ram() {
        return *RamDisk::create({.sectors = sectors, .sector_size = 512, .id = {}});
    }
    static inline std::shared_ptr<RamDisk> ram;
    scsi::Target target{nullptr, 2};
    Initiator host{target, 0};
};

std::shared_ptr<BrokenDisk> breakable() {
    Rig::ram = Rig::make_ram();
    return std::make_shared<BrokenDisk>(*Disk::create(Rig::ram));
}
std::shared_ptr<HeldDisk> holdable() {
    Rig::ram = Rig::make_ram();
    return std::make_shared<HeldDisk>(*Disk::create(Rig::ram));
}

Bytes overwrite(u16 list_bytes, u8 flags = 0) {
    return with({0x48, static_cast<u8>(0x01 | flags), 0, 0, 0, 0, 0, 0, 0, 0}, 7, 2, list_bytes);
}

}  // namespace

TEST_CASE("a block erase leaves zeros, an overwrite its pattern in every block") {
    Rig rig(breakable());
    CHECK(rig.host.send(block_erase).status == 0);
    CHECK(rig.uniform() == 0);
    CHECK(rig.host.send(overwrite(5), 0, {1, 0, 0, 1, 0x3c}).status == 0);
    CHECK(rig.uniform() == 0x3c);
    // A pattern of 3 bytes begins anew in each block.
    CHECK(rig.host.send(overwrite(7), 0, {1, 0, 0, 3, 1, 2, 3}).status == 0);
    Bytes block = rig.host.send({0x28, 0, 0, 0, 0, 9, 0, 0, 1, 0}, 512).data;
    REQUIRE(block.size() == 512);
    CHECK((block[0] == 1 && block[1] == 2 && block[2] == 3 && block[510] == 1 && block[511] == 2));
    CHECK(rig.ready() == 0);
}

TEST_CASE("an overwrite has as many passes as it is told, and inverts between them") {
    std::shared_ptr<BrokenDisk> disk = breakable();
    Rig rig(disk);
    CHECK(rig.host.send(overwrite(5), 0, {0x80 | 3, 0, 0, 1, 0x0f}).status == 0);
    CHECK(disk->first_bytes == Bytes{0x0f, 0xf0, 0x0f});
    CHECK(rig.uniform() == 0x0f);
    disk->first_bytes.clear();
    CHECK(rig.host.send(overwrite(5), 0, {2, 0, 0, 1, 0x0f}).status == 0);
    CHECK(disk->first_bytes == Bytes{0x0f, 0x0f});
}

TEST_CASE("what a sanitize cannot mean is refused, and nothing is lost") {
    Rig rig(breakable());
    CHECK(rig.host.send(overwrite(4), 0, {1, 0, 0, 0}).error() == 0x05'24'00);
    CHECK(rig.host.send(overwrite(517), 0, Bytes(517)).error() == 0x05'24'00);
    CHECK(rig.host.send(overwrite(5), 0, {0, 0, 0, 1, 0}).error() == 0x05'26'00);     // no pass
    CHECK(rig.host.send(overwrite(5), 0, {0x21, 0, 0, 1, 0}).error() == 0x05'26'00);  // TEST
    CHECK(rig.host.send(overwrite(5), 0, {1, 0, 0, 2, 0}).error() == 0x05'26'00);     // pattern longer than the list
    CHECK(rig.host.send(overwrite(5), 0, {1, 0, 0, 1}).delivery == scsi::Delivery::overrun);
    CHECK(rig.host.send(with(block_erase, 1, 1, 0x03)).error() == 0x05'24'00);  // cryptographic: whose key?
    CHECK(rig.host.send(with(block_erase, 8, 1, 1)).error() == 0x05'24'00);
    CHECK(rig.host.send(leave_failure).status == 0);  // there is none
    CHECK(rig.uniform() == 0xa5);
    Rig guarded(breakable(), {.nexuses = 2, .read_only = true});
    CHECK(guarded.host.send(block_erase).error() == 0x07'27'00);
    CHECK(guarded.uniform() == 0xa5);
    // A unit that nobody watches could not carry it out.
    BlockRig alone;
    CHECK(alone.host.send(block_erase).error() == 0x05'20'00);
}

TEST_CASE("while it runs other commands are told how far it is, and resets do not stop it") {
    std::shared_ptr<HeldDisk> disk = holdable();
    Rig rig(disk);
    CHECK(rig.host.send(overwrite(5, immediate), 0, {1, 0, 0, 1, 0x11}).status == 0);
    CHECK(rig.ready() == in_progress);
    Answer sense = rig.sense();
    REQUIRE(sense.data.size() == 18);
    CHECK((sense.data[2] == 0x02 && sense.data[12] == 0x04 && sense.data[13] == 0x1b));
    CHECK((sense.data[15] & 0x80) != 0);  // SKSV: bytes 16 and 17 are the progress
    CHECK(big_endian(sense.data, 16, 2) == 0);
    for (const Bytes& kept_out : {Bytes{0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0}, Bytes{0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0},
                                  Bytes{0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0}, Bytes{0x1b, 0, 0, 0, 1, 0}, block_erase,
                                  leave_failure, Bytes{0x5a, 0, 8, 0, 0, 0, 0, 0, 64, 0}}) {
        CHECK(rig.host.send(kept_out, kept_out[0] == 0x28 ? 512 : 0).error() == in_progress);
    }
    CHECK(rig.host.send({0x12, 0, 0, 0, 96, 0}, 96).status == 0);
    CHECK(rig.host.send({0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, 256).status == 0);
    CHECK(rig.host.send({0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0}, 1024).status == 0);
    CHECK(rig.host.send({0x4d, 0, 0x4d, 0, 0, 0, 0, 0, 64, 0}, 64).status == 0);
    rig.manage(TaskManagement::logical_unit_reset);
    CHECK(rig.ready() == 0x06'29'03);
    CHECK(rig.ready() == in_progress);
    rig.release(*disk);
    while (rig.ready() == in_progress) {
        rig.pause();
    }
    CHECK(rig.ready() == 0);
    CHECK(rig.uniform() == 0x11);
}

TEST_CASE("the progress only grows, and half way is half") {
    class Watched final : public PassThroughDisk {
    public:
        using PassThroughDisk::PassThroughDisk;
        std::function<void()> look;
        Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) override {
            if (look) {
                look();
            }
            return below_.write(sector, from, fua, cancel);
        }
    };
    Rig::ram = Rig::make_ram();
    auto disk = std::make_shared<Watched>(*Disk::create(Rig::ram));
    Rig rig(disk);
    std::vector<u64> seen;
    disk->look = [&] {
        std::optional<Answer> answer;
        detail::run_root(rig.host.send_task(request_sense, 252, {}), answer);
        seen.push_back(answer ? big_endian(answer->data, 16, 2) : ~u64{0});
    };
    CHECK(rig.host.send(overwrite(5), 0, {2, 0, 0, 1, 0x11}).status == 0);
    REQUIRE(seen.size() == 2 * sectors / 128);
    CHECK(std::is_sorted(seen.begin(), seen.end()));
    u64 second_pass = seen[sectors / 128 + 1];
    CHECK((second_pass >= 0x7000 && second_pass < 0x9000));
    CHECK(seen.back() > 0xc000);
}

TEST_CASE("what was under way has ended before the first block is sanitized") {
    std::shared_ptr<HeldDisk> disk = holdable();
    Rig rig(disk);
    std::optional<Answer> written;
    {
        CurrentExecutorScope scope(rig.host.executor);
        detail::run_root(rig.host.send_task({0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0}, 0, Bytes(512, 0x77)), written);
        rig.host.executor.run_ready();
    }
    CHECK(disk->held == 1);
    CHECK(rig.host.send(with(block_erase, 1, 1, 0x02 | immediate)).status == 0);
    CHECK(rig.ready() == in_progress);
    CHECK(disk->held == 1);
    rig.release(*disk);
    while (rig.ready() == in_progress) {
        rig.pause();
    }
    REQUIRE(written);
    CHECK(written->status == 0);
    CHECK(rig.uniform() == 0);
}

TEST_CASE("who waits for a sanitize may be aborted; the operation goes on, and ends with its unit") {
    std::shared_ptr<HeldDisk> disk = holdable();
    Rig rig(disk);
    std::optional<Answer> answer;
    {
        CurrentExecutorScope scope(rig.host.executor);
        detail::run_root(rig.host.send_task(overwrite(5), 0, {1, 0, 0, 1, 0x11}), answer);
        rig.host.executor.run_ready();
    }
    CHECK_FALSE(answer);
    rig.manage(TaskManagement::abort_task);
    REQUIRE(answer);
    CHECK(answer->status == 0x40);
    CHECK(rig.ready() == in_progress);
    CHECK(run_blocking(rig.host.executor, rig.target.remove(0)));
    CHECK(disk->held == 0);
}

TEST_CASE("a failure closes the unit; what opens it again is what AUSE agreed to") {
    for (u8 agreed : {u8{0}, unrestricted}) {
        CAPTURE(static_cast<int>(agreed));
        std::shared_ptr<BrokenDisk> disk = breakable();
        Rig rig(disk);
        disk->is_broken = true;
        CHECK(rig.host.send(with(block_erase, 1, 1, 0x02 | agreed)).error() == sanitize_failed);
        CHECK(rig.ready() == sanitize_failed);
        Answer sense = rig.sense();
        CHECK((sense.data.at(2) == 0x03 && sense.data.at(12) == 0x31 && sense.data.at(13) == 0x03));
        CHECK(rig.host.send({0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0}, 512).error() == sanitize_failed);
        CHECK(rig.host.send({0x12, 0, 0, 0, 96, 0}, 96).status == 0);
        rig.manage(TaskManagement::logical_unit_reset);
        CHECK(rig.ready() == 0x06'29'03);
        CHECK(rig.ready() == sanitize_failed);
        disk->is_broken = false;
        if (agreed == unrestricted) {
            CHECK(rig.host.send(leave_failure).status == 0);
            CHECK(rig.ready() == 0);
            continue;
        }
        CHECK(rig.host.send(leave_failure).error() == 0x05'24'00);
        CHECK(rig.host.send(with(block_erase, 1, 1, 0x02 | unrestricted)).error() == 0x05'24'00);
        CHECK(rig.ready() == sanitize_failed);
        CHECK(rig.host.send(block_erase).status == 0);
        CHECK(rig.ready() == 0);
        CHECK(rig.uniform() == 0);
    }
}

TEST_CASE("each who waits hears of its own sanitize, although the next has begun") {
    for (bool is_broken : {false, true}) {
        CAPTURE(is_broken);
        std::shared_ptr<BrokenDisk> disk = breakable();
        Rig rig(disk);
        disk->is_broken = is_broken;
        std::optional<Answer> first;
        std::optional<Answer> second;
        {
            CurrentExecutorScope scope(rig.host.executor);
            detail::run_root(rig.host.send_task(block_erase, 0, {}), first);
            detail::run_root(rig.erase_next(*disk), second);
        }
        // Far less than what the second would wait for itself.
        for (u32 pauses = 0; pauses < 1000 && !(first && second); ++pauses) {
            rig.pause();
        }
        REQUIRE((first && second));
        CHECK(first->error() == (is_broken ? sanitize_failed : 0));
        CHECK(second->status == 0);
        CHECK(rig.ready() == 0);
        CHECK(rig.uniform() == 0);
    }
}

TEST_CASE("a sanitize takes its initiator's own way to the medium") {
    std::shared_ptr<BrokenDisk> others = breakable();
    auto own = std::make_shared<BrokenDisk>(*Disk::create(Rig::ram));
    Rig rig(scsi::BlockUnitConfig{.disk = *Disk::create(others),
                                  .identity = {.nexuses = 2},
                                  .nexus_disks = {*Disk::create(others), *Disk::create(own)}});
    others->is_broken = true;
    rig.host.nexus = 1;
    rig.host.settle();
    CHECK(rig.host.send(block_erase).status == 0);
    CHECK(rig.uniform() == 0);
    CHECK(rig.host.send(overwrite(5), 0, {1, 0, 0, 1, 0x3c}).status == 0);
    CHECK(rig.uniform() == 0x3c);
    CHECK(others->writes == 0);
}
