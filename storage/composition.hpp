// What a factory of a disk that is put together from others answers: the disk, or why it cannot be, as a sentence for
// whoever wrote the configuration ("member 2 has sectors of 4096 bytes, and the first of 512").
#pragma once

#include <string>

#include "kernel/base/result.hpp"

namespace undercroft {

template <typename T>
using Composition = Result<T, std::string>;

/// A number in a reason.
inline std::string in_digits(u64 value) {
    std::string digits;
    do {
        digits.insert(digits.begin(), static_cast<char>('0' + value % 10));
        value /= 10;
    } while (value > 0);
    return digits;
}

/// `return refused("...")` from a factory.
inline std::unexpected<std::string> refused(std::string reason) { return std::unexpected(std::move(reason)); }

}  // namespace undercroft
