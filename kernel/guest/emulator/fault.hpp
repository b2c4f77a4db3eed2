// How the emulator's own functions stop early: an exception for the guest, or "cannot do this one".
#pragma once

#include "kernel/base/result.hpp"
#include "kernel/guest/emulator/emulator.hpp"

namespace undercroft {

struct EmulationFault {
    EmulationStatus status = EmulationStatus::unsupported;
    GuestException exception;
    const char* reason = "";
};

template <typename T>
using Emulated = Result<T, EmulationFault>;

inline constexpr u8 vector_stack_fault = 12;
inline constexpr u8 vector_general_protection = 13;
inline constexpr u8 vector_page_fault = 14;

inline EmulationFault unsupported(const char* reason) { return {EmulationStatus::unsupported, {}, reason}; }
/// #GP(0) or #SS(0).
inline EmulationFault segment_fault(SegmentName segment) {
    u8 vector = segment == SegmentName::ss ? vector_stack_fault : vector_general_protection;
    return {EmulationStatus::exception, {vector, true, 0, 0}, ""};
}
inline EmulationFault page_fault(u64 linear, u32 error_code) {
    return {EmulationStatus::exception, {vector_page_fault, true, error_code, linear}, ""};
}

}  // namespace undercroft
