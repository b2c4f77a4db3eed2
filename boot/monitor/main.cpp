// The monitor's composition root.
#include "arch/x86_64/interrupts.hpp"
#include "boot/monitor/steps.hpp"
#include "boot/runtime/runtime.hpp"
#include "kernel/base/assert.hpp"
#include "kernel/monitor/log.hpp"
#include "kernel/monitor/machine.hpp"
#include "kernel/monitor/permission_maps.hpp"

// entry.S
extern "C" [[noreturn]] void run_on_stack(undercroft::u64 stack_top, void (*function)(void*), void* argument);

namespace undercroft::monitor {
namespace {

[[noreturn]] void run_first_processor(void*) {
    VirtualProcessor& vp = machine.vps[0];
    arch::initialise_idt(true);
    vp.adopt_this_cpu();
    start_other_processors();
    report_memory();
    vp.run();
}

}  // namespace
}  // namespace undercroft::monitor

/// `start` is the physical address of the PVH start info, `entry_tsc` the TSC at the first instruction.
extern "C" [[noreturn]] void monitor_main(undercroft::u64 start, undercroft::u64 entry_tsc) {
    using namespace undercroft;
    using namespace undercroft::monitor;
    runtime_initialise();
    log_initialise();
    arch::initialise_idt(false);
    arch::load_idt();
    machine.entry_tsc = entry_tsc;
    // SAFETY: the PVH protocol: EBX held the address; the first 4 GiB are mapped.
    const auto& info = *reinterpret_cast<const pvh::StartInfo*>(start);
    if (info.magic != pvh::start_magic) {
        PANIC("not started by PVH: magic %x", info.magic);
    }
    check_processor();
    divide_memory(info);
    build_own_tables();
    bring_up_interrupt_controllers();
    calibrate_clocks();
    initialise_permissions();
    build_views();
    machine.devices.scan();
    create_processors();
    load_vtl2();
    run_on_stack(machine.vps[0].stack_top(), run_first_processor, nullptr);
}

/// The other CPUs, each on its VP's stack.
extern "C" [[noreturn]] void monitor_ap_main(undercroft::monitor::VirtualProcessor* vp) {
    vp->adopt_this_cpu();
    vp->set_online();
    vp->run();
}
