#include "hostsim/servers/receive_pacing.hpp"

#include <catch2/catch.hpp>

namespace undercroft {

namespace {

constexpr ReceivePacing::Batch one{.requests = 1, .received_bytes = 28};

u64 pause_after(ReceivePacing& pacing, const ReceivePacing::Batch& batch, std::optional<u64> unread, usize times) {
    u64 pause = 0;
    for (usize index = 0; index < times; ++index) {
        pause = pacing.next_pause_ns(batch, unread);
    }
    return pause;
}

}  // namespace

TEST_CASE("a client that has read everything is never left alone, and looked out for") {
    ReceivePacing pacing;
    CHECK(pause_after(pacing, one, 0, 100) == 0);
    CHECK(pacing.peer_waits());
}

TEST_CASE("where it is not known what the client has read, it is never left alone") {
    ReceivePacing pacing;
    CHECK(pause_after(pacing, one, std::nullopt, 100) == 0);
    CHECK(pacing.peer_waits());
    CHECK(pacing.next_pause_ns({.requests = 8, .received_bytes = 224}, std::nullopt) == 0);
    CHECK_FALSE(pacing.peer_waits());
}

TEST_CASE("pauses grow while the client has replies to read, and end soon after it has not") {
    ReceivePacing pacing;
    CHECK(pause_after(pacing, one, 5000, 100) == ReceivePacing::pause_max_ns);
    CHECK_FALSE(pacing.peer_waits());
    u64 before = ReceivePacing::pause_max_ns;
    for (usize turn = 0; turn < 3; ++turn) {
        u64 pause = pacing.next_pause_ns(one, 0);
        CHECK(pause <= before / 2);
        before = pause;
    }
    CHECK(before == 0);
}

TEST_CASE("pauses grow no further than a batch that is large enough") {
    ReceivePacing pacing;
    u64 pause = pause_after(pacing, one, 5000, 4);
    REQUIRE(pause > 0);
    ReceivePacing::Batch enough{.requests = ReceivePacing::batch_requests, .received_bytes = 448};
    CHECK(pause_after(pacing, enough, 5000, 20) == pause);
    ReceivePacing::Batch filled{.requests = 15, .received_bytes = 2 * ReceivePacing::batch_bytes};
    CHECK(pacing.next_pause_ns(filled, 5000) == pause / 2);
}

}  // namespace undercroft
