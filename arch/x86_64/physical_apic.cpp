// The machine's interrupt controllers: see physical_apic.hpp.
#include "arch/x86_64/physical_apic.hpp"

#include <initializer_list>

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/registers.hpp"

namespace undercroft::arch {

namespace {

constexpr u32 cpuid_1_ecx_x2apic = 1u << 21;
constexpr u32 divide_by_one = 0xB;
constexpr unsigned lvt_mode_shift = 17;
constexpr u32 command_init = 5u << 8;
constexpr u32 command_startup = 6u << 8;

// SAFETY: registers are mapped uncached at the address given; volatile keeps each access.
volatile u32& register_at(u64 address) { return *reinterpret_cast<volatile u32*>(address); }

}  // namespace

void PhysicalApic::initialise(u64 address) {
    address_ = address;
    x2apic_ = (cpuid(1).ecx & cpuid_1_ecx_x2apic) != 0;
}

u32 PhysicalApic::read(u32 reg) const {
    return x2apic_ ? static_cast<u32>(read_msr(msr::x2apic_first + reg)) : register_at(address_ + u64{reg} * 16);
}

void PhysicalApic::write(u32 reg, u32 value) const {
    if (x2apic_) {
        write_msr(msr::x2apic_first + reg, value);
    } else {
        register_at(address_ + u64{reg} * 16) = value;
    }
}

void PhysicalApic::enable_here(u8 spurious_vector) const {
    u64 base = read_msr(msr::apic_base) | apic::base_bit::enable;
    write_msr(msr::apic_base, x2apic_ ? base | apic::base_bit::x2apic : base);
    for (u32 lvt : {apic::lvt_timer, apic::lvt_lint0, apic::lvt_lint1, apic::lvt_error}) {
        write(lvt, apic::lvt_masked);
    }
    write(apic::task_priority, 0);
    write(apic::spurious_vector, apic::spurious_software_enable | spurious_vector);
}

u32 PhysicalApic::id() const { return x2apic_ ? read(apic::id) : read(apic::id) >> 24; }

void PhysicalApic::send(u32 destination, u32 command) const {
    if (x2apic_) {
        write_msr(msr::x2apic_first + apic::interrupt_command, command | (u64{destination} << 32));
        return;
    }
    while ((read(apic::interrupt_command) & apic::Command::delivery_pending) != 0) {
        pause();
    }
    write(apic::interrupt_command_high, destination << 24);
    write(apic::interrupt_command, command);
}

void PhysicalApic::send_fixed(u32 destination, u8 vector) const {
    send(destination, apic::Command::assert_bit | vector);
}
void PhysicalApic::send_init(u32 destination) const {
    send(destination, command_init | apic::Command::assert_bit | apic::Command::level_bit);
    send(destination, command_init | apic::Command::level_bit);
}
void PhysicalApic::send_startup(u32 destination, u8 page) const {
    send(destination, command_startup | apic::Command::assert_bit | page);
}

void PhysicalApic::set_up_timer(u8 vector, apic::TimerMode mode) const {
    write(apic::timer_divide, divide_by_one);
    write(apic::lvt_timer, vector | (u32{static_cast<u8>(mode)} << lvt_mode_shift));
}

u32 PhysicalIoApic::read(u32 reg) const {
    register_at(address_ + apic::io::select_offset) = reg;
    return register_at(address_ + apic::io::window_offset);
}

void PhysicalIoApic::write(u32 reg, u32 value) const {
    register_at(address_ + apic::io::select_offset) = reg;
    register_at(address_ + apic::io::window_offset) = value;
}

u32 PhysicalIoApic::entries() const {
    return address_ == 0 ? 0 : ((read(apic::io::version_register) >> 16) & 0xFF) + 1;
}

void PhysicalIoApic::mask_all() const {
    for (u32 entry = 0; entry < entries(); ++entry) {
        mask(entry);
    }
}

void PhysicalIoApic::mask(u32 entry) const {
    write(apic::io::redirection_first + 2 * entry, apic::io::redirection_masked);
}

void PhysicalIoApic::route(u32 entry, u8 vector, u32 apic_id, bool level, bool active_low) const {
    write(apic::io::redirection_first + 2 * entry + 1, apic_id << 24);
    write(apic::io::redirection_first + 2 * entry,
          vector | (level ? apic::io::redirection_level : 0) | (active_low ? apic::io::redirection_active_low : 0));
}

void mask_legacy_pic() {
    constexpr u16 first_mask_port = 0x21;
    constexpr u16 second_mask_port = 0xA1;
    out8(first_mask_port, 0xFF);
    out8(second_mask_port, 0xFF);
}

}  // namespace undercroft::arch
