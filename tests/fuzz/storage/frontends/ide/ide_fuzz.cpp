// Any sequence of register accesses, tables in guest memory, pauses, disk behaviours and media changes against an IDE
// controller with disks and a DVD drive: nothing crashes, nobody is left paused, and after a reset with a healthy disk
// both kinds of drive show what a reset leaves.
#include "hostsim/platform/virtual_platform.hpp"
#include "storage/frontends/ide/controller.hpp"
#include "storage/scsi/optical_unit.hpp"
#include "tests/fuzz/fuzz_input.hpp"
#include "tests/fuzz/storage/frontends/nvme/fuzz_disk.hpp"

namespace undercroft {
namespace {

constexpr u64 ram_bytes = 256 * kib;
alignas(page_size) std::byte ram[ram_bytes];

struct Line : InterruptLine {
    void set_level(bool) override {}
};
struct Pause : GuestPause {
    u32 pause() override { return ++count; }
    void resume(u32) override { --count; }
    u32 count = 0;
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

constexpr u16 ports[] = {0x1F0, 0x1F1, 0x1F2, 0x1F3, 0x1F4, 0x1F5, 0x1F6, 0x1F7,
                         0x3F6, 0x177, 0x176, 0x170, 0x376, 0x1E0, 0x160, 0x174};

/// A DVD drive, and the medium that goes into it.
struct Removable {
    scsi::OpticalUnit& unit;
    Disk medium;
    void change(u8 how) {
        if ((how & 3) == 0) {
            ASSERT(unit.insert(medium).has_value());
        } else {
            // Without a medium, or where the guest prevents it, nothing happens.
            static_cast<void>((how & 3) == 1 ? unit.remove() : unit.remove_by_force());
        }
    }
};

void step(fuzz::Input& input, GuestBus& bus, ide::Controller& controller, test::FuzzDisk& disk, Removable& drive,
          VirtualTimePlatform& time, Executor& executor) {
    u8 action = input.take<u8>();
    u16 port = ports[(action >> 4) & 15];
    auto size = static_cast<AccessSize>(1u << (input.take<u8>() % 3));
    switch (action & 15) {
    case 0:
    case 1:
    case 2:
    case 3:
        return bus.write_port(port, AccessSize::byte, input.take<u8>());
    case 4:
        return bus.write_port(port, size, input.take<u32>());
    case 5:
        bus.read_port(port, size);
        return;
    case 6: {
        std::byte bytes[512];
        return bus.read_port_string(port, size, bytes);
    }
    case 7: {
        std::byte bytes[512] = {};
        return bus.write_port_string(port, size, bytes);
    }
    case 8:
        return controller.write_bar(4, action >> 4, AccessSize::byte, input.take<u8>());
    case 9:
        return controller.write_bar(4, (action >> 4) & 12, AccessSize::dword, input.take<u32>() % ram_bytes);
    case 10:
        controller.read_bar(4, action >> 4, AccessSize::byte);
        return;
    case 11:
        return controller.write_config(static_cast<u16>((action >> 4) * 4), input.take<u32>(), ~u32{0});
    case 12: {
        u16 at = static_cast<u16>(input.take<u16>() & ~7u);
        u64 entry = input.take<u64>();
        std::memcpy(ram + at, &entry, sizeof(entry));
        return;
    }
    case 13:
        return (action & 0x80) != 0 ? drive.change(action >> 4) : disk.plan(input.take<u8>());
    case 14:
        return disk.resize(input.take<u16>());
    default:
        return pass(time, executor, u64{input.take<u16>()} * nanoseconds_per_millisecond);
    }
}

}  // namespace
}  // namespace undercroft

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    using namespace undercroft;
    fuzz::Input input(data, size);
    std::memset(ram, 0, sizeof(ram));
    GuestMemoryRange range{0, ram_bytes, ram};
    GuestMemory memory = *GuestMemory::create({&range, 1});
    VirtualTimePlatform time;
    Executor executor(time);
    CurrentExecutorScope scope(executor);
    Line lines[2];
    Pause pause;
    GuestBus bus;
    u8 options = input.take<u8>();
    // A buffer of the controller's own is as good as the guest's memory: nothing to check there.
    auto disk = std::make_shared<test::FuzzDisk>(std::span<const std::byte>(), (options & 1) != 0, (options & 2) != 0);
    auto controller = *ide::Controller::create(
        {.memory = memory, .interrupts = {&lines[0], &lines[1]}, .pause = pause, .executors = {&executor, &executor}});
    ASSERT(controller->attach_disk(0, 0, *Disk::create(disk), {}).has_value());
    ASSERT(controller->attach_disk(1, 1, *Disk::create(disk), {}).has_value());
    auto unit =
        std::make_shared<scsi::OpticalUnit>(scsi::OpticalUnitConfig{.medium = *Disk::create(disk), .is_atapi = true});
    Removable drive{.unit = *unit, .medium = *Disk::create(disk)};
    ASSERT(controller->attach_packet(0, 1, unit, {}).has_value());
    ASSERT(controller->add_to(bus).has_value());
    while (!input.is_empty()) {
        step(input, bus, *controller, *disk, drive, time, executor);
    }
    disk->heal();
    controller->write_config(0x40, 0x8000'8000, ~u32{0});
    pass(time, executor, 120 * nanoseconds_per_second);
    ASSERT(pause.count == 0);
    bus.write_port(0x3F6, AccessSize::byte, 4);
    bus.write_port(0x3F6, AccessSize::byte, 0);
    pass(time, executor, nanoseconds_per_second);
    ASSERT(bus.read_port(0x1F7, AccessSize::byte) == 0x50);
    bus.write_port(0x1F6, AccessSize::byte, 0x10);
    ASSERT(bus.read_port(0x1F7, AccessSize::byte) == 0 && bus.read_port(0x1F5, AccessSize::byte) == 0xEB);
    bool closed = false;
    detail::run_root(controller->close(), closed);
    pass(time, executor, nanoseconds_per_second);
    ASSERT(closed && pause.count == 0);
    return 0;
}
