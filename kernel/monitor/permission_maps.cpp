// Permission maps: see permission_maps.hpp.
#include "kernel/monitor/permission_maps.hpp"

#include <string.h>

#include "arch/x86_64/registers.hpp"

namespace undercroft::monitor {

namespace msr = arch::msr;

namespace {

constexpr u16 com1_port = 0x3F8;
constexpr u16 com1_ports = 8;
constexpr u16 control_port = 0x2E8;
constexpr u16 control_ports = 8;
constexpr u16 clock_port = 0x70;
constexpr u16 clock_ports = 2;

/// VMLOAD and VMSAVE exchange these with every entry, so each level has its own.
constexpr u32 switched_msrs[] = {msr::sysenter_cs, msr::sysenter_esp,  msr::sysenter_eip, msr::star,
                                 msr::lstar,       msr::cstar,         msr::sfmask,       msr::fs_base,
                                 msr::gs_base,     msr::kernel_gs_base};

/// Position of an MSR's two bits; -1 where the map has none and the CPU always exits.
i64 bit_position(u32 msr) {
    constexpr u32 msrs_per_vector = 0x2000;
    constexpr u32 bases[] = {0, 0xC000'0000, 0xC001'0000};
    for (usize i = 0; i < 3; ++i) {
        if (msr >= bases[i] && msr - bases[i] < msrs_per_vector) {
            return static_cast<i64>(i * 2048 * 8 + u64{msr - bases[i]} * 2);
        }
    }
    return -1;
}

}  // namespace

constinit PermissionMaps guest_permissions{};
constinit PermissionMaps image_permissions{};

void PermissionMaps::intercept_everything() {
    memset(io, 0xFF, sizeof(io));
    memset(msr, 0xFF, sizeof(msr));
}

void PermissionMaps::allow_ports(u16 first, u16 count) {
    for (u32 port = first; port < u32{first} + count; ++port) {
        io[port / 8] = static_cast<u8>(io[port / 8] & ~(1u << (port % 8)));
    }
}

void PermissionMaps::clear_msr(u32 number, u8 bits) {
    i64 position = bit_position(number);
    if (position >= 0) {
        u8& byte = msr[position / 8];
        byte = static_cast<u8>(byte & ~(bits << (position % 8)));
    }
}

u8 PermissionMaps::msr_bits(u32 number) const {
    i64 position = bit_position(number);
    return position < 0 ? 3 : (msr[position / 8] >> (position % 8)) & 3;
}

void initialise_permissions() {
    guest_permissions.intercept_everything();
    image_permissions.intercept_everything();
    for (u32 number : switched_msrs) {
        guest_permissions.allow_msr(number);
        image_permissions.allow_msr(number);
    }
    guest_permissions.allow_msr_read(msr::tsc);
    image_permissions.allow_msr_read(msr::tsc);
    // Only VTL0 has a use for it, so it need not be switched.
    guest_permissions.allow_msr(msr::tsc_aux);
    image_permissions.allow_ports(com1_port, com1_ports);
    image_permissions.allow_ports(control_port, control_ports);
    // The time of day is nobody's secret, and the monitor keeps nothing in the CMOS.
    image_permissions.allow_ports(clock_port, clock_ports);
}

}  // namespace undercroft::monitor
