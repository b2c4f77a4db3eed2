// Bringing processors up.
#include "boot/paravisor/processors.hpp"

#include <optional>

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/interrupts.hpp"
#include "arch/x86_64/registers.hpp"
#include "arch/x86_64/vtl2/extended_state.hpp"
#include "boot/paravisor/image_layout.hpp"
#include "boot/paravisor/memory.hpp"
#include "kernel/base/assert.hpp"
#include "kernel/base/log.hpp"
#include "kernel/vtl/cpu.hpp"

namespace undercroft {

namespace paravisor {

namespace {

constexpr u64 start_timeout_ns = 2 * nanoseconds_per_second;

/// What each processor has besides its VirtualProcessor, which must exist before memory does.
struct Processor {
    Processor(VirtualProcessor& virtual_processor, TscClock clock)
        : platform(virtual_processor, clock), executor(platform) {}
    arch::DescriptorTables tables;
    VpExecutorPlatform platform;
    Executor executor;
    std::atomic<bool> running{false};
};

constinit VirtualProcessor virtual_processors[vtl2::vps_max];
constinit std::optional<Processor> processors[vtl2::vps_max];
constinit u32 count = 0;
constinit TscClock tsc_clock;
alignas(page_size) constinit std::byte boot_pages[4][page_size];

void enable_this_processor(Processor& own) {
    // Pages that a double fault, an NMI and a machine check run on; one page each is enough for a panic.
    auto stack = [] { return reinterpret_cast<u64>(allocate_page_or_panic()) + page_size; };
    arch::load_descriptor_tables(own.tables, stack(), stack(), stack());
    arch::load_idt();
    VirtualProcessor& self = VirtualProcessor::current();
    if (Result<void> enabled = self.enable(); !enabled) {
        PANIC("VP %u: the monitor refuses its pages: %s", self.index(), to_string(enabled.error()));
    }
    ASSERT(own.platform.enable().has_value());
}

tlfs::SegmentRegister segment(u16 selector, u16 attributes, u64 base = 0) {
    return {.base = base, .limit = 0xFFFF'FFFF, .selector = selector, .attributes = attributes};
}

tlfs::InitialVpContext secondary_context(const VirtualProcessor& processor, const std::byte* stack_top) {
    constexpr u16 code64 = 0xA09B;  // present, code, long
    constexpr u16 data = 0xC093;
    constexpr u16 task = 0x008B;
    tlfs::InitialVpContext context = {};
    context.rip = reinterpret_cast<u64>(paravisor_secondary_entry);
    context.rsp = reinterpret_cast<u64>(stack_top);
    context.rflags = arch::rflags_bit::reserved_one;
    context.cs = segment(arch::code_selector, code64);
    context.ds = context.es = context.ss = context.fs = segment(arch::data_selector, data);
    context.gs = segment(arch::data_selector, data, reinterpret_cast<u64>(&processor));
    context.tr = segment(0, task);
    context.tr.limit = 0xFFFF;
    context.ldtr = segment(0, 0x0082);
    context.efer = arch::read_msr(arch::msr::efer);
    context.cr0 = arch::read_cr0();
    context.cr3 = page_tables().root_physical();
    context.cr4 = arch::read_cr4() & ~arch::cr4_bit::xsave;
    context.pat = arch::read_msr(arch::msr::pat);
    return context;
}

void start_processor(u32 index, const vtl2::BootInfo& boot_info) {
    std::byte* pages[4];
    for (std::byte*& page : pages) {
        page = allocate_page_or_panic();
    }
    virtual_processors[index].initialise(index, boot_info.apic_ids[index], {pages[0], pages[1], pages[2], pages[3]},
                                         addresses());
    processors[index].emplace(virtual_processors[index], tsc_clock);
    Result<void> started =
        hypercalls::start_processor(index, secondary_context(virtual_processors[index], allocate_stack()));
    if (!started) {
        PANIC("VP %u was not started: %s", index, to_string(started.error()));
    }
}

void wait_until_running(u32 index) {
    u64 deadline_ns = tsc_clock.to_ns(cpu::read_tsc()) + start_timeout_ns;
    while (!processors[index]->running.load(std::memory_order_acquire)) {
        if (tsc_clock.to_ns(cpu::read_tsc()) > deadline_ns) {
            PANIC("VP %u does not come up", index);
        }
        arch::pause();
    }
}

}  // namespace

void bind_boot_processor(const vtl2::BootInfo& boot_info) {
    virtual_processors[0].initialise(
        0, boot_info.apic_ids[0], {boot_pages[0], boot_pages[1], boot_pages[2], boot_pages[3]}, AddressMap(boot_info));
    virtual_processors[0].bind();
    arch::enable_extended_state();
    arch::initialise_idt(false);
    arch::load_idt();
}

void enable_boot_processor(const vtl2::BootInfo& boot_info) {
    count = boot_info.vp_count < vtl2::vps_max ? boot_info.vp_count : vtl2::vps_max;
    tsc_clock = TscClock(boot_info.tsc_frequency_hz);
    processors[0].emplace(virtual_processors[0], tsc_clock);
    arch::initialise_idt(true);
    enable_this_processor(*processors[0]);
    virtual_processors[0].executor_slot() = &processors[0]->executor;
}

void start_other_processors(const vtl2::BootInfo& boot_info) {
    for (u32 index = 1; index < count; ++index) {
        start_processor(index, boot_info);
    }
    for (u32 index = 1; index < count; ++index) {
        wait_until_running(index);
    }
}

u32 processor_count() { return count; }
Executor& executor(u32 index) { return processors[index]->executor; }
VirtualProcessor& processor(u32 index) { return virtual_processors[index]; }

void start_guest(InterceptHandler& intercepts) {
    for (u32 index = 0; index < count; ++index) {
        processors[index]->platform.start_guest(intercepts);
    }
}

u32 pause_own_guest() {
    u32 index = VirtualProcessor::current().index();
    processors[index]->platform.pause_guest();
    return index;
}

void resume_guest(u32 index) { processors[index]->platform.resume_guest(); }

void wake_processor(u32 index) { processors[index]->platform.wake(); }

void run_boot_processor() { processors[0]->platform.run(processors[0]->executor); }

}  // namespace paravisor

Executor*& current_executor_slot() { return VirtualProcessor::current().executor_slot(); }

}  // namespace undercroft

extern "C" [[noreturn]] void paravisor_secondary_main() {
    using namespace undercroft;
    using namespace undercroft::paravisor;
    arch::enable_extended_state();
    VirtualProcessor& self = VirtualProcessor::current();
    Processor& own = *processors[self.index()];
    enable_this_processor(own);
    self.executor_slot() = &own.executor;
    log_info("VP %u runs in VTL2", self.index());
    own.running.store(true, std::memory_order_release);
    own.platform.run(own.executor);
}
