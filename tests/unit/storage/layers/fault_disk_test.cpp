// Faults: which operations a rule meets, how often, and what each action does.
#include "storage/layers/fault_disk.hpp"

#include "tests/unit/storage/layers/rig.hpp"

namespace undercroft::test {
namespace {

constexpr auto reads = static_cast<FaultOperations>(FaultOperation::read);
constexpr auto writes = static_cast<FaultOperations>(FaultOperation::write);

struct FaultRig : Rig {
    std::shared_ptr<RamDisk> ram = make_ram(64);
    Disk below = handle(ram);
    std::shared_ptr<FaultDisk> faults = FaultDisk::create(below, {}).value();
    Disk disk = handle(faults);
    std::vector<std::byte> bytes = std::vector<std::byte>(512);
    MemorySegment segment{.data = bytes.data(), .size = bytes.size()};

    void set(std::initializer_list<FaultRule> rules, u64 seed = 1) {
        REQUIRE(faults->set_rules(std::vector<FaultRule>(rules), seed).has_value());
    }
    bool reads_at(u64 sector) { return run(disk.read(sector, {&segment, 1})).has_value(); }
};

std::string reason_of(const FaultRule& rule) {
    auto created = FaultDisk::create(handle(make_ram(8)), {&rule, 1});
    return created ? "" : created.error();
}

}  // namespace

TEST_CASE("a rule acts on its operations and its range, after those it skips, and so often") {
    FaultRig rig;
    rig.set({{.operations = reads,
              .range = SectorRange{.start = 10, .count = 5},
              .error = DiskError::medium_read,
              .skip = 2,
              .count = 3}});
    CHECK(rig.try_write(rig.disk, 10, 5, 1).has_value());
    CHECK(rig.reads_at(9));
    CHECK(rig.reads_at(15));
    std::vector<bool> outcome;
    for (usize turn = 0; turn < 7; ++turn) {
        outcome.push_back(rig.reads_at(10 + turn % 5));
    }
    CHECK(outcome == std::vector<bool>{true, true, false, false, false, true, true});
    CHECK(rig.faults->counters(0).matched == 7);
    CHECK(rig.faults->counters(0).acted == 3);
    CHECK(rig.faults->rule_count() == 1);
    CHECK(rig.faults->rule(0).error == DiskError::medium_read);
    rig.set({});
    CHECK(rig.faults->rule_count() == 0);
}

TEST_CASE("one in so many is drawn from the seed, and repeats") {
    FaultRig rig;
    auto history = [&](u64 seed) {
        rig.set({{.operations = reads, .error = DiskError::io, .one_in = 4}}, seed);
        std::vector<bool> outcome;
        for (usize turn = 0; turn < 400; ++turn) {
            outcome.push_back(rig.reads_at(0));
        }
        return outcome;
    };
    std::vector<bool> first = history(7);
    CHECK(history(7) == first);
    CHECK(history(8) != first);
    auto failed = std::count(first.begin(), first.end(), false);
    CHECK(failed > 60);
    CHECK(failed < 140);
}

TEST_CASE("what is held goes on when it is released") {
    FaultRig rig;
    rig.set({{.operations = writes, .action = FaultAction::hold, .count = 1}});
    std::optional<DiskResult<void>> result;
    {
        CurrentExecutorScope scope(rig.processors.executor(0));
        detail::run_root(rig.disk.write(3, {&rig.segment, 1}), result);
    }
    rig.bytes.assign(512, std::byte{9});
    CHECK(rig.reads_at(0));
    CHECK_FALSE(result);
    CHECK(rig.faults->held() == 1);
    rig.bytes.assign(512, std::byte{9});
    rig.faults->release();
    rig.processors.run_until([&] { return result.has_value(); });
    CHECK(result->has_value());
    CHECK(rig.faults->held() == 0);
    CHECK(rig.read(rig.below, 3, 1) == std::vector<int>{9});
}

TEST_CASE("a delay takes its time, and every operation can be delayed") {
    FaultRig rig;
    rig.set({{.action = FaultAction::delay, .delay_ns = 5000}});
    u64 before = rig.processors.now_ns();
    CHECK(rig.reads_at(0));
    CHECK(rig.run(rig.disk.flush()).has_value());
    CHECK(rig.run(rig.disk.unmap({.start = 0, .count = 1})).has_value());
    CHECK(rig.run(rig.disk.write_zeroes({.start = 0, .count = 1}, true)).has_value());
    CHECK(rig.run(rig.disk.block_status({.start = 0, .count = 1})).has_value());
    CHECK(rig.run(rig.disk.compare(0, {&rig.segment, 1})).has_value());
    CHECK(rig.processors.now_ns() - before == 6 * 5000);
}

TEST_CASE("corruption flips one bit of each sector, of what is read or what is stored") {
    FaultRig rig;
    auto flipped = [](std::span<const std::byte> bytes) {
        std::vector<int> bits;
        for (usize start = 0; start < bytes.size(); start += 512) {
            int count = 0;
            for (std::byte byte : bytes.subspan(start, 512)) {
                count += __builtin_popcount(std::to_integer<unsigned>(byte ^ std::byte{5}));
            }
            bits.push_back(count);
        }
        return bits;
    };
    rig.write(rig.disk, 0, 8, 5);
    rig.bytes.resize(8 * 512);
    std::vector<MemorySegment> pieces{{.data = rig.bytes.data(), .size = 700},
                                      {.data = rig.bytes.data() + 700, .size = 8 * 512 - 700}};
    rig.set({{.operations = reads, .action = FaultAction::corrupt}});
    REQUIRE(rig.run(rig.disk.read(0, pieces)).has_value());
    CHECK(flipped(rig.bytes) == std::vector<int>(8, 1));
    rig.set({{.operations = writes, .action = FaultAction::corrupt}});
    rig.bytes.assign(8 * 512, std::byte{5});
    REQUIRE(rig.run(rig.disk.write(0, pieces)).has_value());
    CHECK(flipped(rig.bytes) == std::vector<int>(8, 0));  // the caller's memory is the caller's
    REQUIRE(rig.run(rig.disk.read(0, pieces)).has_value());
    CHECK(flipped(rig.bytes) == std::vector<int>(8, 1));
}

TEST_CASE("a torn write stores its first sectors, and lies if told to") {
    FaultRig rig;
    usize whole_prefixes = 0;
    for (u64 seed = 1; seed <= 20; ++seed) {
        rig.set({});
        rig.write(rig.disk, 0, 8, 1);
        bool lies = seed % 2 == 0;
        rig.set({{.operations = writes,
                  .action = FaultAction::tear,
                  .error = lies ? std::nullopt : std::optional(DiskError::medium_write)}},
                seed);
        DiskResult<void> result = rig.try_write(rig.disk, 0, 8, 2);
        CHECK(result.has_value() == lies);
        rig.set({});
        std::vector<int> after = rig.read(rig.disk, 0, 8);
        auto end = std::find(after.begin(), after.end(), 1);
        CHECK(end != after.end());
        CHECK(std::all_of(end, after.end(), [](int value) { return value == 1; }));
        whole_prefixes += end != after.begin() ? 1 : 0;
    }
    CHECK(whole_prefixes > 10);
}

TEST_CASE("a rule that contradicts itself is refused with the reason") {
    CHECK(reason_of({.operations = 0, .error = DiskError::io}) == "fault rule 1 names no operation");
    CHECK(reason_of({.operations = 0x80, .error = DiskError::io}) == "fault rule 1 names no operation");
    CHECK(reason_of({.error = DiskError::io, .one_in = 0}) == "fault rule 1 acts on one in 0 operations");
    CHECK(reason_of({.range = SectorRange{.start = 3, .count = 0}, .error = DiskError::io}) ==
          "fault rule 1 has an empty range, or one past the end of every disk");
    CHECK(reason_of({.range = SectorRange{.start = 3, .count = ~u64{0}}, .error = DiskError::io}) ==
          "fault rule 1 has an empty range, or one past the end of every disk");
    CHECK(reason_of({}) == "fault rule 1 fails without an error");
    CHECK(reason_of({.action = FaultAction::delay}) == "fault rule 1 delays by nothing, or by over an hour");
    CHECK(reason_of({.action = FaultAction::corrupt}) == "fault rule 1 corrupts something other than reads and writes");
    CHECK(reason_of({.action = FaultAction::tear}) == "fault rule 1 tears something other than writes");
    CHECK(reason_of({.action = static_cast<FaultAction>(9)}) == "fault rule 1 has no action");
    std::vector<FaultRule> many(17, FaultRule{.action = FaultAction::hold});
    CHECK(FaultDisk::create(handle(make_ram(8)), many).error() == "there are 17 fault rules, and at most 16 can be");
}

}  // namespace undercroft::test
