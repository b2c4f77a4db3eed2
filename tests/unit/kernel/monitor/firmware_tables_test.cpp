// Reading of ACPI tables, good and bad.
#include "kernel/monitor/firmware_tables.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "kernel/spec/acpi_hardware.hpp"

namespace undercroft::monitor {
namespace {

constexpr u64 root_at = 0x100;
constexpr u64 rsdt_at = 0x200;
constexpr u64 fadt_at = 0x300;
constexpr u64 madt_at = 0x500;
constexpr u64 dsdt_at = 0x700;

/// Firmware memory with tables in it; addresses are offsets.
struct Firmware {
    std::vector<u8> bytes = std::vector<u8>(0x1000);

    PhysicalWindow window() const { return {reinterpret_cast<u64>(bytes.data()), bytes.size()}; }

    void finish(u64 at, const char* signature, u32 length) {
        acpi::TableHeader header{};
        memcpy(header.signature, signature, 4);
        header.length_bytes = length;
        memcpy(&bytes[at], &header, sizeof(header));
        bytes[at + offsetof(acpi::TableHeader, checksum)] = acpi::checksum_of(std::span<const u8>(&bytes[at], length));
    }
    template <typename T>
    void put(u64 at, const T& value) {
        memcpy(&bytes[at], &value, sizeof(value));
    }

    Firmware() {
        acpi::RootPointer root{};
        memcpy(root.signature, acpi::rsdp_signature, 8);
        root.rsdt_address = rsdt_at;
        put(root_at, root);
        bytes[root_at + 8] = acpi::checksum_of(std::span<const u8>(&bytes[root_at], 20));
        put(rsdt_at + 36, static_cast<u32>(fadt_at));
        put(rsdt_at + 40, static_cast<u32>(madt_at));
        finish(rsdt_at, "RSDT", 44);
        acpi::FixedDescription fixed{};
        fixed.dsdt_address = dsdt_at;
        fixed.pm1a_control_port = 0x604;
        fixed.pm_timer_port = 0x608;
        put(fadt_at, fixed);
        finish(fadt_at, "FACP", 116);
        // Name (_S5, Package (4) {5, 6, 0, 0})
        const u8 sleep[] = {0x08, '_', 'S', '5', '_', 0x12, 0x08, 0x04, 0x0A, 5, 0x0A, 6, 0, 0};
        memcpy(&bytes[dsdt_at + 36], sleep, sizeof(sleep));
        finish(dsdt_at, "DSDT", 36 + sizeof(sleep));
        acpi::MultipleApic apics{};
        apics.local_apic_address = 0xFEE0'0000;
        put(madt_at, apics);
        u64 at = madt_at + sizeof(apics);
        for (u8 id : {u8{0}, u8{1}, u8{9}}) {
            put(at, acpi::MadtLocalApic{{0, 8}, id, id, id == 9 ? 0u : acpi::apic_enabled});
            at += 8;
        }
        put(at, acpi::MadtIoApic{{1, 12}, 0, 0, 0xFEC0'0000, 0});
        at += 12;
        put(at, acpi::MadtInterruptOverride{{2, 10}, 0, 4, 17, 0xF});
        at += 10;
        finish(madt_at, "APIC", static_cast<u32>(at - madt_at));
    }
};

TEST_CASE("the machine's tables are read", "[monitor]") {
    Firmware firmware;
    auto tables = read_firmware_tables(firmware.window(), root_at);
    REQUIRE(tables.has_value());
    CHECK(tables->cpu_count == 2);
    CHECK(tables->apic_ids[1] == 1);
    CHECK(tables->io_apic_address == 0xFEC0'0000);
    CHECK(tables->isa_line_interrupt[4] == 17);
    CHECK(tables->isa_line_flags[4] == 0xF);
    CHECK(tables->isa_line_interrupt[3] == 3);
    CHECK(tables->pm_timer_port == 0x608);
    CHECK(tables->can_power_off);
    CHECK(tables->sleep_type_a == 5);
    CHECK(tables->sleep_type_b == 6);
}

TEST_CASE("no root pointer, a wrong checksum, a pointer outside memory", "[monitor]") {
    Firmware firmware;
    CHECK(read_firmware_tables(firmware.window(), 0).error() == Error::not_found);
    CHECK(read_firmware_tables(firmware.window(), 0xFFFF).error() == Error::out_of_range);
    CHECK(read_firmware_tables(firmware.window(), root_at + 1).error() == Error::malformed);
    firmware.bytes[root_at + 16] ^= 1;
    CHECK(read_firmware_tables(firmware.window(), root_at).error() == Error::malformed);
}

TEST_CASE("entries that do not fit their table are refused", "[monitor]") {
    Firmware firmware;
    firmware.bytes[madt_at + sizeof(acpi::MultipleApic) + 1] = 0;  // an entry of no length
    u32 length = 44 + 24 + 12 + 10;
    firmware.finish(madt_at, "APIC", length);
    CHECK(read_firmware_tables(firmware.window(), root_at).error() == Error::malformed);
    firmware.bytes[madt_at + sizeof(acpi::MultipleApic) + 1] = 200;
    firmware.finish(madt_at, "APIC", length);
    CHECK(read_firmware_tables(firmware.window(), root_at).error() == Error::malformed);
}

TEST_CASE("a machine with more processors than there are VPs", "[monitor]") {
    Firmware firmware;
    u64 at = madt_at + sizeof(acpi::MultipleApic);
    constexpr u32 processors = 20;
    for (u32 i = 0; i < processors; ++i) {
        firmware.put(at, acpi::MadtLocalApic{{0, 8}, static_cast<u8>(i), static_cast<u8>(i), acpi::apic_enabled});
        at += 8;
    }
    firmware.finish(madt_at, "APIC", static_cast<u32>(at - madt_at));
    auto tables = read_firmware_tables(firmware.window(), root_at);
    REQUIRE(tables.has_value());
    CHECK(tables->cpu_count == vtl2::vps_max);
    CHECK(tables->cpus_beyond_limit == processors - vtl2::vps_max);
}

TEST_CASE("any byte may be wrong: the reader answers or refuses", "[monitor]") {
    for (usize i = 0; i < 0x800; ++i) {
        for (u8 value : {u8{0}, u8{0x7F}, u8{0xFF}}) {
            Firmware firmware;
            firmware.bytes[i] = value;
            (void)read_firmware_tables(firmware.window(), root_at);
        }
    }
}

}  // namespace
}  // namespace undercroft::monitor
