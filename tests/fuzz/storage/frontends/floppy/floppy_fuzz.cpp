// Any sequence of register accesses and disk behaviours against a floppy controller and its DMA channel: nothing
// crashes, and after a reset with a healthy disk it is ready.
#include "hostsim/platform/virtual_platform.hpp"
#include "storage/backends/ram_disk.hpp"
#include "storage/frontends/floppy/controller.hpp"
#include "tests/fuzz/fuzz_input.hpp"
#include "tests/support/test_disks.hpp"

namespace undercroft {
namespace {

constexpr u64 ram_bytes = 128 * kib;
alignas(page_size) std::byte ram[ram_bytes];

struct Line : InterruptLine {
    void set_level(bool) override {}
};

void pass(VirtualTimePlatform& time, Executor& executor, u64 duration_ns) {
    u64 end = time.now_ns() + duration_ns;
    executor.run_ready();
    while (executor.next_deadline_ns() <= end) {
        time.clock().advance_to(executor.next_deadline_ns());
        executor.run_ready();
    }
    time.clock().advance_to(end);
}

}  // namespace
}  // namespace undercroft

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    using namespace undercroft;
    fuzz::Input input(data, size);
    GuestMemoryRange range{0, ram_bytes, ram};
    GuestMemory memory = *GuestMemory::create({&range, 1});
    VirtualTimePlatform time;
    Executor executor(time);
    CurrentExecutorScope scope(executor);
    Line line;
    GuestBus bus;
    floppy::DmaController dma(memory);
    floppy::Controller controller({.interrupt = line, .dma = dma, .executor = executor});
    RamDiskOptions options;
    options.sectors = 2880;
    auto held = std::make_shared<test::HeldDisk>(*Disk::create(*RamDisk::create(options)));
    held->released.set();
    controller.add_drive(0);
    ASSERT(controller.insert(0, *Disk::create(held)).has_value());
    ASSERT(dma.add_to(bus).has_value() && controller.add_to(bus).has_value());
    while (!input.is_empty()) {
        u8 action = input.take<u8>();
        switch (action & 7) {
        case 0:
        case 1:
        case 2:
            bus.write_port(0x3F5, AccessSize::byte, input.take<u8>());
            break;
        case 3:
            bus.read_port(static_cast<u16>(0x3F0 + (action >> 5)), AccessSize::byte);
            break;
        case 4:
            bus.write_port(static_cast<u16>(0x3F0 + (action >> 5)), AccessSize::byte, input.take<u8>());
            break;
        case 5:
            bus.write_port((action & 8) != 0 ? u16{0x81} : static_cast<u16>(action >> 4), AccessSize::byte,
                           input.take<u8>());
            break;
        case 6:
            (action & 8) != 0 ? held->released.set() : held->released.reset();
            break;
        default:
            pass(time, executor, u64{action} * nanoseconds_per_millisecond);
            break;
        }
    }
    held->released.set();
    bus.write_port(0x3F2, AccessSize::byte, 0x00);
    bus.write_port(0x3F2, AccessSize::byte, 0x0C);
    pass(time, executor, 20 * nanoseconds_per_second);
    ASSERT(bus.read_port(0x3F4, AccessSize::byte) == 0x80);
    bool closed = false;
    detail::run_root(controller.close(), closed);
    pass(time, executor, nanoseconds_per_second);
    ASSERT(closed);
    return 0;
}
