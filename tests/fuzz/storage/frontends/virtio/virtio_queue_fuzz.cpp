// libFuzzer target: a driver that writes whatever it likes to a virtio block function's registers, rings and descriptors,
// split and packed, over a disk that fails, delays and hangs. The input is a program of small steps. What must hold: no
// crash, no access outside guest memory (sanitizers; the disk looks too), a bounded number of steps, nothing touches
// guest memory once the status reads as 0, and after a reset the device works.
#include "hostsim/platform/virtual_platform.hpp"
#include "storage/frontends/virtio/block_device.hpp"
#include "storage/frontends/virtio/pci_controller.hpp"
#include "tests/fuzz/fuzz_input.hpp"
#include "tests/fuzz/storage/frontends/nvme/fuzz_disk.hpp"
#include "tests/unit/storage/frontends/virtio/virtio_driver.hpp"

using namespace undercroft;
using fuzz::Input;
using namespace undercroft::virtio;

namespace {

constexpr u16 ring_size = 16;
constexpr u64 second_queue_at = 0x20000;
constexpr u64 status_at = 0x9000;
constexpr u64 buffer_at = 0x10000;
constexpr usize rounds_max = 100'000;

class NoMessages final : public MessageSink {
public:
    void deliver(u64, u32) override {}
};

alignas(page_size) std::byte guest_memory[FakeDriver::memory_bytes];
std::byte memory_before[FakeDriver::memory_bytes];

class Machine {
public:
    explicit Machine(u8 flags)
        : processors_(2), disk_(std::make_shared<test::FuzzDisk>(std::span(memory_.at(0), FakeDriver::memory_bytes),
                                                                 (flags & 1) != 0, (flags & 2) != 0)) {
        std::vector<Executor*> executors = processors_.executors();
        controller_ =
            std::move(*PciController::create({.memory = memory_.memory_,
                                              .messages = messages_,
                                              .executors = executors,
                                              .device = std::make_unique<BlockDevice>(
                                                  *Disk::create(disk_), BlockIdentity{.serial = "x", .queues = 2})}));
    }
    ~Machine() {
        disk_->heal();
        bool closed = false;
        {
            CurrentExecutorScope scope(processors_.executor(0));
            detail::run_root(controller_->close(), closed);
        }
        while (!closed) {
            settle();
        }
    }
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    void run_program(Input& input) {
        while (!input.is_empty()) {
            u8 operation = input.take<u8>();
            step(operation & 0x0f, operation >> 4, input);
        }
    }
    /// After whatever happened: a reset, and see that the device works.
    void probe() {
        disk_->heal();
        disk_->resize(256);
        for (bool packed : {false, true}) {
            write_status(0);
            settle();
            MUST_HOLD(read_common<u8>(offsetof(CommonConfig, status)) == 0);
            std::memcpy(memory_before, guest_memory, sizeof(guest_memory));
            notify(0);
            settle();
            MUST_HOLD(std::memcmp(memory_before, guest_memory, sizeof(guest_memory)) == 0);
            FakeDriver ring(memory_, 0, ring_size, packed);
            start(packed ? feature_packed : 0, ring_size);
            memory_.put(FakeDriver::data_at, BlockRequestHeader{.type = 0U, .reserved = 0U, .sector = 7ULL});
            memory_.put(status_at, u8{0xee});
            ring.add({{FakeDriver::data_at, 16, false}, {buffer_at, 512, true}, {status_at, 1, true}});
            notify(0);
            settle();
            MUST_HOLD(memory_.get<u8>(status_at) == 0);
            MUST_HOLD(ring.completed());
        }
    }

private:
    void step(u8 operation, u8 detail, Input& input) {
        constexpr AccessSize sizes[] = {AccessSize::byte, AccessSize::word, AccessSize::dword, AccessSize::qword};
        CurrentExecutorScope scope(processors_.executor(detail & 1));
        u64 origin = (detail & 1) * second_queue_at;
        switch (operation) {
        case 0:
            controller_->write_bar(0, input.take<u16>() % 0x8000, sizes[detail & 3], input.take<u64>());
            break;
        case 1:
            (void)controller_->read_bar(detail % 6, input.take<u16>() % 0x8000, sizes[detail & 3]);
            break;
        case 2:
            controller_->write_config(input.take<u8>() & 0xfc, input.take<u32>(), input.take<u32>());
            (void)controller_->read_config(input.take<u8>() & 0xfc);
            break;
        case 3: {  // bytes anywhere
            u64 at = (u64{input.take<u16>()} << 2) % FakeDriver::memory_bytes;
            for (u8 count = detail; count > 0 && at < FakeDriver::memory_bytes; --count) {
                memory_.put(at++, input.take<u8>());
            }
            break;
        }
        case 4:
        case 5:  // a descriptor, in the ring or in a table
            write_descriptor(operation == 4 ? origin + FakeDriver::descriptors_at : FakeDriver::table_at, input);
            break;
        case 6:  // the available ring
            memory_.put(origin + FakeDriver::driver_at + 4 + (input.take<u8>() % ring_size) * 2U, input.take<u16>());
            break;
        case 7:
            memory_.put(origin + FakeDriver::driver_at + 2, static_cast<u16>(input.take<u8>()));
            break;
        case 8:
            notify(detail & 1);
            break;
        case 9:
            run();
            break;
        case 10:
            start((detail & 1 ? feature_packed : 0) | (detail & 2 ? feature_event_index : 0) |
                      (detail & 4 ? feature_indirect : 0),
                  input.take<u8>() % 8 == 0 ? static_cast<u16>(input.take<u8>()) : ring_size);
            break;
        case 11:
            memory_.put(FakeDriver::data_at + (detail % 8) * 16U, BlockRequestHeader{.type = u32{input.take<u8>()} % 16,
                                                                                     .reserved = 0U,
                                                                                     .sector = u64{input.take<u16>()}});
            break;
        case 12:
            write_status(input.take<u8>());
            break;
        case 13:
            disk_->plan(input.take<u8>());
            break;
        case 14:
            disk_->resize(input.take<u16>() % test::FuzzDisk::sectors_max);
            break;
        default:
            processors_.clock().advance_to(processors_.now_ns() + detail * 50 * nanoseconds_per_microsecond);
            run();
            break;
        }
    }
    void write_descriptor(u64 table, Input& input) {
        u64 where = table + (input.take<u8>() % ring_size) * 16U;
        u8 kind = input.take<u8>();
        u64 address =
            (kind & 0x80) != 0 ? input.take<u64>() : (u64{input.take<u8>()} << 10) | (kind & 0x40 ? 0x8000 : 0);
        memory_.put(where, address);
        memory_.put(where + 8, (kind & 0x20) != 0 ? input.take<u32>() : u32{input.take<u8>()} << 4);
        memory_.put(where + 12, static_cast<u16>((kind & 0x10) != 0 ? input.take<u16>() : input.take<u8>() & 7));
        memory_.put(where + 14,
                    static_cast<u16>(input.take<u8>() % ring_size | (kind & 8 ? input.take<u8>() << 8 : 0)));
    }
    void start(u64 features, u16 size) {
        CurrentExecutorScope scope(processors_.executor(0));
        write_status(0);
        run();
        write_status(status_acknowledge | status_driver);
        for (u32 half = 0; half < 2; ++half) {
            u64 wanted = features | feature_version_1;
            write_common<u32>(offsetof(CommonConfig, driver_feature_select), half);
            write_common<u32>(offsetof(CommonConfig, driver_feature), static_cast<u32>(wanted >> (32 * half)));
        }
        write_status(status_acknowledge | status_driver | status_features_ok);
        for (u16 queue = 0; queue < 2; ++queue) {
            u64 origin = queue * second_queue_at;
            write_common<u16>(offsetof(CommonConfig, queue_select), queue);
            write_common<u16>(offsetof(CommonConfig, queue_size), size);
            write_common<u16>(offsetof(CommonConfig, queue_vector), queue);
            write_common<u64>(offsetof(CommonConfig, queue_descriptors), origin + FakeDriver::descriptors_at);
            write_common<u64>(offsetof(CommonConfig, queue_driver), origin + FakeDriver::driver_at);
            write_common<u64>(offsetof(CommonConfig, queue_device), origin + FakeDriver::device_at);
            write_common<u16>(offsetof(CommonConfig, queue_enable), 1);
        }
        write_status(status_acknowledge | status_driver | status_features_ok | status_driver_ok);
    }
    void notify(u16 queue) {
        CurrentExecutorScope scope(processors_.executor(queue));
        controller_->write_bar(pci_place::port_bar, 0, AccessSize::word, queue);
    }
    void write_status(u8 value) { write_common<u8>(offsetof(CommonConfig, status), value); }
    template <typename T>
    void write_common(u64 offset, T value) {
        CurrentExecutorScope scope(processors_.executor(0));
        controller_->write_bar(0, offset, static_cast<AccessSize>(sizeof(T)), value);
    }
    template <typename T>
    T read_common(u64 offset) {
        return static_cast<T>(controller_->read_bar(0, offset, static_cast<AccessSize>(sizeof(T))));
    }
    bool run() {
        MUST_HOLD(++rounds_ < rounds_max);
        bool ran = false;
        for (usize index = 0; index < processors_.count(); ++index) {
            CurrentExecutorScope scope(processors_.executor(index));
            ran |= processors_.executor(index).run_ready();
        }
        return ran;
    }
    /// Until nothing is ready, and a while beyond the last deadline.
    void settle() {
        for (int pause = 0; pause < 4; ++pause) {
            while (run()) {
            }
            processors_.clock().advance_to(processors_.now_ns() + 100 * nanoseconds_per_millisecond);
        }
    }

    SimulatedProcessors processors_;
    NoMessages messages_;
    FakeDriver memory_{guest_memory, ring_size, false};
    std::shared_ptr<test::FuzzDisk> disk_;
    std::unique_ptr<PciController> controller_;
    usize rounds_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, usize size) {
    Input input(data, std::min<usize>(size, 4096));
    std::memset(guest_memory, 0, sizeof(guest_memory));
    Machine machine(input.take<u8>() & 2);
    machine.run_program(input);
    machine.probe();
    return 0;
}
