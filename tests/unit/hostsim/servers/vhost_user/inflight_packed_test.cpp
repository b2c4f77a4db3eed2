// What a server that was killed at any point leaves of a packed ring, and what the next one makes of it.
#include "hostsim/servers/vhost_user/inflight_packed.hpp"

#include <catch2/catch.hpp>
#include <deque>

#include "tests/unit/storage/frontends/virtio/virtio_driver.hpp"

using namespace undercroft;
using namespace undercroft::vhost_user;
using namespace undercroft::virtio;

namespace {

constexpr u16 ring_size = 8;

struct Taken {
    Chain chain;
    u16 slot;
};

/// A server that dies whenever `kill` is called: only the region and the ring go on.
struct Server {
    Server() : region(InflightPacked::region_bytes(ring_size)) { start(); }
    void start() {
        inflight = InflightPacked(region.data(), ring_size);
        QueueSetup setup = driver.setup_;
        InflightPacked::State state = inflight.recover(driver.make_queue(), setup.next_used);
        setup.next_available = state.next_available;
        setup.next_used = state.next_used;
        queue.emplace(*Queue::create(driver.memory_, setup));
        open.clear();
        for (const InflightPacked::Recovered& recovered : state.chains) {
            Chain chain;
            REQUIRE(queue->take_again(recovered.descriptors, chain));
            open.push_back({.chain = chain, .slot = recovered.slot});
        }
    }
    bool take() {
        Chain chain;
        if (!*queue->take(chain)) {
            return false;
        }
        u16 slot = inflight.taken(*queue, chain);
        open.push_back({.chain = chain, .slot = slot});
        return true;
    }
    std::vector<u16> ids() const {
        std::vector<u16> all;
        for (const Taken& taken : open) {
            all.push_back(taken.chain.id);
        }
        return all;
    }

    FakeDriver driver{ring_size, true};
    std::vector<std::byte> region;
    InflightPacked inflight;
    std::optional<Queue> queue;
    std::deque<Taken> open;
};

std::vector<FakeDriver::Buffer> buffers(usize count) {
    return std::vector<FakeDriver::Buffer>(count, {FakeDriver::data_at, 16, true});
}

}  // namespace

TEST_CASE("a packed ring goes on where the server was killed, whatever it was at", "[vhost]") {
    enum { taken, completing, told, completed, points };
    for (int point = 0; point < points; ++point) {
        Server server;
        std::vector<u16> expected;
        // Many laps: chains of one to three places, completed out of order, with a crash in each round.
        for (u32 round = 0; round < 60; ++round) {
            CAPTURE(point, round);
            u16 first = server.driver.add(buffers(1 + round % 3));
            u16 second = server.driver.add(buffers(1 + round % 2));
            REQUIRE(server.take());
            REQUIRE(server.take());
            REQUIRE(server.ids() == std::vector<u16>{first, second});
            bool is_done = point != taken;
            if (is_done) {
                Taken last = server.open.back();
                server.inflight.completing(last.slot);
                if (point >= told) {
                    server.queue->complete(last.chain, 1);
                }
                if (point >= completed) {
                    server.inflight.completed(last.slot);
                }
            }
            server.start();
            bool was_told = point >= told;
            CHECK(server.ids() == (was_told ? std::vector<u16>{first} : std::vector<u16>{first, second}));
            CHECK_FALSE(server.take());  // nothing twice
            while (!server.open.empty()) {
                Taken next = server.open.back();
                server.open.pop_back();
                server.inflight.completing(next.slot);
                server.queue->complete(next.chain, 1);
                server.inflight.completed(next.slot);
            }
            CHECK(server.driver.completed()->first == second);
            CHECK(server.driver.completed()->first == first);
            CHECK_FALSE(server.driver.completed());
        }
    }
}

TEST_CASE("a chain that was overwritten in the ring is carried out from its copy", "[vhost]") {
    Server server;
    server.driver.add({{FakeDriver::data_at, 16, false}, {FakeDriver::data_at + 512, 1, true}});
    u16 second = server.driver.add({{FakeDriver::data_at + 1024, 64, true}});
    REQUIRE(server.take());
    REQUIRE(server.take());
    Taken last = server.open.back();
    server.inflight.completing(last.slot);
    server.queue->complete(last.chain, 1);  // over the first chain's place
    server.inflight.completed(last.slot);
    CHECK(server.driver.completed()->first == second);
    server.start();
    REQUIRE(server.open.size() == 1);
    CHECK(server.open[0].chain.readable().size() == 1);
    CHECK(server.open[0].chain.writable().size() == 1);
    CHECK(server.open[0].chain.readable()[0].size == 16);
}

TEST_CASE("a region full of nonsense is no more than a wrong place to go on", "[vhost]") {
    u32 state = 7;
    for (int round = 0; round < 2000; ++round) {
        Server server;
        server.driver.add(buffers(2));
        server.driver.add(buffers(3));
        REQUIRE(server.take());
        REQUIRE(server.take());
        for (int change = 0; change < 1 + round % 40; ++change) {
            state = state * 1664525 + 1013904223;
            server.region[(state >> 8) % server.region.size()] = static_cast<std::byte>(state >> 24);
        }
        InflightPacked inflight(server.region.data(), ring_size);
        InflightPacked::State found = inflight.recover(server.driver.make_queue(), event_wrap);
        CHECK((found.next_used & ~event_wrap) < ring_size);
        CHECK((found.next_available & ~event_wrap) < ring_size);
        CHECK(found.chains.size() <= ring_size);
        for (const InflightPacked::Recovered& chain : found.chains) {
            inflight.completing(chain.slot);
            inflight.completed(chain.slot);
        }
        Chain chain;
        chain.descriptors = 3;
        for (int count = 0; count < 4; ++count) {
            inflight.completing(inflight.taken(*server.queue, chain));
        }
    }
}
