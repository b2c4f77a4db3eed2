// Loads a PC's firmware (a BIOS image): places it so that it ends at 1 MiB, where a PC's firmware is shadowed, and gives
// the processor's state after reset. The first instruction is 16 bytes below 4 GiB: the monitor shows there what ends at
// 1 MiB (memory_plan.hpp). Left out: UEFI firmware, flash that can be written.
// Source: AMD64 Architecture Programmer's Manual volume 2, section 14.1 (processor initialisation).
#pragma once

#include "kernel/guest/loader/image_source.hpp"
#include "kernel/guest/memory.hpp"
#include "kernel/spec/tlfs.hpp"

namespace undercroft {

/// Loads `firmware`, 64, 128 or 256 KiB; gives the boot processor's state. Nothing in `memory` changes before everything
/// has been checked.
Result<tlfs::InitialVpContext, LoadError> load_firmware(const GuestMemory& memory, ImageSource& firmware);

}  // namespace undercroft
