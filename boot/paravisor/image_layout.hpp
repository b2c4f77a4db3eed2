// The symbols of linker/paravisor.ld.
#pragma once

#include "kernel/base/types.hpp"

extern "C" {
extern const undercroft::u8 image_text_begin[];
extern const undercroft::u8 image_text_end[];
extern const undercroft::u8 image_rodata_end[];
extern const undercroft::u8 image_end[];
extern const undercroft::u8 boot_stack_guard[];
extern const undercroft::u8 boot_stack_top[];
extern const undercroft::u8 paravisor_secondary_entry[];
}
