// Reading of ACPI tables: see firmware_tables.hpp.
#include "kernel/monitor/firmware_tables.hpp"

#include <string.h>

#include "kernel/spec/acpi_hardware.hpp"
#include "kernel/spec/apic.hpp"

namespace undercroft::monitor {

namespace {

constexpr u64 table_bytes_max = 1 * mib;
constexpr usize root_entries_max = 64;

// AML encoding (ACPI 6.4, 20.2).
constexpr u8 aml_package = 0x12;
constexpr u8 aml_byte = 0x0A;
constexpr u8 aml_word = 0x0B;
constexpr u8 aml_dword = 0x0C;
constexpr u8 aml_one = 0x01;

template <typename T>
T copy(const u8* bytes) {
    T value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

bool checksum_good(const u8* bytes, usize size) {
    u8 sum = 0;
    for (usize i = 0; i < size; ++i) {
        sum = static_cast<u8>(sum + bytes[i]);
    }
    return sum == 0;
}

Result<std::span<const u8>> table_at(const PhysicalWindow& window, u64 address) {
    const u8* head = TRY(window.at(address, sizeof(acpi::TableHeader)));
    u32 length = copy<acpi::TableHeader>(head).length_bytes;
    if (length < sizeof(acpi::TableHeader) || length > table_bytes_max) {
        return fail(Error::malformed);
    }
    const u8* bytes = TRY(window.at(address, length));
    if (!checksum_good(bytes, length)) {
        return fail(Error::malformed);
    }
    return std::span<const u8>(bytes, length);
}

class Reader {
public:
    Reader(const PhysicalWindow& window, FirmwareTables& result) : window_(window), result_(result) {}

    Result<void> read_root(u64 address, usize entry_bytes) {
        auto root = TRY(table_at(window_, address));
        usize count = (root.size() - sizeof(acpi::TableHeader)) / entry_bytes;
        for (usize i = 0; i < count && i < root_entries_max; ++i) {
            const u8* entry = root.data() + sizeof(acpi::TableHeader) + i * entry_bytes;
            auto table = table_at(window_, entry_bytes == 8 ? copy<u64>(entry) : copy<u32>(entry));
            if (!table) {
                continue;  // a table that we cannot read may be one that we do not need
            }
            if (memcmp(table->data(), "APIC", 4) == 0) {
                TRY(read_apics(*table));
            } else if (memcmp(table->data(), "FACP", 4) == 0) {
                TRY(read_fixed(*table));
            }
        }
        return {};
    }

private:
    Result<void> read_apics(std::span<const u8> table) {
        if (table.size() < sizeof(acpi::MultipleApic)) {
            return fail(Error::malformed);
        }
        result_.local_apic_address = copy<acpi::MultipleApic>(table.data()).local_apic_address;
        usize offset = sizeof(acpi::MultipleApic);
        while (offset + sizeof(acpi::MadtEntry) <= table.size()) {
            auto header = copy<acpi::MadtEntry>(table.data() + offset);
            if (header.length_bytes < sizeof(header) || header.length_bytes > table.size() - offset) {
                return fail(Error::malformed);
            }
            read_entry(table.subspan(offset, header.length_bytes));
            offset += header.length_bytes;
        }
        return {};
    }

    void read_entry(std::span<const u8> entry) {
        if (entry[0] == acpi::madt_local_apic_address && entry.size() >= sizeof(acpi::MadtLocalApicAddress)) {
            result_.local_apic_address = copy<acpi::MadtLocalApicAddress>(entry.data()).address;
            return;
        }
        switch (static_cast<acpi::MadtType>(entry[0])) {
        case acpi::MadtType::local_apic:
            if (entry.size() >= sizeof(acpi::MadtLocalApic)) {
                auto cpu = copy<acpi::MadtLocalApic>(entry.data());
                add_cpu(cpu.apic_id, cpu.flags);
            }
            break;
        case acpi::MadtType::local_x2apic:
            if (entry.size() >= sizeof(acpi::MadtLocalX2apic)) {
                auto cpu = copy<acpi::MadtLocalX2apic>(entry.data());
                add_cpu(cpu.apic_id, cpu.flags);
            }
            break;
        case acpi::MadtType::io_apic:
            if (entry.size() >= sizeof(acpi::MadtIoApic)) {
                auto io_apic = copy<acpi::MadtIoApic>(entry.data());
                if (io_apic.first_gsi == 0) {
                    result_.io_apic_address = io_apic.address;
                }
            }
            break;
        case acpi::MadtType::interrupt_override:
            if (entry.size() >= sizeof(acpi::MadtInterruptOverride)) {
                auto line = copy<acpi::MadtInterruptOverride>(entry.data());
                if (line.source < 16) {
                    result_.isa_line_interrupt[line.source] = line.gsi;
                    result_.isa_line_flags[line.source] = line.flags;
                }
            }
            break;
        default:
            break;
        }
    }

    void add_cpu(u32 apic_id, u32 flags) {
        if ((flags & acpi::apic_enabled) == 0) {
            return;
        }
        if (result_.cpu_count == vtl2::vps_max) {
            ++result_.cpus_beyond_limit;
            return;
        }
        result_.apic_ids[result_.cpu_count++] = apic_id;
    }

    Result<void> read_fixed(std::span<const u8> table) {
        // ACPI 1.0 tables end behind `flags`.
        if (table.size() < offsetof(acpi::FixedDescription, reset_register)) {
            return fail(Error::malformed);
        }
        acpi::FixedDescription fixed{};
        memcpy(&fixed, table.data(), table.size() < sizeof(fixed) ? table.size() : sizeof(fixed));
        result_.pm1a_control_port = static_cast<u16>(u32{fixed.pm1a_control_port});
        result_.pm1b_control_port = static_cast<u16>(u32{fixed.pm1b_control_port});
        result_.pm_timer_port = static_cast<u16>(u32{fixed.pm_timer_port});
        auto definitions =
            table_at(window_, fixed.dsdt_address64 != 0 ? u64{fixed.dsdt_address64} : u64{fixed.dsdt_address});
        if (definitions && result_.pm1a_control_port != 0) {
            find_sleep_type(*definitions);
        }
        return {};
    }

    /// Looks for Name (\_S5, Package () {a, b, ...}): the first two elements are the SLP_TYP values.
    void find_sleep_type(std::span<const u8> aml) {
        for (usize i = sizeof(acpi::TableHeader); i + 5 < aml.size(); ++i) {
            if (memcmp(aml.data() + i, "_S5_", 4) != 0 || aml[i + 4] != aml_package) {
                continue;
            }
            usize at = i + 5;
            at += 1 + (aml[at] >> 6);  // package length: bits 7:6 count the further bytes
            at += 1;                   // number of elements
            result_.sleep_type_a = read_integer(aml, at);
            result_.sleep_type_b = read_integer(aml, at);
            result_.can_power_off = at <= aml.size();
            return;
        }
    }

    static u8 read_integer(std::span<const u8> aml, usize& at) {
        u8 value = 0;
        u8 op = at < aml.size() ? aml[at] : 0;
        usize bytes = op == aml_byte ? 1 : op == aml_word ? 2 : op == aml_dword ? 4 : 0;
        if (bytes == 0) {
            value = op == aml_one ? 1 : 0;
        } else if (at + 1 < aml.size()) {
            value = aml[at + 1];
        }
        at += 1 + bytes;
        return value & 7;
    }

    const PhysicalWindow& window_;
    FirmwareTables& result_;
};

}  // namespace

Result<const u8*> PhysicalWindow::at(u64 address, u64 size_bytes) const {
    if (address > size || size_bytes > size - address) {
        return fail(Error::out_of_range);
    }
    // SAFETY: whoever made the window promised that it is mapped.
    return reinterpret_cast<const u8*>(base + address);
}

Result<FirmwareTables> read_firmware_tables(const PhysicalWindow& window, u64 root_pointer) {
    if (root_pointer == 0) {
        return fail(Error::not_found);
    }
    const u8* bytes = TRY(window.at(root_pointer, acpi::root_pointer_v1_bytes));
    if (memcmp(bytes, "RSD PTR ", 8) != 0 || !checksum_good(bytes, acpi::root_pointer_v1_bytes)) {
        return fail(Error::malformed);
    }
    acpi::RootPointer root{};
    memcpy(&root, bytes, acpi::root_pointer_v1_bytes);
    if (root.revision >= 2) {
        memcpy(&root, TRY(window.at(root_pointer, sizeof(root))), sizeof(root));
    }
    FirmwareTables result{};
    result.local_apic_address = apic::local_default_address;
    for (u32 line = 0; line < 16; ++line) {
        result.isa_line_interrupt[line] = line;
    }
    Reader reader(window, result);
    bool extended = root.revision >= 2 && root.xsdt_address != 0;
    TRY(reader.read_root(extended ? u64{root.xsdt_address} : u64{root.rsdt_address}, extended ? 8 : 4));
    if (result.cpu_count == 0) {
        return fail(Error::malformed);
    }
    return result;
}

}  // namespace undercroft::monitor
