// A VTL2 that exercises the monitor's interface: hypercalls good and bad, VPs, a toy VTL0 in 64-bit and real mode,
// interrupts both ways. Ends with ACPI power off
// (status 0) when every check held.
#include <atomic>
#include <cstring>
#include <initializer_list>

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/interrupts.hpp"
#include "arch/x86_64/registers.hpp"
#include "boot/exit_status.hpp"
#include "kernel/spec/tlfs_messages.hpp"
#include "tests/boot/vtl2/support.hpp"

extern "C" {
extern const undercroft::u8 guest_code_begin[], guest_code_end[], guest_startup_begin[], guest_startup_end[];
void paravisor_secondary_entry();
}

namespace undercroft::stand_in {
namespace {

constexpr u64 guest_tables = 0x1000;
constexpr u64 guest_gdt = 0x5000;
constexpr u64 guest_vp_count = 0x5FF8;
constexpr u64 guest_code = 0x8000;
constexpr u64 guest_startup = 0x9000;
constexpr u8 progress_done = 9;
constexpr u8 ipi_vector = 0x50;
constexpr u8 timer_vector = 0x51;
constexpr u64 rflags_interrupt = 1 << 9;

struct [[gnu::aligned(page_size)]] VpPages {
    tlfs::VpAssistPage assist;
    tlfs::RegisterPage registers;
    u8 stack[4 * page_size];
};
VpPages pages[2];
std::atomic<u32> ipis, timers, others;
std::atomic<bool> secondary_ready, secondary_saw_startup;
u32 port_accesses, deliverables;

void enable_pages(u32 index) {
    arch::write_msr(tlfs::msr_vp_assist_page, physical(&pages[index].assist) | 1);
    set_register(tlfs::RegisterName::register_page, {physical(&pages[index].registers) | 1, 0});
}

tlfs::SegmentRegister segment(u16 selector, u16 attributes) { return {0, 0xFFFF'FFFF, selector, attributes}; }
tlfs::RegisterValue as_value(const auto& structure) { return __builtin_bit_cast(tlfs::RegisterValue, structure); }

/// 64-bit mode at guest_code, the first 2 MiB and the page at FEDC0000h mapped.
void set_up_guest() {
    auto* root = guest<u64>(guest_tables);
    auto* pointers = guest<u64>(guest_tables + 0x1000);
    auto* low = guest<u64>(guest_tables + 0x2000);
    auto* high = guest<u64>(guest_tables + 0x3000);
    root[0] = (guest_tables + 0x1000) | 3;
    pointers[0] = (guest_tables + 0x2000) | 3;
    pointers[3] = (guest_tables + 0x3000) | 3;
    low[0] = 0x83;
    high[(0xFEDC'0000 >> 21) & 511] = (0xFEDC'0000 & ~u64{0x1F'FFFF}) | 0x83;
    guest<u64>(guest_gdt)[1] = 0x00AF'9B00'0000'FFFF;
    guest<u64>(guest_gdt)[2] = 0x00CF'9300'0000'FFFF;
    *guest<u32>(guest_vp_count) = boot_info().vp_count;
    memcpy(guest<u8>(guest_code), guest_code_begin, static_cast<usize>(guest_code_end - guest_code_begin));
    memcpy(guest<u8>(guest_startup), guest_startup_begin, static_cast<usize>(guest_startup_end - guest_startup_begin));
    using enum tlfs::RegisterName;
    set_register(cr4, {0x620, 0});
    set_register(efer, {0x100, 0});
    set_register(cr3, {guest_tables, 0});
    set_register(cr0, {0x8000'0033, 0});
    set_register(cs, as_value(segment(8, 0xA09B)));
    for (auto name : {ds, es, fs, gs, ss}) {
        set_register(name, as_value(segment(16, 0xC093)));
    }
    set_register(tr, as_value(segment(0, 0x008B)));
    set_register(gdtr, as_value(tlfs::TableRegister{{}, 23, guest_gdt}));
    set_register(rflags, {2, 0});
    set_register(rip, {guest_code, 0});
    check(get_register(efer) == 0x500, "EFER.LMA follows from LME and PG");
}

void assert_interrupt(u8 vector) {
    alignas(64) static tlfs::AssertInterruptInput input;
    input = {tlfs::partition_self, 0, 0, vector, 0, 0, 0};
    check(call(tlfs::CallCode::assert_virtual_interrupt, &input) == tlfs::Status::success, "interrupt asserted");
}

/// Handles one entry; true when the toy is through.
bool handle_entry(u32 index) {
    tlfs::VpAssistPage& assist = pages[index].assist;
    if (assist.vtl_entry_reason != static_cast<u32>(tlfs::VtlEntryReason::intercept)) {
        return false;
    }
    tlfs::MessageHeader header;
    memcpy(&header, assist.intercept_message, sizeof(header));
    const u8* payload = assist.intercept_message + sizeof(header);
    tlfs::RegisterPage& registers = pages[index].registers;
    if (header.type == static_cast<u32>(tlfs::MessageType::io_port_intercept)) {
        tlfs::IoPortIntercept message;
        memcpy(&message, payload, sizeof(message));
        ++port_accesses;
        registers.rip += message.header.instruction_length;
        registers.dirty |= tlfs::register_class_ip;
        auto value = static_cast<u8>(message.rax);
        if (message.port == 0x80) {
            say("vtl0 progress %u", value);
            if (value == 4 || value == 5) {
                // With interrupts off, until STI and HLT; then with interrupts on.
                check(((registers.rflags & rflags_interrupt) != 0) == (value == 5), "interrupts of vtl0");
                set_register(tlfs::RegisterName::deliverability_notifications, {tlfs::deliverability_interrupt, 0});
            }
            if (value == 5) {
                assert_interrupt(0x41);
            }
            if (value == 8) {
                // VTL2's own use of the vector registers.
                asm volatile("pxor %%xmm7, %%xmm7" : : : "xmm7");
            }
            return value == progress_done;
        }
        if (message.port == 0x82) {
            secondary_saw_startup.store(true);
            return false;
        }
        check(false, "vtl0's own checks");
        return true;
    }
    if (header.type == static_cast<u32>(tlfs::MessageType::unmapped_gpa)) {
        tlfs::MemoryIntercept message;
        memcpy(&message, payload, sizeof(message));
        check(message.guest_physical_address == 0xFEDC'0000, "device access at its address");
        registers.general[0] = 0x1234'5678;
        registers.rip += 2;
        registers.dirty |= tlfs::register_class_general | tlfs::register_class_ip;
        return false;
    }
    if (header.type == static_cast<u32>(tlfs::MessageType::interruption_deliverable)) {
        ++deliverables;
        check((registers.rflags & rflags_interrupt) != 0, "an interrupt is deliverable only with interrupts on");
        check(get_register(tlfs::RegisterName::deliverability_notifications) == 0, "told once");
        return false;
    }
    say("unexpected message %x at rip %lx", header.type, registers.rip);
    check(false, "only expected intercepts");
    return true;
}

u64 return_input() { return tlfs::HypercallInput::simple(static_cast<u16>(tlfs::CallCode::vtl_return)).value; }

void try_bad_hypercalls() {
    check(call(0x7777, nullptr) == tlfs::Status::invalid_hypercall_code, "unknown hypercall code");
    alignas(64) static tlfs::VpRegistersInput header{tlfs::partition_self, 77, tlfs::input_vtl0, {}};
    check(call(tlfs::CallCode::get_vp_registers, &header, nullptr, 1) != tlfs::Status::success,
          "registers of a VP that is not there");
    u64 rax = arch::hypercall(tlfs::HypercallInput::rep(0x50, 1).value, 0x10, ~u64{7}).rax;
    check((rax & 0xFFFF) != 0, "output outside memory");
    rax =
        arch::hypercall(tlfs::HypercallInput::rep(0x51, 1).value, vtl2::memory_base + boot_info().memory_bytes, 0).rax;
    check((rax & 0xFFFF) != 0, "input behind VTL2's memory");
    rax = arch::hypercall(tlfs::HypercallInput::rep(0x0C, 1).value, vtl2::memory_base + 4092, 0).rax;
    check((rax & 0xFFFF) != 0, "input that is not aligned");
    alignas(64) static struct {
        tlfs::ModifyProtectionInput header;
        u64 page;
    } protection{{tlfs::partition_self, 0, tlfs::input_vtl0, {}}, vtl2::memory_base >> 12};
    check(call(tlfs::CallCode::modify_vtl_protection_mask, &protection, nullptr, 1) != tlfs::Status::success,
          "protection of memory that VTL0 does not have");
    alignas(64) static struct {
        tlfs::VpRegistersInput header;
        tlfs::RegisterAssignment assignment;
    } notifications{{tlfs::partition_self, tlfs::vp_self, tlfs::input_vtl0, {}},
                    {static_cast<u32>(tlfs::RegisterName::deliverability_notifications), {}, {1, 0}}};
    check(call(tlfs::CallCode::set_vp_registers, &notifications, nullptr, 1) != tlfs::Status::success,
          "notifications that do not exist");
    alignas(64) static vtl2::FirmwareConfigInput config{0, {}, 0, 4, 0xFEE0'0000};
    check(call(static_cast<u16>(vtl2::CallCode::firmware_config_read), &config) != tlfs::Status::success,
          "fw_cfg into memory that is not VTL2's");
}

void try_devices() {
    for (u32 index = 0; index < boot_info().device_count; ++index) {
        u16 i = static_cast<u16>(index);
        const vtl2::AssignedDevice& device = boot_info().devices[i];
        u64 value = 0;
        check(call_fast(vtl2::CallCode::pci_config_read, vtl2::PciConfigAddress::make(i, 0, 4).value, value) ==
                      tlfs::Status::success &&
                  value == (device.vendor_id | (u64{device.device_id} << 16)),
              "configuration space answers");
        u64 bar = 0xFEE0'0000;
        check(call_fast(vtl2::CallCode::pci_config_write, vtl2::PciConfigAddress::make(i, 0x10, 4).value, bar) ==
                  tlfs::Status::access_denied,
              "a BAR cannot be moved");
        u64 command = 6;
        check(call_fast(vtl2::CallCode::pci_config_write, vtl2::PciConfigAddress::make(i, 4, 2).value, command) ==
                  tlfs::Status::success,
              "memory decode and bus master");
        u64 offset = 0;
        check(call_fast(vtl2::CallCode::map_device_memory, i, offset) == tlfs::Status::success, "BAR 0 mapped");
        // SAFETY: NVMe's capabilities register, mapped just now.
        u64 capabilities = *reinterpret_cast<volatile u64*>(vtl2::device_virtual + offset);
        check(capabilities != 0 && capabilities != ~u64{0}, "NVMe registers answer");
        alignas(64) static vtl2::MapInterruptInput interrupt;
        interrupt = {i, 0, 0, ipi_vector, 1, {}};
        check(call(static_cast<u16>(vtl2::CallCode::map_device_interrupt), &interrupt) == tlfs::Status::success,
              "MSI-X entry routed");
        interrupt.entry = 4000;
        check(call(static_cast<u16>(vtl2::CallCode::map_device_interrupt), &interrupt) != tlfs::Status::success,
              "MSI-X entry that is not there");
    }
}

void start_secondary() {
    alignas(page_size) static tlfs::StartVpInput input;
    input = {tlfs::partition_self, 1, tlfs::vtl2, {}, {}};
    tlfs::InitialVpContext& context = input.context;
    context.rip = reinterpret_cast<u64>(paravisor_secondary_entry);
    context.rsp = reinterpret_cast<u64>(pages[1].stack + sizeof(pages[1].stack));
    context.rflags = 2;
    context.cs = segment(arch::code_selector, 0xA09B);
    context.ds = context.es = context.ss = context.fs = context.gs = segment(arch::data_selector, 0xC093);
    context.tr = segment(0, 0x008B);
    context.efer = arch::read_msr(arch::msr::efer);
    context.cr0 = arch::read_cr0();
    context.cr3 = arch::read_cr3();
    context.cr4 = arch::read_cr4();
    context.pat = arch::read_msr(arch::msr::pat);
    check(call(tlfs::CallCode::start_virtual_processor, &input) == tlfs::Status::success, "VP 1 started");
    check(call(tlfs::CallCode::start_virtual_processor, &input) == tlfs::Status::invalid_vp_state, "VP 1 starts once");
    while (!secondary_ready.load()) {
        arch::pause();
    }
    arch::write_msr(0x830, (u64{1} << 32) | ipi_vector);
    while (ipis.load() == 0) {
        arch::pause();
    }
    check(true, "IPI to VP 1's VTL2");
}

void try_own_timer() {
    arch::write_msr(0x832, timer_vector | (2u << 17));
    arch::write_msr(0x6E0, arch::read_tsc() + 1'000'000);
    while (timers.load() == 0) {
        arch::wait_for_interrupt();
    }
    check(true, "deadline timer of VTL2");
}

/// Entered from idle VTL0 by the timer: reason interrupt.
void try_interrupt_entry() {
    u32 before = timers.load();
    arch::write_msr(0x6E0, arch::read_tsc() + 1'000'000);
    pages[0].assist.vtl_entry_reason = 0;
    arch::vtl_return(return_input());
    check(timers.load() == before + 1, "timer enters VTL2 while VTL0 stands still");
    check(pages[0].assist.vtl_entry_reason == static_cast<u32>(tlfs::VtlEntryReason::interrupt),
          "entry reason interrupt");
}

}  // namespace
}  // namespace undercroft::stand_in

void handle_interrupt(undercroft::arch::InterruptFrame* frame) {
    using namespace undercroft::stand_in;
    if (frame->vector == ipi_vector) {
        ipis.fetch_add(1);
    } else if (frame->vector == timer_vector) {
        timers.fetch_add(1);
    } else if (frame->vector >= 32) {
        others.fetch_add(1);
    } else {
        say("exception %lu at %lx error %lx address %lx", frame->vector, frame->rip, frame->error_code,
            undercroft::arch::read_cr2());
        finish(static_cast<undercroft::u8>(undercroft::ExitStatus::image_panic));
    }
}

void stand_in_run() {
    using namespace undercroft;
    using namespace undercroft::stand_in;
    const vtl2::BootInfo& info = boot_info();
    say("vtl2 is alive: %u VPs, %lu KiB, %u devices", info.vp_count, info.memory_bytes / kib, info.device_count);
    check(info.magic == vtl2::boot_info_magic && info.version == vtl2::boot_info_version, "boot information");
    check(info.free_begin < info.free_end && info.free_end < info.memory_bytes, "free memory");
    char text[64];
    if (read_file("opt/undercroft/greeting", text, sizeof(text))) {
        say("greeting: %s", text);
    }
    enable_pages(0);
    try_bad_hypercalls();
    try_devices();
    if (info.vp_count > 1) {
        start_secondary();
    }
    try_own_timer();
    try_interrupt_entry();
    set_up_guest();
    u64 begin = arch::read_tsc();
    do {
        arch::vtl_return(return_input());
    } while (!handle_entry(0));
    say("toy took %lu us", (arch::read_tsc() - begin) / (info.tsc_frequency_hz / 1'000'000));
    check(deliverables == 2, "told each time that an interrupt is deliverable");
    check(info.vp_count == 1 || secondary_saw_startup.load(), "real-mode code on VP 1");
    alignas(64) static vtl2::Statistics statistics;
    u64 output = physical(&statistics);
    check(call_fast(vtl2::CallCode::get_statistics, 0, output) == tlfs::Status::success &&
              statistics.io_port == port_accesses - (info.vp_count > 1 ? 1 : 0),
          "statistics count port exits");
    say("%u failed", failures());
    finish(failures() == 0 ? 0 : static_cast<u8>(ExitStatus::image_panic));
}

void stand_in_run_secondary() {
    using namespace undercroft;
    using namespace undercroft::stand_in;
    enable_pages(1);
    say("VP %lu runs in vtl2", arch::read_msr(tlfs::msr_vp_index));
    secondary_ready.store(true);
    for (;;) {
        arch::vtl_return(return_input());
        handle_entry(1);
    }
}
