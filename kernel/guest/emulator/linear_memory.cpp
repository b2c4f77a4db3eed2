// Segment checks, page crossing, and the choice between RAM and bus.
#include "kernel/guest/emulator/linear_memory.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace undercroft {

namespace {

constexpr u16 attribute_type_writable = 1u << 1;  // data: writable; code: readable
constexpr u16 attribute_type_expand_down = 1u << 2;
constexpr u16 attribute_type_code = 1u << 3;
constexpr u16 attribute_present = 1u << 7;
constexpr u16 attribute_big = 1u << 14;

bool is_canonical(const CpuState& cpu, u64 linear) {
    unsigned bits = ((cpu.cr4 >> 12) & 1) != 0 ? 57 : 48;
    u64 top = linear >> (bits - 1);
    return top == 0 || top == (~u64{0} >> (bits - 1));
}

bool is_within_limit(const tlfs::SegmentRegister& segment, u64 offset, unsigned bytes) {
    u64 last = offset + bytes - 1;
    bool is_data = (segment.attributes & attribute_type_code) == 0;
    if (is_data && (segment.attributes & attribute_type_expand_down) != 0) {
        u64 top = (segment.attributes & attribute_big) != 0 ? 0xFFFF'FFFF : 0xFFFF;
        return offset > segment.limit && last <= top;
    }
    return last <= segment.limit;
}

bool has_rights(const tlfs::SegmentRegister& segment, MemoryAccess access) {
    bool is_code = (segment.attributes & attribute_type_code) != 0;
    bool bit = (segment.attributes & attribute_type_writable) != 0;
    if ((segment.attributes & attribute_present) == 0) {
        return false;
    }
    switch (access) {
    case MemoryAccess::read:
        return !is_code || bit;
    case MemoryAccess::write:
        return !is_code && bit;
    case MemoryAccess::execute:
        return is_code;
    }
    return false;
}

/// The widest bus access that fits `bytes`: 8, 4, 2 or 1.
AccessSize widest_access(unsigned bytes) { return static_cast<AccessSize>(std::bit_floor(std::min(bytes, 8u))); }

}  // namespace

Emulated<u64> LinearMemory::linear_address(SegmentName name, u64 offset, unsigned bytes, MemoryAccess access) const {
    const tlfs::SegmentRegister& segment = cpu_.segment(name);
    if (cpu_.is_64bit()) {
        u64 linear = offset + (name == SegmentName::fs || name == SegmentName::gs ? segment.base : 0);
        if (!is_canonical(cpu_, linear) || !is_canonical(cpu_, linear + bytes - 1)) {
            return fail(segment_fault(name));
        }
        return linear;
    }
    // Real mode keeps rights in the cached descriptor too, but ignores them.
    bool checks_rights = cpu_.is_protected() && (cpu_.rflags & (u64{1} << 17)) == 0;
    if (!is_within_limit(segment, offset, bytes) || (checks_rights && !has_rights(segment, access))) {
        return fail(segment_fault(name));
    }
    return (segment.base + offset) & 0xFFFF'FFFF;
}

Emulated<TranslatedOperand> LinearMemory::translate_operand(u64 linear, unsigned bytes, MemoryAccess access) const {
    TranslatedOperand operand;
    while (bytes > 0) {
        auto physical = translate(memory_, cpu_, linear, access);
        if (!physical.has_value()) {
            if (physical.error().is_unreachable) {
                return fail(unsupported("a page table lies outside RAM"));
            }
            return fail(page_fault(linear, physical.error().error_code));
        }
        unsigned piece = std::min<unsigned>(bytes, page_size - (linear & (page_size - 1)));
        operand.pieces[operand.piece_count++] = {*physical, piece};
        bytes -= piece;
        linear += piece;
        if (!cpu_.is_long_mode()) {
            linear &= 0xFFFF'FFFF;
        }
    }
    return operand;
}

void LinearMemory::load(const TranslatedOperand& operand, std::byte* into) const {
    for (unsigned i = 0; i < operand.piece_count; ++i) {
        u64 physical = operand.pieces[i].physical;
        unsigned left = operand.pieces[i].bytes;
        if (auto ram = memory_.resolve(physical, left); ram.has_value()) {
            std::memcpy(into, ram->data(), left);
            into += left;
            continue;
        }
        while (left > 0) {
            AccessSize size = widest_access(left);
            unsigned bytes = static_cast<unsigned>(size);
            u64 value = bus_.read_mmio(physical, size);
            std::memcpy(into, &value, bytes);
            into += bytes;
            physical += bytes;
            left -= bytes;
        }
    }
}

void LinearMemory::store(const TranslatedOperand& operand, const std::byte* from) const {
    for (unsigned i = 0; i < operand.piece_count; ++i) {
        u64 physical = operand.pieces[i].physical;
        unsigned left = operand.pieces[i].bytes;
        if (auto ram = memory_.resolve(physical, left); ram.has_value()) {
            std::memcpy(ram->data(), from, left);
            from += left;
            continue;
        }
        while (left > 0) {
            AccessSize size = widest_access(left);
            unsigned bytes = static_cast<unsigned>(size);
            u64 value = 0;
            std::memcpy(&value, from, bytes);
            bus_.write_mmio(physical, size, value);
            from += bytes;
            physical += bytes;
            left -= bytes;
        }
    }
}

std::span<std::byte> LinearMemory::ram_behind(const TranslatedOperand& operand, usize bytes) const {
    return memory_.resolve(operand.pieces[0].physical, bytes).value_or(std::span<std::byte>());
}

u64 LinearMemory::load_value(const TranslatedOperand& operand) const {
    std::byte bytes[operand_bytes_max] = {};
    load(operand, bytes);
    u64 value = 0;
    std::memcpy(&value, bytes, sizeof(value));
    return value;
}

void LinearMemory::store_value(const TranslatedOperand& operand, u64 value) const {
    std::byte bytes[sizeof(value)];
    std::memcpy(bytes, &value, sizeof(value));
    store(operand, bytes);
}

Emulated<usize> LinearMemory::fetch(u64 rip, std::span<u8> into) const {
    u64 linear = TRY(linear_address(SegmentName::cs, rip, 1, MemoryAccess::execute));
    unsigned bytes = static_cast<unsigned>(std::min<u64>(into.size(), page_size - (linear & (page_size - 1))));
    TranslatedOperand code = TRY(translate_operand(linear, bytes, MemoryAccess::execute));
    auto ram = memory_.resolve(code.pieces[0].physical, bytes);
    if (!ram.has_value()) {
        return fail(unsupported("the code lies outside RAM"));
    }
    std::memcpy(into.data(), ram->data(), bytes);
    return bytes;
}

}  // namespace undercroft
