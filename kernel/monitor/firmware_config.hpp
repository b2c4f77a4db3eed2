// QEMU's fw_cfg device on behalf of VTL2: by DMA straight into VTL2's memory or guest RAM, the destination checked
// piece by piece.
#pragma once

#include "kernel/base/result.hpp"
#include "kernel/spec/vtl2_extension.hpp"

namespace undercroft::monitor {

/// `unsupported` without the device, `out_of_range` for a destination outside VTL2's view, `device_error` when the
/// device refuses.
Result<void> read_firmware_config(const vtl2::FirmwareConfigInput& input);

}  // namespace undercroft::monitor
