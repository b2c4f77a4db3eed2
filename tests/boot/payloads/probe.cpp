// Isolation, seen from the guest: ports, memory, PCI, hypercalls and MSRs must show neither the monitor, nor VTL2, nor the physical NVMe.
#include "kernel/spec/tlfs.hpp"
#include "kernel/spec/vtl2_extension.hpp"
#include "tests/boot/payloads/guest.hpp"

namespace undercroft::payload {
namespace {

constexpr u32 local_apic = 0xFEE0'0000;
constexpr u32 io_apic = 0xFEC0'0000;
constexpr u64 firmware_bytes = 256 * kib;
constexpr u64 firmware_window = 4 * gib - firmware_bytes;

u32 read_memory(u64 address) { return *reinterpret_cast<volatile u32*>(address); }

struct Window {
    u64 base, size;
};
Window own_windows[32];
usize own_window_count;

/// Lists every PCI function that answers, and remembers its memory windows.
void scan_pci() {
    bool physical_nvme = false;
    u64 found = 0;
    for (u32 device = 0; device < 32; ++device) {
        for (u32 function = 0; function < 8; ++function) {
            u8 d = static_cast<u8>(device), f = static_cast<u8>(function);
            u32 id = pci_read(d, f, 0);
            if (id == ~0u || id == 0) {
                continue;
            }
            ++found;
            print("pci %u.%u id %x class %x\n", u64{device}, u64{function}, u64{id}, u64{pci_read(d, f, 8) >> 8});
            physical_nvme |= id == 0x0010'1B36;  // QEMU's NVMe
            for (u8 bar = 0x10; bar < 0x28; bar = static_cast<u8>(bar + 4)) {
                u32 value = pci_read(d, f, bar);
                if ((value & 1) != 0 || (value & ~0xFu) == 0) {
                    continue;
                }
                u64 base = value & ~0xFu;
                bool wide = (value & 6) == 4;
                if (wide) {
                    base |= u64{pci_read(d, f, static_cast<u8>(bar + 4))} << 32;
                }
                if (own_window_count < 32) {
                    own_windows[own_window_count++] = {base, 0x10'0000};
                }
                bar = static_cast<u8>(bar + (wide ? 4 : 0));
            }
        }
    }
    check(found > 0, "PCI configuration answers");
    check(!physical_nvme, "the physical NVMe is not on the guest's PCI bus");
}

bool is_ours(u64 address) {
    u64 page = align_down(address, page_size);
    if (page == local_apic || page == io_apic || (address >= firmware_window && address < 4 * gib)) {
        return true;
    }
    for (usize i = 0; i < own_window_count; ++i) {
        if (address - own_windows[i].base < own_windows[i].size) {
            return true;
        }
    }
    return false;
}

/// Reads [begin, end) every `step` bytes; anything but all ones outside our own windows is a finding.
void scan_memory(u64 begin, u64 end, u64 step, const char* name) {
    u64 findings = 0;
    for (u64 address = begin; address < end; address += step) {
        if (is_ram(address) || is_ours(address)) {
            continue;
        }
        u32 value = read_memory(address);
        if (value != ~0u) {
            if (findings++ < 4) {
                print("memory at %x reads %x\n", address, u64{value});
            }
            continue;
        }
    }
    check(findings == 0, name);
}

/// The end of 4 GiB shows what ends at 1 MiB, and cannot be written.
void probe_firmware_window() {
    constexpr u32 mark = 0x600D'F00D;
    constexpr u64 offset_bytes = 0x1'0040;
    // SAFETY: RAM that nothing of the payload lies in, and its second appearance; the tables map both.
    auto* ram = reinterpret_cast<volatile u32*>(mib - firmware_bytes + offset_bytes);
    auto* window = reinterpret_cast<volatile u32*>(firmware_window + offset_bytes);
    *ram = mark;
    check(*window == mark, "firmware shows at the end of 4 GiB");
    *window = 0;
    check(*ram == mark && *window == mark, "firmware cannot be written there");
}

void scan_ports() {
    out16(0x510, 0);  // fw_cfg: select the signature
    u8 first = in8(0x511);
    u8 second = in8(0x511);
    check(first != 'Q' || second != 'E', "fw_cfg is not reachable");
    check(in8(0x2F8 + 5) == 0xFF, "the log's serial port is not reachable");
    out8(0xF4, 7);  // the debug exit: the machine goes on
    check(true, "the debug exit port does nothing");
    u64 answering = 0;
    for (u32 port = 0; port < 0x1'0000; port += 1) {
        if ((port >= 0x60 && port <= 0x64) || (port >= 0x3F8 && port <= 0x3FF) || port == 0xCF9) {
            continue;  // reading these changes the devices that the payload needs
        }
        if (in8(static_cast<u16>(port)) != 0xFF) {
            if (answering++ < 64) {
                print("port %x answers\n", u64{port});
            }
        }
    }
    check(answering < 128, "few ports answer");
}

struct Hypercall {
    u64 input, parameter, output, result;
};

void do_hypercall(void* argument) {
    auto* call = static_cast<Hypercall*>(argument);
    register u64 r8 asm("r8") = call->output;
    asm volatile("vmmcall" : "=a"(call->result) : "c"(call->input), "d"(call->parameter), "r"(r8) : "memory");
}

/// Whether the hypercall was refused: by an exception, or by any status but success.
bool refused(u64 input, u64 parameter, u64 output) {
    Hypercall call = {input, parameter, output, 0};
    return faults(do_hypercall, &call) || (call.result & 0xFFFF) != 0;
}

void try_hypercalls() {
    alignas(page_size) static u8 page[page_size];
    auto address = reinterpret_cast<u64>(page);
    bool all_refused = true;
    for (u16 code = 0; code < 0x100; ++code) {
        if (code == static_cast<u16>(tlfs::CallCode::vtl_call)) {
            continue;
        }
        // Rep calls with one element, aimed at VTL2 of this VP.
        *reinterpret_cast<tlfs::VpRegistersInput*>(page) = {tlfs::partition_self, tlfs::vp_self, 0x12, {}};
        u64 input = code | (u64{1} << 32);
        if (!refused(input, address, address + 2048)) {
            print("hypercall %x succeeded\n", u64{code});
            all_refused = false;
        }
    }
    check(all_refused, "hypercalls that reach other levels are refused");
    all_refused = true;
    for (u16 code = 0x8F00; code < 0x8F10; ++code) {
        all_refused &= refused(tlfs::HypercallInput::fast(code).value, 0, 0);
    }
    check(all_refused, "the extension calls are refused");
}

void enable_svm(void*) {
    u32 low, high;
    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0xC000'0080));
    asm volatile("wrmsr" : : "a"(low | 0x1000), "d"(high), "c"(0xC000'0080));
}
void run_vmrun(void*) { asm volatile("vmrun %%rax" : : "a"(u64{0}) : "memory"); }
void write_host_save_area(void*) { asm volatile("wrmsr" : : "a"(0x1000), "d"(0), "c"(0xC001'0117)); }

void try_svm() {
    check(faults(enable_svm, nullptr), "EFER.SVME cannot be set");
    check(faults(run_vmrun, nullptr), "VMRUN faults");
    check(faults(write_host_save_area, nullptr), "VM_HSAVE_PA cannot be written");
}

/// RAM holds nothing of the levels above: the monitor's and the image's log texts are good markers. The needles are built so that this file's own copy does not match.
void scan_ram() {
    char needle[] = "nonitor: ";
    needle[0] = 'm';
    u64 hits = 0;
    for (u64 address = 0x10'0000; address + 16 < ram_end(); address += 8) {
        if (!is_ram(address)) {
            address = align_up(address + 1, 2 * mib) - 8;
            continue;
        }
        u64 word = *reinterpret_cast<volatile u64*>(address);
        for (int shift = 0; shift < 8; ++shift) {
            if (static_cast<u8>(word >> (8 * shift)) == 'm' && address + 32 < ram_end()) {
                auto* text = reinterpret_cast<volatile char*>(address + static_cast<u64>(shift));
                int i = 0;
                while (i < 9 && text[i] == needle[i]) {
                    ++i;
                }
                u64 place = reinterpret_cast<u64>(text);
                bool own_stack = place >= 0x100'0000 && place < 0x110'0000;
                hits += i == 9 && !own_stack ? 1 : 0;
            }
        }
    }
    check(hits == 0, "guest RAM holds nothing of the monitor");
}

}  // namespace
}  // namespace undercroft::payload

void payload_run() {
    using namespace undercroft;
    using namespace undercroft::payload;
    map_first_terabyte();
    scan_pci();
    scan_ports();
    scan_memory(ram_end() < 3 * gib ? align_up(ram_end(), mib) : 3 * gib, 4 * gib, 64 * kib,
                "the 32-bit device window holds only the guest's devices");
    scan_memory(vtl2::memory_base, vtl2::memory_base + 16 * mib, 4 * kib, "VTL2's memory is not there");
    scan_memory(vtl2::device_base, vtl2::device_base + mib, 4 * kib, "the physical NVMe's registers are not there");
    scan_memory(4 * gib, 1024 * gib, 256 * mib, "nothing answers above RAM");
    probe_firmware_window();
    try_hypercalls();
    try_svm();
    scan_ram();
}
