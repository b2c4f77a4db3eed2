// Identify data from good devices, unusual ones, and liars.
#include "drivers/nvme/identify.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <random>
#include <string>

namespace undercroft::nvme::host {
namespace {

IdentifyController good_controller() {
    IdentifyController data;
    std::memcpy(data.serial_number, "SN-1                ", 20);
    std::memcpy(data.model_number, "Model\001X                                 ", 40);
    data.submission_entry_sizes = 0x66;
    data.completion_entry_sizes = 0x44;
    data.namespace_id_max = 4;
    data.transfer_size_max_log2 = 5;
    data.volatile_write_cache = write_cache::present;
    data.io_commands_supported = optional_io::dataset_management;
    return data;
}

const Capabilities capabilities = Capabilities{}.with_page_size_min_log2(12).with_page_size_max_log2(12);

TEST_CASE("a controller's facts") {
    ControllerFacts facts = check_controller(good_controller(), capabilities).value();
    REQUIRE(facts.transfer_bytes_max == 128 * kib);
    REQUIRE(facts.volatile_write_cache);
    REQUIRE(facts.dataset_management);
    REQUIRE_FALSE(facts.write_zeroes);
    REQUIRE(std::string(facts.serial_number.data()) == "SN-1");
    REQUIRE(std::string(facts.model_number.data()) == "Model?X");
}

TEST_CASE("MDTS of none, or of nonsense, leaves our own limit") {
    for (int mdts : {0, 9, 63, 200, 255}) {
        IdentifyController data = good_controller();
        data.transfer_size_max_log2 = static_cast<u8>(mdts);
        REQUIRE(check_controller(data, capabilities).value().transfer_bytes_max == transfer_bytes_max);
    }
}

TEST_CASE("a controller that cannot be one is refused") {
    IdentifyController entries = good_controller();
    entries.submission_entry_sizes = 0x77;
    REQUIRE(check_controller(entries, capabilities).error() == Error::malformed);
    IdentifyController discovery = good_controller();
    discovery.controller_type = 2;
    REQUIRE_FALSE(check_controller(discovery, capabilities));
    IdentifyController empty = good_controller();
    empty.namespace_id_max = 0;
    REQUIRE_FALSE(check_controller(empty, capabilities));
}

IdentifyNamespace good_namespace() {
    IdentifyNamespace data;
    data.size_blocks = 1000;
    data.lba_formats_minus_one = 1;
    data.lba_formats[0].data_bytes_log2 = 9;
    data.lba_formats[1].data_bytes_log2 = 12;
    data.formatted_lba_size = 1;
    return data;
}

TEST_CASE("a namespace's facts") {
    IdentifyNamespace data = good_namespace();
    data.features = namespace_feature::optimal_io;
    data.preferred_write_granularity_minus_one = 3;
    data.preferred_deallocate_granularity_minus_one = 7;
    data.deallocate_features = deallocate_feature::reads_zeroes | deallocate_feature::write_zeroes_deallocates;
    data.eui64[7] = 9;
    NamespaceFacts facts = check_namespace(data, 3).value();
    REQUIRE(facts.id == 3);
    REQUIRE(facts.block_size == 4096);
    REQUIRE(facts.blocks == 1000);
    REQUIRE(facts.physical_block_size == 16384);
    REQUIRE(facts.deallocate_granularity == 8);
    REQUIRE(facts.deallocate.reads_zeroes);
    REQUIRE(facts.unique_id.value()[7] == std::byte{9});
    data.nguid[0] = 1;
    REQUIRE(check_namespace(data, 3)->unique_id.value()[0] == std::byte{1});
}

TEST_CASE("all block sizes from 512 to 64 KiB, and none beyond") {
    for (unsigned log2 = 0; log2 < 256; ++log2) {
        IdentifyNamespace data = good_namespace();
        data.lba_formats[1].data_bytes_log2 = static_cast<u8>(log2);
        Result<NamespaceFacts> facts = check_namespace(data, 1);
        REQUIRE(facts.has_value() == (log2 >= 9 && log2 <= 16));
    }
}

TEST_CASE("metadata, a format that does not exist, and an impossible size are refused") {
    IdentifyNamespace metadata = good_namespace();
    metadata.lba_formats[1].metadata_bytes = 8;
    REQUIRE(check_namespace(metadata, 1).error() == Error::unsupported);
    IdentifyNamespace format = good_namespace();
    format.formatted_lba_size = 2;
    REQUIRE(check_namespace(format, 1).error() == Error::malformed);
    IdentifyNamespace size = good_namespace();
    size.size_blocks = ~u64{0};
    REQUIRE(check_namespace(size, 1).error() == Error::malformed);
    IdentifyNamespace inactive = good_namespace();
    inactive.size_blocks = 0;
    REQUIRE(check_namespace(inactive, 1).error() == Error::not_found);
}

TEST_CASE("random bytes are refused or give facts that keep their promises") {
    std::mt19937_64 random(1);
    for (int round = 0; round < 3000; ++round) {
        auto bytes = std::make_unique<std::array<u8, identify_bytes>>();
        for (u8& byte : *bytes) {
            byte = static_cast<u8>(random() % 4 == 0 ? random() : random() % 16);
        }
        IdentifyNamespace name_space;
        std::memcpy(&name_space, bytes->data(), sizeof(name_space));
        if (Result<NamespaceFacts> facts = check_namespace(name_space, 1)) {
            REQUIRE(facts->blocks > 0);
            REQUIRE(facts->blocks <= (u64{1} << 62) / facts->block_size);
            REQUIRE(std::has_single_bit(facts->block_size));
            REQUIRE(std::has_single_bit(facts->physical_block_size));
            REQUIRE(facts->physical_block_size >= facts->block_size);
            REQUIRE(facts->deallocate_granularity >= 1);
        }
        IdentifyController controller;
        std::memcpy(&controller, bytes->data(), sizeof(controller));
        controller.submission_entry_sizes = 0x66;
        controller.completion_entry_sizes = 0x44;
        controller.controller_type = 1;
        if (Result<ControllerFacts> facts = check_controller(controller, capabilities)) {
            REQUIRE(is_aligned(facts->transfer_bytes_max, page_size));
            REQUIRE(facts->transfer_bytes_max > 0);
            IdentifyNvmController limits_data;
            std::memcpy(&limits_data, bytes->data(), sizeof(limits_data));
            RangeLimits limits = check_range_limits(&limits_data, capabilities, *facts);
            REQUIRE(limits.deallocate_range_blocks_max >= 1);
            REQUIRE(limits.write_zeroes_bytes_max >= page_size);
        }
        (void)find_unique_id(std::as_bytes(std::span(*bytes)).first(random() % identify_bytes));
    }
}

TEST_CASE("the best id of a descriptor list") {
    u8 list[64] = {1, 8, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 3, 16, 0, 0, 0xaa};
    REQUIRE(find_unique_id(std::as_bytes(std::span(list))).value()[0] == std::byte{0xaa});
    REQUIRE(find_unique_id(std::as_bytes(std::span(list)).first(20)).value()[0] == std::byte{1});
    REQUIRE_FALSE(find_unique_id(std::as_bytes(std::span(list)).first(3)));
}

}  // namespace
}  // namespace undercroft::nvme::host
