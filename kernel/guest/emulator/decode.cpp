// Zydis in the guest's current mode.
#include "kernel/guest/emulator/decode.hpp"

#include <algorithm>

#include "kernel/guest/emulator/decode_cache.hpp"

namespace undercroft {

ZydisDecoder decoder_for(const CpuState& cpu) {
    ZydisMachineMode mode = ZYDIS_MACHINE_MODE_LEGACY_16;
    ZydisStackWidth stack = ZYDIS_STACK_WIDTH_16;
    if (cpu.is_64bit()) {
        mode = ZYDIS_MACHINE_MODE_LONG_64;
        stack = ZYDIS_STACK_WIDTH_64;
    } else if (cpu.is_32bit_code()) {
        mode = cpu.is_long_mode() ? ZYDIS_MACHINE_MODE_LONG_COMPAT_32 : ZYDIS_MACHINE_MODE_LEGACY_32;
        stack = ZYDIS_STACK_WIDTH_32;
    } else if (cpu.is_long_mode()) {
        mode = ZYDIS_MACHINE_MODE_LONG_COMPAT_16;
    } else if (!cpu.is_protected()) {
        mode = ZYDIS_MACHINE_MODE_REAL_16;
    }
    ZydisDecoder decoder;
    ZydisDecoderInit(&decoder, mode, stack);
    ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_MINIMAL, ZYAN_TRUE);
    return decoder;
}

namespace {

u64 instruction_pointer_mask(const CpuState& cpu) {
    if (cpu.is_64bit()) {
        return ~u64{0};
    }
    return cpu.is_32bit_code() ? 0xFFFF'FFFF : 0xFFFF;
}

}  // namespace

u64 next_instruction(const CpuState& cpu, u8 length) { return (cpu.rip + length) & instruction_pointer_mask(cpu); }

Emulated<void> decode(const LinearMemory& memory, const CpuState& cpu, std::span<const u8> fetched,
                      DecodedInstruction& decoded, DecodeCache* cache) {
    ZydisDecoder decoder = decoder_for(cpu);
    usize count = std::min(fetched.size(), instruction_bytes_max);
    std::copy_n(fetched.begin(), count, decoded.bytes);
    for (;;) {
        decoded.byte_count = static_cast<u8>(count);
        if (cache != nullptr && count > 0 && cache->find(decoder.machine_mode, cpu.rip, decoded)) {
            return {};
        }
        ZydisDecodedInstruction info;
        ZyanStatus status = ZYDIS_STATUS_NO_MORE_DATA;
        if (count > 0) {
            status = ZydisDecoderDecodeInstruction(&decoder, nullptr, decoded.bytes, count, &info);
        }
        if (ZYAN_SUCCESS(status)) {
            describe(info, decoded);
            if (cache != nullptr) {
                cache->store(decoder.machine_mode, cpu.rip, decoded);
            }
            return {};
        }
        if (status != ZYDIS_STATUS_NO_MORE_DATA || count == instruction_bytes_max) {
            return fail(unsupported("it does not decode"));
        }
        // Each round reaches the next page, of which an instruction meets at most two.
        u64 rip = next_instruction(cpu, static_cast<u8>(count));
        count += TRY(memory.fetch(rip, std::span(decoded.bytes).subspan(count)));
    }
}

}  // namespace undercroft
