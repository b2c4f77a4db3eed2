// Emulates the one guest instruction that touched a device: fetches it through the guest's own page tables, decodes it
// with Zydis, carries its memory accesses out on guest RAM or the bus, and updates registers and flags. Everything that
// drivers and firmware use on memory-mapped registers: MOV and its kin, string instructions, arithmetic and logic with
// a memory operand, bit tests, exchanges, conditional moves, plain vector moves. The rest is `unsupported`, and nothing
// has changed then. Left out: debug exceptions (single step, breakpoints), protection keys, x87, gathers, AVX-512.
// Sources: AMD64 Architecture Programmer's Manual volumes 2 (paging, chapter 5) and 3 (instructions).
#pragma once

#include <memory>
#include <span>

#include "kernel/guest/bus.hpp"
#include "kernel/guest/emulator/cpu_state.hpp"
#include "kernel/guest/memory.hpp"

namespace undercroft {

inline constexpr usize instruction_bytes_max = 15;

enum class EmulationStatus : u8 {
    /// State is updated; RIP is behind the instruction, or on it where a REP has more to do: resume the guest.
    done,
    /// Nothing was carried out (or, of a REP, what came before): give the guest `exception`.
    exception,
    /// An instruction or situation that this emulator does not know. Nothing was carried out, but for a REP's begun steps.
    unsupported,
};

/// An exception that the guest's own tables or segments call for.
struct GuestException {
    u8 vector = 0;
    bool has_error_code = false;
    u32 error_code = 0;
    /// For page faults (vector 14): goes into CR2.
    u64 fault_address = 0;
};

struct EmulationResult {
    EmulationStatus status = EmulationStatus::done;
    GuestException exception;
    /// What was fetched, for the log.
    u8 instruction[instruction_bytes_max] = {};
    u8 instruction_bytes = 0;
    /// A few words on why it is unsupported; else empty.
    const char* reason = "";
};

/// A port string instruction as the I/O intercept describes it.
struct StringIo {
    u16 port;
    AccessSize size;  ///< byte, word or dword
    bool is_write;    ///< OUTS
    bool has_rep;
};

class DecodeCache;

/// Keeps nothing but decoded instructions; any number of processors may use one at the same time.
class InstructionEmulator {
public:
    /// Iterations of a REP that one call carries out at most; the guest then runs into the same instruction again.
    static constexpr u32 repetitions_max = 4096;

    InstructionEmulator(const GuestMemory& memory, GuestBus& bus);
    InstructionEmulator(const InstructionEmulator&) = delete;
    InstructionEmulator& operator=(const InstructionEmulator&) = delete;
    ~InstructionEmulator();

    /// Emulates the instruction at CS:RIP. `fetched` holds its bytes where the CPU hands them over (decode assists);
    /// empty otherwise: it is fetched here.
    EmulationResult emulate(CpuState& cpu, std::span<const u8> fetched = {});

    /// Emulates an INS or OUTS at CS:RIP, its parameters from the intercept; memory goes through the guest's page
    /// tables. The instruction is still fetched, for its length, segment override and address size.
    EmulationResult emulate_string_io(CpuState& cpu, const StringIo& access, std::span<const u8> fetched = {});

    /// Length of the instruction at CS:RIP in bytes, for an intercept whose CPU does not report the next RIP. 0 where
    /// it cannot be fetched or decoded.
    u8 instruction_length(const CpuState& cpu, std::span<const u8> fetched = {});

private:
    template <typename Run>
    EmulationResult carry_out(CpuState& cpu, std::span<const u8> fetched, Run run);

    const GuestMemory& memory_;
    GuestBus& bus_;
    std::unique_ptr<DecodeCache> cache_;
};

}  // namespace undercroft
