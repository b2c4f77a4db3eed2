// What CPUID shows VTL0 of a CPU that has everything.
#include "kernel/monitor/cpuid_policy.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <string>

namespace undercroft::monitor {
namespace {

constexpr CpuidValues everything{~0u, ~0u, ~0u, ~0u};
constexpr CpuidContext context{
    .vp_index = 2, .vp_count = 4, .apic_id = 2, .apic_enabled = true, .os_xsave = false, .tsc_invariant = false};

bool has(u32 word, unsigned bit) { return (word >> bit) & 1; }

TEST_CASE("what is not virtualised is hidden", "[monitor]") {
    CpuidValues one = cpuid_for_guest(1, 0, everything, context);
    CHECK_FALSE(has(one.ecx, 3));   // MONITOR
    CHECK_FALSE(has(one.ecx, 5));   // VMX
    CHECK_FALSE(has(one.ecx, 27));  // OSXSAVE follows VTL0's CR4
    CHECK_FALSE(has(one.edx, 14));  // machine check architecture
    CpuidValues extended = cpuid_for_guest(0x8000'0001, 0, everything, context);
    CHECK_FALSE(has(extended.ecx, 2));   // SVM
    CHECK_FALSE(has(extended.ecx, 12));  // SKINIT
    CHECK(has(extended.edx, 29));        // long mode
    CpuidValues seven = cpuid_for_guest(7, 0, everything, context);
    CHECK_FALSE(has(seven.ecx, 3));   // protection keys
    CHECK_FALSE(has(seven.ecx, 16));  // five-level paging
    CHECK_FALSE(has(seven.edx, 26));  // speculation control MSR
    CHECK(seven.eax == 1);
    for (u32 leaf : {5u, 0xAu, 0xFu, 0x10u, 0x12u, 0x14u, 0x1Fu, 0x8000'000Au, 0x8000'001Fu, 0x4000'0010u}) {
        CpuidValues values = cpuid_for_guest(leaf, 0, everything, context);
        CHECK((values.eax | values.ebx | values.ecx | values.edx) == 0);
    }
}

TEST_CASE("x2APIC, TSC deadline and the hypervisor are there even where the CPU lacks them", "[monitor]") {
    CpuidValues one = cpuid_for_guest(1, 0, {}, context);
    CHECK((has(one.ecx, 21) && has(one.ecx, 24) && has(one.ecx, 31) && has(one.edx, 9) && has(one.edx, 28)));
    CHECK(one.ebx >> 24 == 2);
    CpuidContext with_xsave = context;
    with_xsave.os_xsave = true;
    CHECK(has(cpuid_for_guest(1, 0, {}, with_xsave).ecx, 27));
}

TEST_CASE("the hypervisor introduces itself", "[monitor]") {
    CpuidValues values = cpuid_for_guest(0x4000'0000, 0, {}, context);
    char name[13] = {};
    memcpy(name, &values.ebx, 4);
    memcpy(name + 4, &values.ecx, 4);
    memcpy(name + 8, &values.edx, 4);
    CHECK(std::string(name) == "Microsoft Hv");
    CHECK(values.eax >= 0x4000'0005);
    CpuidValues features = cpuid_for_guest(0x4000'0003, 0, {}, context);
    CHECK((has(features.eax, 5) && has(features.eax, 6) && has(features.eax, 9) && has(features.eax, 11)));
    CHECK(cpuid_for_guest(0x4000'0001, 0, {}, context).eax == 0x3123'7648);
}

TEST_CASE("topology agrees with the number of VPs", "[monitor]") {
    CHECK(topology_shift(1) == 0);
    CHECK(topology_shift(2) == 1);
    CHECK(topology_shift(5) == 3);
    CpuidValues core = cpuid_for_guest(0xB, 1, {}, context);
    CHECK((core.eax == 2 && core.ebx == 4 && core.edx == 2));
    CpuidValues sizes = cpuid_for_guest(0x8000'0008, 0, everything, context);
    CHECK((sizes.ecx & 0xFF) == 3);
    CHECK((sizes.ecx >> 12) == 2);
    CHECK(cpuid_for_guest(1, 0, {}, context).ebx >> 16 == ((2u << 8) | 4));
}

TEST_CASE("only the allowed vector state is offered", "[monitor]") {
    CHECK(cpuid_for_guest(0xD, 0, everything, context).eax == xcr0_allowed);
    CpuidValues one = cpuid_for_guest(0xD, 1, everything, context);
    CHECK_FALSE(has(one.eax, 3));  // XSAVES
    CHECK(cpuid_for_guest(0xD, 2, everything, context).eax == ~0u);
    CHECK(cpuid_for_guest(0xD, 9, everything, context).eax == 0);
    CHECK(cpuid_for_guest(0xD, 64, everything, context).eax == 0);
}

}  // namespace
}  // namespace undercroft::monitor
