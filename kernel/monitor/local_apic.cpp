// The virtual local APIC: see local_apic.hpp.
#include "kernel/monitor/local_apic.hpp"

namespace undercroft::monitor {

namespace {

/// Version 14h, six LVT entries.
constexpr u32 version_value = 0x0005'0014;
constexpr u8 first_legal_vector = 16;
constexpr u32 lvt_writable = 0x0001'A7FF;
constexpr u32 timer_lvt_writable = 0x0007'00FF;
constexpr u32 lint_external = 0x700;
constexpr u32 lint_nmi = 0x400;
constexpr usize lint0_index = 2;
constexpr usize lint1_index = 3;

int highest_bit(const u32* words, usize count) {
    for (usize i = count; i-- > 0;) {
        if (words[i] != 0) {
            return static_cast<int>(i * 32 + 31 - static_cast<usize>(__builtin_clz(words[i])));
        }
    }
    return -1;
}

bool is_between(u32 reg, u32 first) { return reg >= first && reg < first + 8; }

}  // namespace

void LocalApic::reset(u32 apic_id, bool bootstrap) {
    id_ = apic_id;
    base_ = apic::local_default_address | apic::base_bit::enable | (bootstrap ? apic::base_bit::bootstrap : 0);
    x2apic_.store(false, std::memory_order_relaxed);
    initialise();
    if (bootstrap) {
        lvt_[lint0_index] = lint_external;
        lvt_[lint1_index] = lint_nmi;
    }
}

void LocalApic::initialise() {
    task_priority_ = 0;
    spurious_ = 0xFF;
    software_enabled_.store(false, std::memory_order_relaxed);
    error_ = pending_error_ = 0;
    command_ = 0;
    timer_lvt_ = apic::lvt_masked;
    for (u32& lvt : lvt_) {
        lvt = apic::lvt_masked;
    }
    divide_ = initial_count_ = 0;
    deadline_ = no_deadline;
    for (usize i = 0; i < words; ++i) {
        in_service_[i] = 0;
        request_[i].store(0, std::memory_order_relaxed);
        trigger_[i].store(0, std::memory_order_relaxed);
    }
    logical_.store(0, std::memory_order_relaxed);
    format_.store(0xFFFF'FFFF, std::memory_order_relaxed);
}

u32* LocalApic::local_vector(u32 reg) {
    switch (reg) {
    case apic::lvt_thermal:
        return &lvt_[0];
    case apic::lvt_performance:
        return &lvt_[1];
    case apic::lvt_lint0:
        return &lvt_[lint0_index];
    case apic::lvt_lint1:
        return &lvt_[lint1_index];
    case apic::lvt_error:
        return &lvt_[4];
    case apic::lvt_machine_check:
        return &lvt_[5];
    default:
        return nullptr;
    }
}

Result<u64> LocalApic::read(u32 reg, u64 tsc, bool memory_mapped) const {
    if (is_between(reg, apic::in_service_first)) {
        return in_service_[reg - apic::in_service_first];
    }
    if (is_between(reg, apic::trigger_mode_first)) {
        return trigger_[reg - apic::trigger_mode_first].load(std::memory_order_relaxed);
    }
    if (is_between(reg, apic::request_first)) {
        return request_[reg - apic::request_first].load(std::memory_order_relaxed);
    }
    if (const u32* lvt = const_cast<LocalApic*>(this)->local_vector(reg)) {
        return *lvt;
    }
    switch (reg) {
    case apic::id:
        return memory_mapped ? id_ << 24 : id_;
    case apic::version:
        return version_value;
    case apic::task_priority:
        return task_priority_;
    case apic::processor_priority:
        return processor_priority();
    case apic::logical_destination:
        return memory_mapped ? logical_.load(std::memory_order_relaxed) : ((id_ >> 4) << 16) | (1u << (id_ & 15));
    case apic::spurious_vector:
        return spurious_;
    case apic::error_status:
        return error_;
    case apic::interrupt_command:
        return memory_mapped ? command_ & 0xFFFF'FFFF : command_;
    case apic::lvt_timer:
        return timer_lvt_;
    case apic::timer_initial_count:
        return initial_count_;
    case apic::timer_current_count:
        return current_count(tsc);
    case apic::timer_divide:
        return divide_;
    default:
        break;
    }
    if (memory_mapped) {
        switch (reg) {
        case apic::destination_format:
            return format_.load(std::memory_order_relaxed);
        case apic::interrupt_command_high:
            return command_ >> 32;
        case apic::arbitration_priority:
            return processor_priority();
        default:
            break;
        }
    }
    return fail(Error::access_denied);
}

Result<LocalApic::Effect> LocalApic::write(u32 reg, u64 value, u64 tsc, bool memory_mapped) {
    auto word = static_cast<u32>(value);
    if (!memory_mapped && reg != apic::interrupt_command && (value >> 32) != 0) {
        return fail(Error::access_denied);
    }
    if (u32* lvt = local_vector(reg)) {
        *lvt = (word & lvt_writable) | (is_enabled() ? 0 : apic::lvt_masked);
        return Effect{};
    }
    switch (reg) {
    case apic::task_priority:
        task_priority_ = word & 0xFF;
        return Effect{};
    case apic::end_of_interrupt:
        return end_of_interrupt();
    case apic::spurious_vector:
        spurious_ = word & 0x3FF;
        software_enabled_.store((word & apic::spurious_software_enable) != 0, std::memory_order_relaxed);
        if (!is_enabled()) {
            timer_lvt_ |= apic::lvt_masked;
            for (u32& lvt : lvt_) {
                lvt |= apic::lvt_masked;
            }
        }
        return Effect{};
    case apic::error_status:
        error_ = pending_error_;
        pending_error_ = 0;
        return Effect{};
    case apic::interrupt_command:
        return write_command(value, memory_mapped);
    case apic::lvt_timer: {
        auto old_mode = timer_mode();
        timer_lvt_ = (word & timer_lvt_writable) | (is_enabled() ? 0 : apic::lvt_masked);
        if ((old_mode == apic::TimerMode::tsc_deadline) != (timer_mode() == apic::TimerMode::tsc_deadline)) {
            deadline_ = no_deadline;
        }
        return Effect{};
    }
    case apic::timer_initial_count:
        if (timer_mode() != apic::TimerMode::tsc_deadline) {
            initial_count_ = word;
            start_timer(tsc);
        }
        return Effect{};
    case apic::timer_divide: {
        u32 left = current_count(tsc);
        bool running = deadline_ != no_deadline && timer_mode() != apic::TimerMode::tsc_deadline;
        divide_ = word & 0xB;
        if (running) {
            deadline_ = tsc + (u64{left} << count_shift());
            timer_start_ = deadline_ - (u64{initial_count_} << count_shift());
        }
        return Effect{};
    }
    default:
        break;
    }
    if (memory_mapped) {
        switch (reg) {
        case apic::id:
            return Effect{};  // the identity is the VP's
        case apic::logical_destination:
            logical_.store(word & 0xFF00'0000, std::memory_order_relaxed);
            return Effect{};
        case apic::destination_format:
            format_.store(word | 0x0FFF'FFFF, std::memory_order_relaxed);
            return Effect{};
        case apic::interrupt_command_high:
            command_ = (command_ & 0xFFFF'FFFF) | (value << 32);
            return Effect{};
        default:
            break;
        }
    } else if (reg == apic::self_ipi) {
        return Effect{.sends = true,
                      .interrupt = {.shorthand = apic::Shorthand::self, .vector = static_cast<u8>(word)}};
    }
    return fail(Error::access_denied);
}

Result<LocalApic::Effect> LocalApic::write_command(u64 value, bool memory_mapped) {
    if (memory_mapped) {
        value = (command_ & ~u64{0xFFFF'FFFF}) | (value & 0xFFFF'FFFF);
    }
    apic::Command command{static_cast<u32>(value) & ~apic::Command::delivery_pending};
    command_ = (value & ~u64{0xFFFF'FFFF}) | command.raw;
    bool fixed = command.mode() == apic::DeliveryMode::fixed || command.mode() == apic::DeliveryMode::lowest_priority;
    if (fixed && command.vector() < first_legal_vector) {
        pending_error_ |= apic::error_bit::send_illegal_vector;
        return Effect{};
    }
    // The deassertion of INIT only matters to processors that are long gone.
    if (command.mode() == apic::DeliveryMode::init && command.level_triggered() && !command.assert_level()) {
        return Effect{};
    }
    auto destination = static_cast<u32>(value >> 32);
    return Effect{.sends = true,
                  .interrupt = {.mode = command.mode(),
                                .shorthand = command.shorthand(),
                                .vector = command.vector(),
                                .logical = command.logical(),
                                .level_triggered = false,
                                .destination = is_x2apic() ? destination : destination >> 24}};
}

LocalApic::Effect LocalApic::end_of_interrupt() {
    int vector = highest_in_service();
    if (vector < 0) {
        return {};
    }
    auto index = static_cast<usize>(vector) / 32;
    u32 bit = 1u << (vector % 32);
    in_service_[index] &= ~bit;
    bool level = (trigger_[index].load(std::memory_order_relaxed) & bit) != 0;
    Effect effect;
    effect.level_acknowledged = level;
    effect.vector = static_cast<u8>(vector);
    return effect;
}

Result<void> LocalApic::set_base(u64 value) {
    u64 allowed =
        apic::base_bit::address_mask | apic::base_bit::bootstrap | apic::base_bit::x2apic | apic::base_bit::enable;
    bool enable = (value & apic::base_bit::enable) != 0;
    bool x2apic = (value & apic::base_bit::x2apic) != 0;
    bool was_enabled = (base_ & apic::base_bit::enable) != 0;
    bool moved = (value & apic::base_bit::address_mask) != apic::local_default_address;
    bool forbidden = (x2apic && !enable) || (is_x2apic() && enable && !x2apic) || (x2apic && !was_enabled);
    if ((value & ~allowed) != 0 || moved || forbidden) {
        return fail(Error::access_denied);
    }
    if (was_enabled && !enable) {
        initialise();
    }
    base_ = (value & ~apic::base_bit::bootstrap) | (base_ & apic::base_bit::bootstrap);
    x2apic_.store(x2apic, std::memory_order_relaxed);
    return {};
}

// Timer.

apic::TimerMode LocalApic::timer_mode() const { return static_cast<apic::TimerMode>((timer_lvt_ >> 17) & 3); }

unsigned LocalApic::count_shift() const {
    // Divide value bits 3, 1, 0: 0 is 2, 6 is 128, 7 is 1.
    unsigned code = (divide_ & 3) | ((divide_ >> 1) & 4);
    return timer_shift + ((code + 1) & 7);
}

void LocalApic::start_timer(u64 tsc) {
    timer_start_ = tsc;
    deadline_ = initial_count_ == 0 ? no_deadline : tsc + (u64{initial_count_} << count_shift());
}

u32 LocalApic::current_count(u64 tsc) const {
    if (deadline_ == no_deadline || timer_mode() == apic::TimerMode::tsc_deadline || tsc >= deadline_) {
        return 0;
    }
    u64 left = (deadline_ - tsc) >> count_shift();
    return left > initial_count_ ? initial_count_ : static_cast<u32>(left);
}

u64 LocalApic::tsc_deadline() const {
    return timer_mode() == apic::TimerMode::tsc_deadline && deadline_ != no_deadline ? deadline_ : 0;
}

void LocalApic::set_tsc_deadline(u64 value) {
    if (timer_mode() == apic::TimerMode::tsc_deadline) {
        deadline_ = value == 0 ? no_deadline : value;
    }
}

void LocalApic::expire(u64 tsc) {
    if (tsc < deadline_) {
        return;
    }
    if (timer_mode() == apic::TimerMode::periodic) {
        // Ticks that were missed are one interrupt, as in hardware where the request bit was set already.
        u64 period = u64{initial_count_} << count_shift();
        u64 missed = (tsc - deadline_) / period;
        deadline_ += (missed + 1) * period;
    } else {
        deadline_ = no_deadline;
    }
    if ((timer_lvt_ & apic::lvt_masked) == 0) {
        request(static_cast<u8>(timer_lvt_), false);
    }
}

// Priorities and delivery.

int LocalApic::highest_in_service() const { return highest_bit(in_service_, words); }

int LocalApic::highest_request() const {
    for (usize i = words; i-- > 0;) {
        u32 word = request_[i].load(std::memory_order_acquire);
        if (word != 0) {
            return static_cast<int>(i * 32 + 31 - static_cast<usize>(__builtin_clz(word)));
        }
    }
    return -1;
}

u8 LocalApic::processor_priority() const {
    int in_service = highest_in_service();
    auto service_class = static_cast<u8>(in_service < 0 ? 0 : in_service & 0xF0);
    return (task_priority_ & 0xF0) >= service_class ? static_cast<u8>(task_priority_) : service_class;
}

int LocalApic::deliverable() const {
    int vector = highest_request();
    return vector >= 0 && (vector & 0xF0) > (processor_priority() & 0xF0) ? vector : -1;
}

bool LocalApic::is_last_interrupt() const {
    int vector = highest_in_service();
    if (vector < 0 || highest_request() >= 0) {
        return false;
    }
    auto index = static_cast<usize>(vector) / 32;
    u32 bit = 1u << (vector % 32);
    u32 others = in_service_[index] & ~bit;
    for (usize i = 0; i < index; ++i) {
        others |= in_service_[i];
    }
    return others == 0 && (trigger_[index].load(std::memory_order_relaxed) & bit) == 0;
}

void LocalApic::acknowledge(u8 vector) {
    u32 bit = 1u << (vector % 32);
    request_[vector / 32].fetch_and(~bit, std::memory_order_acq_rel);
    in_service_[vector / 32] |= bit;
}

bool LocalApic::request(u8 vector, bool level_triggered) {
    if (!is_enabled()) {
        return false;
    }
    u32 bit = 1u << (vector % 32);
    if (level_triggered) {
        trigger_[vector / 32].fetch_or(bit, std::memory_order_relaxed);
    } else {
        trigger_[vector / 32].fetch_and(~bit, std::memory_order_relaxed);
    }
    request_[vector / 32].fetch_or(bit, std::memory_order_seq_cst);
    return true;
}

bool LocalApic::matches(u32 destination, bool logical) const {
    bool x2apic = x2apic_.load(std::memory_order_relaxed);
    if (!logical) {
        return destination == id_ || destination == 0xFFFF'FFFF || (!x2apic && destination == 0xFF);
    }
    if (x2apic) {
        return (destination >> 16) == (id_ >> 4) && (destination & (1u << (id_ & 15))) != 0;
    }
    u32 own = logical_.load(std::memory_order_relaxed) >> 24;
    if ((format_.load(std::memory_order_relaxed) >> 28) == 0xF) {
        return (own & destination & 0xFF) != 0;  // flat model
    }
    return (destination & 0xF0) == (own & 0xF0) && (destination & own & 0xF) != 0;  // cluster model
}

bool LocalApic::accepts_external() const {
    bool off = (base_ & apic::base_bit::enable) == 0 || !is_enabled();
    u32 lint0 = lvt_[lint0_index];
    return off || ((lint0 & apic::lvt_masked) == 0 && (lint0 & 0x700) == lint_external);
}

}  // namespace undercroft::monitor
