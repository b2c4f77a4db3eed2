// The virtio PCI function, driven through configuration space, BARs, rings and messages alone.
#include "tests/unit/storage/frontends/virtio/pci_rig.hpp"

using namespace undercroft;
using namespace undercroft::virtio;

namespace {
constexpr u64 all_ring_features[] = {0, feature_indirect, feature_event_index | feature_indirect, feature_packed,
                                     feature_packed | feature_event_index | feature_indirect};
}

TEST_CASE("a driver finds a modern block device through its capabilities", "[virtio]") {
    PciRig rig;
    CHECK(rig.controller->read_config(0) == 0x1042'1af4);
    CHECK(rig.controller->read_config(pci::config_offset::revision_class) == (0x018000U << 8 | 1));
    CHECK((rig.controller->read_config(pci::config_offset::command_status) >> 16 & pci::status_bit::capabilities_list));
    for (PciCapabilityType type : {PciCapabilityType::common, PciCapabilityType::notify, PciCapabilityType::isr,
                                   PciCapabilityType::device, PciCapabilityType::pci_access}) {
        CHECK(rig.capabilities.contains(type));
    }
    CHECK(rig.common<u16>(offsetof(CommonConfig, queue_count)) == 2);
    CHECK(rig.common<u16>(offsetof(CommonConfig, queue_size)) == PciQueue::size_max);
    u64 features = rig.device_features();
    for (u64 feature : {feature_version_1, feature_packed, feature_indirect, feature_event_index, feature_block_flush,
                        feature_block_queues, feature_block_discard, feature_block_write_zeroes}) {
        CHECK((features & feature) != 0);
    }
    CHECK(rig.read<u64>(PciCapabilityType::device, offsetof(BlockConfig, capacity)) == 4096);
    CHECK(rig.read<u16>(PciCapabilityType::device, offsetof(BlockConfig, queues)) == 2);
    CHECK(rig.read<u64>(PciCapabilityType::device, 0x800) == 0);  // behind the end
}

TEST_CASE("the access capability stands for the registers of a BAR", "[virtio]") {
    PciRig rig;
    u16 place = PciCapabilities::first + offsetof(PciCapabilities, access);
    auto aim = [&](u8 bar, u32 offset, u32 length) {
        rig.controller->write_config(place + 4, bar, 0xff);
        rig.controller->write_config(place + 8, offset, ~0U);
        rig.controller->write_config(place + 12, length, ~0U);
    };
    aim(0, offsetof(CommonConfig, queue_count), 2);
    CHECK(rig.controller->read_config(place + 16) == 2);
    aim(0, offsetof(CommonConfig, status), 1);
    rig.controller->write_config(place + 16, status_acknowledge, 0xff);
    CHECK(rig.status() == status_acknowledge);
    CHECK(rig.controller->read_config(place + 16) == status_acknowledge);
    aim(0, 0x7fffffff, 4);
    CHECK(rig.controller->read_config(place + 16) == 0);
    aim(5, 0, 3);
    rig.controller->write_config(place + 16, 0, ~0U);
    CHECK(rig.status() == status_acknowledge);
}

TEST_CASE("features are accepted only from what is offered, and only with version 1", "[virtio]") {
    PciRig rig;
    u8 wanted = status_acknowledge | status_driver | status_features_ok;
    rig.set_features(feature_block_flush);
    rig.set_status(wanted);
    CHECK((rig.status() & status_features_ok) == 0);
    rig.set_features(feature_version_1 | 1ULL << 45);
    rig.set_status(wanted);
    CHECK((rig.status() & status_features_ok) == 0);
    // Such a driver cannot start the device either.
    rig.set_status(wanted | status_driver_ok);
    rig.notify(0);
    CHECK_FALSE(rig.run());
    rig.set_features(feature_version_1 | feature_block_flush);
    rig.set_status(wanted);
    CHECK((rig.status() & status_features_ok) != 0);
    rig.set_features(0);  // too late: what was settled stays
    rig.write_common<u32>(offsetof(CommonConfig, driver_feature_select), 1);
    CHECK(rig.common<u32>(offsetof(CommonConfig, driver_feature)) == 1);
}

TEST_CASE("requests on two queues are carried out, each with its own interrupt", "[virtio]") {
    for (u64 features : all_ring_features) {
        PciRig rig;
        rig.start(features);
        bool indirect = (features & feature_indirect) != 0;
        for (int round = 0; round < 40; ++round) {
            u16 queue = static_cast<u16>(round % 2);
            std::memset(rig.driver.at(PciRig::data_at), round + 1, 4096);
            u64 sector = 8U * static_cast<u64>(round);
            CHECK(rig.request(queue, BlockRequestType::out, sector, PciRig::data_at, 4096, indirect) ==
                  BlockStatusCode::ok);
            std::memset(rig.driver.at(PciRig::data_at), 0, 4096);
            CHECK(rig.request(queue, BlockRequestType::in, sector, PciRig::data_at, 4096, indirect) ==
                  BlockStatusCode::ok);
            CHECK(rig.driver.get<u8>(PciRig::data_at + 4095) == round + 1);
        }
        CHECK(rig.controller->counters().requests == 80);
        inspect::Walk walk({.path = "requests"}, 4096);
        CHECK(walk.run([&](inspect::Node& node) { rig.controller->describe(node); }).value_or("none") == "80");
        inspect::Walk whole({}, 4096);
        std::string text = whole.run([&](inspect::Node& node) { rig.controller->describe(node); }).value_or("none");
        CHECK(text.find("\"device\":\"block\",\"driver_ready\":true") != std::string::npos);
        CHECK(text.find("\"queues\":{\"0\":{\"active\":true,\"requests\":") != std::string::npos);
        CHECK(text.find("\"in_flight\":0") != std::string::npos);
        if ((features & feature_event_index) == 0) {
            CHECK(rig.interrupts(1) == 40);
            CHECK(rig.interrupts(2) == 40);
        }
        CHECK(rig.interrupts(0) == 0);
        CHECK((rig.status() & status_needs_reset) == 0);
    }
}

TEST_CASE("a busy queue is not to be notified, an idle or slow one is", "[virtio]") {
    for (u64 features : all_ring_features) {
        if ((features & feature_packed) != 0) {
            continue;  // the same code; the driver of the test does not suppress by place
        }
        PciRig rig(1, 64);
        rig.start(features);
        rig.disk->hold = true;
        for (u64 index = 0; index < 20; ++index) {
            rig.add(0, BlockRequestType::in, index, PciRig::data_at, 512);
            rig.run();
        }
        CHECK(rig.disk->holding == 8);  // what comes then is looked at with a completion, ...
        CHECK(rig.notifications == 8);
        rig.disk->release_one();
        rig.run();
        CHECK(rig.disk->holding == 19);
        rig.add(0, BlockRequestType::in, 20, PciRig::data_at, 512);
        rig.run();
        CHECK(rig.disk->holding == 19);
        rig.advance();  // ... or when there was none for a while
        rig.run();
        rig.advance();
        rig.run();
        CHECK(rig.disk->holding == 20);
        rig.add(0, BlockRequestType::in, 21, PciRig::data_at, 512);
        rig.run();
        CHECK(rig.disk->holding == 21);
        rig.disk->release();
        rig.run();
        usize done = 0;
        while (rig.rings[0]->completed()) {
            ++done;
        }
        CHECK(done == 22);
    }
}

TEST_CASE("a reset ends what is in flight, and nothing touches memory after it", "[virtio]") {
    for (bool ignores_cancel : {false, true}) {
        PciRig rig;
        rig.start(feature_event_index);
        rig.disk->hold = true;
        rig.disk->ignores_cancel = ignores_cancel;
        for (u16 queue : {0, 1}) {
            for (u64 index = 0; index < 4; ++index) {
                rig.add(queue, BlockRequestType::in, index, PciRig::data_at, 512);
            }
        }
        rig.run();
        CHECK(rig.disk->holding == 8);
        usize before = rig.messages.messages.size();
        rig.set_status(0);
        CHECK(rig.status() != 0);  // not yet
        rig.set_status(status_acknowledge);
        rig.run();
        if (ignores_cancel) {
            CHECK(rig.status() != 0);
            rig.disk->release();
            rig.run();
        }
        CHECK(rig.status() == 0);
        CHECK(rig.messages.messages.size() == before);
        CHECK((ignores_cancel || rig.driver.get<u8>(rig.last_status_at) != u8(BlockStatusCode::ok)));
        CHECK_FALSE(rig.rings[0]->completed());
        rig.disk->release();
        rig.disk->ignores_cancel = false;
        std::vector<std::byte> copy(rig.driver.at(0), rig.driver.at(0) + FakeDriver::memory_bytes);
        rig.notify(0);
        rig.run();
        rig.advance();
        rig.run();
        CHECK(std::memcmp(copy.data(), rig.driver.at(0), copy.size()) == 0);
        rig.start(feature_packed);
        CHECK(rig.request(1, BlockRequestType::in, 0, PciRig::data_at, 512) == BlockStatusCode::ok);
        CHECK(rig.controller->counters().resets == 1);
    }
}

TEST_CASE("a function level reset is a reset, and forgets messages too", "[virtio]") {
    PciRig rig;
    rig.start(0);
    u16 control = PciCapabilities::first + offsetof(PciCapabilities, advanced_control);
    u32 abilities = rig.controller->read_config(control - 4);
    CHECK((abilities & 0xff) == pci::capability_id::advanced_features);
    CHECK((abilities & pci::advanced_features::function_reset_capable) != 0);
    {
        CurrentExecutorScope scope(rig.processors.executor(1));
        rig.controller->write_config(control, pci::advanced_features::initiate_function_reset, 0xff);
        CHECK((rig.controller->read_config(control) & pci::advanced_features::transactions_pending) != 0);
    }
    rig.run();
    CHECK(rig.controller->read_config(control) == 0);
    CHECK(rig.status() == 0);
    CHECK((rig.controller->read_config(PciCapabilities::msix) >> 31) == 0);
    rig.start(0);
    CHECK(rig.request(0, BlockRequestType::in, 0, PciRig::data_at, 512) == BlockStatusCode::ok);
}

TEST_CASE("a new size reaches the driver without being asked", "[virtio]") {
    PciRig rig;
    rig.start(0);
    u8 generation = rig.common<u8>(offsetof(CommonConfig, generation));
    REQUIRE(rig.disk->inner().resize(8192));
    rig.run();
    CHECK(rig.interrupts(0) == 1);
    CHECK(rig.common<u8>(offsetof(CommonConfig, generation)) != generation);
    CHECK(rig.read<u64>(PciCapabilityType::device, offsetof(BlockConfig, capacity)) == 8192);
    CHECK(rig.read<u8>(PciCapabilityType::isr, 0) == isr_config);
    CHECK(rig.read<u8>(PciCapabilityType::isr, 0) == 0);  // reading clears
    CHECK(rig.request(0, BlockRequestType::in, 8191, PciRig::data_at, 512) == BlockStatusCode::ok);
    rig.advance();
    rig.run();
    REQUIRE(rig.disk->inner().resize(1024));
    rig.run();
    CHECK(rig.interrupts(0) == 2);
    CHECK(rig.request(0, BlockRequestType::in, 8191, PciRig::data_at, 512) == BlockStatusCode::io_error);
}

TEST_CASE("without MSI-X a driver that polls finds the queue's bit", "[virtio]") {
    PciRig rig;
    rig.start(0);
    rig.controller->write_config(PciCapabilities::msix, 0, 0xffff0000);
    CHECK(rig.request(0, BlockRequestType::in, 0, PciRig::data_at, 512) == BlockStatusCode::ok);
    CHECK(rig.read<u8>(PciCapabilityType::isr, 0) == isr_queue);
    CHECK(rig.interrupts(1) == 0);
}

TEST_CASE("a broken ring asks for a reset, and the other queue goes on", "[virtio]") {
    PciRig rig;
    rig.start(0);
    rig.driver.put(FakeDriver::driver_at + ring_index_offset, Le<u16>(900));
    rig.notify(0);
    rig.run();
    CHECK((rig.status() & status_needs_reset) != 0);
    CHECK(rig.interrupts(0) == 1);
    rig.notify(0);
    rig.run();
    CHECK(rig.interrupts(0) == 1);  // once
    CHECK(rig.request(1, BlockRequestType::in, 0, PciRig::data_at, 512) == BlockStatusCode::ok);
    rig.start(0);
    CHECK(rig.request(0, BlockRequestType::in, 0, PciRig::data_at, 512) == BlockStatusCode::ok);
}

TEST_CASE("queues that cannot be ask for a reset when the driver is ready", "[virtio]") {
    PciRig rig;
    rig.set_status(status_acknowledge | status_driver);
    rig.set_features(feature_version_1);
    rig.set_status(status_acknowledge | status_driver | status_features_ok);
    QueueSetup setup = rig.driver.setup_;
    setup.descriptors = FakeDriver::memory_bytes;
    rig.set_up_queue(0, setup);
    rig.set_status(rig.status() | status_driver_ok);
    CHECK((rig.status() & status_needs_reset) != 0);
    rig.notify(0);
    rig.run();
    rig.reset();
    CHECK(rig.status() == 0);
}

TEST_CASE("a driver that adds the same chains again and again has a bounded number under way", "[virtio]") {
    PciRig rig(1, PciQueue::size_max);
    rig.start(0);
    rig.disk->hold = true;
    rig.add(0, BlockRequestType::in, 0, PciRig::data_at, 512);
    rig.run();
    for (u16 index = 1; index < 2000; index = static_cast<u16>(index + PciQueue::size_max)) {
        rig.driver.put(FakeDriver::driver_at + ring_index_offset, Le<u16>(index));
        rig.notify(0);
        rig.run();
        rig.advance();
        rig.run();
    }
    CHECK(rig.disk->holding <= PciQueue::size_max);
    CHECK(rig.disk->holding >= 1);
    rig.reset();
}

TEST_CASE("registers take what a driver should not write", "[virtio]") {
    PciRig rig;
    rig.start(0);
    u32 state = 1;
    auto next = [&] { return state = state * 1664525 + 1013904223; };
    constexpr AccessSize sizes[] = {AccessSize::byte, AccessSize::word, AccessSize::dword, AccessSize::qword};
    for (int count = 0; count < 20000; ++count) {
        CurrentExecutorScope scope(rig.processors.executor(count % 2));
        u64 offset = next() >> 16;
        offset = count % 3 == 0 ? offset % 64 : offset % pci_place::memory_bar_bytes;
        AccessSize size = sizes[next() >> 30];
        u64 value = count % 5 == 0 ? next() >> 24 : u64{next()} << 32 | next();
        usize bar = count % 7 == 0 ? next() >> 29 : 0;
        (void)rig.controller->read_bar(bar, offset, size);
        rig.controller->write_bar(bar, offset, size, value);
        u16 config = static_cast<u16>((next() >> 24) & 0xfc);
        (void)rig.controller->read_config(config);
        if (count % 11 == 0) {
            rig.controller->write_config(config, next(), next());
        }
        if (count % 50 == 0) {
            rig.run();
        }
    }
    rig.run();
    rig.start(feature_packed);
    CHECK(rig.request(0, BlockRequestType::in, 0, PciRig::data_at, 512) == BlockStatusCode::ok);
}
