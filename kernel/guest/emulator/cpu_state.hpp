// The state of one guest processor, as far as emulating a device access needs it: what the register page (or a test)
// fills in before, and takes back after.
#pragma once

#include <span>

#include "kernel/base/types.hpp"
#include "kernel/spec/tlfs.hpp"

namespace undercroft {

/// Indexes of `CpuState::general`, in the CPU's own numbering.
enum class Gpr : u8 { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15 };

/// Indexes of `CpuState::segments`, in the CPU's own numbering.
enum class SegmentName : u8 { es, cs, ss, ds, fs, gs };

/// Vector registers, which are fetched only when an instruction needs one. `bytes` has 16 or 32 elements; writing 16
/// leaves the upper half alone.
class VectorRegisters {
public:
    virtual ~VectorRegisters() = default;
    virtual void read_vector(unsigned index, std::span<std::byte> bytes) = 0;
    virtual void write_vector(unsigned index, std::span<const std::byte> bytes) = 0;
};

/// In: all of it. Out: `general`, `rip` and `rflags` may have changed, nothing else.
struct CpuState {
    u64 general[16] = {};
    u64 rip = 0;
    u64 rflags = 2;
    tlfs::SegmentRegister segments[6] = {};
    u64 cr0 = 0;
    u64 cr3 = 0;
    u64 cr4 = 0;
    u64 efer = 0;
    u8 cpl = 0;
    /// Null: instructions with vector registers are unsupported.
    VectorRegisters* vectors = nullptr;

    u64& gpr(Gpr name) { return general[static_cast<usize>(name)]; }
    u64 gpr(Gpr name) const { return general[static_cast<usize>(name)]; }
    const tlfs::SegmentRegister& segment(SegmentName name) const { return segments[static_cast<usize>(name)]; }

    bool is_paging() const { return (cr0 >> 31) & 1; }
    bool is_protected() const { return cr0 & 1; }
    bool is_long_mode() const { return (efer >> 10) & 1; }  // EFER.LMA
    /// Whether instructions are 64-bit: long mode and CS.L.
    bool is_64bit() const { return is_long_mode() && ((segment(SegmentName::cs).attributes >> 13) & 1); }
    /// CS.D: 32-bit code outside 64-bit mode.
    bool is_32bit_code() const { return (segment(SegmentName::cs).attributes >> 14) & 1; }
};

}  // namespace undercroft
