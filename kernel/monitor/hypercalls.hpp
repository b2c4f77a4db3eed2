// Hypercalls of VTL2: those of tlfs.hpp, and the extension range. Input is copied once and checked; nothing is trusted
// because VTL2 said it.
#pragma once

#include "kernel/monitor/virtual_processor.hpp"

namespace undercroft::monitor {

struct HypercallOutcome {
    u64 result;  ///< RAX: status, and completed reps in bits 43:32
    u64 r8;      ///< R8: unchanged, or the output of a fast call that has one
};

class Hypercalls {
public:
    /// Carries out `input` of VTL2 on `vp`.
    static HypercallOutcome handle(VirtualProcessor& vp, tlfs::HypercallInput input, u64 rdx, u64 r8);

private:
    struct Call;
    static tlfs::Status standard(Call& call);
    static tlfs::Status extension(Call& call);
    static void require_assigned(Call& call);
    static tlfs::Status get_registers(Call& call);
    static tlfs::Status set_registers(Call& call);
    static tlfs::Status modify_protection(Call& call);
    static tlfs::Status assert_interrupt(Call& call);
    static tlfs::Status start_processor(Call& call);
    static tlfs::Status debug_log(Call& call);
    static tlfs::Status firmware_config(Call& call);
    static tlfs::Status map_interrupt(Call& call, bool is_line);
    static tlfs::Status statistics(Call& call);
};

}  // namespace undercroft::monitor
