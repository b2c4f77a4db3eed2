// Which ports and MSRs each level reaches without an exit.
#include "kernel/monitor/permission_maps.hpp"

#include <catch2/catch.hpp>

namespace undercroft::monitor {
namespace {

TEST_CASE("VTL0 reaches no port, VTL2 COM1, its control port and the clock alone", "[monitor]") {
    initialise_permissions();
    for (u32 port = 0; port < 0x1'0000; ++port) {
        CHECK(guest_permissions.intercepts_port(static_cast<u16>(port)));
        bool own = (port >= 0x3F8 && port <= 0x3FF) || (port >= 0x2E8 && port <= 0x2EF) || port == 0x70 || port == 0x71;
        CHECK(image_permissions.intercepts_port(static_cast<u16>(port)) == !own);
    }
    // The bits behind port FFFFh, which a wide access at the end looks at.
    CHECK(guest_permissions.io[0x1'0000 / 8] == 0xFF);
}

TEST_CASE("only MSRs that the world switch exchanges are direct", "[monitor]") {
    initialise_permissions();
    for (u32 msr : {0x174u, 0x175u, 0x176u, 0xC000'0081u, 0xC000'0082u, 0xC000'0083u, 0xC000'0084u, 0xC000'0100u,
                    0xC000'0101u, 0xC000'0102u}) {
        CHECK(guest_permissions.msr_bits(msr) == 0);
        CHECK(image_permissions.msr_bits(msr) == 0);
    }
    for (u32 msr : {0x1Bu, 0x277u, 0x6E0u, 0x800u, 0x8FFu, 0xC000'0080u, 0xC001'0114u, 0xC001'0117u, 0x4000'0000u}) {
        CHECK(guest_permissions.msr_bits(msr) == 3);
        CHECK(image_permissions.msr_bits(msr) == 3);
    }
    CHECK(guest_permissions.msr_bits(0x10) == 2);
    CHECK(guest_permissions.msr_bits(0xC000'0103) == 0);
    CHECK(image_permissions.msr_bits(0xC000'0103) == 3);
}

}  // namespace
}  // namespace undercroft::monitor
