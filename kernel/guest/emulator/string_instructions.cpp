// MOVS, STOS, LODS, SCAS, CMPS, INS and OUTS, alone or repeated. Each step is whole: pointers and counter move only
// after both sides were translated, so a fault or the bound on repetitions leaves a state from which the guest goes on.
#include <algorithm>
#include <cstring>

#include "kernel/guest/emulator/execution.hpp"

namespace undercroft {

namespace {

constexpr u64 flag_resume = u64{1} << 16;
/// Bytes of a repeated INS or OUTS that go over the bus in one call.
constexpr usize string_io_batch_bytes = 512;

/// 0 where `mnemonic` is no string instruction on memory.
unsigned element_bytes(ZydisMnemonic mnemonic) {
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_MOVSB:
    case ZYDIS_MNEMONIC_STOSB:
    case ZYDIS_MNEMONIC_LODSB:
    case ZYDIS_MNEMONIC_SCASB:
    case ZYDIS_MNEMONIC_CMPSB:
        return 1;
    case ZYDIS_MNEMONIC_MOVSW:
    case ZYDIS_MNEMONIC_STOSW:
    case ZYDIS_MNEMONIC_LODSW:
    case ZYDIS_MNEMONIC_SCASW:
    case ZYDIS_MNEMONIC_CMPSW:
        return 2;
    case ZYDIS_MNEMONIC_MOVSD:
    case ZYDIS_MNEMONIC_STOSD:
    case ZYDIS_MNEMONIC_LODSD:
    case ZYDIS_MNEMONIC_SCASD:
    case ZYDIS_MNEMONIC_CMPSD:
        return 4;
    case ZYDIS_MNEMONIC_MOVSQ:
    case ZYDIS_MNEMONIC_STOSQ:
    case ZYDIS_MNEMONIC_LODSQ:
    case ZYDIS_MNEMONIC_SCASQ:
    case ZYDIS_MNEMONIC_CMPSQ:
        return 8;
    default:
        return 0;
    }
}

enum class StringOperation : u8 { movs, stos, lods, scas, cmps };

StringOperation operation_of(ZydisMnemonic mnemonic) {
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_STOSB:
    case ZYDIS_MNEMONIC_STOSW:
    case ZYDIS_MNEMONIC_STOSD:
    case ZYDIS_MNEMONIC_STOSQ:
        return StringOperation::stos;
    case ZYDIS_MNEMONIC_LODSB:
    case ZYDIS_MNEMONIC_LODSW:
    case ZYDIS_MNEMONIC_LODSD:
    case ZYDIS_MNEMONIC_LODSQ:
        return StringOperation::lods;
    case ZYDIS_MNEMONIC_SCASB:
    case ZYDIS_MNEMONIC_SCASW:
    case ZYDIS_MNEMONIC_SCASD:
    case ZYDIS_MNEMONIC_SCASQ:
        return StringOperation::scas;
    case ZYDIS_MNEMONIC_CMPSB:
    case ZYDIS_MNEMONIC_CMPSW:
    case ZYDIS_MNEMONIC_CMPSD:
    case ZYDIS_MNEMONIC_CMPSQ:
        return StringOperation::cmps;
    default:
        return StringOperation::movs;
    }
}

}  // namespace

/// Registers that a string instruction moves are as wide as its addresses; 32-bit ones clear the upper half.
void Execution::set_masked(Gpr name, u64 value) {
    u64 mask = address_mask();
    u64& target = cpu_.gpr(name);
    target = mask == 0xFFFF ? (target & ~mask) | (value & mask) : value & mask;
}

Emulated<TranslatedOperand> Execution::string_operand(Gpr pointer, SegmentName segment, unsigned bytes,
                                                      MemoryAccess access) const {
    u64 offset = cpu_.gpr(pointer) & address_mask();
    u64 linear = TRY(memory_.linear_address(segment, offset, bytes, access));
    return memory_.translate_operand(linear, bytes, access);
}

void Execution::advance(Gpr pointer, unsigned bytes) {
    bool down = (cpu_.rflags & arithmetic::flag_direction) != 0;
    set_masked(pointer, cpu_.gpr(pointer) + (down ? -u64{bytes} : u64{bytes}));
}

/// Runs `step` (which says whether a repetition goes on) until the counter is used up, at most `repetitions_max` times,
/// of which `begun` are done; then RIP moves, unless there is more.
template <typename Step>
Emulated<void> Execution::repeat(bool has_rep, Step step, u32 begun) {
    if (!has_rep) {
        TRY(step());
        cpu_.rip = next_instruction(cpu_, decoded_.length);
        cpu_.rflags &= ~flag_resume;
        return {};
    }
    for (u32 i = begun; repeat_count() != 0; ++i) {
        if (i == InstructionEmulator::repetitions_max) {
            return {};
        }
        bool goes_on = TRY(step());
        set_masked(Gpr::rcx, cpu_.gpr(Gpr::rcx) - 1);
        if (!goes_on) {
            break;
        }
    }
    cpu_.rip = next_instruction(cpu_, decoded_.length);
    cpu_.rflags &= ~flag_resume;
    return {};
}

Emulated<bool> Execution::string_step(unsigned bytes) {
    StringOperation operation = operation_of(decoded_.mnemonic);
    bool has_source =
        operation == StringOperation::movs || operation == StringOperation::lods || operation == StringOperation::cmps;
    bool has_target = operation != StringOperation::lods;
    bool writes = operation == StringOperation::movs || operation == StringOperation::stos;
    TranslatedOperand source;
    TranslatedOperand target;
    if (has_source) {
        source = TRY(string_operand(Gpr::rsi, decoded_.memory.segment, bytes, MemoryAccess::read));
    }
    if (has_target) {
        target =
            TRY(string_operand(Gpr::rdi, SegmentName::es, bytes, writes ? MemoryAccess::write : MemoryAccess::read));
    }
    u64 mask = arithmetic::mask_of(bytes);
    u64& rax = cpu_.gpr(Gpr::rax);
    u64 left = has_source ? memory_.load_value(source) : rax & mask;
    bool goes_on = true;
    switch (operation) {
    case StringOperation::movs:
    case StringOperation::stos:
        memory_.store_value(target, left);
        break;
    case StringOperation::lods:
        rax = bytes == 4 ? left : (rax & ~mask) | left;
        break;
    case StringOperation::scas:
    case StringOperation::cmps: {
        arithmetic::Outcome comparison = arithmetic::subtract(left, memory_.load_value(target), false, bytes);
        set_flags(comparison.flags, arithmetic::flags_all);
        bool while_unequal = decoded_.repeat == RepeatPrefix::while_unequal;
        goes_on = ((comparison.flags & arithmetic::flag_zero) != 0) != while_unequal;
        break;
    }
    }
    if (has_source) {
        advance(Gpr::rsi, bytes);
    }
    if (has_target) {
        advance(Gpr::rdi, bytes);
    }
    return goes_on;
}

Emulated<bool> Execution::run_string() {
    unsigned bytes = element_bytes(decoded_.mnemonic);
    // MOVSD and CMPSD are names of vector instructions as well.
    if (bytes == 0 || decoded_.group != InstructionGroup::string) {
        return false;
    }
    TRY(repeat(decoded_.repeat != RepeatPrefix::none, [&] { return string_step(bytes); }));
    return true;
}

/// Elements that one look-up of the guest's memory reaches: those of a repetition that goes up and stay within a page.
/// The first may cross a page; then it goes alone.
u32 Execution::batch_of(Gpr pointer, SegmentName segment, unsigned bytes, MemoryAccess access) const {
    bool goes_down = (cpu_.rflags & arithmetic::flag_direction) != 0;
    u64 offset = cpu_.gpr(pointer) & address_mask();
    auto linear = memory_.linear_address(segment, offset, bytes, access);
    if (goes_down || !linear) {
        return 1;
    }
    u64 in_page = (page_size - (*linear & (page_size - 1))) / bytes;
    u64 before_wrap = (address_mask() - offset) / bytes;
    u64 count = std::min<u64>({in_page, before_wrap, repeat_count(), string_io_batch_bytes / bytes});
    // The segment's limit holds for all of them.
    bool fits = count > 1 && memory_.linear_address(segment, offset + (count - 1) * bytes, bytes, access).has_value();
    return fits ? static_cast<u32>(count) : 1;
}

/// The next elements of a repetition, as one access of the bus; fewer than two: none was carried out.
Emulated<u32> Execution::string_io_batch(GuestBus& bus, const StringIo& access, u32 room) {
    unsigned bytes = static_cast<unsigned>(access.size);
    Gpr pointer = access.is_write ? Gpr::rsi : Gpr::rdi;
    SegmentName segment = access.is_write ? decoded_.memory.segment : SegmentName::es;
    MemoryAccess kind = access.is_write ? MemoryAccess::read : MemoryAccess::write;
    u32 count = std::min(batch_of(pointer, segment, bytes, kind), room);
    if (count < 2) {
        return 0u;
    }
    TranslatedOperand first = TRY(string_operand(pointer, segment, bytes, kind));
    std::span<std::byte> memory = memory_.ram_behind(first, usize{count} * bytes);
    if (memory.empty()) {
        return 0u;  // a device's: element by element
    }
    std::byte copy[string_io_batch_bytes];
    std::span<std::byte> data = std::span(copy).first(memory.size());
    if (access.is_write) {
        std::memcpy(data.data(), memory.data(), data.size());
        bus.write_port_string(access.port, access.size, data);
    } else {
        bus.read_port_string(access.port, access.size, data);
        std::memcpy(memory.data(), data.data(), data.size());
    }
    set_masked(pointer, cpu_.gpr(pointer) + data.size());
    set_masked(Gpr::rcx, cpu_.gpr(Gpr::rcx) - count);
    return count;
}

Emulated<void> Execution::run_string_io(GuestBus& bus, const StringIo& access) {
    unsigned bytes = static_cast<unsigned>(access.size);
    u32 done = 0;
    while (access.has_rep && done < InstructionEmulator::repetitions_max) {
        u32 count = TRY(string_io_batch(bus, access, InstructionEmulator::repetitions_max - done));
        if (count == 0) {
            break;
        }
        done += count;
    }
    return repeat(
        access.has_rep,
        [&]() -> Emulated<bool> {
            if (access.is_write) {
                TranslatedOperand source =
                    TRY(string_operand(Gpr::rsi, decoded_.memory.segment, bytes, MemoryAccess::read));
                bus.write_port(access.port, access.size, memory_.load_value(source));
                advance(Gpr::rsi, bytes);
            } else {
                TranslatedOperand target = TRY(string_operand(Gpr::rdi, SegmentName::es, bytes, MemoryAccess::write));
                memory_.store_value(target, bus.read_port(access.port, access.size));
                advance(Gpr::rdi, bytes);
            }
            return true;
        },
        done);
}

}  // namespace undercroft
