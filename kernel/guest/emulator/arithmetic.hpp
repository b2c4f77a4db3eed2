// Results and flags of integer operations on operands of 1, 2, 4 or 8 bytes.
// Source: AMD64 Architecture Programmer's Manual volume 3, appendix F (and each instruction's page).
#pragma once

#include <bit>

#include "kernel/base/types.hpp"

namespace undercroft::arithmetic {

inline constexpr u64 flag_carry = 1u << 0;
inline constexpr u64 flag_parity = 1u << 2;
inline constexpr u64 flag_adjust = 1u << 4;
inline constexpr u64 flag_zero = 1u << 6;
inline constexpr u64 flag_sign = 1u << 7;
inline constexpr u64 flag_direction = 1u << 10;
inline constexpr u64 flag_overflow = 1u << 11;
inline constexpr u64 flags_all = flag_carry | flag_parity | flag_adjust | flag_zero | flag_sign | flag_overflow;

struct Outcome {
    u64 value;
    u64 flags;  ///< of `flags_all`
};

constexpr u64 mask_of(unsigned bytes) { return bytes >= 8 ? ~u64{0} : (u64{1} << (8 * bytes)) - 1; }
constexpr u64 sign_of(unsigned bytes) { return u64{1} << (8 * bytes - 1); }

constexpr u64 sign_extend(u64 value, unsigned bytes) {
    unsigned shift = 64 - 8 * bytes;
    return static_cast<u64>(static_cast<i64>(value << shift) >> shift);
}

constexpr u64 result_flags(u64 value, unsigned bytes) {
    return ((std::popcount(value & 0xFF) & 1) == 0 ? flag_parity : 0) | (value == 0 ? flag_zero : 0) |
           ((value & sign_of(bytes)) != 0 ? flag_sign : 0);
}

constexpr Outcome logic(u64 value, unsigned bytes) {
    value &= mask_of(bytes);
    return {value, result_flags(value, bytes)};
}

constexpr Outcome add(u64 left, u64 right, bool carry, unsigned bytes) {
    u64 mask = mask_of(bytes);
    left &= mask;
    right &= mask;
    u64 value = (left + right + (carry ? 1 : 0)) & mask;
    u64 carries = (left & right) | ((left | right) & ~value);  // the carry out of each bit
    u64 flags = result_flags(value, bytes);
    flags |= (carries & sign_of(bytes)) != 0 ? flag_carry : 0;
    flags |= (carries & 8) != 0 ? flag_adjust : 0;
    flags |= ((left ^ value) & (right ^ value) & sign_of(bytes)) != 0 ? flag_overflow : 0;
    return {value, flags};
}

constexpr Outcome subtract(u64 left, u64 right, bool borrow, unsigned bytes) {
    u64 mask = mask_of(bytes);
    left &= mask;
    right &= mask;
    u64 value = (left - right - (borrow ? 1 : 0)) & mask;
    u64 borrows = (~left & right) | ((~left | right) & value);  // the borrow out of each bit
    u64 flags = result_flags(value, bytes);
    flags |= (borrows & sign_of(bytes)) != 0 ? flag_carry : 0;
    flags |= (borrows & 8) != 0 ? flag_adjust : 0;
    flags |= ((left ^ right) & (left ^ value) & sign_of(bytes)) != 0 ? flag_overflow : 0;
    return {value, flags};
}

/// Whether the condition `code`, the low four bits of a Jcc, SETcc or CMOVcc opcode, holds for `flags`.
constexpr bool condition_holds(u8 code, u64 flags) {
    bool carry = (flags & flag_carry) != 0;
    bool zero = (flags & flag_zero) != 0;
    bool less = ((flags & flag_sign) != 0) != ((flags & flag_overflow) != 0);
    bool holds = false;
    switch ((code >> 1) & 7) {
    case 0:
        holds = (flags & flag_overflow) != 0;
        break;
    case 1:
        holds = carry;
        break;
    case 2:
        holds = zero;
        break;
    case 3:
        holds = carry || zero;
        break;
    case 4:
        holds = (flags & flag_sign) != 0;
        break;
    case 5:
        holds = (flags & flag_parity) != 0;
        break;
    case 6:
        holds = less;
        break;
    default:
        holds = less || zero;
        break;
    }
    return holds != ((code & 1) != 0);
}

}  // namespace undercroft::arithmetic
