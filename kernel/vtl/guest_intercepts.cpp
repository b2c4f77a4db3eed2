// Dispatch of intercept messages.
#include "kernel/vtl/guest_intercepts.hpp"

#include <cstring>

#include "kernel/base/log.hpp"

namespace undercroft {

namespace {

constexpr u8 instruction_length_mask = 0x0F;
constexpr u8 port_size_mask = 0x07;
constexpr u8 port_is_string = 1 << 3;
constexpr u8 port_has_rep = 1 << 4;
constexpr u8 invalid_opcode = 6;
constexpr u8 general_protection = 13;
constexpr u8 page_fault = 14;

/// HV_X64_PENDING_INTERRUPTION_REGISTER: pending 0, type 3:1, error code valid 4, vector 31:16, error code 63:32.
constexpr u64 pending_exception(const GuestException& exception) {
    constexpr u64 pending = 1;
    constexpr u64 hardware_exception = u64{3} << 1;
    constexpr u64 has_error_code = u64{1} << 4;
    return pending | hardware_exception | (exception.has_error_code ? has_error_code : 0) |
           (u64{exception.vector} << 16) | (u64{exception.error_code} << 32);
}

/// Whether the processor's LINT0 lets the 8259 through: not masked, delivery mode ExtINT.
bool accepts_external_interrupts() {
    constexpr auto lint0 = static_cast<tlfs::RegisterName>(static_cast<u32>(tlfs::RegisterName::apic_first) + 0x35);
    constexpr u64 masked = 1 << 16;
    RegisterPair entry{lint0, {}};
    return hypercalls::get_registers(tlfs::vp_self, TargetVtl::guest, std::span(&entry, 1)).has_value() &&
           (entry.value.low & masked) == 0 && ((entry.value.low >> 8) & 7) == 7;
}

CpuState state_of(const tlfs::RegisterPage& page, const tlfs::InterceptHeader& header) {
    CpuState cpu;
    std::memcpy(cpu.general, page.general, sizeof(cpu.general));
    std::memcpy(cpu.segments, page.segments, sizeof(cpu.segments));
    cpu.rip = page.rip;
    cpu.rflags = page.rflags;
    cpu.cr0 = page.cr0;
    cpu.cr3 = page.cr3;
    cpu.cr4 = page.cr4;
    cpu.efer = page.efer;
    cpu.cpl = header.execution_state & 3;
    return cpu;
}

/// The instruction is done: RIP moves on, and the shadow of an STI or MOV SS before it ends.
void set_rip(tlfs::RegisterPage& page, u64 rip) {
    page.rip = rip;
    page.interrupt_state = 0;
    page.dirty |= tlfs::register_class_ip;
}

void inject(const GuestException& exception) {
    RegisterPair registers[2] = {{tlfs::RegisterName::pending_interruption, {pending_exception(exception), 0}},
                                 {tlfs::RegisterName::cr2, {exception.fault_address, 0}}};
    usize count = exception.vector == page_fault ? 2 : 1;
    if (!hypercalls::set_registers(tlfs::vp_self, TargetVtl::guest, std::span(registers, count))) {
        log_error("an exception for the guest was refused: vector %u", exception.vector);
    }
}

template <typename T>
const T& payload_of(const tlfs::MessageHeader& header) {
    static_assert(sizeof(tlfs::MessageHeader) + sizeof(T) <= 256);
    // SAFETY: the payload follows the header, in the assist page's 256 bytes.
    return *reinterpret_cast<const T*>(&header + 1);
}

std::span<const u8> fetched_of(const u8* bytes, u8 count) {
    return {bytes, count <= instruction_bytes_max ? count : instruction_bytes_max};
}

}  // namespace

void GuestIntercepts::on_intercept(VirtualProcessor& processor) {
    const tlfs::MessageHeader& message = processor.intercept_message();
    switch (static_cast<tlfs::MessageType>(message.type)) {
    case tlfs::MessageType::io_port_intercept:
        return on_port(processor, payload_of<tlfs::IoPortIntercept>(message));
    case tlfs::MessageType::unmapped_gpa:
    case tlfs::MessageType::gpa_intercept:
        return on_memory(processor, payload_of<tlfs::MemoryIntercept>(message));
    case tlfs::MessageType::apic_eoi:
        return events_.end_of_interrupt(static_cast<u8>(payload_of<tlfs::ApicEoiMessage>(message).vector));
    case tlfs::MessageType::unrecoverable_exception:
        return events_.processor_stopped(processor, "triple fault");
    case tlfs::MessageType::interruption_deliverable:
        asked_deliverability_ = false;  // what waits is given on the way back
        return;
    case tlfs::MessageType::msr_intercept:
    case tlfs::MessageType::cpuid_intercept:
        // The monitor has the policy for both; what it asks about, it does not know.
        return inject({.vector = general_protection, .has_error_code = true});
    case tlfs::MessageType::none:
    case tlfs::MessageType::halt:
        return;
    }
    log_warning("VP %u: intercept message %#x is not known", processor.index(), message.type);
}

void GuestIntercepts::before_guest(VirtualProcessor& processor) {
    if (!events_.has_external_interrupt(processor)) {
        return;
    }
    // The 8259 gives its vector away for good, so it is asked only when the processor can take it at once: interrupts
    // on, no shadow.
    constexpr u64 interrupt_flag = 1 << 9;
    const tlfs::RegisterPage& page = processor.guest_registers();
    if ((page.rflags & interrupt_flag) == 0 || (page.interrupt_state & 1) != 0) {
        return ask_for_deliverability();
    }
    if (!accepts_external_interrupts()) {
        return;
    }
    AssertedInterrupt interrupt{.type = tlfs::InterruptType::ext_int,
                                .destination = processor.apic_id(),
                                .vector = events_.acknowledge_external_interrupt()};
    if (!hypercalls::assert_interrupt(interrupt)) {
        log_warning("an interrupt of the 8259 was refused: vector %u", interrupt.vector);
    }
}

/// A guest may open its interrupts for two instructions and for nothing else that is seen here; firmware does.
void GuestIntercepts::ask_for_deliverability() {
    if (asked_deliverability_ || !accepts_external_interrupts()) {
        return;
    }
    RegisterPair wanted{tlfs::RegisterName::deliverability_notifications, {tlfs::deliverability_interrupt, 0}};
    asked_deliverability_ =
        hypercalls::set_registers(tlfs::vp_self, TargetVtl::guest, std::span(&wanted, 1)).has_value();
}

void GuestIntercepts::on_port(VirtualProcessor& processor, const tlfs::IoPortIntercept& message) {
    if ((message.access_info & port_is_string) != 0) {
        return on_port_string(processor, message);
    }
    tlfs::RegisterPage& page = processor.guest_registers();
    auto size = static_cast<AccessSize>(message.access_info & port_size_mask);
    u64& rax = page.general[static_cast<usize>(Gpr::rax)];
    u8 length = message.header.instruction_length & instruction_length_mask;
    if (length == 0) {
        length = emulator_.instruction_length(state_of(page, message.header),
                                              fetched_of(message.instruction_bytes, message.instruction_byte_count));
    }
    // RIP first: a device that ends or resets the machine shows the guest behind its instruction.
    set_rip(page, page.rip + length);
    if (static_cast<tlfs::AccessType>(message.header.access_type) == tlfs::AccessType::write) {
        bus_.write_port(message.port, size, rax & all_ones(size));
        return;
    }
    u64 value = bus_.read_port(message.port, size);
    // A 32-bit result clears the upper half; smaller ones keep what is above them.
    rax = size == AccessSize::dword ? value : (rax & ~all_ones(size)) | value;
    page.dirty |= tlfs::register_class_general;
}

void GuestIntercepts::on_port_string(VirtualProcessor& processor, const tlfs::IoPortIntercept& message) {
    CpuState cpu = state_of(processor.guest_registers(), message.header);
    StringIo access{
        .port = message.port,
        .size = static_cast<AccessSize>(message.access_info & port_size_mask),
        .is_write = static_cast<tlfs::AccessType>(message.header.access_type) == tlfs::AccessType::write,
        .has_rep = (message.access_info & port_has_rep) != 0,
    };
    EmulationResult result =
        emulator_.emulate_string_io(cpu, access, fetched_of(message.instruction_bytes, message.instruction_byte_count));
    finish(processor, cpu, result);
}

void GuestIntercepts::on_memory(VirtualProcessor& processor, const tlfs::MemoryIntercept& message) {
    CpuState cpu = state_of(processor.guest_registers(), message.header);
    EmulationResult result =
        emulator_.emulate(cpu, fetched_of(message.instruction_bytes, message.instruction_byte_count));
    finish(processor, cpu, result);
}

void GuestIntercepts::finish(VirtualProcessor& processor, const CpuState& cpu, const EmulationResult& result) {
    if (result.status == EmulationStatus::unsupported) {
        return refuse(processor, result);
    }
    tlfs::RegisterPage& page = processor.guest_registers();
    std::memcpy(page.general, cpu.general, sizeof(page.general));
    page.rflags = cpu.rflags;
    page.dirty |= tlfs::register_class_general | tlfs::register_class_flags;
    set_rip(page, cpu.rip);
    if (result.status == EmulationStatus::exception) {
        inject(result.exception);
    }
}

void GuestIntercepts::refuse(VirtualProcessor& processor, const EmulationResult& result) {
    // The guest decides how often this happens, so not every time is told.
    static constinit std::atomic<u32> refused{0};
    constexpr u32 told_max = 16;
    if (refused.fetch_add(1, std::memory_order_relaxed) >= told_max) {
        return inject({.vector = invalid_opcode});
    }
    char bytes[2 * instruction_bytes_max + 1] = {};
    for (usize index = 0; index < result.instruction_bytes; ++index) {
        constexpr char digits[] = "0123456789abcdef";
        bytes[2 * index] = digits[result.instruction[index] >> 4];
        bytes[2 * index + 1] = digits[result.instruction[index] & 15];
    }
    log_error("VP %u: the guest's instruction %s at %#llx is not emulated: %s", processor.index(), bytes,
              static_cast<unsigned long long>(processor.guest_registers().rip), result.reason);
    inject({.vector = invalid_opcode});
}

}  // namespace undercroft
