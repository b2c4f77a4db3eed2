// A guest processor for emulator tests: RAM with identity page tables, and one device page-range that is plain memory
// behind the bus and counts its accesses.
#pragma once

#include <catch2/catch.hpp>
#include <vector>

#include "kernel/guest/emulator/emulator.hpp"
#include "tests/unit/kernel/guest/guest_fixture.hpp"

namespace undercroft::test {

/// Bytes behind the bus.
struct MemoryDevice : MmioDevice {
    explicit MemoryDevice(usize size) : bytes(size) {}
    u64 read_mmio(u64 offset, AccessSize size) override {
        ++reads;
        u64 value = 0;
        std::memcpy(&value, bytes.data() + offset, static_cast<usize>(size));
        return value;
    }
    void write_mmio(u64 offset, AccessSize size, u64 value) override {
        ++writes;
        std::memcpy(bytes.data() + offset, &value, static_cast<usize>(size));
    }
    std::vector<u8> bytes;
    int reads = 0;
    int writes = 0;
};

inline constexpr u64 efer_long_mode = 0x500;
inline constexpr u64 efer_no_execute = 0x800;
inline constexpr u16 code64_attributes = 0xA09B;
inline constexpr u16 code32_attributes = 0xC09B;
inline constexpr u16 data_attributes = 0xC093;

struct EmulatorMachine {
    static constexpr u64 ram_bytes = 4 * mib;
    static constexpr u64 device_address = 0x1000'0000;
    static constexpr u64 device_bytes = 0x4000;
    static constexpr u64 root_table = 0x1000;
    static constexpr u64 code_address = 0x1'0000;

    TestMemory memory{ram_bytes};
    GuestBus bus;
    MemoryDevice device{device_bytes};
    InstructionEmulator emulator{memory.guest(), bus};
    CpuState cpu;

    EmulatorMachine() {
        (void)bus.add_mmio(device, device_address, device_bytes);
        identity_map();
        for (auto& segment : cpu.segments) {
            segment = {0, 0xFFFF'FFFF, 0x10, data_attributes};
        }
        enter_64bit();
    }
    tlfs::SegmentRegister& segment(SegmentName name) { return cpu.segments[static_cast<usize>(name)]; }
    void enter_64bit() {
        segment(SegmentName::cs) = {0, 0xFFFF'FFFF, 0x08, code64_attributes};
        cpu.cr0 = 0x8001'0033;
        cpu.cr3 = root_table;
        cpu.cr4 = 0x20;
        cpu.efer = efer_long_mode | efer_no_execute;
        cpu.rip = code_address;
    }
    void enter_32bit_unpaged() {
        segment(SegmentName::cs) = {0, 0xFFFF'FFFF, 0x08, code32_attributes};
        cpu.cr0 = 0x11;
        cpu.cr4 = cpu.efer = 0;
        cpu.rip = code_address;
    }
    void enter_real_mode(u64 code_base) {
        for (auto& segment : cpu.segments) {
            segment = {0, 0xFFFF, 0, 0x0093};
        }
        segment(SegmentName::cs) = {code_base, 0xFFFF, static_cast<u16>(code_base >> 4), 0x009B};
        cpu.cr0 = 0x10;
        cpu.cr4 = cpu.efer = 0;
        cpu.rip = 0;
    }
    /// One PML4, one PDPT, one PD with 2 MiB pages for the first GiB: writable, user.
    void identity_map() {
        memory.put<u64>(root_table, 0x2007);
        memory.put<u64>(0x2000, 0x3007);
        for (u64 i = 0; i < 512; ++i) {
            memory.put<u64>(0x3000 + 8 * i, i * large_page_size | 0x87);
        }
    }
    /// Maps linear 40000000h + n * 4 KiB through a page table at 5000h with `entries`, in the same PDPT.
    static constexpr u64 small_pages = 0x4000'0000;
    void map_small(std::vector<u64> entries) {
        memory.put<u64>(0x2008, 0x4007);
        memory.put<u64>(0x4000, 0x5007);
        for (usize i = 0; i < entries.size(); ++i) {
            memory.put<u64>(0x5000 + 8 * i, entries[i]);
        }
    }
    void place(std::vector<u8> code) {
        u64 address = cpu.segment(SegmentName::cs).base + cpu.rip;
        std::memcpy(memory.at(address), code.data(), code.size());
    }
    /// Places `code` at CS:RIP and emulates it.
    EmulationResult run(std::vector<u8> code) {
        place(std::move(code));
        return emulator.emulate(cpu);
    }
    u64& reg(Gpr name) { return cpu.gpr(name); }
    template <typename T>
    T device_get(u64 offset) {
        T value;
        std::memcpy(&value, device.bytes.data() + offset, sizeof(value));
        return value;
    }
    template <typename T>
    void device_put(u64 offset, T value) {
        std::memcpy(device.bytes.data() + offset, &value, sizeof(value));
    }
};

}  // namespace undercroft::test
