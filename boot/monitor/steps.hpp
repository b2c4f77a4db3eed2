// The steps from the first instruction to VTL2's, in the order in which they run. Each fills its part of `machine`; a
// step that cannot go on panics.
#pragma once

#include "kernel/spec/pvh.hpp"

namespace undercroft::monitor {

void check_processor();
/// Memory map, ACPI tables, and who gets what.
void divide_memory(const pvh::StartInfo& start);
/// The monitor's own page tables: each part with what it needs, none twice.
void build_own_tables();
void bring_up_interrupt_controllers();
void calibrate_clocks();
void build_views();
void create_processors();
void load_vtl2();
void start_other_processors();
void report_memory();

}  // namespace undercroft::monitor
