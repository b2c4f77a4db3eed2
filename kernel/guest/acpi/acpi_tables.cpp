// Lays the tables out one behind the other, links them, and makes their checksums.
#include "kernel/guest/acpi/acpi_tables.hpp"

#include <algorithm>
#include <cstring>

#include "kernel/base/assert.hpp"
#include "kernel/guest/address_map.hpp"
#include "kernel/guest/chipset/acpi_power.hpp"
#include "kernel/guest/chipset/io_apic.hpp"
#include "kernel/guest/chipset/pci_host.hpp"
#include "kernel/spec/acpi.hpp"

namespace undercroft {

namespace {

constexpr u64 table_alignment = 64;
constexpr u8 cmos_century = 0x32;
constexpr u8 all_processors = 0xFF;
constexpr u32 apic_id_8bit_max = 254;
constexpr u16 no_c2_latency_us = 101;
constexpr u16 no_c3_latency_us = 1001;

/// The values by which dsdt.asl's MHBS and MHLN are found.
constexpr u64 dsdt_high_window_begin = 0x1122'3344'5566'7701;
constexpr u64 dsdt_high_window_bytes = 0x1122'3344'5566'7702;

/// Appends tables to one piece of guest memory.
class TableWriter {
public:
    TableWriter(std::span<std::byte> memory, u64 guest_address) : memory_(memory), guest_address_(guest_address) {}

    /// Begins a structure at the next table boundary; its guest address.
    Result<u64> begin() {
        used_ = align_up(used_, table_alignment);
        begin_ = used_;
        return used_ <= memory_.size() ? Result<u64>(guest_address_ + used_) : fail(Error::out_of_memory);
    }
    Result<void> append(const void* data, usize size_bytes) {
        if (size_bytes > memory_.size() - used_) {
            return fail(Error::out_of_memory);
        }
        std::memcpy(memory_.data() + used_, data, size_bytes);
        used_ += size_bytes;
        return {};
    }
    template <typename T>
    Result<void> append(const T& value) {
        return append(&value, sizeof(value));
    }
    /// Fills in length and checksum of the table that was begun last.
    void finish_table() {
        std::span<std::byte> table = memory_.subspan(begin_, used_ - begin_);
        acpi::TableHeader header;
        std::memcpy(&header, table.data(), sizeof(header));
        header.length_bytes = static_cast<u32>(table.size());
        header.checksum = 0;
        std::memcpy(table.data(), &header, sizeof(header));
        header.checksum = acpi::checksum_of(table);
        std::memcpy(table.data(), &header, sizeof(header));
    }
    usize used() const { return used_; }

private:
    std::span<std::byte> memory_;
    u64 guest_address_;
    usize used_ = 0;
    usize begin_ = 0;
};

acpi::TableHeader table_header(const char (&signature)[5], u8 revision) {
    acpi::TableHeader header = {};
    std::memcpy(header.signature, signature, sizeof(header.signature));
    header.revision = revision;
    std::memcpy(header.oem_id, "UNDERC", sizeof(header.oem_id));
    std::memcpy(header.oem_table_id, "UNDRCRFT", sizeof(header.oem_table_id));
    header.oem_revision = 1;
    std::memcpy(header.creator_id, "UNDC", sizeof(header.creator_id));
    header.creator_revision = 1;
    return header;
}

acpi::GenericAddress io_register(u16 port, u8 bytes) {
    u8 access_size = bytes == 4 ? 3 : bytes == 2 ? 2 : 1;
    return {static_cast<u8>(acpi::AddressSpace::io), static_cast<u8>(8 * bytes), 0, access_size, port};
}

Result<u64> write_facs(TableWriter& writer) {
    u64 address = TRY(writer.begin());
    acpi::FirmwareControl facs = {};
    std::memcpy(facs.signature, "FACS", sizeof(facs.signature));
    facs.length_bytes = sizeof(facs);
    facs.version = 2;
    TRY(writer.append(facs));
    return address;
}

/// Replaces the one occurrence of `placeholder`.
void patch(std::span<u8> aml, u64 placeholder, u64 value) {
    u8 wanted[sizeof(placeholder)];
    std::memcpy(wanted, &placeholder, sizeof(wanted));
    auto found = std::ranges::search(aml, wanted);
    ASSERT(!found.empty());
    std::memcpy(&*found.begin(), &value, sizeof(value));
}

Result<u64> write_dsdt(TableWriter& writer, std::span<std::byte> memory, u64 guest_address,
                       const AcpiTablesConfig& config) {
    u64 address = TRY(writer.begin());
    std::span<const u8> source = dsdt_template();
    TRY(writer.append(source.data(), source.size()));
    // SAFETY: bytes may be looked at as bytes; `append` has checked that they are there.
    std::span<u8> aml(reinterpret_cast<u8*>(memory.data()) + (address - guest_address), source.size());
    patch(aml, dsdt_high_window_begin, config.high_window_begin);
    patch(aml, dsdt_high_window_bytes, config.high_window_bytes);
    writer.finish_table();
    return address;
}

Result<u64> write_fadt(TableWriter& writer, u64 facs, u64 dsdt) {
    constexpr u16 event_port = AcpiPower::base_port + AcpiPower::event_offset;
    constexpr u16 control_port = AcpiPower::base_port + AcpiPower::control_offset;
    constexpr u16 timer_port = AcpiPower::base_port + AcpiPower::timer_offset;
    u64 address = TRY(writer.begin());
    acpi::FixedDescription fadt = {};
    fadt.header = table_header("FACP", 6);
    fadt.minor_version = 4;
    fadt.facs_address = static_cast<u32>(facs);
    fadt.dsdt_address = static_cast<u32>(dsdt);
    fadt.dsdt_address64 = dsdt;
    fadt.sci_interrupt = InterruptLines::sci_irq;
    fadt.pm1a_event_port = event_port;
    fadt.pm1a_control_port = control_port;
    fadt.pm_timer_port = timer_port;
    fadt.pm1_event_bytes = 4;
    fadt.pm1_control_bytes = 2;
    fadt.pm_timer_bytes = 4;
    fadt.pm1a_event = io_register(event_port, 4);
    fadt.pm1a_control = io_register(control_port, 2);
    fadt.pm_timer = io_register(timer_port, 4);
    fadt.c2_latency_us = no_c2_latency_us;
    fadt.c3_latency_us = no_c3_latency_us;
    fadt.century = cmos_century;
    fadt.boot_architecture = acpi::boot_architecture::legacy_devices | acpi::boot_architecture::no_vga;
    fadt.flags = acpi::fixed_flag::wbinvd | acpi::fixed_flag::c1_everywhere | acpi::fixed_flag::no_sleep_button |
                 acpi::fixed_flag::no_fixed_rtc_wake | acpi::fixed_flag::timer_32bit | acpi::fixed_flag::reset_register;
    fadt.reset_register = io_register(PciHost::reset_control_port, 1);
    fadt.reset_value = PciHost::reset_control_reset;
    TRY(writer.append(fadt));
    writer.finish_table();
    return address;
}

template <typename T>
T madt_entry(acpi::MadtType type) {
    T entry = {};
    entry.entry = {static_cast<u8>(type), sizeof(T)};
    return entry;
}

Result<void> write_madt_processors(TableWriter& writer, std::span<const u32> apic_ids) {
    u32 uid = 0;
    for (u32 apic_id : apic_ids) {
        if (apic_id <= apic_id_8bit_max) {
            auto entry = madt_entry<acpi::MadtLocalApic>(acpi::MadtType::local_apic);
            entry.processor_uid = static_cast<u8>(uid);
            entry.apic_id = static_cast<u8>(apic_id);
            entry.flags = acpi::apic_enabled;
            TRY(writer.append(entry));
        } else {
            auto entry = madt_entry<acpi::MadtLocalX2apic>(acpi::MadtType::local_x2apic);
            entry.apic_id = apic_id;
            entry.flags = acpi::apic_enabled;
            entry.processor_uid = uid;
            TRY(writer.append(entry));
        }
        ++uid;
    }
    return {};
}

Result<u64> write_madt(TableWriter& writer, std::span<const u32> apic_ids) {
    u64 address = TRY(writer.begin());
    acpi::MultipleApic madt = {};
    madt.header = table_header("APIC", 5);
    madt.local_apic_address = static_cast<u32>(address_map::local_apic_address);
    madt.flags = 1;
    TRY(writer.append(madt));
    TRY(write_madt_processors(writer, apic_ids));

    auto io_apic = madt_entry<acpi::MadtIoApic>(acpi::MadtType::io_apic);
    io_apic.address = static_cast<u32>(IoApic::base_address);
    TRY(writer.append(io_apic));

    auto timer = madt_entry<acpi::MadtInterruptOverride>(acpi::MadtType::interrupt_override);
    timer.source = 0;
    timer.gsi = InterruptLines::timer_gsi;
    timer.flags = acpi::inti_conforming;
    TRY(writer.append(timer));

    auto sci = madt_entry<acpi::MadtInterruptOverride>(acpi::MadtType::interrupt_override);
    sci.source = InterruptLines::sci_irq;
    sci.gsi = InterruptLines::sci_irq;
    sci.flags = acpi::inti_active_high_level;
    TRY(writer.append(sci));

    auto nmi = madt_entry<acpi::MadtLocalApicNmi>(acpi::MadtType::local_apic_nmi);
    nmi.processor_uid = all_processors;
    nmi.local_interrupt = 1;
    TRY(writer.append(nmi));
    writer.finish_table();
    return address;
}

/// RSDT and XSDT: lists of the same tables with 32- and 64-bit addresses.
template <typename Address>
Result<u64> write_root_table(TableWriter& writer, const char (&signature)[5], std::span<const u64> tables) {
    u64 address = TRY(writer.begin());
    TRY(writer.append(table_header(signature, 1)));
    for (u64 table : tables) {
        TRY(writer.append(Le<Address>(static_cast<Address>(table))));
    }
    writer.finish_table();
    return address;
}

acpi::RootPointer root_pointer(u64 rsdt, u64 xsdt) {
    acpi::RootPointer rsdp = {};
    std::memcpy(rsdp.signature, acpi::rsdp_signature, sizeof(rsdp.signature));
    std::memcpy(rsdp.oem_id, "UNDERC", sizeof(rsdp.oem_id));
    rsdp.revision = 2;
    rsdp.rsdt_address = static_cast<u32>(rsdt);
    rsdp.length_bytes = sizeof(rsdp);
    rsdp.xsdt_address = xsdt;
    auto bytes = std::as_bytes(std::span(&rsdp, 1));
    rsdp.checksum = acpi::checksum_of(bytes.first(acpi::root_pointer_v1_bytes));
    rsdp.extended_checksum = acpi::checksum_of(bytes);
    return rsdp;
}

}  // namespace

Result<usize> build_acpi_tables(std::span<std::byte> memory, u64 guest_address, const AcpiTablesConfig& config) {
    ASSERT(is_aligned(guest_address, table_alignment) && guest_address + memory.size() <= address_map::above_4gib);
    TableWriter writer(memory, guest_address);
    // The root pointer's place comes first; what it says, last.
    TRY(writer.append(acpi::RootPointer{}));
    u64 facs = TRY(write_facs(writer));
    u64 dsdt = TRY(write_dsdt(writer, memory, guest_address, config));
    u64 fadt = TRY(write_fadt(writer, facs, dsdt));
    u64 madt = TRY(write_madt(writer, config.apic_ids));
    u64 tables[] = {fadt, madt};
    u64 rsdt = TRY(write_root_table<u32>(writer, "RSDT", tables));
    u64 xsdt = TRY(write_root_table<u64>(writer, "XSDT", tables));
    acpi::RootPointer rsdp = root_pointer(rsdt, xsdt);
    std::memcpy(memory.data(), &rsdp, sizeof(rsdp));
    return writer.used();
}

}  // namespace undercroft
