// Requests and their replies, and clients that do not follow the protocol.
#include <algorithm>
#include <map>
#include <set>

#include "tests/unit/hostsim/servers/nbd/nbd_client.hpp"

using namespace undercroft;
using namespace undercroft::nbd;

namespace {

Replies after_handshake(Session& session, const Script& script, usize piece_bytes = ~usize{0}) {
    Replies replies = session.run(script, piece_bytes);
    replies.skip_handshake();
    return replies;
}

bool all_are(const std::vector<std::byte>& bytes, u8 value) {
    return std::ranges::all_of(bytes, [&](std::byte byte) { return byte == static_cast<std::byte>(value); });
}

}  // namespace

TEST_CASE("what was written is read, in simple replies") {
    Session session;
    Script script = Script().flags().go();
    script.write(1, 4096, 8192, 0x5a).request(Command::flush, 2, 0, 0).disconnect();
    Replies replies = after_handshake(session, script, 1000);
    CHECK(replies.simple() == WireError::none);
    CHECK(replies.simple() == WireError::none);
    CHECK(replies.at_end());
    replies = after_handshake(session, Script().flags().go().request(Command::read, 3, 4096, 8192).disconnect());
    CHECK(replies.simple() == WireError::none);
    CHECK(replies.cookie == 3);
    CHECK(all_are(replies.take_bytes(8192), 0x5a));
    CHECK(replies.at_end());
}

TEST_CASE("structured reads say holes instead of sending zeros") {
    Session session;
    after_handshake(session, Script().flags().go().write(1, 65536, 65536, 7).disconnect());
    Script script = Script().flags().structured().go();
    Replies replies = after_handshake(session, script.request(Command::read, 9, 0, 3 * 65536).disconnect());
    ChunkHeader hole = replies.chunk();
    CHECK(hole.type == static_cast<u16>(Chunk::offset_hole));
    CHECK(hole.flags == 0);
    ChunkHeader data = replies.chunk();
    CHECK(data.type == static_cast<u16>(Chunk::offset_data));
    CHECK(data.length == 65536 + 8);
    CHECK(all_are({replies.data.begin() + 8, replies.data.end()}, 7));
    ChunkHeader last = replies.chunk();
    CHECK(last.type == static_cast<u16>(Chunk::offset_hole));
    CHECK(last.flags == chunk_done);
    CHECK(replies.at_end());
}

TEST_CASE("a read that must not be fragmented is one chunk, or too large") {
    Session session;
    after_handshake(session, Script().flags().go().write(1, 0, 4096, 7).disconnect());
    Script script = Script().flags().structured().go();
    script.request(Command::read, 1, 0, 128 * 1024, command_df);
    script.request(Command::read, 2, 0, 129 * 1024, command_df).disconnect();
    Replies replies = after_handshake(session, script);
    CHECK(replies.chunk().flags == chunk_done);
    CHECK(replies.data.size() == 8 + 128 * 1024);
    CHECK(replies.chunk_error() == WireError::overflow);
}

TEST_CASE("block status tells holes from data, merged, and one extent where one is asked for") {
    Session session;
    after_handshake(session, Script().flags().go().write(1, 65536, 131072, 7).disconnect());
    Script script = Script().flags().structured().allocation().go();
    script.request(Command::block_status, 1, 0, 4 * 65536);
    script.request(Command::block_status, 2, 0, 4 * 65536, command_request_one).disconnect();
    Replies replies = after_handshake(session, script);
    CHECK(replies.chunk().type == static_cast<u16>(Chunk::block_status));
    REQUIRE(replies.data.size() == 4 + 3 * sizeof(Extent));
    Extent extents[3];
    std::memcpy(extents, replies.data.data() + 4, sizeof(extents));
    CHECK((extents[0].length == 65536 && extents[0].flags == 3));
    CHECK((extents[1].length == 131072 && extents[1].flags == 0));
    CHECK((extents[2].length == 65536 && extents[2].flags == 3));
    replies.chunk();
    CHECK(replies.data.size() == 4 + sizeof(Extent));
}

TEST_CASE("trim and write zeroes make holes, and fast zeroes are refused where they are not fast") {
    Session session;
    Script script = Script().flags().go();
    script.write(1, 0, 262144, 7).request(Command::trim, 2, 0, 65536);
    script.request(Command::write_zeroes, 3, 65536, 65536, command_fast_zero | command_fua);
    script.request(Command::write_zeroes, 4, 131072, 65536, command_fast_zero | command_no_hole);
    script.request(Command::write_zeroes, 5, 131072, 65536, command_no_hole).disconnect();
    Replies replies = after_handshake(session, script);
    std::map<u64, WireError> errors;
    for (int count = 0; count < 5; ++count) {
        WireError error = replies.simple();
        errors[replies.cookie] = error;
    }
    CHECK(errors[2] == WireError::none);
    CHECK(errors[3] == WireError::none);
    CHECK(errors[4] == WireError::not_supported);
    CHECK(errors[5] == WireError::none);
    replies = after_handshake(session, Script().flags().go().request(Command::read, 1, 0, 262144).disconnect());
    CHECK(replies.simple() == WireError::none);
    CHECK(all_are(replies.take_bytes(196608), 0));
    CHECK(all_are(replies.take_bytes(65536), 7));
}

TEST_CASE("requests that cannot be are refused one by one, and the stream stays in step") {
    Session session(64);  // 32 KiB
    Script script = Script().flags().go();
    script.write(1, 1, 512, 1).write(2, 0, 100, 1).write(3, 64 * 512, 512, 1).write(4, 0, 512, 1, 1U << 9);
    script.request(Command::read, 5, 63 * 512, 1024).request(Command::read, 6, ~u64{511}, 512);
    script.request(static_cast<Command>(5), 7, 0, 0).request(static_cast<Command>(77), 8, 0, 0);
    script.request(Command::block_status, 9, 0, 512).request(Command::read, 10, 0, 512, command_df);
    script.request(Command::trim, 11, 0, 65 * 512).request(Command::read, 12, 0, 0).disconnect();
    Replies replies = after_handshake(session, script, 97);
    std::map<u64, WireError> errors;
    while (!replies.at_end()) {
        WireError error = replies.simple();
        errors[replies.cookie] = error;
    }
    CHECK(errors.size() == 12);
    CHECK(errors[3] == WireError::no_space);
    CHECK(errors[11] == WireError::no_space);
    CHECK(errors[12] == WireError::none);
    for (u64 cookie : {1, 2, 4, 5, 6, 7, 8, 9, 10}) {
        CHECK(errors[cookie] == WireError::invalid);
    }
}

TEST_CASE("changes of a read-only export are refused, their payload skipped") {
    Session session;
    session.exports[0].read_only = true;
    Script script = Script().flags().go().write(1, 0, 512, 1).request(Command::trim, 2, 0, 512).disconnect();
    Replies replies = after_handshake(session, script);
    CHECK(replies.simple() == WireError::not_permitted);
    CHECK(replies.simple() == WireError::not_permitted);
}

TEST_CASE("no reply is lost that becomes ready while others are sent") {
    // A write whose payload was split between two receives ended while a send was under way, and was taken for sent.
    Session session;
    for (usize slow_turns : {0, 1, 2, 5, 40}) {
        Script script = Script().flags().go();
        for (u64 cookie = 0; cookie < 100; ++cookie) {
            script.write(cookie, cookie * 4096, 4096, static_cast<u8>(cookie));
        }
        Replies replies = session.run(script.disconnect(), 50'000, slow_turns);
        replies.skip_handshake();
        std::set<u64> cookies;
        while (!replies.at_end()) {
            CHECK(replies.simple() == WireError::none);
            cookies.insert(replies.cookie);
        }
        CHECK(cookies.size() == 100);
    }
}

TEST_CASE("requests larger than the connection's memory are served in pieces") {
    Session session;
    session.limits.data_bytes = 512 * kib;
    Script script = Script().flags().go().write(1, 0, 3 * mib, 0x33);
    script.request(Command::flush, 2, 0, 0).disconnect();
    Replies replies = after_handshake(session, script, 70'001);
    CHECK(replies.simple() == WireError::none);
    // Two at once in simple replies: neither may be torn apart by the other.
    script = Script().flags().go().request(Command::read, 5, 0, 3 * mib).request(Command::read, 6, 0, 3 * mib);
    for (bool structured : {false, true}) {
        Script handshake = Script().flags();
        handshake = structured ? handshake.structured().go() : handshake.go();
        handshake.request(Command::read, 5, 0, 3 * mib).request(Command::read, 6, 0, 3 * mib).disconnect();
        replies = session.run(handshake, ~usize{0}, 3);
        replies.skip_handshake();
        usize bytes = 0;
        while (!replies.at_end()) {
            if (structured) {
                REQUIRE(replies.chunk().type == static_cast<u16>(Chunk::offset_data));
                bytes += replies.data.size() - 8;
                CHECK(all_are({replies.data.begin() + 8, replies.data.end()}, 0x33));
            } else {
                REQUIRE(replies.simple() == WireError::none);
                CHECK(all_are(replies.take_bytes(3 * mib), 0x33));
                bytes += 3 * mib;
            }
        }
        CHECK(bytes == 6 * mib);
    }
}

TEST_CASE("clients that break the protocol or vanish are left") {
    Session session;
    Script garbage = Script().flags().go().request(Command::read, 1, 0, 512).fill(28, 0xff);
    (void)session.run(garbage);
    Script huge = Script().flags().go().request(Command::write, 1, 0, payload_bytes_max + 512);
    CHECK(after_handshake(session, huge).at_end());
    Script half = Script().flags().go().request(Command::write, 1, 0, 8192).fill(5000, 1);
    (void)session.run(half);
    ScriptedStream broken(Script().flags().go().write(1, 0, 512, 1).request(Command::read, 2, 0, 512).bytes);
    broken.fail_sends_from(4);
    (void)session.run(broken);
}

TEST_CASE("every disk error has an error of the protocol") {
    for (usize value = 0; value < disk_error_count; ++value) {
        for (bool is_change : {false, true}) {
            CHECK(wire_error(static_cast<DiskError>(value), is_change) != WireError::none);
        }
    }
    CHECK(wire_error(DiskError::illegal_block, true) == WireError::no_space);
    CHECK(wire_error(DiskError::illegal_block, false) == WireError::invalid);
    CHECK(wire_error(DiskError::read_only, true) == WireError::not_permitted);
    CHECK(wire_error(DiskError::gone, false) == WireError::shutting_down);
}
