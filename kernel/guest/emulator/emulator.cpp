// The emulator's entry points: fetch, decode, carry out on a working copy of the processor's state, take over.
#include "kernel/guest/emulator/emulator.hpp"

#include <cstring>

#include "kernel/guest/emulator/decode_cache.hpp"
#include "kernel/guest/emulator/execution.hpp"

namespace undercroft {

namespace {

EmulationResult result_of(const DecodedInstruction& decoded, const EmulationFault& fault) {
    EmulationResult result;
    result.status = fault.status;
    result.exception = fault.exception;
    result.reason = fault.reason;
    result.instruction_bytes = decoded.byte_count;
    std::memcpy(result.instruction, decoded.bytes, decoded.byte_count);
    return result;
}

}  // namespace

InstructionEmulator::InstructionEmulator(const GuestMemory& memory, GuestBus& bus)
    : memory_(memory), bus_(bus), cache_(std::make_unique<DecodeCache>()) {}

InstructionEmulator::~InstructionEmulator() = default;

template <typename Run>
EmulationResult InstructionEmulator::carry_out(CpuState& cpu, std::span<const u8> fetched, Run run) {
    CpuState working = cpu;
    LinearMemory linear_memory(memory_, bus_, working);
    DecodedInstruction decoded;
    if (auto outcome = decode(linear_memory, working, fetched, decoded, cache_.get()); !outcome.has_value()) {
        return result_of(decoded, outcome.error());
    }
    Execution execution(linear_memory, working, decoded);
    Emulated<void> outcome = run(execution);
    // A string instruction that stops half way keeps what it has done; all others change nothing before they can stop.
    cpu = working;
    return outcome.has_value() ? EmulationResult{} : result_of(decoded, outcome.error());
}

EmulationResult InstructionEmulator::emulate(CpuState& cpu, std::span<const u8> fetched) {
    return carry_out(cpu, fetched, [](Execution& execution) { return execution.run(); });
}

EmulationResult InstructionEmulator::emulate_string_io(CpuState& cpu, const StringIo& access,
                                                       std::span<const u8> fetched) {
    return carry_out(cpu, fetched, [&](Execution& execution) { return execution.run_string_io(bus_, access); });
}

u8 InstructionEmulator::instruction_length(const CpuState& cpu, std::span<const u8> fetched) {
    LinearMemory linear_memory(memory_, bus_, cpu);
    DecodedInstruction decoded;
    return decode(linear_memory, cpu, fetched, decoded, cache_.get()).has_value() ? decoded.length : 0;
}

}  // namespace undercroft
