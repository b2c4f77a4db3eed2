// Result and TRY.
#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "kernel/base/result.hpp"

namespace undercroft {
namespace {

Result<int> half(int value) {
    if (value % 2 != 0) {
        return fail(Error::invalid_argument);
    }
    return value / 2;
}

// NOLINTNEXTLINE(readability-identifier-naming): one TRY in another
Result<int> quarter(int value) { return TRY(half(TRY(half(value)))); }

Result<void> check(int value) {
    TRY(half(value));
    return {};
}

TEST_CASE("TRY yields the value, or returns the error") {
    REQUIRE(quarter(12).value() == 3);
    REQUIRE(quarter(6).error() == Error::invalid_argument);
    REQUIRE(check(2).has_value());
    REQUIRE(check(3).error() == Error::invalid_argument);
}

Result<std::unique_ptr<int>> make(bool works) {
    if (!works) {
        return fail(Error::out_of_memory);
    }
    return std::make_unique<int>(7);
}

Result<int> unwrap(bool works) {
    std::unique_ptr<int> value = TRY(make(works));
    return *value;
}

TEST_CASE("TRY moves what can only be moved") {
    REQUIRE(unwrap(true).value() == 7);
    REQUIRE(unwrap(false).error() == Error::out_of_memory);
}

TEST_CASE("every error has its own text") {
    std::string seen;
    for (int value = 0; value <= static_cast<int>(Error::malformed); ++value) {
        std::string text = to_string(static_cast<Error>(value));
        REQUIRE(text != "unknown error");
        REQUIRE(seen.find("|" + text + "|") == std::string::npos);
        seen += "|" + text + "|";
    }
    REQUIRE(std::string(to_string(static_cast<Error>(200))) == "unknown error");
}

}  // namespace
}  // namespace undercroft
