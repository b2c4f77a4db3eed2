// The composition root of the VTL2 image: named steps from the monitor's entry to the guest's first instruction, and no
// logic of its own.
#include "boot/paravisor/control_line.hpp"
#include "boot/paravisor/disks.hpp"
#include "boot/paravisor/guest_machine.hpp"
#include "boot/paravisor/memory.hpp"
#include "boot/paravisor/processors.hpp"
#include "boot/runtime/runtime.hpp"
#include "drivers/fw_cfg/hypercall_transport.hpp"
#include "kernel/base/assert.hpp"
#include "kernel/base/log.hpp"

namespace undercroft::paravisor {

namespace {

void check_boot_info(const vtl2::BootInfo& boot_info) {
    if (boot_info.magic != vtl2::boot_info_magic || boot_info.version != vtl2::boot_info_version ||
        boot_info.vp_count == 0) {
        PANIC("boot information of version %u with %u VPs is not for this image", boot_info.version,
              boot_info.vp_count);
    }
}

FirmwareConfig open_firmware_config() {
    static constinit std::optional<HypercallConfigTransport> transport;
    Result<FirmwareConfig> firmware = FirmwareConfig::open(transport.emplace(addresses()));
    if (!firmware) {
        PANIC("no firmware configuration: %s", to_string(firmware.error()));
    }
    return std::move(*firmware);
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
    start_other_processors(boot_info);
    log_info("%u VPs run in VTL2", processor_count());

    // What follows lives as long as the machine: it is never destroyed.
    FirmwareConfig firmware = open_firmware_config();
    auto& disks = *new Disks(boot_info);
    disks.configure(firmware);
    auto& machine = *new GuestMachine(boot_info);
    run_blocking(executor(0), disks.open(machine));
    machine.load(firmware, disks.boot_order());
    log_memory();
    auto& control = *new ControlLine(disks);
    control.start();
    machine.start();
    run_boot_processor();
}
