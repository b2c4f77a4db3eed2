// A virtio PCI function under test: simulated processors, a disk that obeys, and a driver's side that knows the function
// by its capabilities alone.
#pragma once

#include <catch2/catch.hpp>
#include <map>

#include "hostsim/platform/virtual_platform.hpp"
#include "storage/frontends/virtio/block_device.hpp"
#include "storage/frontends/virtio/pci_controller.hpp"
#include "tests/support/nvme_guest.hpp"
#include "tests/unit/storage/frontends/nvme/fake_disk.hpp"
#include "tests/unit/storage/frontends/virtio/virtio_driver.hpp"

namespace undercroft::virtio {

class PciRig {
public:
    static constexpr u64 second_queue_at = 0x20000;
    static constexpr u16 ring_size = 16;

    explicit PciRig(u16 queues = 2, u16 size = ring_size)
        : processors(2), disk(std::make_shared<test::FakeDisk>(RamDiskOptions{.sectors = 4096, .id = {}})),
          driver(size, false), size_(size) {
        std::vector<Executor*> executors = processors.executors();
        BlockIdentity identity{.serial = "serial-1", .queues = queues};
        controller = std::move(*PciController::create(
            {.memory = driver.memory_,
             .messages = messages,
             .executors = executors,
             .device = std::make_unique<BlockDevice>(*Disk::create(disk), std::move(identity))}));
        find_capabilities();
    }
    PciRig(const PciRig&) = delete;
    PciRig& operator=(const PciRig&) = delete;
    ~PciRig() {
        disk->release();
        bool closed = false;
        {
            CurrentExecutorScope scope(processors.executor(0));
            detail::run_root(controller->close(), closed);
        }
        while (!closed) {
            REQUIRE((run() || advance()));
        }
    }

    // --- The processors ---
    bool run() {
        bool any = false;
        for (bool ran = true; ran;) {
            ran = false;
            for (usize index = 0; index < processors.count(); ++index) {
                CurrentExecutorScope scope(processors.executor(index));
                ran |= processors.executor(index).run_ready();
            }
            any |= ran;
        }
        return any;
    }
    bool advance(u64 time_ns = 200 * nanoseconds_per_millisecond) {
        processors.clock().advance_to(processors.now_ns() + time_ns);
        return true;
    }

    // --- Registers ---
    template <typename T>
    T common(u64 offset) {
        return read<T>(PciCapabilityType::common, offset);
    }
    template <typename T>
    T read(PciCapabilityType type, u64 offset) {
        const PciCapability& place = capabilities.at(type);
        CurrentExecutorScope scope(processors.executor(0));
        return static_cast<T>(
            controller->read_bar(place.bar, place.offset + offset, static_cast<AccessSize>(sizeof(T))));
    }
    template <typename T>
    void write_common(u64 offset, T value) {
        const PciCapability& place = capabilities.at(PciCapabilityType::common);
        CurrentExecutorScope scope(processors.executor(0));
        controller->write_bar(place.bar, place.offset + offset, static_cast<AccessSize>(sizeof(T)), value);
    }
    u8 status() { return common<u8>(offsetof(CommonConfig, status)); }
    void set_status(u8 value) { write_common<u8>(offsetof(CommonConfig, status), value); }
    u64 device_features() {
        write_common<u32>(offsetof(CommonConfig, device_feature_select), 0);
        u64 features = common<u32>(offsetof(CommonConfig, device_feature));
        write_common<u32>(offsetof(CommonConfig, device_feature_select), 1);
        return features | u64{common<u32>(offsetof(CommonConfig, device_feature))} << 32;
    }
    void set_features(u64 features) {
        for (u32 half = 0; half < 2; ++half) {
            write_common<u32>(offsetof(CommonConfig, driver_feature_select), half);
            write_common<u32>(offsetof(CommonConfig, driver_feature), static_cast<u32>(features >> (32 * half)));
        }
    }

    // --- A driver's start ---
    /// Resets, negotiates `features`, sets up the queues with vectors 1 and 2 and the configuration's vector 0, and
    /// says that it is ready.
    void start(u64 features) {
        reset();
        set_status(status_acknowledge | status_driver);
        set_features(features | feature_version_1);
        set_status(status_acknowledge | status_driver | status_features_ok);
        REQUIRE((status() & status_features_ok) != 0);
        enable_messages();
        write_common<u16>(offsetof(CommonConfig, config_vector), 0);
        bool packed = (features & feature_packed) != 0;
        bool event_index = (features & feature_event_index) != 0;
        rings.clear();
        for (u16 index = 0; index < common<u16>(offsetof(CommonConfig, queue_count)); ++index) {
            rings.push_back(std::make_unique<FakeDriver>(driver, index * second_queue_at, size_, packed, event_index));
            set_up_queue(index, rings.back()->setup_);
        }
        set_status(status() | status_driver_ok);
        run();
    }
    void reset() {
        set_status(0);
        for (int tries = 0; status() != 0; ++tries) {
            REQUIRE(tries < 10);
            run();
        }
    }
    void set_up_queue(u16 index, const QueueSetup& setup) {
        write_common<u16>(offsetof(CommonConfig, queue_select), index);
        write_common<u16>(offsetof(CommonConfig, queue_size), setup.size);
        write_common<u16>(offsetof(CommonConfig, queue_vector), static_cast<u16>(index + 1));
        write_common<u64>(offsetof(CommonConfig, queue_descriptors), setup.descriptors);
        write_common<u32>(offsetof(CommonConfig, queue_driver), static_cast<u32>(setup.driver_area));
        write_common<u32>(offsetof(CommonConfig, queue_driver) + 4, static_cast<u32>(setup.driver_area >> 32));
        write_common<u64>(offsetof(CommonConfig, queue_device), setup.device_area);
        write_common<u16>(offsetof(CommonConfig, queue_enable), 1);
    }
    void enable_messages() {
        u16 place = PciCapabilities::msix;
        controller->write_config(place, u32{pci::MsixControl::enable_bit} << 16, 0xffff0000);
        for (u32 vector = 0; vector < 3; ++vector) {
            u64 entry = pci_place::msix_table + vector * pci::msix_entry::size_bytes;
            controller->write_bar(0, entry, AccessSize::qword, 0xfee00000);
            controller->write_bar(0, entry + 8, AccessSize::qword, 0x40 + vector);
        }
    }
    usize interrupts(u32 vector) { return messages.count(0x40 + vector); }

    // --- Requests ---
    /// One read or write of `bytes` at guest address `at`; notifies where the device wants that, or always.
    void add(u16 queue, BlockRequestType type, u64 sector, u64 at, u32 bytes, bool indirect = false) {
        u64 header = header_at + (next_request_ % 512) * 32;
        ++next_request_;
        driver.put(header, BlockRequestHeader{.type = static_cast<u32>(type), .reserved = 0, .sector = sector});
        driver.put(header + 16, u8{0xee});
        rings[queue]->add({{header, 16, false}, {at, bytes, type == BlockRequestType::in}, {header + 16, 1, true}},
                          indirect);
        last_status_at = header + 16;
        if (rings[queue]->should_notify()) {
            notify(queue);
        }
    }
    void notify(u16 queue) {
        ++notifications;
        CurrentExecutorScope scope(processors.executor(queue % processors.count()));
        controller->write_bar(pci_place::port_bar, 0, AccessSize::word, queue);
    }
    /// The status of one request, carried out alone.
    BlockStatusCode request(u16 queue, BlockRequestType type, u64 sector, u64 at, u32 bytes, bool indirect = false) {
        add(queue, type, sector, at, bytes, indirect);
        run();
        REQUIRE(rings[queue]->completed());
        return static_cast<BlockStatusCode>(driver.get<u8>(last_status_at));
    }

    static constexpr u64 header_at = 0x16000;
    static constexpr u64 data_at = 0x9000;

    SimulatedProcessors processors;
    test::RecordingMessages messages;
    std::shared_ptr<test::FakeDisk> disk;
    FakeDriver driver;  ///< the memory
    std::unique_ptr<PciController> controller;
    std::map<PciCapabilityType, PciCapability> capabilities;  ///< the first of each type
    std::vector<std::unique_ptr<FakeDriver>> rings;
    usize notifications = 0;
    u64 last_status_at = 0;

private:
    void find_capabilities() {
        u32 at = controller->read_config(pci::config_offset::capabilities) & 0xff;
        for (int count = 0; at != 0; ++count) {
            REQUIRE(count < 16);
            u32 words[4];
            for (u16 index = 0; index < 4; ++index) {
                words[index] = controller->read_config(static_cast<u16>(at + 4 * index));
            }
            PciCapability found;
            std::memcpy(&found, words, sizeof(found));
            if (found.id == pci::capability_id::vendor_specific) {
                capabilities.try_emplace(found.type, found);
            }
            at = found.next;
        }
    }
    u16 size_;
    usize next_request_ = 0;
};

}  // namespace undercroft::virtio
