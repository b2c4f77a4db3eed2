// Packing of hypercall inputs. Interrupts are off in VTL2 but for instants, so nothing steps between filling a page and
// the call.
#include "kernel/vtl/hypercalls.hpp"

#include <bit>
#include <cstring>

#include "kernel/base/assert.hpp"
#include "kernel/vtl/cpu.hpp"
#include "kernel/vtl/virtual_processor.hpp"

namespace undercroft::hypercalls {

namespace {

constexpr usize registers_per_call_max = 64;

u16 code_of(tlfs::CallCode code) { return static_cast<u16>(code); }
u16 code_of(vtl2::CallCode code) { return static_cast<u16>(code); }

Result<void> check(u64 rax) {
    switch (static_cast<tlfs::Status>(static_cast<u16>(rax))) {
    case tlfs::Status::success:
        return {};
    case tlfs::Status::invalid_hypercall_code:
        return fail(Error::unsupported);
    case tlfs::Status::access_denied:
    case tlfs::Status::operation_denied:
        return fail(Error::access_denied);
    case tlfs::Status::insufficient_memory:
        return fail(Error::out_of_memory);
    case tlfs::Status::invalid_vp_index:
        return fail(Error::not_found);
    case tlfs::Status::invalid_vp_state:
        return fail(Error::busy);
    default:
        return fail(Error::invalid_argument);
    }
}

Pages& pages() { return VirtualProcessor::current().hypercall_pages(); }

template <typename T>
T* input_page() {
    static_assert(sizeof(T) <= page_size);
    // SAFETY: the input page is page-aligned and this processor's own; the structures are trivial.
    return reinterpret_cast<T*>(pages().input);
}

/// A call whose input structure is in the input page already.
u64 call_with_page(tlfs::HypercallInput input) {
    return cpu::hypercall(input.value, pages().input_address, pages().output_address).rax;
}

template <typename Code, typename T>
Result<void> call_simple(Code code, const T& input) {
    std::memcpy(pages().input, &input, sizeof(input));
    return check(call_with_page(tlfs::HypercallInput::simple(code_of(code))));
}

cpu::HypercallOutcome call_fast(vtl2::CallCode code, u64 rdx, u64 r8 = 0) {
    return cpu::hypercall(tlfs::HypercallInput::fast(code_of(code)).value, rdx, r8);
}

tlfs::VpRegistersInput registers_header(u32 vp_index, TargetVtl target) {
    return {.partition_id = tlfs::partition_self,
            .vp_index = vp_index,
            .input_vtl = static_cast<u8>(target),
            .reserved = {}};
}

}  // namespace

Result<void> get_registers(u32 vp_index, TargetVtl target, std::span<RegisterPair> registers) {
    ASSERT(registers.size() <= registers_per_call_max);
    struct Input {
        tlfs::VpRegistersInput header;
        u32 names[registers_per_call_max];
    };
    auto* input = input_page<Input>();
    input->header = registers_header(vp_index, target);
    for (usize index = 0; index < registers.size(); ++index) {
        input->names[index] = static_cast<u32>(registers[index].name);
    }
    auto count = static_cast<u16>(registers.size());
    TRY(check(call_with_page(tlfs::HypercallInput::rep(code_of(tlfs::CallCode::get_vp_registers), count))));
    for (usize index = 0; index < registers.size(); ++index) {
        std::memcpy(&registers[index].value, pages().output + index * sizeof(tlfs::RegisterValue),
                    sizeof(tlfs::RegisterValue));
    }
    return {};
}

Result<void> set_registers(u32 vp_index, TargetVtl target, std::span<const RegisterPair> registers) {
    ASSERT(registers.size() <= registers_per_call_max);
    struct Input {
        tlfs::VpRegistersInput header;
        tlfs::RegisterAssignment assignments[registers_per_call_max];
    };
    auto* input = input_page<Input>();
    input->header = registers_header(vp_index, target);
    for (usize index = 0; index < registers.size(); ++index) {
        input->assignments[index] = {
            .name = static_cast<u32>(registers[index].name), .reserved = {}, .value = registers[index].value};
    }
    auto count = static_cast<u16>(registers.size());
    return check(call_with_page(tlfs::HypercallInput::rep(code_of(tlfs::CallCode::set_vp_registers), count)));
}

Result<void> start_processor(u32 vp_index, const tlfs::InitialVpContext& context) {
    return call_simple(tlfs::CallCode::start_virtual_processor, tlfs::StartVpInput{.partition_id = tlfs::partition_self,
                                                                                   .vp_index = vp_index,
                                                                                   .target_vtl = tlfs::vtl2,
                                                                                   .reserved = {},
                                                                                   .context = context});
}

Result<void> start_guest(const tlfs::InitialVpContext& context, u64 initial_rsi) {
    auto segment = [](tlfs::RegisterName name, const tlfs::SegmentRegister& value) {
        return RegisterPair{name, std::bit_cast<tlfs::RegisterValue>(value)};
    };
    auto table = [](tlfs::RegisterName name, const tlfs::TableRegister& value) {
        return RegisterPair{name, std::bit_cast<tlfs::RegisterValue>(value)};
    };
    using enum tlfs::RegisterName;
    // The mode before the segments; RIP last: it is what sets the processor going.
    const RegisterPair registers[] = {
        {cr4, {context.cr4, 0}},   {efer, {context.efer, 0}}, {cr3, {context.cr3, 0}}, {cr0, {context.cr0, 0}},
        segment(cs, context.cs),   segment(ds, context.ds),   segment(es, context.es), segment(ss, context.ss),
        segment(fs, context.fs),   segment(gs, context.gs),   segment(tr, context.tr), segment(ldtr, context.ldtr),
        table(gdtr, context.gdtr), table(idtr, context.idtr), {rsp, {context.rsp, 0}}, {rflags, {context.rflags, 0}},
        {rsi, {initial_rsi, 0}},   {rip, {context.rip, 0}},
    };
    return set_registers(0, TargetVtl::guest, registers);
}

Result<void> assert_interrupt(const AssertedInterrupt& interrupt) {
    u64 control = static_cast<u32>(interrupt.type);
    control |= interrupt.level_triggered ? tlfs::interrupt_level_triggered : 0;
    control |= interrupt.logical_destination ? tlfs::interrupt_logical_destination : 0;
    return call_simple(tlfs::CallCode::assert_virtual_interrupt,
                       tlfs::AssertInterruptInput{.partition_id = tlfs::partition_self,
                                                  .interrupt_control = control,
                                                  .destination = interrupt.destination,
                                                  .vector = interrupt.vector,
                                                  .target_vtl = tlfs::vtl0,
                                                  .reserved = 0,
                                                  .reserved2 = 0});
}

void debug_log(LogLevel level, std::string_view line) {
    auto* input = input_page<vtl2::DebugLogInput>();
    usize size = line.size() < sizeof(input->text) ? line.size() : sizeof(input->text);
    input->level = static_cast<u32>(level);
    input->size_bytes = static_cast<u32>(size);
    std::memcpy(input->text, line.data(), size);
    (void)call_with_page(tlfs::HypercallInput::simple(code_of(vtl2::CallCode::debug_log)));
}

void platform_exit(ExitStatus status) {
    for (;;) {
        (void)call_fast(vtl2::CallCode::platform_exit, static_cast<u64>(status));
    }
}

void platform_power_off() {
    for (;;) {
        (void)call_fast(vtl2::CallCode::platform_exit, 0);
    }
}

Result<void> read_firmware_config(u16 selector, u64 offset_bytes, u64 size_bytes, u64 address) {
    return call_simple(vtl2::CallCode::firmware_config_read, vtl2::FirmwareConfigInput{.selector = selector,
                                                                                       .reserved = {},
                                                                                       .offset_bytes = offset_bytes,
                                                                                       .size_bytes = size_bytes,
                                                                                       .address = address});
}

Result<u32> read_pci_config(u16 device, u16 offset_bytes, u8 size_bytes) {
    cpu::HypercallOutcome outcome = call_fast(vtl2::CallCode::pci_config_read,
                                              vtl2::PciConfigAddress::make(device, offset_bytes, size_bytes).value);
    TRY(check(outcome.rax));
    return static_cast<u32>(outcome.r8);
}

Result<void> write_pci_config(u16 device, u16 offset_bytes, u8 size_bytes, u32 value) {
    return check(call_fast(vtl2::CallCode::pci_config_write,
                           vtl2::PciConfigAddress::make(device, offset_bytes, size_bytes).value, value)
                     .rax);
}

Result<u64> map_device_memory(u16 device, u8 bar) {
    cpu::HypercallOutcome outcome = call_fast(vtl2::CallCode::map_device_memory, device | (u64{bar} << 16));
    TRY(check(outcome.rax));
    return outcome.r8;
}

Result<void> map_device_interrupt(const vtl2::MapInterruptInput& input) {
    return call_simple(vtl2::CallCode::map_device_interrupt, input);
}

Result<void> map_line_interrupt(const vtl2::MapInterruptInput& input) {
    return call_simple(vtl2::CallCode::map_line_interrupt, input);
}

Result<vtl2::Statistics> get_statistics(u32 vp_index) {
    TRY(check(call_fast(vtl2::CallCode::get_statistics, vp_index, pages().output_address).rax));
    vtl2::Statistics statistics = {};
    std::memcpy(&statistics, pages().output, sizeof(statistics));
    return statistics;
}

}  // namespace undercroft::hypercalls
