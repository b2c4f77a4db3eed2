#include "kernel/config/identifiers.hpp"

#include <catch2/catch.hpp>

namespace undercroft {

TEST_CASE("PCI addresses") {
    CHECK(parse_pci_address("0000:00:03.0") == PciAddress{.device = 3});
    CHECK(parse_pci_address("00:1f.7") == PciAddress{.device = 31, .function = 7});
    CHECK(parse_pci_address("ABCD:ef:0.0") == PciAddress{.segment = 0xabcd, .bus = 0xef});
    for (std::string_view text :
         {"", ".", ":", ":.", "03.0", "0000:00:03", "00:20.0", "00:03.8", "00:03.0 ", " 00:03.0", "0:0:0:3.0",
          "10000:00:03.0", "000:00:003.0", "-1:00.0", "00:03.0.0", "0x0:03.0", ":00:03.0", "::3.0"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_pci_address(text).has_value());
    }
    CHECK(to_string(PciAddress{.segment = 0x1a, .bus = 0xbc, .device = 0x1f, .function = 7}) == "001a:bc:1f.7");
}

TEST_CASE("GUIDs") {
    auto guid = parse_guid("00112233-4455-6677-8899-aabbccddeeff");
    REQUIRE(guid.has_value());
    CHECK(guid->bytes[0] == 0x00);
    CHECK(guid->bytes[15] == 0xff);
    CHECK(parse_guid("{00112233-4455-6677-8899-AABBCCDDEEFF}") == guid);
    for (std::string_view text : {"", "00112233-4455-6677-8899-aabbccddeef", "00112233-4455-6677-8899-aabbccddeeff0",
                                  "001122334455-6677-8899-aabbccddeeff--", "0011223g-4455-6677-8899-aabbccddeeff",
                                  "{00112233-4455-6677-8899-aabbccddeeff", "00112233-4455-6677-8899-aabbccddee-f"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_guid(text).has_value());
    }
}

TEST_CASE("sizes") {
    CHECK(parse_size("0") == 0);
    CHECK(parse_size("512") == 512);
    CHECK(parse_size("64M") == 64 * mib);
    CHECK(parse_size("1g") == gib);
    CHECK(parse_size("16777215T") == u64{16777215} * 1024 * gib);
    CHECK(parse_size("18446744073709551615") == ~u64{0});
    for (std::string_view text :
         {"", "M", "1MB", "-1", "1.5G", "18446744073709551616", "16777216T", " 1", "1 ", "0x10"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_size(text).has_value());
    }
}

TEST_CASE("key names") {
    for (std::string_view text : {"demo", "a", "A-b_c.d9", "012345678901234567890123456789012345"}) {
        CHECK(is_key_name(text));
    }
    for (std::string_view text :
         {"", ".", ".hidden", "a/b", "a b", "k\xc3\xa9y", "0123456789012345678901234567890123456"}) {
        CHECK_FALSE(is_key_name(text));
    }
    CHECK(key_file_prefix.size() + key_name_length_max <= 55);
}

}  // namespace undercroft
