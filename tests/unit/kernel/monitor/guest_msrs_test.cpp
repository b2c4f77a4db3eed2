// MSRs that only hold what was written.
#include "kernel/monitor/guest_msrs.hpp"

#include <catch2/catch.hpp>

namespace undercroft::monitor {
namespace {

TEST_CASE("MTRRs keep their values", "[monitor]") {
    GuestMsrs msrs;
    for (u32 msr : {0x200u, 0x20Fu, 0x250u, 0x258u, 0x259u, 0x268u, 0x26Fu}) {
        REQUIRE(msrs.write(msr, 0x1234'0000 + msr).has_value());
    }
    for (u32 msr : {0x200u, 0x20Fu, 0x250u, 0x258u, 0x259u, 0x268u, 0x26Fu}) {
        CHECK(*msrs.read(msr) == 0x1234'0000 + msr);
    }
    CHECK(*msrs.read(0xFE) == 0x508);
    CHECK(msrs.write(0xFE, 0).error() == Error::access_denied);
    CHECK(msrs.read(0x210).error() == Error::not_found);
}

TEST_CASE("unknown MSRs are not found", "[monitor]") {
    GuestMsrs msrs;
    for (u32 msr : {0x48u, 0xC001'0114u, 0xC001'0117u, 0xC000'0080u, 0x4000'0000u, ~0u}) {
        CHECK(msrs.read(msr).error() == Error::not_found);
        CHECK(msrs.write(msr, 0).error() == Error::not_found);
    }
}

TEST_CASE("page attribute tables hold memory types", "[monitor]") {
    CHECK(is_valid_pat(0x0007'0406'0007'0406));
    CHECK_FALSE(is_valid_pat(0x0007'0406'0007'0402));
    CHECK_FALSE(is_valid_pat(u64{8} << 56));
}

}  // namespace
}  // namespace undercroft::monitor
