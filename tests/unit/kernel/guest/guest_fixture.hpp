// What tests of guest devices stand on: guest memory, virtual time, and fakes that remember what devices did to their
// surroundings.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "hostsim/platform/virtual_platform.hpp"
#include "kernel/guest/bus.hpp"
#include "kernel/guest/chipset/interrupt_lines.hpp"
#include "kernel/guest/chipset/services.hpp"
#include "kernel/guest/memory.hpp"

namespace undercroft::test {

/// Page-aligned guest RAM from address 0.
class TestMemory {
public:
    explicit TestMemory(u64 size_bytes)
        : data_(static_cast<std::byte*>(std::aligned_alloc(page_size, size_bytes)), &std::free) {
        std::memset(data_.get(), 0, size_bytes);
        GuestMemoryRange range{0, size_bytes, data_.get()};
        memory_ = *GuestMemory::create({&range, 1});
    }
    const GuestMemory& guest() const { return memory_; }
    std::byte* at(u64 address) { return data_.get() + address; }
    template <typename T>
    T get(u64 address) {
        return *memory_.read_value<T>(address);
    }
    template <typename T>
    void put(u64 address, T value) {
        (void)memory_.write_value(address, value);
    }

private:
    std::unique_ptr<std::byte, void (*)(void*)> data_;
    GuestMemory memory_;
};

/// An executor in virtual time that is current while this lives.
class TestTime {
public:
    Executor& executor() { return executor_; }
    u64 now_ns() { return platform_.now_ns(); }
    /// Lets `duration_ns` pass; timers fire on their way.
    void pass(u64 duration_ns) {
        u64 end = now_ns() + duration_ns;
        executor_.run_ready();
        while (executor_.next_deadline_ns() <= end) {
            platform_.clock().advance_to(executor_.next_deadline_ns());
            executor_.run_ready();
        }
        platform_.clock().advance_to(end);
    }

private:
    VirtualTimePlatform platform_;
    Executor executor_{platform_};
    CurrentExecutorScope scope_{executor_};
};

struct FakeExternalInterrupts : ExternalInterruptSink {
    void set_requested(bool requested) override {
        is_requested = requested;
        rises += requested ? 1 : 0;
    }
    bool is_requested = false;
    int rises = 0;
};

struct FakeMessages : MessageSink {
    struct Message {
        u64 address;
        u32 data;
        bool operator==(const Message&) const = default;
    };
    void deliver(u64 address, u32 data) override { sent.push_back({address, data}); }
    std::vector<Message> sent;
};

struct FakePower : PowerControl {
    void power_off() override { ++power_offs; }
    void reset() override { ++resets; }
    int power_offs = 0;
    int resets = 0;
};

/// Wall time that runs with virtual time from a given moment.
struct FakeWallClock : WallClock {
    FakeWallClock(TestTime& test_time, u64 start_seconds)
        : time(test_time), offset_ns(start_seconds * nanoseconds_per_second - test_time.now_ns()) {}
    u64 unix_time_ns() override { return time.now_ns() + offset_ns; }
    TestTime& time;
    u64 offset_ns;
};

struct FakeConsole : CharacterBackend {
    usize write(std::span<const u8> bytes) override {
        usize taken = std::min(bytes.size(), room);
        text.append(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken));
        room -= taken;
        return taken;
    }
    void receive_ready() override { ++ready_calls; }
    std::string text;
    usize room = ~usize{0};
    int ready_calls = 0;
};

/// The interrupt controllers and wires that most devices need.
struct TestInterrupts {
    FakeExternalInterrupts external;
    FakeMessages messages;
    InterruptControllerPair controllers{external};
    IoApic io_apic{messages};
    InterruptLines lines{controllers, io_apic};
};

/// Port accesses of one byte, which most devices take.
inline u8 in8(GuestBus& bus, u16 port) { return static_cast<u8>(bus.read_port(port, AccessSize::byte)); }
inline void out8(GuestBus& bus, u16 port, unsigned value) { bus.write_port(port, AccessSize::byte, value); }

}  // namespace undercroft::test
