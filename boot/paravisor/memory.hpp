// VTL2's memory: page allocator, heap and page tables, made from what the boot information says is free.
#pragma once

#include "arch/x86_64/vtl2/page_tables.hpp"
#include "kernel/memory/heap.hpp"
#include "kernel/memory/page_allocator.hpp"
#include "kernel/vtl/address_map.hpp"

namespace undercroft::paravisor {

/// The image's memory, one for all processors. Usable after `initialise_memory`.
PageAllocator& pages();
Heap& heap();
const AddressMap& addresses();
arch::PageTables& page_tables();

/// Takes over the free memory, builds page tables that keep code and data apart, and switches to them.
void initialise_memory(const vtl2::BootInfo& boot_info);

/// Logs how full the memory is, and how full it was at most.
void log_memory();

/// A stack for a processor, its lowest page unmapped, so that an overflow faults. Returns its top.
std::byte* allocate_stack();
/// A zeroed page; panics where there is none: for what the image cannot run without.
std::byte* allocate_page_or_panic();

}  // namespace undercroft::paravisor
