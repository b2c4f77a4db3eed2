// What pipelines show, and what can be changed of them while they are open.
#include "storage/inspect/disks.hpp"

#include <catch2/catch.hpp>

#include "hostsim/pipeline/host_environment.hpp"
#include "hostsim/platform/virtual_platform.hpp"
#include "kernel/async/task_group.hpp"

using namespace undercroft;

namespace {

struct Rig {
    VirtualTimePlatform platform{};
    Executor executor{platform};
    DiskCollector collector;
    HostPipelineEnvironment environment{{&executor}, {.collector = &collector}};

    std::optional<InspectedDisk> open(std::string_view line) {
        Result<DiskConfig, ConfigErrors> config = parse_disk(line);
        REQUIRE(config.has_value());
        (void)run_blocking(executor, build_pipeline(*config, environment));
        return collector.take();
    }
    static std::string look(const InspectedDisk& disk, std::string_view path = {}) {
        inspect::Walk walk({.path = path}, 1 << 16);
        return walk.run([&](inspect::Node& node) { disk.describe(node); }).value_or("none");
    }
    /// What was wrong; empty where nothing was.
    static std::string set(const InspectedDisk& disk, std::string_view path, const std::string& value) {
        inspect::Walk walk({.path = path, .value = &value}, 1 << 16);
        Result<std::string, std::string> done = walk.run([&](inspect::Node& node) { disk.describe(node); });
        return done ? "" : done.error();
    }
};

}  // namespace

TEST_CASE("A pipeline is a tree of its disks, named by their kinds") {
    Rig rig;
    std::optional<InspectedDisk> disk = rig.open("memdiff:striped;chunk=64K:(mem:1M,delay:1ms:mem:1M)");
    REQUIRE(disk);
    CHECK(disk->kind == "memdiff");
    CHECK(Rig::look(*disk, "size_bytes") == "2097152");
    CHECK(Rig::look(*disk, "memory_bytes") == "0");
    CHECK(Rig::look(*disk, "striped/0/mem/size") == "\"1M\"");
    CHECK(Rig::look(*disk, "striped/1/delay/read_delay") == "\"1ms\"");
    CHECK(Rig::look(*disk, "striped/1/delay/mem/disk") == "\"mem:1M\"");
    CHECK(Rig::look(*disk, "striped/2") == "none");
    // Nothing is left for the next one.
    CHECK(!rig.collector.take());
}

TEST_CASE("A pipeline that failed half way is forgotten") {
    Rig rig;
    CHECK(!rig.open("striped:(mem:1M,mem:1M;sector_size=4096)"));
    CHECK(rig.open("mem:1M").has_value());
}

TEST_CASE("Delays change while the disk is in use") {
    Rig rig;
    std::optional<InspectedDisk> disk = rig.open("delay:1ms:mem:1M");
    REQUIRE(disk);
    CHECK(Rig::set(*disk, "read_delay", "10ms/100ms").empty());
    CHECK(Rig::set(*disk, "flush_delay", "0").empty());
    CHECK(Rig::look(*disk, "read_delay") == "\"10ms/100ms\"");
    CHECK(Rig::look(*disk, "write_delay") == "\"1ms\"");
    CHECK(Rig::look(*disk, "flush_delay") == "\"0\"");
    CHECK(Rig::set(*disk, "write_delay", "2h").find("that is no time") != std::string::npos);
    CHECK(Rig::set(*disk, "write_delay", "4000s").find("write_delay") != std::string::npos);
    CHECK(Rig::set(*disk, "write_delay", "10ms/1ms") != "");
    CHECK(Rig::set(*disk, "write_delay", "1ms;read=5ms") != "");
    CHECK(Rig::set(*disk, "write_delay", "") != "");
    CHECK(Rig::look(*disk, "write_delay") == "\"1ms\"");
}

TEST_CASE("Fault rules change, count, and let go") {
    Rig rig;
    std::optional<InspectedDisk> disk = rig.open("fault:read-fail@0-7:mem:1M");
    REQUIRE(disk);
    CHECK(Rig::look(*disk, "rules") == "\"read-fail-io@0-7\"");
    constexpr const char* all = "any-fail-gone/skip=1/count=2/one_in=3+write-tear@9+flush-hold+zero-delay-5ms+"
                                "unmap-fail-io+status-fail-io+compare-fail-io+read-corrupt+write-tear-io";
    CHECK(Rig::set(*disk, "rules", all).empty());
    CHECK(Rig::look(*disk, "rules") == "\"" + std::string(all) + "\"");
    CHECK(Rig::set(*disk, "rules", "flush-hold/count=1").empty());
    bool flushed = false;
    auto flush = [](Disk disk, bool& flushed) -> Task<void> {
        CHECK((co_await disk.flush()).has_value());
        flushed = true;
    };
    {
        CurrentExecutorScope scope(rig.executor);
        TaskGroup group;
        group.spawn(flush(disk->handle, flushed));
        (void)rig.executor.run_ready();
        CHECK(!flushed);
        CHECK(Rig::look(*disk, "held") == "1");
        CHECK(Rig::look(*disk, "rule_0") == R"({"matched":1,"acted":1})");
        CHECK(Rig::set(*disk, "release", "some").find("all: lets everything go") != std::string::npos);
        CHECK(Rig::set(*disk, "release", "all").empty());
        rig.executor.run_until([&] { return group.running() == 0; });
    }
    CHECK(flushed);
    CHECK(Rig::look(*disk, "held") == "0");
    CHECK(Rig::set(*disk, "rules", "read-fail:mem:1M;seed=2") != "");
    CHECK(Rig::set(*disk, "rules", "reed-fail").find("did you mean \\\"read\\\"") == std::string::npos);
    CHECK(Rig::set(*disk, "rules", "reed-fail").find("did you mean \"read\"") != std::string::npos);
    CHECK(Rig::look(*disk, "rules") == "\"flush-hold/count=1\"");
    CHECK(Rig::set(*disk, "rules", "none").empty());
    CHECK(Rig::look(*disk, "rules") == "\"none\"");
}

TEST_CASE("A disk in memory is resized, and who waits for that is told") {
    Rig rig;
    std::optional<InspectedDisk> disk = rig.open("delay:0:mem:1M;sector_size=4096");
    REQUIRE(disk);
    u64 told = 0;
    auto wait = [](Disk disk, u64& told) -> Task<void> { told = (co_await disk.wait_for_resize(256)).value_or(0); };
    CurrentExecutorScope scope(rig.executor);
    TaskGroup group;
    group.spawn(wait(disk->handle, told));
    CHECK(Rig::set(*disk, "mem/size", "5000").find("no whole number of sectors of 4096") != std::string::npos);
    CHECK(Rig::set(*disk, "mem/size", "0") != "");
    CHECK(Rig::set(*disk, "mem/size", "large") != "");
    CHECK(Rig::set(*disk, "mem/size", "5000T").find("at most 4T") != std::string::npos);
    CHECK(Rig::set(*disk, "mem/size", "2M").empty());
    rig.executor.run_until([&] { return group.running() == 0; });
    CHECK(told == 512);
    CHECK(Rig::look(*disk, "size_bytes") == "2097152");
}
