// HvCallGetVpRegisters and HvCallSetVpRegisters: the names that monitor and VTL2 use, and the conversions between TLFS
// and SVM forms.
#pragma once

#include "kernel/base/result.hpp"
#include "kernel/monitor/virtual_processor.hpp"

namespace undercroft::monitor {

class RegisterAccess {
public:
    /// VTL0's register `name` on `vp` (the caller's own). `not_found` for a name that is not served.
    static Result<tlfs::RegisterValue> get(VirtualProcessor& vp, u32 name);
    /// `not_found`; `invalid_argument` for a value that the register cannot hold.
    static Result<void> set(VirtualProcessor& vp, u32 name, tlfs::RegisterValue value);

    static tlfs::SegmentRegister to_tlfs(const svm::Segment& segment);
    static svm::Segment to_svm(const tlfs::SegmentRegister& segment);
    /// HV_X64_PENDING_INTERRUPTION_REGISTER.
    static u64 to_pending_interruption(svm::Event event);
    static Result<svm::Event> from_pending_interruption(u64 value);
    /// The privilege level that mode and stack segment imply.
    static u8 privilege_of(const svm::SaveArea& save);

private:
    static svm::SaveArea& save_area(VirtualProcessor& vp);
    static u64* plain_register(VirtualProcessor& vp, u32 name);
    static svm::Segment* segment_register(VirtualProcessor& vp, u32 name);
    static Result<void> set_control(VirtualProcessor& vp, tlfs::RegisterName name, u64 value);
    static Result<void> set_register_page(VirtualProcessor& vp, u64 value);
    static void update_long_mode(svm::SaveArea& save);
};

}  // namespace undercroft::monitor
