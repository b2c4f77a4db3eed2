// The composition root of the VTL2 image: named steps from the monitor's entry to the guest's first instruction, and no logic of its own.
#include "boot/paravisor/memory.hpp"
#include "boot/paravisor/processors.hpp"
#include "boot/runtime/runtime.hpp"
#include "kernel/base/assert.hpp"
#include "kernel/base/log.hpp"
#include "kernel/vtl/hypercalls.hpp"

namespace undercroft::paravisor {

namespace {

void check_boot_info(const vtl2::BootInfo& boot_info) {
    if (boot_info.magic != vtl2::boot_info_magic || boot_info.version != vtl2::boot_info_version ||
        boot_info.vp_count == 0) {
        PANIC("boot information of version %u with %u VPs is not for this image", boot_info.version, boot_info.vp_count);
    }
}

}  // namespace

}  // namespace undercroft::paravisor

extern "C" [[noreturn]] void paravisor_main(const undercroft::vtl2::BootInfo* given_boot_info) {
    using namespace undercroft;
    using namespace undercroft::paravisor;
    const vtl2::BootInfo& boot_info = *given_boot_info;

    bind_boot_processor(boot_info);
    check_boot_info(boot_info);
    set_log_sink(hypercalls::debug_log);
    initialise_memory(boot_info);
    runtime_initialise();
    enable_boot_processor(boot_info);
    log_info("VP 0 runs in VTL2, %zu pages free", pages().counters().free);
    start_other_processors(boot_info);
    run_boot_processor();
}
