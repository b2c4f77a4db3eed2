// The DSDT's bytes, as iasl compiled them from dsdt.asl in this build.
#include "kernel/guest/acpi/acpi_tables.hpp"

namespace undercroft {

namespace {
#include "dsdt.hex"
}  // namespace

std::span<const u8> dsdt_template() { return dsdt_aml_code; }

}  // namespace undercroft
