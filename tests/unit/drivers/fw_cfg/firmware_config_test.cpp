// The directory as QEMU writes it, and one that lies.
#include "drivers/fw_cfg/firmware_config.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <map>
#include <string>

namespace undercroft {
namespace {

using Bytes = std::vector<std::byte>;

Bytes bytes_of(std::string_view text) {
    Bytes bytes(text.size());
    std::memcpy(bytes.data(), text.data(), text.size());
    return bytes;
}

class FakeTransport final : public FirmwareConfigTransport {
public:
    Result<void> read(u16 selector, u64 offset_bytes, std::span<std::byte> into) override {
        const Bytes& item = items[selector];
        // As QEMU: reads beyond the end give zeros.
        for (usize index = 0; index < into.size(); ++index) {
            into[index] = offset_bytes + index < item.size() ? item[offset_bytes + index] : std::byte{0};
        }
        return {};
    }
    void set_count(u32 count) {
        Bytes& directory = items[0x19];
        directory.resize(directory.size() < 4 ? 4 : directory.size());
        for (int index = 0; index < 4; ++index) {
            directory[index] = std::byte(count >> (24 - 8 * index));
        }
    }
    void add(u16 selector, std::string_view name, Bytes content) {
        set_count(++count_);
        Bytes entry(64);
        auto size = static_cast<u32>(content.size());
        for (int index = 0; index < 4; ++index) {
            entry[index] = std::byte(size >> (24 - 8 * index));
        }
        entry[4] = std::byte(selector >> 8);
        entry[5] = std::byte(selector);
        std::memcpy(entry.data() + 8, name.data(), name.size());
        items[0x19].insert(items[0x19].end(), entry.begin(), entry.end());
        items[selector] = std::move(content);
    }
    std::map<u16, Bytes> items;

private:
    u32 count_ = 0;
};

TEST_CASE("firmware files are found by their whole name and read within their bounds") {
    FakeTransport transport;
    transport.add(0x20, "opt/undercroft/kernel", bytes_of("bzImage"));
    transport.add(0x21, "opt/undercroft/key/demo", bytes_of("secret"));
    Result<FirmwareConfig> config = FirmwareConfig::open(transport);
    REQUIRE(config);
    CHECK(config->find("opt/undercroft/kernel")->size_bytes == 7);
    CHECK(config->find("opt/undercroft/kern").error() == Error::not_found);
    CHECK(*config->read_file("opt/undercroft/key/demo", 6) == bytes_of("secret"));
    CHECK(config->read_file("opt/undercroft/key/demo", 5).error() == Error::out_of_range);
    CHECK(config->read_file("opt/undercroft/none", 5).error() == Error::not_found);
    FirmwareFile kernel = *config->find("opt/undercroft/kernel");
    Bytes part(3);
    REQUIRE(config->read(kernel, 4, part));
    CHECK(part == bytes_of("age"));
    CHECK(config->read(kernel, 5, part).error() == Error::out_of_range);
    CHECK(config->read(kernel, ~u64{0}, part).error() == Error::out_of_range);
    CHECK(config->read(kernel, 7, {}));
}

TEST_CASE("a firmware directory may be empty, and may not be absurd") {
    FakeTransport transport;
    CHECK(FirmwareConfig::open(transport)->find("x").error() == Error::not_found);
    transport.set_count(~u32{0});
    CHECK(FirmwareConfig::open(transport).error() == Error::malformed);
}

TEST_CASE("a name without its terminating zero ends where its field ends") {
    FakeTransport transport;
    transport.add(0x20, std::string(56, 'x'), bytes_of("y"));
    Result<FirmwareConfig> config = FirmwareConfig::open(transport);
    REQUIRE(config);
    CHECK(config->find(std::string(55, 'x')));
}

}  // namespace
}  // namespace undercroft
