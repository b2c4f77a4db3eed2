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
    Result<std::span<const std::byte>, Refusal> key(std::string_view name) override {
        auto found = keys.find(std::string(name));
        if (found == keys.end()) {
            return std::unexpected("there is no key " + quoted(name));
        }
        return std::span<const std::byte>(found->second);
    }
    std::optional<Refusal> refuse_backend(const DiskConfig& disk) override {
        if (std::holds_alternative<NvmeDiskConfig>(disk.kind)) {
            return std::nullopt;
        }
        return std::string(kind_name(disk)) + " is for others";
    }
    Task<Result<Disk, Refusal>> open_backend(const DiskConfig& disk, std::optional<Disk> below,
                                             BounceSource* bounce) override {
        ++opened_backends;
        const auto* nvme = std::get_if<NvmeDiskConfig>(&disk.kind);
        if (below || bounce != nullptr || nvme == nullptr || nvme->device.device != 3) {
            co_return std::unexpected("the device is gone");
        }
        co_return Disk::create(RamDisk::create({.sectors = 64, .sector_size = 4096, .id = {}}).value()).value();
    }
    void opened(const DiskConfig& disk, const Disk&, const std::shared_ptr<DiskInterface>&) override {
        order += std::string(kind_name(disk)) + " ";
    }
    BounceSource& bounce(usize nesting) override {
        REQUIRE(nesting < crypt_nesting_max);
        return pools[nesting];
    }
    u64 ram_disk_budget_bytes() override { return mib; }

    std::map<std::string, std::vector<std::byte>> keys;
    usize opened_backends = 0;
    std::string order;
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
          "storage_controllers[0].luns[2].disk, column 1: key \"equal\" has two equal halves, which XTS forbids");
    CHECK(environment.opened_backends == 0);
    SimulatedProcessors processors(1);
    auto built = processors.run(build_pipeline(configuration->storage_controllers[0].luns[0].disk, environment));
    REQUIRE_FALSE(built.has_value());
    CHECK(built.error().size() == 2);
    CHECK(environment.opened_backends == 0);
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
    CHECK(environment.order == "nvme crypt crypt ");
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
    CHECK(to_string(disk.error()[0]) == "--disk, column 24: the device is gone");
}

TEST_CASE("what an environment does not have is said before anything is opened, with its place") {
    FakeEnvironment environment;
    environment.keys["k"] = some_key(1);
    ConfigErrors errors = check_pipeline(
        parse_disk("striped:(nvme:00:03.0/1,crypt:xts-aes-256:k:file:/a,block:/dev/b)").value(), environment);
    REQUIRE(errors.size() == 2);
    CHECK(to_string(errors[0]) == "column 45: file is for others");
    CHECK(to_string(errors[1]) == "column 53: block is for others");
    CHECK(environment.opened_backends == 0);
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
