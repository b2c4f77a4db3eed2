// The CPU and the monitor as kernel/vtl sees them, in a host program: hypercalls, MSRs and ports go to whoever a test
// installs.
#pragma once

#include <functional>
#include <map>

#include "kernel/vtl/cpu.hpp"
#include "kernel/vtl/virtual_processor.hpp"

namespace undercroft {

/// One at a time; installs itself for as long as it lives.
class FakeCpu {
public:
    FakeCpu();
    FakeCpu(const FakeCpu&) = delete;
    FakeCpu& operator=(const FakeCpu&) = delete;
    ~FakeCpu();
    static FakeCpu& instance();

    /// VTL2's memory where the image has it: page `index` of a few that hypercalls may use.
    static std::byte* page(usize index);
    static constexpr usize pages = 16;

    std::function<cpu::HypercallOutcome(u64 input, u64 rdx, u64 r8)> on_hypercall = [](u64, u64, u64) {
        return cpu::HypercallOutcome{0, 0};
    };
    std::function<void()> on_vtl_return = [] {};
    std::function<void()> on_wait = [] {};
    std::function<u8(u16)> on_read_port = [](u16) { return u8{0xFF}; };
    std::function<void(u16, u8)> on_write_port = [](u16, u8) {};
    std::map<u32, u64> msrs;
    u64 tsc = 1'000'000;
    void* current = nullptr;
};

/// A processor on the fake CPU, bound and enabled, with its own pages.
struct FakeProcessor {
    FakeProcessor();
    FakeCpu cpu;
    AddressMap addresses;
    VirtualProcessor processor;
    tlfs::VpAssistPage& assist();
};

}  // namespace undercroft
