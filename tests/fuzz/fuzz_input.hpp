// What fuzz targets share: the bytes that the fuzzer gives, as a sequence of values (past the end everything is zero), and
// a check that ends the run.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

#include "kernel/base/types.hpp"

namespace undercroft::fuzz {

class Input {
public:
    Input(const u8* data, usize size) : rest_(data, size) {}

    bool is_empty() const { return rest_.empty(); }
    template <typename T>
    T take() {
        T value{};
        fill({reinterpret_cast<std::byte*>(&value), sizeof(value)});
        return value;
    }
    /// As much as there is; the remainder of `into` keeps what it holds.
    void fill(std::span<std::byte> into) {
        usize count = into.size() < rest_.size() ? into.size() : rest_.size();
        if (count != 0) {
            std::memcpy(into.data(), rest_.data(), count);
        }
        rest_ = rest_.subspan(count);
    }
    std::span<const u8> rest() const { return rest_; }

private:
    std::span<const u8> rest_;
};

}  // namespace undercroft::fuzz

#define MUST_HOLD(condition)                                                                                           \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            (void)std::fprintf(stderr, "does not hold: %s (%s:%d)\n", #condition, __FILE__, __LINE__);                 \
            std::abort();                                                                                              \
        }                                                                                                              \
    } while (false)
