// The guest's firmware configuration through its ports, as firmware reads it.
#include "kernel/guest/chipset/firmware_config_device.hpp"

#include <catch2/catch.hpp>

#include <string>

#include "tests/unit/kernel/guest/guest_fixture.hpp"

namespace undercroft::test {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

struct Device {
    GuestBus bus;
    FirmwareConfigDevice config;

    void select(unsigned selector) { bus.write_port(0x510, AccessSize::word, selector); }
    /// By a repeated INS.
    std::string read(unsigned selector, usize count) {
        select(selector);
        std::string text(count, '?');
        bus.read_port_string(0x511, AccessSize::byte, std::as_writable_bytes(std::span(text)));
        return text;
    }
};

TEST_CASE("firmware configuration: firmware made for QEMU finds it, without DMA") {
    Device device;
    REQUIRE(device.config.add_to(device.bus));
    device.select(0);
    for (char expected : {'Q', 'E', 'M', 'U'}) {
        CHECK(in8(device.bus, 0x511) == static_cast<u8>(expected));
    }
    CHECK(in8(device.bus, 0x511) == 0);
    CHECK(device.read(1, 4) == std::string("\1\0\0\0", 4));
    CHECK(device.read(0x19, 5) == std::string(5, '\0'));
}

TEST_CASE("firmware configuration: the directory lists the files, and each is read by its selector") {
    Device device;
    REQUIRE(device.config.add_file("etc/first", bytes_of("one")));
    REQUIRE(device.config.add_number("etc/second", 0x3F8));
    REQUIRE(device.config.add_to(device.bus));
    std::string directory = device.read(0x19, 4 + 2 * 64);
    CHECK(directory.substr(0, 4) == std::string("\0\0\0\2", 4));
    CHECK(directory.substr(4, 8) == std::string("\0\0\0\3\0\x20\0\0", 8));
    CHECK(std::string(directory.c_str() + 12) == "etc/first");
    CHECK(directory.substr(68, 8) == std::string("\0\0\0\x8\0\x21\0\0", 8));
    CHECK(std::string(directory.c_str() + 76) == "etc/second");
    // Behind a file's end there are zeros, as there are where no file is.
    CHECK(device.read(0x20, 5) == std::string("one\0\0", 5));
    CHECK(device.read(0x21, 8) == std::string("\xF8\x03\0\0\0\0\0\0", 8));
    CHECK(device.read(0x22, 4) == std::string(4, '\0'));
    CHECK(device.read(0xFFFF, 4) == std::string(4, '\0'));
    CHECK(device.read(0x18, 4) == std::string(4, '\0'));
    // Selecting again begins again.
    device.select(0x20);
    CHECK(in8(device.bus, 0x511) == 'o');
    device.select(0x20);
    CHECK(in8(device.bus, 0x511) == 'o');
}

TEST_CASE("firmware configuration: it cannot be written, nor read in another way") {
    Device device;
    REQUIRE(device.config.add_file("etc/file", bytes_of("text")));
    REQUIRE(device.config.add_to(device.bus));
    device.select(0x20);
    out8(device.bus, 0x511, 'X');
    out8(device.bus, 0x510, 0);  // a selector has 16 bits
    CHECK(in8(device.bus, 0x510) == 0xFF);
    CHECK(device.bus.read_port(0x510, AccessSize::word) == 0xFFFF);
    CHECK(in8(device.bus, 0x511) == 't');
    CHECK(device.read(0x20, 4) == "text");
}

TEST_CASE("firmware configuration: files that make no directory are refused") {
    FirmwareConfigDevice config;
    CHECK(config.add_file("", {}).error() == Error::invalid_argument);
    CHECK(config.add_file(std::string(56, 'n'), {}).error() == Error::invalid_argument);
    REQUIRE(config.add_file(std::string(55, 'n'), {}));
    CHECK(config.add_file(std::string(55, 'n'), {}).error() == Error::busy);
    for (usize i = 1; i < FirmwareConfigDevice::files_max; ++i) {
        REQUIRE(config.add_number(std::to_string(i), i));
    }
    CHECK(config.add_number("one more", 0).error() == Error::out_of_memory);
}

}  // namespace
}  // namespace undercroft::test
