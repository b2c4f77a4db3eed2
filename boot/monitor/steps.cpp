// The boot steps: see steps.hpp.
#include "boot/monitor/steps.hpp"

#include <string.h>

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/registers.hpp"
#include "kernel/base/assert.hpp"
#include "kernel/monitor/log.hpp"
#include "kernel/monitor/machine.hpp"
#include "kernel/monitor/vtl2_image.hpp"
#include "kernel/spec/acpi_hardware.hpp"

extern "C" {
// Linker script and packing.
extern const undercroft::u8 monitor_text_begin[], monitor_text_end[], monitor_rodata_end[], monitor_image_end[];
extern const undercroft::u8 vtl2_image_begin[], vtl2_image_end[];
// entry.S
extern const undercroft::u8 trampoline_begin[], trampoline_end[], trampoline_root[];
extern undercroft::u64 ap_stack_top, ap_argument;
}

namespace undercroft::monitor {

namespace {

constexpr u64 mapped_at_boot = 4 * gib;
constexpr u64 first_mib = 1 * mib;
/// Below 1 MiB, page-aligned; firmware is done with it.
constexpr u64 trampoline_address = 0x8000;
constexpr u32 calibration_pm_ticks = static_cast<u32>(acpi::pm_timer_frequency_hz * 3 / 1000);
constexpr u32 calibration_tries = 8;
constexpr u32 pm_timer_mask = 0xFF'FFFF;
constexpr u64 startup_timeout_us = 100'000;
constexpr u64 startup_retries = 3;

constexpr u32 cpuid_svm_leaf = 0x8000'000A;
constexpr u32 hypervisor_leaf = 0x4000'0000;
constexpr u32 hypervisor_tcg = 0x5447'4354;  // "TCGT"
constexpr u32 cpuid_1_ecx_xsave = 1u << 26;
constexpr u32 cpuid_1_ecx_tsc_deadline = 1u << 24;
constexpr u32 cpuid_ext1_ecx_svm = 1u << 2;
constexpr u32 cpuid_ext7_edx_invariant_tsc = 1u << 8;
/// x87, SSE, AVX, AVX-512: what a level may have. The save area is one page.
constexpr u64 xcr0_supported = 0xE7;

constexpr u64 code_attributes = 0xA09B;
constexpr u64 data_attributes = 0xC093;
constexpr u64 tss_attributes = 0x008B;

u64 address_of(const u8* symbol) { return reinterpret_cast<u64>(symbol); }

u32 pm_timer() { return arch::in32(machine.firmware.pm_timer_port) & pm_timer_mask; }

void wait_us(u64 microseconds) {
    u64 end = arch::read_tsc() + microseconds * (machine.tsc_frequency_hz / 1'000'000);
    while (arch::read_tsc() < end) {
        arch::pause();
    }
}

void map_own(u64 address, u64 size, Access access) {
    if (auto mapped = machine.own.map(address, address, size, access); !mapped) {
        PANIC("own page tables: %s", to_string(mapped.error()));
    }
}

}  // namespace

void check_processor() {
    arch::CpuidResult features = arch::cpuid(1);
    bool has_svm = (arch::cpuid(0x8000'0001).ecx & cpuid_ext1_ecx_svm) != 0;
    if (!has_svm || (arch::read_msr(arch::msr::vm_cr) & svm::vm_cr_svm_disable) != 0) {
        PANIC("this CPU has no AMD SVM, or firmware turned it off");
    }
    u32 svm_features = arch::cpuid(cpuid_svm_leaf).edx;
    if ((svm_features & svm::feature::nested_paging) == 0 || (features.ecx & cpuid_1_ecx_xsave) == 0) {
        PANIC("this CPU lacks nested paging or XSAVE");
    }
    machine.has_next_rip = (svm_features & svm::feature::next_rip) != 0;
    machine.has_tsc_deadline = (features.ecx & cpuid_1_ecx_tsc_deadline) != 0;
    machine.tsc_invariant = (arch::cpuid(0x8000'0007).edx & cpuid_ext7_edx_invariant_tsc) != 0;
    machine.is_tcg = arch::cpuid(hypervisor_leaf).ebx == hypervisor_tcg;
    arch::write_cr4(arch::read_cr4() | arch::cr4_bit::xsave);
    machine.xcr0 = arch::cpuid(0xD).eax & xcr0_supported;
}

void divide_memory(const pvh::StartInfo& start) {
    PhysicalWindow window{0, mapped_at_boot};
    u64 map_bytes = u64{start.memory_map_entries} * sizeof(pvh::MemoryMapEntry);
    auto map = window.at(start.memory_map, map_bytes);
    if (!map || start.memory_map_entries > 4 * memory_ranges_max) {
        PANIC("no usable memory map");
    }
    MemoryRange ranges[memory_ranges_max];
    usize count = 0;
    for (u32 i = 0; i < start.memory_map_entries && count < memory_ranges_max; ++i) {
        pvh::MemoryMapEntry entry{};
        memcpy(&entry, *map + i * sizeof(entry), sizeof(entry));
        if (entry.type == pvh::memory_usable && entry.address >= first_mib &&
            entry.size_bytes <= ~u64{0} - entry.address) {
            ranges[count++] = {entry.address, entry.address + entry.size_bytes};
        }
    }
    auto tables = read_firmware_tables(window, start.root_pointer);
    if (!tables) {
        PANIC("ACPI tables: %s", to_string(tables.error()));
    }
    machine.firmware = *tables;
    if (tables->cpus_beyond_limit != 0) {
        log("%u processors left out: more than %zu", tables->cpus_beyond_limit, vtl2::vps_max);
    }
    machine.vp_count = tables->cpu_count;
    auto plan =
        plan_memory({ranges, count}, address_of(monitor_text_begin), address_of(monitor_image_end), machine.vp_count);
    if (!plan) {
        PANIC("dividing memory: %s", to_string(plan.error()));
    }
    machine.memory = *plan;
}

void build_own_tables() {
    const MemoryPlan& memory = machine.memory;
    machine.pool = PagePool(memory.monitor_pool.begin, memory.monitor_pool.end);
    if (!machine.own.create(machine.pool, TableKind::own)) {
        PANIC("no memory for page tables");
    }
    // The first page stays unmapped: a null pointer is a fault.
    memcpy(reinterpret_cast<void*>(trampoline_address), trampoline_begin,
           address_of(trampoline_end) - address_of(trampoline_begin));
    auto root = static_cast<u32>(machine.own.root());
    memcpy(reinterpret_cast<void*>(trampoline_address + (address_of(trampoline_root) - address_of(trampoline_begin))),
           &root, sizeof(root));
    map_own(trampoline_address, page_size, {.read = true, .execute = true});
    map_own(memory.monitor.begin, address_of(monitor_text_end) - memory.monitor.begin, {.read = true, .execute = true});
    map_own(address_of(monitor_text_end), address_of(monitor_rodata_end) - address_of(monitor_text_end),
            {.read = true});
    map_own(address_of(monitor_rodata_end), memory.monitor.end - address_of(monitor_rodata_end), access_data);
    map_own(memory.vtl2.begin, memory.vtl2.size(), access_data);
    for (const GuestPiece& piece : memory.guest_pieces()) {
        map_own(piece.machine_address, piece.size_bytes, access_data);
    }
    map_own(align_down(machine.firmware.local_apic_address, page_size), page_size, access_device);
    if (machine.firmware.io_apic_address != 0) {
        map_own(align_down(machine.firmware.io_apic_address, page_size), page_size, access_device);
    }
    arch::write_cr3(machine.own.root());
}

void bring_up_interrupt_controllers() {
    arch::mask_legacy_pic();
    machine.apic.initialise(machine.firmware.local_apic_address);
    machine.apic.enable_here(spurious_vector);
    machine.io_apic = arch::PhysicalIoApic(machine.firmware.io_apic_address);
    machine.io_apic.mask_all();
    // VP 0 is the CPU we run on, whatever the table's order.
    u32 own_id = machine.apic.id();
    for (u32 i = 0; i < machine.vp_count; ++i) {
        if (machine.firmware.apic_ids[i] == own_id) {
            machine.firmware.apic_ids[i] = machine.firmware.apic_ids[0];
            machine.firmware.apic_ids[0] = own_id;
        }
    }
}

struct ClockReading {
    u64 tsc;
    u32 pm;
    u32 timer;  ///< counts down
};

/// The three clocks at one moment: of several tries the one that took least, for a host may take the CPU away between two readings.
ClockReading read_clocks() {
    ClockReading best = {};
    u64 least = ~u64{0};
    for (u32 i = 0; i < calibration_tries; ++i) {
        u64 begin = arch::read_tsc();
        u32 pm = pm_timer();
        u32 timer = machine.apic.timer_count();
        u64 took = arch::read_tsc() - begin;
        if (took < least) {
            least = took;
            best = {.tsc = begin + took / 2, .pm = pm, .timer = timer};
        }
    }
    return best;
}

/// TSC and APIC timer against the ACPI PM timer.
void calibrate_clocks() {
    if (machine.firmware.pm_timer_port == 0) {
        PANIC("no ACPI PM timer to calibrate clocks with");
    }
    machine.apic.set_up_timer(timer_vector, apic::TimerMode::one_shot);
    machine.apic.set_timer_count(0xFFFF'FFFF);
    ClockReading begin = read_clocks();
    while (((pm_timer() - begin.pm) & pm_timer_mask) < calibration_pm_ticks) {
    }
    ClockReading end = read_clocks();
    machine.apic.set_timer_count(0);
    u64 elapsed = (end.pm - begin.pm) & pm_timer_mask;
    u64 tsc_ticks = end.tsc - begin.tsc;
    u64 timer_ticks = begin.timer - end.timer;
    machine.tsc_frequency_hz = tsc_ticks * acpi::pm_timer_frequency_hz / elapsed;
    machine.timer_frequency_hz = timer_ticks * acpi::pm_timer_frequency_hz / elapsed;
    machine.timer_ticks_per_tsc = (timer_ticks << 32) / tsc_ticks;
    log("tsc %lu kHz, apic timer %lu kHz", machine.tsc_frequency_hz / 1000, machine.timer_frequency_hz / 1000);
}

void build_views() {
    const MemoryPlan& memory = machine.memory;
    bool good = machine.guest.create(machine.pool, TableKind::nested).has_value() &&
                machine.image.create(machine.pool, TableKind::nested).has_value();
    for (const GuestPiece& piece : memory.guest_pieces()) {
        good = good && machine.guest.map(piece.guest_address, piece.machine_address, piece.size_bytes, access_all) &&
               machine.image.map(piece.guest_address, piece.machine_address, piece.size_bytes, access_data);
    }
    // A ROM at the end of 4 GiB, as on a PC: processors begin there after reset.
    auto firmware = memory.guest_to_machine(guest_firmware_end - guest_firmware_bytes, guest_firmware_bytes);
    good = good && firmware &&
           machine.guest.map(guest_high_begin - guest_firmware_bytes, *firmware, guest_firmware_bytes,
                             {.read = true, .execute = true});
    good = good && machine.image.map(vtl2::memory_base, memory.vtl2.begin, memory.vtl2.size(), access_all);
    if (!good) {
        PANIC("no memory for nested page tables");
    }
}

void create_processors() {
    for (u32 i = 0; i < machine.vp_count; ++i) {
        if (auto created = machine.vps[i].create(i, machine.firmware.apic_ids[i]); !created) {
            PANIC("VP %u: %s", i, to_string(created.error()));
        }
    }
}

void load_vtl2() {
    const MemoryPlan& plan = machine.memory;
    // SAFETY: VTL2's memory is identity-mapped, and nobody runs in it yet.
    std::span<u8> memory(reinterpret_cast<u8*>(plan.vtl2.begin), plan.vtl2.size());
    auto image = load_image({vtl2_image_begin, vtl2_image_end}, memory);
    if (!image) {
        PANIC("the VTL2 image: %s", to_string(image.error()));
    }
    vtl2::BootInfo info{};
    info.magic = vtl2::boot_info_magic;
    info.version = vtl2::boot_info_version;
    info.vp_count = machine.vp_count;
    info.memory_bytes = memory.size();
    info.memory_device_address = plan.vtl2.begin;
    info.tsc_frequency_hz = machine.tsc_frequency_hz;
    info.apic_frequency_hz = machine.tsc_frequency_hz >> LocalApic::timer_shift;
    info.entry_tsc = machine.entry_tsc;
    for (const GuestPiece& piece : plan.guest_pieces()) {
        info.guest_ranges[info.guest_range_count++] = {piece.guest_address, piece.size_bytes, piece.machine_address};
    }
    for (usize i = 0; i < machine.devices.count(); ++i) {
        info.devices[info.device_count++] = machine.devices.describe(i);
    }
    for (u32 i = 0; i < machine.vp_count; ++i) {
        info.apic_ids[i] = i;
    }
    TablePlan tables{memory.size(), {info.guest_ranges, info.guest_range_count}};
    u64 info_offset = image->end;
    info.free_begin = info_offset + page_size;
    info.free_end = memory.size() - table_bytes(tables);
    if (info.free_begin >= info.free_end) {
        PANIC("the VTL2 image leaves no memory");
    }
    memcpy(memory.data() + info_offset, &info, sizeof(info));
    auto root = build_tables(tables, *image, memory, info.free_end);
    if (!root) {
        PANIC("VTL2's page tables: %s", to_string(root.error()));
    }
    tlfs::SegmentRegister code{0, 0xFFFF'FFFF, arch::code_selector, code_attributes};
    tlfs::SegmentRegister data{0, 0xFFFF'FFFF, arch::data_selector, data_attributes};
    tlfs::InitialVpContext context{};
    context.rip = image->entry;
    context.rflags = arch::rflags_bit::reserved_one;
    context.cs = code;
    context.ds = context.es = context.fs = context.gs = context.ss = data;
    context.tr = {0, 0xFFFF, 0, tss_attributes};
    context.efer = arch::efer_bit::long_mode_enable | arch::efer_bit::long_mode_active | arch::efer_bit::no_execute |
                   arch::efer_bit::system_call;
    context.cr0 = arch::cr0_bit::protection | arch::cr0_bit::monitor_coprocessor | arch::cr0_bit::extension_type |
                  arch::cr0_bit::numeric_error | arch::cr0_bit::write_protect | arch::cr0_bit::paging;
    context.cr3 = *root;
    context.cr4 = arch::cr4_bit::physical_address_extension | arch::cr4_bit::fxsave | arch::cr4_bit::simd_exceptions |
                  arch::cr4_bit::xsave;
    context.pat = arch::pat_reset;
    machine.vps[0].start_first_image(context, vtl2::image_virtual + info_offset);
}

void start_other_processors() {
    for (u32 i = 1; i < machine.vp_count; ++i) {
        VirtualProcessor& vp = machine.vps[i];
        ap_stack_top = vp.stack_top();
        ap_argument = reinterpret_cast<u64>(&vp);
        machine.apic.send_init(vp.machine_apic_id());
        wait_us(200);
        for (u64 attempt = 0; attempt < startup_retries && !vp.is_online(); ++attempt) {
            machine.apic.send_startup(vp.machine_apic_id(), static_cast<u8>(trampoline_address / page_size));
            u64 end = arch::read_tsc() + startup_timeout_us * (machine.tsc_frequency_hz / 1'000'000);
            while (!vp.is_online() && arch::read_tsc() < end) {
                arch::pause();
            }
        }
        if (!vp.is_online()) {
            PANIC("processor %u (APIC %u) does not start", i, vp.machine_apic_id());
        }
    }
}

void report_memory() {
    const MemoryPlan& memory = machine.memory;
    log("memory monitor=%lu KiB vtl2=%lu KiB guest=%lu KiB", memory.monitor.size() / kib, memory.vtl2.size() / kib,
        memory.guest_bytes() / kib);
    u64 ticks = arch::read_tsc() - machine.entry_tsc;
    log("%u processors, %lu KiB of the monitor's pool are free; vtl2 starts after %lu us", machine.vp_count,
        machine.pool.free_bytes() / kib, ticks / (machine.tsc_frequency_hz / 1'000'000));
}

}  // namespace undercroft::monitor
