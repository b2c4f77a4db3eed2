// Virtqueues against a driver's side in memory: both rings, wrapping, indirect descriptors, notification, and rings that
// make no sense.
#include <catch2/catch.hpp>

#include "tests/unit/storage/frontends/virtio/virtio_driver.hpp"

using namespace undercroft;
using namespace undercroft::virtio;

TEST_CASE("chains go round the ring many times, and come back out of order") {
    for (bool packed : {false, true}) {
        FakeDriver driver(8, packed);
        Queue queue = driver.make_queue();
        for (int round = 0; round < 50; ++round) {
            Chain first;
            Chain second;
            u16 one = driver.add({{FakeDriver::data_at, 16, false}, {FakeDriver::data_at + 64, 512, true}});
            u16 two = driver.add({{FakeDriver::data_at, 16, false}}, round % 2 == 0);
            REQUIRE(*queue.take(first));
            REQUIRE(*queue.take(second));
            CHECK_FALSE(*queue.take(*std::make_unique<Chain>()));
            CHECK((first.id == one && second.id == two));
            CHECK((first.readable().size() == 1 && first.writable().size() == 1));
            CHECK(first.writable()[0].size == 512);
            queue.complete(second, 0);
            queue.complete(first, 513);
            CHECK(driver.completed() == std::pair<u16, u32>(two, 0));
            CHECK(driver.completed() == std::pair<u16, u32>(one, 513));
            CHECK_FALSE(driver.completed());
        }
    }
}

TEST_CASE("a queue goes on where another device left it") {
    for (bool packed : {false, true}) {
        FakeDriver driver(8, packed);
        Chain chain;
        for (int round = 0; round < 21; ++round) {
            Queue queue = driver.make_queue();
            u16 id = driver.add({{FakeDriver::data_at, 16, false}, {FakeDriver::data_at, 1, true}});
            REQUIRE(*queue.take(chain));
            queue.complete(chain, 1);
            CHECK(driver.completed() == std::pair<u16, u32>(id, 1));
            driver.setup_.next_available = queue.next_available();
            driver.setup_.next_used = queue.next_used();
        }
    }
}

TEST_CASE("indirect tables are walked, with what the device writes behind what it reads") {
    for (bool packed : {false, true}) {
        FakeDriver driver(8, packed);
        Queue queue = driver.make_queue();
        Chain chain;
        driver.add(
            {{FakeDriver::data_at, 16, false}, {FakeDriver::data_at + 512, 512, false}, {FakeDriver::data_at, 1, true}},
            true);
        REQUIRE(*queue.take(chain));
        CHECK(chain.readable().size() == 2);
        CHECK(chain.writable().size() == 1);
    }
}

TEST_CASE("the driver is told when it wants to be") {
    FakeDriver flags(8, false);
    Queue queue = flags.make_queue();
    Chain chain;
    auto one = [&](FakeDriver& driver, Queue& on) {
        driver.add({{FakeDriver::data_at, 1, true}});
        REQUIRE(*on.take(chain));
        on.complete(chain, 1);
        return on.should_notify();
    };
    CHECK_FALSE(queue.should_notify());
    CHECK(one(flags, queue));
    flags.put(FakeDriver::driver_at, Le<u16>(available_no_interrupt));
    CHECK_FALSE(one(flags, queue));

    FakeDriver event(8, false, true);
    Queue indexed = event.make_queue();
    event.put(FakeDriver::driver_at + 4 + 16, Le<u16>(2));  // after the third
    CHECK_FALSE(one(event, indexed));
    CHECK_FALSE(one(event, indexed));
    CHECK(one(event, indexed));
    CHECK_FALSE(one(event, indexed));

    FakeDriver packed(8, true, true);
    Queue ring = packed.make_queue();
    CHECK(one(packed, ring));
    packed.put(FakeDriver::driver_at + 2, Le<u16>(event_disable));
    CHECK_FALSE(one(packed, ring));
    packed.put(FakeDriver::driver_at + 2, Le<u16>(event_descriptor));
    packed.put(FakeDriver::driver_at, Le<u16>(3 | event_wrap));
    CHECK_FALSE(one(packed, ring));  // place 2
    CHECK(one(packed, ring));        // place 3
    CHECK_FALSE(one(packed, ring));
    packed.put(FakeDriver::driver_at, Le<u16>(1));  // in the next lap
    bool told[5];
    for (bool& answer : told) {
        answer = one(packed, ring);  // places 5, 6, 7, 0, 1
    }
    CHECK((!told[0] && !told[1] && !told[2] && !told[3] && told[4]));
}

TEST_CASE("rings that make no sense are errors") {
    auto take = [](FakeDriver& driver) {
        Queue queue = driver.make_queue();
        Chain chain;
        return queue.take(chain);
    };
    for (bool packed : {false, true}) {
        FakeDriver outside(8, packed);
        outside.add({{FakeDriver::memory_bytes - 8, 16, false}});
        CHECK(take(outside).error() == Error::out_of_range);
        FakeDriver order(8, packed);
        order.add({{FakeDriver::data_at, 1, true}, {FakeDriver::data_at, 16, false}});
        CHECK(take(order).error() == Error::malformed);
    }
    FakeDriver circle(8, false);
    circle.add({{FakeDriver::data_at, 16, false}});
    circle.put(FakeDriver::descriptors_at,
               SplitDescriptor{.address = FakeDriver::data_at, .length = 1, .flags = descriptor_next, .next = 0});
    CHECK(take(circle).error() == Error::malformed);
    FakeDriver far_head(8, false);
    far_head.add({{FakeDriver::data_at, 16, false}});
    far_head.put(FakeDriver::driver_at + 4, Le<u16>(900));
    CHECK(take(far_head).error() == Error::malformed);
    FakeDriver far_index(8, false);
    far_index.put(FakeDriver::driver_at + 2, Le<u16>(9));
    CHECK(take(far_index).error() == Error::malformed);
    FakeDriver nested(8, false);
    nested.add({{FakeDriver::data_at, 16, false}}, true);
    nested.put(FakeDriver::table_at,
               SplitDescriptor{.address = FakeDriver::table_at, .length = 16, .flags = descriptor_indirect, .next = 0});
    CHECK(take(nested).error() == Error::malformed);
}

TEST_CASE("queues that cannot be are refused") {
    FakeDriver driver(8, false);
    auto refused = [&](auto change) {
        QueueSetup setup = driver.setup_;
        change(setup);
        return !Queue::create(driver.memory_, setup);
    };
    CHECK(refused([](QueueSetup& setup) { setup.size = 0; }));
    CHECK(refused([](QueueSetup& setup) { setup.size = 9; }));
    CHECK(refused([](QueueSetup& setup) { setup.descriptors = 8; }));
    CHECK(refused([](QueueSetup& setup) { setup.device_area = FakeDriver::memory_bytes - 4; }));
    CHECK(refused([](QueueSetup& setup) {
        setup.packed = true;
        setup.next_used = 8;
    }));
}
