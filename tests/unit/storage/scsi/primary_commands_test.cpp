// The commands of SPC-4 that every unit has, byte for byte.
#include <string>

#include "tests/unit/storage/scsi/initiator.hpp"

using namespace undercroft;
using namespace undercroft::test;

namespace {

std::string text(const Bytes& bytes, usize at, usize size) {
    return {bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.begin() + static_cast<std::ptrdiff_t>(at + size)};
}

}  // namespace

TEST_CASE("INQUIRY has SPC-4 table 141's fields, padded with spaces") {
    BlockRig rig(512, {.vendor = "ACME", .product = "Disk that has a long name", .revision = "7"});
    Answer answer = rig.host.send({0x12, 0, 0, 0, 255, 0}, 255);
    REQUIRE(answer.data.size() == 96);
    CHECK(answer.residual == 255 - 96);
    CHECK(answer.data[0] == 0x00);        // direct access, connected
    CHECK((answer.data[1] & 0x80) == 0);  // not removable
    CHECK(answer.data[2] == 0x06);        // SPC-4
    CHECK((answer.data[3] & 0x0f) == 2);  // response data format
    CHECK(answer.data[4] == 96 - 5);
    CHECK((answer.data[7] & 0x02) == 2);  // CMDQUE
    CHECK(text(answer.data, 8, 8) == "ACME    ");
    CHECK(text(answer.data, 16, 16) == "Disk that has a ");
    CHECK(text(answer.data, 32, 4) == "7   ");
    CHECK(rig.host.send({0x12, 0, 0, 0, 5, 0}, 255).data.size() == 5);
    CHECK(rig.host.send({0x12, 0, 0, 0, 0, 0}, 0).status == 0);
    CHECK(rig.host.send({0x12, 0, 0x80, 0, 255, 0}, 255).error() == 0x05'24'00);
}

TEST_CASE("vital product data: the pages that page 00h lists exist, others fail at once") {
    BlockRig rig(512, {.serial = "XYZ-42"});
    Answer list = rig.host.send({0x12, 1, 0, 0, 255, 0}, 255);
    REQUIRE(list.data.size() >= 5);
    CHECK(list.data[3] == list.data.size() - 4);
    for (usize at = 4; at < list.data.size(); ++at) {
        CHECK((at == 4 || list.data[at] > list.data[at - 1]));  // ascending
        Answer page = rig.host.send({0x12, 1, list.data[at], 0x01, 0x00, 0}, 256);
        CHECK(page.status == 0);
        CHECK(page.data[1] == list.data[at]);
        CHECK(big_endian(page.data, 2, 2) == page.data.size() - 4);
    }
    CHECK(rig.host.send({0x12, 1, 0xb9, 0, 255, 0}, 255).error() == 0x05'24'00);
    CHECK(rig.host.send({0x12, 1, 0x8f, 0, 255, 0}, 255).error() == 0x05'24'00);
    Answer serial = rig.host.send({0x12, 1, 0x80, 0, 255, 0}, 255);
    CHECK(text(serial.data, 4, serial.data.size() - 4) == "XYZ-42");
}

TEST_CASE("device identification has a T10 name with the serial number, an NAA name, and the port") {
    BlockRig rig(512, {.vendor = "ACME", .product = "Disk", .serial = "XYZ-42"});
    Bytes page = rig.host.send({0x12, 1, 0x83, 0, 255, 0}, 255).data;
    CHECK(page[4] == 0x02);  // ASCII
    CHECK(page[5] == 0x01);  // of the unit, T10 vendor identification
    CHECK(text(page, 8, page[7]) == "ACME    Disk            XYZ-42");
    usize naa = 8U + page[7];
    CHECK(Bytes(page.begin() + static_cast<std::ptrdiff_t>(naa), page.begin() + static_cast<std::ptrdiff_t>(naa + 4)) ==
          Bytes{0x01, 0x03, 0x00, 0x08});
    CHECK(page[naa + 4] >> 4 == 3);  // locally assigned
    BlockRig other(512, {.vendor = "ACME", .product = "Disk", .serial = "XYZ-43"});
    CHECK(other.host.send({0x12, 1, 0x83, 0, 255, 0}, 255).data != page);
}

TEST_CASE("REQUEST SENSE takes a unit attention, in the format that was asked for") {
    BlockRig rig;
    CHECK(rig.host.send({0x03, 0, 0, 0, 252, 0}, 252).data ==
          Bytes{0x70, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
    rig.unit.raise(scsi::UnitAttention::capacity_changed);
    CHECK(rig.host.send({0x03, 1, 0, 0, 252, 0}, 252).data == Bytes{0x72, 0x06, 0x2a, 0x09, 0, 0, 0, 0});
    CHECK(rig.host.send({0, 0, 0, 0, 0, 0}).status == 0);
}

TEST_CASE("REPORT SUPPORTED OPERATION CODES lists what is carried out, and no more") {
    BlockRig rig;
    Bytes all = rig.host.send({0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0}, 4096).data;
    REQUIRE(big_endian(all, 0, 4) == all.size() - 4);
    bool listed[256] = {};
    for (usize at = 4; at < all.size(); at += 8) {
        u8 opcode = all[at];
        listed[opcode] = true;
        u64 action = big_endian(all, at + 2, 2);
        bool has_action = (all[at + 5] & 1) != 0;
        Bytes cdb{0xa3, 0x0c, has_action ? u8{2} : u8{1}, opcode, 0, static_cast<u8>(action), 0, 0, 1, 0, 0, 0};
        Bytes one = rig.host.send(cdb, 256).data;
        REQUIRE(one.size() >= 4);
        CHECK((one[1] & 7) == 3);
        u64 length = big_endian(one, 2, 2);
        CHECK(length == big_endian(all, at + 6, 2));
        REQUIRE(one.size() == 4 + length);
        CHECK(one[4] == opcode);
        CHECK((!has_action || (one[5] & 0x1f) == action));
        CHECK(rig.host.send(with(cdb, 2, 1, has_action ? 1 : 2), 256).error() == 0x05'24'00);
    }
    for (u32 opcode = 0; opcode < 256; ++opcode) {
        Bytes cdb(16);
        cdb[0] = static_cast<u8>(opcode);
        cdb[1] = 0x1f;  // no service action of any: known ones are refused for it
        u32 error = rig.host.send(cdb).error();
        INFO(opcode);
        CHECK((error == 0x05'20'00) == !listed[opcode]);
    }
}

TEST_CASE("usage bits of READ (16) are those of SBC-3 table 52, without protection and groups") {
    BlockRig rig;
    CHECK(rig.host.send({0xa3, 0x0c, 1, 0x88, 0, 0, 0, 0, 1, 0, 0, 0}, 256).data ==
          Bytes{0, 3, 0, 16, 0x88, 0x18, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0});
    Answer timeouts = rig.host.send({0xa3, 0x0c, 0x81, 0x88, 0, 0, 0, 0, 1, 0, 0, 0}, 256);
    CHECK(timeouts.data.size() == 4 + 16 + 12);
    CHECK(timeouts.data[1] == 0x83);
    CHECK(rig.host.send({0xa3, 0x0c, 1, 0xc1, 0, 0, 0, 0, 1, 0, 0, 0}, 256).data == Bytes{0, 1, 0, 0});
}

TEST_CASE("REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS names what Target does (SPC-4 table 278)") {
    BlockRig rig;
    CHECK(rig.host.send({0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0}, 4).data == Bytes{0xde, 0x03, 0, 0});
    CHECK(rig.host.send({0xa3, 0x0d, 0x80, 0, 0, 0, 0, 0, 0, 16, 0, 0}, 16).data.at(3) == 12);
}
