// Bits of a register word: the two operations under every typed register snapshot of this folder.
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft {

/// The `width` bits of `word` that start at bit `low`. `low` + `width` is at most the width of the word.
template <typename Word>
constexpr Word get_bits(Word word, unsigned low, unsigned width) {
    Word mask = width >= 8 * sizeof(Word) ? static_cast<Word>(~Word{0}) : static_cast<Word>((Word{1} << width) - 1);
    return static_cast<Word>((word >> low) & mask);
}

/// `word` with those bits replaced by the low bits of `value`.
template <typename Word>
constexpr Word with_bits(Word word, unsigned low, unsigned width, Word value) {
    Word mask = width >= 8 * sizeof(Word) ? static_cast<Word>(~Word{0}) : static_cast<Word>((Word{1} << width) - 1);
    return static_cast<Word>((word & ~(mask << low)) | ((value & mask) << low));
}

}  // namespace undercroft
