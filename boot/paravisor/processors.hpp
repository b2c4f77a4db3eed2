// The image's processors: for each its descriptor tables and stacks, its executor, and the environment that executor
// runs in.
#pragma once

#include "kernel/vtl/vp_executor.hpp"

namespace undercroft::paravisor {

/// Makes the boot processor known, so that hypercalls and panics work. The very first step: needs no memory.
void bind_boot_processor(const vtl2::BootInfo& boot_info);
/// Gives the boot processor its tables and its executor.
void enable_boot_processor(const vtl2::BootInfo& boot_info);
/// Starts all others; returns when each runs its executor. Panics where one does not come up.
void start_other_processors(const vtl2::BootInfo& boot_info);

u32 processor_count();
Executor& executor(u32 index);
VirtualProcessor& processor(u32 index);
/// From now on processors with nothing to do run the guest.
void start_guest(InterceptHandler& intercepts);
/// Keeps the calling processor's guest from running until `resume_guest` names it as often. Its index.
u32 pause_own_guest();
void resume_guest(u32 index);
/// Makes a processor come out of the guest soon.
void wake_processor(u32 index);
/// Runs the boot processor's executor for ever.
[[noreturn]] void run_boot_processor();

}  // namespace undercroft::paravisor
