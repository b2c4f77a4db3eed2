// Sense data byte for byte (SPC-4 4.5), and what each disk error becomes.
#include "storage/scsi/sense.hpp"

#include <vector>

using namespace undercroft;
using namespace undercroft::scsi;

namespace {

std::vector<u8> encoded(const Sense& sense) {
    std::byte data[sense_bytes_max];
    usize used = encode_sense(sense, data);
    return {reinterpret_cast<u8*>(data), reinterpret_cast<u8*>(data) + used};
}

struct Expected {
    DiskError error;
    u8 status;
    u8 key;
    u16 code;
};

}  // namespace

TEST_CASE("fixed format sense has its fields where SPC-4 table 53 puts them") {
    Sense sense{.key = static_cast<SenseKey>(0x5), .code = static_cast<AdditionalSense>(0x2400)};
    CHECK(encoded(sense) == std::vector<u8>{0x70, 0, 0x05, 0, 0, 0, 0, 0x0a, 0, 0, 0, 0, 0x24, 0x00, 0, 0, 0, 0});
    sense.names_field = true;
    sense.field_byte = 0x0102;
    sense.information = 0x11223344;
    CHECK(encoded(sense) ==
          std::vector<u8>{0xf0, 0, 0x05, 0x11, 0x22, 0x33, 0x44, 0x0a, 0, 0, 0, 0, 0x24, 0x00, 0, 0xc0, 0x01, 0x02});
    sense.information = 0x1'0000'0000;  // does not fit: not valid
    CHECK(encoded(sense)[0] == 0x70);
}

TEST_CASE("descriptor format sense has its fields where SPC-4 tables 27, 30 and 32 put them") {
    Sense sense{.key = static_cast<SenseKey>(0xe),
                .code = static_cast<AdditionalSense>(0x1d00),
                .as_descriptors = true,
                .information = 0x0102030405060708};
    CHECK(encoded(sense) ==
          std::vector<u8>{0x72, 0x0e, 0x1d, 0x00, 0, 0, 0, 12, 0x00, 0x0a, 0x80, 0, 1, 2, 3, 4, 5, 6, 7, 8});
    sense.names_field = true;
    sense.field_is_in_cdb = false;
    sense.field_byte = 9;
    std::vector<u8> both = encoded(sense);
    CHECK(both[7] == 20);
    CHECK(std::vector<u8>(both.begin() + 20, both.end()) == std::vector<u8>{0x02, 0x06, 0, 0, 0x80, 0, 9, 0});
}

TEST_CASE("each disk error has its status, sense key and code") {
    const Expected table[] = {
        {DiskError::aborted_by_preempt, 0x40, 0, 0},
        {DiskError::illegal_block, 0x02, 0x5, 0x2100},
        {DiskError::invalid_input, 0x02, 0x5, 0x2400},
        {DiskError::io, 0x02, 0x4, 0x4400},
        {DiskError::medium_guard, 0x02, 0x3, 0x1001},
        {DiskError::medium_application_tag, 0x02, 0x3, 0x1002},
        {DiskError::medium_reference_tag, 0x02, 0x3, 0x1003},
        {DiskError::medium_read, 0x02, 0x3, 0x1100},
        {DiskError::medium_write, 0x02, 0x3, 0x0c00},
        {DiskError::memory_access, 0x02, 0x5, 0x2400},
        {DiskError::read_only, 0x02, 0x7, 0x2700},
        {DiskError::reservation_conflict, 0x18, 0, 0},
        {DiskError::unsupported_eject, 0x02, 0x5, 0x2000},
        {DiskError::timed_out, 0x02, 0xb, 0x2e02},
        {DiskError::gone, 0x02, 0x2, 0x3a00},
        {DiskError::cancelled, 0x40, 0, 0},
    };
    static_assert(std::size(table) == disk_error_count);
    for (const Expected& expected : table) {
        const ErrorReport& report = report_of(expected.error);
        INFO(to_string(expected.error));
        CHECK(static_cast<u8>(report.status) == expected.status);
        CHECK(static_cast<u8>(report.key) == expected.key);
        CHECK(static_cast<u16>(report.code) == expected.code);
    }
}
