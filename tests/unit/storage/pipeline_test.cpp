// From configuration to disk: nothing is opened while anything is wrong, and all that is wrong is said.
#include "storage/pipeline.hpp"

#include <catch2/catch.hpp>
#include <map>

#include "hostsim/platform/virtual_platform.hpp"
#include "storage/backends/ram_disk.hpp"

namespace undercroft {
namespace {

struct alignas(page_size) PipelinePage {
    std::byte bytes[page_size];
};

class FakeEnvironment final : public PipelineEnvironment {
public:
    std::optional<std::span<const std::byte>> key(std::string_view name) override {
        auto found = keys.find(std::string(name));
        return found == keys.end() ? std::nullopt : std::optional<std::span<const std::byte>>(found->second);
    }
    Task<DiskResult<Disk>> open_nvme(PciAddress device, u32 namespace_id) override {
        ++opened;
        if (device.device != 3 || namespace_id != 1) {
            co_return fail(DiskError::gone);
        }
        co_return Disk::create(RamDisk::create({.sectors = 64, .sector_size = 4096, .id = {}}).value());
    }
    BounceSource& bounce(usize nesting) override {
        REQUIRE(nesting < crypt_nesting_max);
        return pools[nesting];
    }
    u64 ram_disk_budget_bytes() override { return mib; }

    std::map<std::string, std::vector<std::byte>> keys;
    usize opened = 0;
    std::vector<PipelinePage> memory{8};
    BouncePool pools[2] = {BouncePool({memory[0].bytes, 4 * page_size}), BouncePool({memory[4].bytes, 4 * page_size})};
};

std::vector<std::byte> some_key(u8 first) {
    std::vector<std::byte> key(64);
    for (usize index = 0; index < key.size(); ++index) {
        key[index] = static_cast<std::byte>(first + index);
    }
    return key;
}

}  // namespace

TEST_CASE("every bad key of a machine is reported before a device is touched") {
    FakeEnvironment environment;
    environment.keys["short"] = std::vector<std::byte>(63);
    environment.keys["equal"] = std::vector<std::byte>(64);
    environment.keys["good"] = some_key(1);
    Result<Configuration, ConfigErrors> configuration = parse_configuration(R"({"version":1,"storage_controllers":[
        {"protocol":"NVME","instance_id":"7a8203e1-4c4d-4b0a-9d0c-6f3d7d1c5a01","luns":[
          {"location":1,"disk":{"crypt":{"key":"short","over":{"crypt":{"key":"missing","over":"nvme:00:03.0/1"}}}}},
          {"location":2,"disk":"crypt:xts-aes-256:good:mem:1M"},
          {"location":3,"disk":"crypt:xts-aes-256:equal:mem:1M"}]}]})");
    REQUIRE(configuration.has_value());
    ConfigErrors errors = check_pipelines(*configuration, environment);
    REQUIRE(errors.size() == 3);
    CHECK(to_string(errors[0]) ==
          "storage_controllers[0].luns[0].disk.crypt.key: key \"short\" has 63 bytes, and must have 64");
    CHECK(to_string(errors[1]) ==
          "storage_controllers[0].luns[0].disk.crypt.over.crypt.key: there is no key \"missing\"");
    CHECK(to_string(errors[2]) ==
          "storage_controllers[0].luns[2].disk.key: key \"equal\" has two equal halves, which XTS forbids");
    CHECK(environment.opened == 0);
    SimulatedProcessors processors(1);
    auto built = processors.run(build_pipeline(configuration->storage_controllers[0].luns[0].disk, environment));
    REQUIRE_FALSE(built.has_value());
    CHECK(built.error().size() == 2);
    CHECK(environment.opened == 0);
}

TEST_CASE("a pipeline of crypt over crypt over NVMe holds what is written") {
    SimulatedProcessors processors(1);
    FakeEnvironment environment;
    environment.keys["outer"] = some_key(1);
    environment.keys["inner"] = some_key(100);
    DiskConfig config = parse_disk("crypt:xts-aes-256:outer:crypt:xts-aes-256:inner:nvme:00:03.0/1").value();
    auto disk = processors.run(build_pipeline(config, environment));
    REQUIRE(disk.has_value());
    CHECK(disk->sector_size() == 4096);
    std::vector<std::byte> out(40 * 4096, std::byte{0x77});
    std::vector<std::byte> in(out.size());
    MemorySegment from{.data = out.data(), .size = out.size()};
    MemorySegment into{.data = in.data(), .size = in.size()};
    CHECK(processors.run(disk->write(10, {&from, 1})).has_value());
    CHECK(processors.run(disk->read(10, {&into, 1})).has_value());
    CHECK(in == out);
    environment.keys.clear();  // wiped after the pipelines are open
    CHECK(processors.run(disk->read(10, {&into, 1})).has_value());
}

TEST_CASE("a device that does not open is an error with its path") {
    SimulatedProcessors processors(1);
    FakeEnvironment environment;
    environment.keys["demo"] = some_key(1);
    DiskConfig config = parse_disk("crypt:xts-aes-256:demo:nvme:0000:00:04.0/2", "--disk").value();
    auto disk = processors.run(build_pipeline(config, environment));
    REQUIRE_FALSE(disk.has_value());
    REQUIRE(disk.error().size() == 1);
    CHECK(to_string(disk.error()[0]) == "--disk: namespace 2 of 0000:00:04.0 cannot be opened: gone");
}

TEST_CASE("a memory disk keeps to its budget") {
    SimulatedProcessors processors(1);
    FakeEnvironment environment;
    auto disk = processors.run(build_pipeline(parse_disk("mem:16M").value(), environment));
    REQUIRE(disk.has_value());
    std::vector<std::byte> bytes(2 * mib, std::byte{1});
    MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
    CHECK(processors.run(disk->write(0, {&segment, 1})).error() == DiskError::medium_write);
}

}  // namespace undercroft
