// The runtime of test payloads.
#include "tests/boot/payloads/guest.hpp"

#include <stdarg.h>
#include <string.h>

// SAFETY: this file and the payloads are a guest kernel: they talk to ports and absolute addresses because that is what they test.

extern "C" {
extern undercroft::u64 payload_fault_count;
undercroft::u64 payload_try(void (*function)(void*), void* argument);
void payload_exception();
void payload_exception_with_code();
void payload_main(const undercroft::u8* boot_parameters);
void payload_unexpected_fault(undercroft::u64 rip);
}

namespace undercroft::payload {

namespace {

constexpr u16 console_port = 0x3F8;
// Offsets in struct boot_params (Documentation/arch/x86/zero-page.rst).
constexpr usize boot_acpi_rsdp = 0x70;
constexpr usize boot_e820_count = 0x1E8;
constexpr usize boot_command_line = 0x228;
constexpr usize boot_e820_table = 0x2D0;
constexpr usize e820_entry_bytes = 20;
constexpr u32 e820_usable = 1;

const u8* boot;
u64 failed_checks;

struct [[gnu::packed]] IdtEntry {
    u16 offset_low, selector;
    u8 stack, type;
    u16 offset_middle;
    u32 offset_high, reserved;
};
IdtEntry idt[256];
alignas(page_size) u64 top_table[512];
alignas(page_size) u64 directory_pointers[2][512];

template <typename T>
T load(const u8* address) {
    T value;
    memcpy(&value, address, sizeof(value));
    return value;
}

const u8* at(u64 address) { return reinterpret_cast<const u8*>(address); }

void put(char character) {
    while ((in8(console_port + 5) & 0x20) == 0) {
    }
    out8(console_port, static_cast<u8>(character));
}

void put_number(u64 value, u64 base) {
    char digits[20];
    int count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    while (count > 0) {
        put(digits[--count]);
    }
}

void set_up_exceptions() {
    u16 selector;
    asm volatile("mov %%cs, %0" : "=r"(selector));
    for (int vector = 0; vector < 32; ++vector) {
        bool has_code = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 30;
        u64 handler = reinterpret_cast<u64>(has_code ? &payload_exception_with_code : &payload_exception);
        idt[vector] = {static_cast<u16>(handler),       selector, 0, 0x8E, static_cast<u16>(handler >> 16),
                       static_cast<u32>(handler >> 32), 0};
    }
    struct [[gnu::packed]] {
        u16 limit;
        u64 base;
    } descriptor = {sizeof(idt) - 1, reinterpret_cast<u64>(&idt)};
    asm volatile("lidt %0" : : "m"(descriptor));
}

/// The ACPI table with `signature`, found through the XSDT or RSDT; null where there is none.
const u8* find_table(const char* signature) {
    const u8* rsdp = at(load<u64>(boot + boot_acpi_rsdp));
    if (rsdp == nullptr) {
        return nullptr;
    }
    bool extended = rsdp[15] >= 2;
    const u8* root = at(extended ? load<u64>(rsdp + 24) : load<u32>(rsdp + 16));
    usize entry_bytes = extended ? 8 : 4;
    for (usize offset = 36; offset + entry_bytes <= load<u32>(root + 4); offset += entry_bytes) {
        const u8* table = at(extended ? load<u64>(root + offset) : load<u32>(root + offset));
        if (memcmp(table, signature, 4) == 0) {
            return table;
        }
    }
    return nullptr;
}

/// SLP_TYP of \_S5: the first element of the package behind the name (ACPI 6.4, 20.2.5.4). 5 where it cannot be found.
u16 sleep_type_off(const u8* fadt) {
    const u8* dsdt = at(load<u32>(fadt + 40));
    u32 length = load<u32>(dsdt + 4);
    for (u32 i = 36; i + 8 < length; ++i) {
        if (memcmp(dsdt + i, "_S5_", 4) == 0 && dsdt[i + 4] == 0x12) {
            const u8* element = dsdt + i + 7;
            return *element == 0x0A ? element[1] : *element;
        }
    }
    return 5;
}

}  // namespace

u8 in8(u16 port) {
    u8 value;
    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
u32 in32(u16 port) {
    u32 value;
    asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
void out8(u16 port, u8 value) { asm volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
void out16(u16 port, u16 value) { asm volatile("outw %0, %1" : : "a"(value), "Nd"(port)); }
void out32(u16 port, u32 value) { asm volatile("outl %0, %1" : : "a"(value), "Nd"(port)); }

u32 pci_read(u8 device, u8 function, u8 offset) {
    out32(0xCF8, 0x8000'0000 | (u32{device} << 11) | (u32{function} << 8) | (offset & 0xFC));
    return in32(0xCFC);
}
void pci_write(u8 device, u8 function, u8 offset, u32 value) {
    out32(0xCF8, 0x8000'0000 | (u32{device} << 11) | (u32{function} << 8) | (offset & 0xFC));
    out32(0xCFC, value);
}

void print(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    for (; *format != 0; ++format) {
        if (*format == '\n') {
            put('\r');
        }
        if (*format != '%') {
            put(*format);
            continue;
        }
        switch (*++format) {
        case 's':
            for (const char* text = va_arg(arguments, const char*); *text != 0; ++text) {
                put(*text);
            }
            break;
        case 'u':
            put_number(va_arg(arguments, u64), 10);
            break;
        case 'x':
            put_number(va_arg(arguments, u64), 16);
            break;
        case 'c':
            put(static_cast<char>(va_arg(arguments, int)));
            break;
        default:
            put('%');
        }
    }
    va_end(arguments);
}

void check(bool good, const char* name) {
    failed_checks += good ? 0 : 1;
    print("%s %s\n", good ? "ok" : "FAIL", name);
}

u64 failures() { return failed_checks; }

bool faults(void (*function)(void*), void* argument) { return payload_try(function, argument) != 0; }

void map_first_terabyte() {
    constexpr u64 present_writable = 3;
    constexpr u64 large = 0x80;
    for (u64 i = 0; i < 1024; ++i) {
        directory_pointers[i / 512][i % 512] = (i << 30) | present_writable | large;
    }
    for (u64 i = 0; i < 2; ++i) {
        top_table[i] = reinterpret_cast<u64>(directory_pointers[i]) | present_writable;
    }
    asm volatile("mov %0, %%cr3" : : "r"(&top_table) : "memory");
}

const char* command_line() {
    return reinterpret_cast<const char*>(static_cast<u64>(load<u32>(boot + boot_command_line)));
}

u64 parameter(const char* name, u64 otherwise) {
    usize length = strlen(name);
    for (const char* text = command_line(); *text != 0; ++text) {
        if (memcmp(text, name, length) == 0 && text[length] == '=') {
            u64 value = 0;
            for (text += length + 1; *text >= '0' && *text <= '9'; ++text) {
                value = value * 10 + static_cast<u64>(*text - '0');
            }
            return value;
        }
    }
    return otherwise;
}

bool is_ram(u64 address) {
    for (usize i = 0; i < boot[boot_e820_count]; ++i) {
        const u8* entry = boot + boot_e820_table + i * e820_entry_bytes;
        u64 base = load<u64>(entry);
        if (load<u32>(entry + 16) == e820_usable && address >= base && address - base < load<u64>(entry + 8)) {
            return true;
        }
    }
    return false;
}

u64 ram_end() {
    u64 end = 0;
    for (usize i = 0; i < boot[boot_e820_count]; ++i) {
        const u8* entry = boot + boot_e820_table + i * e820_entry_bytes;
        u64 entry_end = load<u64>(entry) + load<u64>(entry + 8);
        if (load<u32>(entry + 16) == e820_usable && entry_end > end) {
            end = entry_end;
        }
    }
    return end;
}

void wait_ms(u64 milliseconds) {
    const u8* fadt = find_table("FACP");
    u16 port = static_cast<u16>(load<u32>(fadt + 76));
    constexpr u32 mask = 0xFF'FFFF;
    for (u64 left = milliseconds * 3580; left > 0;) {
        u32 step = left > mask / 2 ? mask / 2 : static_cast<u32>(left);
        u32 start = in32(port) & mask;
        while (((in32(port) - start) & mask) < step) {
        }
        left -= step;
    }
}

void power_off() {
    const u8* fadt = find_table("FACP");
    if (fadt != nullptr) {
        u16 value = static_cast<u16>(0x2000 | (sleep_type_off(fadt) << 10));
        out16(static_cast<u16>(load<u32>(fadt + 64)), value);
    }
    print("FAIL power off did nothing\n");
    for (;;) {
        asm volatile("hlt");
    }
}

}  // namespace undercroft::payload

void payload_unexpected_fault(undercroft::u64 rip) {
    undercroft::payload::print("FAIL unexpected exception at %x\n", rip);
    undercroft::payload::power_off();
}

void payload_main(const undercroft::u8* boot_parameters) {
    using namespace undercroft::payload;
    boot = boot_parameters;
    set_up_exceptions();
    payload_run();
    print("payload done, %u failed\n", failures());
    power_off();
}
