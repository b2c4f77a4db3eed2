// PM1 registers and timer.
#include "kernel/guest/chipset/acpi_power.hpp"

#include "kernel/base/log.hpp"

namespace undercroft {

namespace {

constexpr u16 status_timer = 1u << 0;
constexpr u16 status_power_button = 1u << 8;
constexpr u16 enable_writable = (1u << 0) | (1u << 5) | (1u << 8) | (1u << 9) | (1u << 10);
constexpr u16 control_sci_enable = 1u << 0;
constexpr u16 control_writable = 0x1C02;  // SLP_TYP, BM_RLD
constexpr u16 control_sleep_enable = 1u << 13;
/// The timer's status is set whenever its top bit changes; it has 32 bits, as the FADT's TMR_VAL_EXT says.
constexpr u64 timer_half_period = u64{1} << 31;

}  // namespace

AcpiPower::AcpiPower(Executor& timers, PowerControl& power, const InterruptLines::User& line)
    : timer_(timers, &AcpiPower::on_expired, this), power_(power), line_(line) {
    looked_at_tick_ = now_ticks();
}

Result<void> AcpiPower::add_to(GuestBus& bus) {
    TRY(bus.add_ports(*this, base_port, port_count, AccessSize::dword));
    return {};
}

void AcpiPower::update() {
    u64 now = now_ticks();
    if (now / timer_half_period != looked_at_tick_ / timer_half_period) {
        status_ |= status_timer;
    }
    looked_at_tick_ = now;
    line_.set_level((status_ & enable_) != 0);
    bool waits = (enable_ & status_timer) != 0 && (status_ & status_timer) == 0;
    timer_.set(waits ? rate.time_ns((now / timer_half_period + 1) * timer_half_period) : no_deadline);
}

void AcpiPower::on_expired(void* self) {
    auto& device = *static_cast<AcpiPower*>(self);
    SpinlockGuard guard(device.lock_);
    device.update();
}

void AcpiPower::press_power_button() {
    SpinlockGuard guard(lock_);
    status_ |= status_power_button;
    update();
}

u8 AcpiPower::read_byte(u16 offset, u32 timer_value) {
    switch (offset) {
    case event_offset:
    case event_offset + 1:
        return static_cast<u8>(status_ >> (8 * (offset & 1)));
    case event_offset + 2:
    case event_offset + 3:
        return static_cast<u8>(enable_ >> (8 * (offset & 1)));
    case control_offset:
    case control_offset + 1:
        return static_cast<u8>((control_ | control_sci_enable) >> (8 * (offset & 1)));
    default:
        return offset >= timer_offset ? static_cast<u8>(timer_value >> (8 * (offset - timer_offset))) : 0;
    }
}

void AcpiPower::write_byte(u16 offset, u8 value) {
    unsigned shift = 8 * (offset & 1);
    u16 shifted = static_cast<u16>(value << shift);
    u16 mask = static_cast<u16>(0xFF << shift);
    switch (offset) {
    case event_offset:
    case event_offset + 1:
        status_ &= static_cast<u16>(~shifted);  // writing ones clears
        break;
    case event_offset + 2:
    case event_offset + 3:
        enable_ = ((enable_ & ~mask) | shifted) & enable_writable;
        break;
    case control_offset:
    case control_offset + 1:
        control_ = ((control_ & ~mask) | shifted) & control_writable;
        if ((shifted & control_sleep_enable) != 0) {
            u8 type = (control_ >> 10) & 7;
            if (type == sleep_type_s5) {
                power_.power_off();
            } else {
                log_warning("the guest asked for ACPI sleep type %u, which does not exist", type);
            }
        }
        break;
    default:
        break;
    }
}

u64 AcpiPower::read_port(u16 port, AccessSize size) {
    SpinlockGuard guard(lock_);
    update();
    u32 timer_value = static_cast<u32>(looked_at_tick_);
    u64 value = 0;
    for (unsigned i = 0; i < static_cast<unsigned>(size); ++i) {
        value |= u64{read_byte(static_cast<u16>(port - base_port + i), timer_value)} << (8 * i);
    }
    return value;
}

void AcpiPower::write_port(u16 port, AccessSize size, u64 value) {
    SpinlockGuard guard(lock_);
    update();
    for (unsigned i = 0; i < static_cast<unsigned>(size); ++i) {
        write_byte(static_cast<u16>(port - base_port + i), static_cast<u8>(value >> (8 * i)));
    }
    update();
}

}  // namespace undercroft
