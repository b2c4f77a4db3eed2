// Fields of wire formats that convert by themselves: `Le<u32>` is stored little-endian, `Be<u32>` big-endian, both
// unaligned-safe (alignment 1), so a struct of them has exactly the layout of the standard it comes from. Follow each
// with a size assertion.
#pragma once

#include <bit>
#include <cstring>

#include "kernel/base/types.hpp"

namespace undercroft {

template <typename T, std::endian Order>
class [[gnu::packed]] EndianField {
public:
    constexpr EndianField() = default;
    constexpr EndianField(T value) : bytes_(std::bit_cast<Bytes>(convert(value))) {}
    constexpr operator T() const { return convert(std::bit_cast<T>(bytes_)); }
    constexpr T value() const { return *this; }
    constexpr EndianField& operator=(T value) {
        bytes_ = std::bit_cast<Bytes>(convert(value));
        return *this;
    }
    constexpr EndianField& operator|=(T value) { return *this = static_cast<T>(T(*this) | value); }
    constexpr EndianField& operator&=(T value) { return *this = static_cast<T>(T(*this) & value); }

private:
    struct Bytes {
        unsigned char data[sizeof(T)];
    };
    static constexpr T convert(T value) {
        if constexpr (Order == std::endian::native || sizeof(T) == 1) {
            return value;
        } else {
            return std::byteswap(value);
        }
    }
    Bytes bytes_{};
};

template <typename T>
using Le = EndianField<T, std::endian::little>;
template <typename T>
using Be = EndianField<T, std::endian::big>;

static_assert(sizeof(Le<u64>) == 8 && alignof(Le<u64>) == 1);

}  // namespace undercroft
