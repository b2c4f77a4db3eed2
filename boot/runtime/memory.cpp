// The routines behind memcpy, memmove and memset. Compiled with -fno-builtin: the compiler would otherwise recognise the loops
// and call the functions that call them.
#include "boot/runtime/memory.hpp"

#include <cpuid.h>

namespace undercroft {

namespace {

using Word [[gnu::may_alias, gnu::aligned(1)]] = u64;

constexpr usize word_bytes = sizeof(u64);
constexpr usize block_bytes = 4 * word_bytes;
/// Below this the start-up cost of a string instruction shows.
constexpr usize repeat_string_bytes_min = 128;
constexpr u32 cpuid_7_edx_fsrm = 1u << 4;

// SAFETY (all of this file): callers own both ranges, as the C functions demand; Word may alias anything and needs no alignment.
Word* words(u8* bytes) { return reinterpret_cast<Word*>(bytes); }
const Word* words(const u8* bytes) { return reinterpret_cast<const Word*>(bytes); }

}  // namespace

CopyMethod detect_copy_method() noexcept {
    u32 eax = 0;
    u32 ebx = 0;
    u32 ecx = 0;
    u32 edx = 0;
    bool known = __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0;
    return known && (edx & cpuid_7_edx_fsrm) != 0 ? CopyMethod::repeat_string : CopyMethod::words;
}

void copy_forward(void* target, const void* source, usize size_bytes, CopyMethod method) noexcept {
    auto* to = static_cast<u8*>(target);
    const auto* from = static_cast<const u8*>(source);
    if (method == CopyMethod::repeat_string && size_bytes >= repeat_string_bytes_min) {
        asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size_bytes) : : "memory");
        return;
    }
    for (; size_bytes >= block_bytes; size_bytes -= block_bytes, to += block_bytes, from += block_bytes) {
        // All loads come before the stores: the ranges may overlap by less than a block.
        u64 a = words(from)[0];
        u64 b = words(from)[1];
        u64 c = words(from)[2];
        u64 d = words(from)[3];
        words(to)[0] = a;
        words(to)[1] = b;
        words(to)[2] = c;
        words(to)[3] = d;
    }
    for (; size_bytes >= word_bytes; size_bytes -= word_bytes, to += word_bytes, from += word_bytes) {
        *words(to) = *words(from);
    }
    for (; size_bytes > 0; --size_bytes) {
        *to++ = *from++;
    }
}

void copy_backward(void* target, const void* source, usize size_bytes) noexcept {
    auto* to = static_cast<u8*>(target) + size_bytes;
    const auto* from = static_cast<const u8*>(source) + size_bytes;
    for (; size_bytes >= block_bytes; size_bytes -= block_bytes) {
        to -= block_bytes;
        from -= block_bytes;
        u64 a = words(from)[0];
        u64 b = words(from)[1];
        u64 c = words(from)[2];
        u64 d = words(from)[3];
        words(to)[0] = a;
        words(to)[1] = b;
        words(to)[2] = c;
        words(to)[3] = d;
    }
    for (; size_bytes >= word_bytes; size_bytes -= word_bytes) {
        to -= word_bytes;
        from -= word_bytes;
        *words(to) = *words(from);
    }
    for (; size_bytes > 0; --size_bytes) {
        *--to = *--from;
    }
}

void fill(void* target, u8 value, usize size_bytes, CopyMethod method) noexcept {
    auto* to = static_cast<u8*>(target);
    if (method == CopyMethod::repeat_string && size_bytes >= repeat_string_bytes_min) {
        asm volatile("rep stosb" : "+D"(to), "+c"(size_bytes) : "a"(value) : "memory");
        return;
    }
    const u64 pattern = value * 0x0101010101010101u;
    for (; size_bytes >= block_bytes; size_bytes -= block_bytes, to += block_bytes) {
        words(to)[0] = pattern;
        words(to)[1] = pattern;
        words(to)[2] = pattern;
        words(to)[3] = pattern;
    }
    for (; size_bytes >= word_bytes; size_bytes -= word_bytes, to += word_bytes) {
        *words(to) = pattern;
    }
    for (; size_bytes > 0; --size_bytes) {
        *to++ = value;
    }
}

}  // namespace undercroft
