// Results: how every function that can fail says so. No exceptions exist in this tree.
// `Error` is the general vocabulary; a domain with its own (disks: storage/disk_error.hpp) uses `Result<T, ItsError>`.
#pragma once

#include <expected>
#include <type_traits>
#include <utility>

#include "kernel/base/types.hpp"

namespace undercroft {

/// Why something outside the disk domain failed. Every value has a text in `to_string`.
enum class Error : u8 {
    invalid_argument,  ///< the caller's request is malformed
    out_of_range,      ///< an address, index or length lies outside what exists
    out_of_memory,     ///< the budget for this kind of memory is used up
    not_found,         ///< no such object, function, file or register
    access_denied,     ///< it exists, and this caller may not have it
    unsupported,       ///< valid, and not something this implementation or device does
    timed_out,         ///< the deadline passed
    cancelled,         ///< the caller asked for it to stop
    device_error,      ///< hardware said that it failed, or said nonsense
    gone,              ///< the object was removed or shut down
    busy,              ///< cannot be done now; may be tried again
    malformed,         ///< bytes from outside do not follow their format
};

/// The name of `error` as it appears in logs, for example "timed out".
const char* to_string(Error error);

/// A value or the reason there is none. Derived from std::expected so that it can carry [[nodiscard]].
template <typename T, typename E = Error>
class [[nodiscard]] Result : public std::expected<T, E> {
public:
    using std::expected<T, E>::expected;
    constexpr Result(std::expected<T, E> other) : std::expected<T, E>(std::move(other)) {}
};

/// `return fail(Error::timed_out);`
template <typename E>
constexpr std::unexpected<E> fail(E error) {
    return std::unexpected<E>(std::move(error));
}

namespace detail {
template <typename R>
constexpr auto take_value(R&& result) {
    if constexpr (std::is_void_v<typename std::remove_cvref_t<R>::value_type>) {
        return;
    } else {
        return std::move(*result);
    }
}
}  // namespace detail

}  // namespace undercroft

/// Evaluates a Result; yields its value, or returns its error from the enclosing function.
#define TRY(...)                                                                                                       \
    ({                                                                                                                 \
        auto&& try_result_ = (__VA_ARGS__);                                                                            \
        if (!try_result_.has_value()) [[unlikely]]                                                                     \
            return ::std::unexpected(try_result_.error());                                                             \
        ::undercroft::detail::take_value(std::move(try_result_));                                                      \
    })

/// As TRY, in a coroutine: `auto value = CO_TRY(co_await thing());`
#define CO_TRY(...)                                                                                                    \
    ({                                                                                                                 \
        auto try_result_ = (__VA_ARGS__);                                                                              \
        if (!try_result_.has_value()) [[unlikely]]                                                                     \
            co_return ::std::unexpected(try_result_.error());                                                          \
        ::undercroft::detail::take_value(std::move(try_result_));                                                      \
    })
