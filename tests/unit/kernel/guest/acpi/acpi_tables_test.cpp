// ACPI tables: found by a scan, linked, with right checksums; and read without complaint by ACPICA's own compiler.
#include "kernel/guest/acpi/acpi_tables.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <unistd.h>
#include <vector>

#include "kernel/guest/address_map.hpp"
#include "kernel/spec/acpi.hpp"

namespace undercroft {
namespace {

constexpr u64 base = address_map::acpi_tables_begin;

struct Tables {
    std::vector<std::byte> memory = std::vector<std::byte>(0x20000);
    usize used = 0;

    explicit Tables(const AcpiTablesConfig& config) { used = *build_acpi_tables(memory, base, config); }
    template <typename T>
    T at(u64 address) const {
        T value;
        std::memcpy(&value, memory.data() + (address - base), sizeof(value));
        return value;
    }
    std::span<const std::byte> bytes(u64 address, usize size) const {
        return std::span(memory).subspan(address - base, size);
    }
    acpi::RootPointer root() const { return at<acpi::RootPointer>(base); }
    /// Signature to address, of everything the XSDT and the FADT name.
    std::map<std::string, u64> find() const {
        std::map<std::string, u64> found;
        auto add = [&](u64 address) {
            auto header = at<acpi::TableHeader>(address);
            found[std::string(header.signature, 4)] = address;
        };
        u64 xsdt = root().xsdt_address;
        add(xsdt);
        add(root().rsdt_address);
        for (usize i = sizeof(acpi::TableHeader); i < at<acpi::TableHeader>(xsdt).length_bytes; i += 8) {
            add(at<Le<u64>>(xsdt + i));
        }
        add(at<acpi::FixedDescription>(found.at("FACP")).dsdt_address64);
        return found;
    }
};

u8 sum(std::span<const std::byte> bytes) {
    u8 total = 0;
    for (std::byte byte : bytes) {
        total = static_cast<u8>(total + static_cast<u8>(byte));
    }
    return total;
}

TEST_CASE("ACPI tables are linked and their checksums right") {
    u32 apic_ids[] = {0, 1, 2, 3};
    Tables tables({apic_ids, u64{1} << 36, u64{1} << 36});
    acpi::RootPointer root = tables.root();
    CHECK(std::memcmp(root.signature, "RSD PTR ", 8) == 0);
    CHECK(sum(tables.bytes(base, acpi::root_pointer_v1_bytes)) == 0);
    CHECK(sum(tables.bytes(base, sizeof(root))) == 0);
    auto found = tables.find();
    for (const char* signature : {"RSDT", "XSDT", "FACP", "APIC", "DSDT"}) {
        REQUIRE(found.count(signature) == 1);
        u64 address = found[signature];
        CHECK(sum(tables.bytes(address, tables.at<acpi::TableHeader>(address).length_bytes)) == 0);
    }
    auto fadt = tables.at<acpi::FixedDescription>(found["FACP"]);
    CHECK(is_aligned(fadt.facs_address, 64));
    CHECK(std::memcmp(&tables.memory[fadt.facs_address - base], "FACS", 4) == 0);
    CHECK(fadt.pm_timer_port == 0x608);
    CHECK(tables.used < 0x10000);
}

TEST_CASE("the MADT lists processors by their APIC ids, wide ones as x2APIC") {
    u32 apic_ids[] = {0, 254, 255, 1000};
    Tables tables({apic_ids, 0, 0});
    u64 madt = tables.find()["APIC"];
    usize length = tables.at<acpi::TableHeader>(madt).length_bytes;
    std::vector<std::pair<int, u32>> processors;
    for (usize i = sizeof(acpi::MultipleApic); i < length;) {
        auto entry = tables.at<acpi::MadtEntry>(madt + i);
        REQUIRE(entry.length_bytes >= 2);
        if (entry.type == 0) {
            processors.emplace_back(0, tables.at<acpi::MadtLocalApic>(madt + i).apic_id);
        } else if (entry.type == 9) {
            processors.emplace_back(9, tables.at<acpi::MadtLocalX2apic>(madt + i).apic_id);
        }
        i += entry.length_bytes;
    }
    CHECK(processors == std::vector<std::pair<int, u32>>{{0, 0}, {0, 254}, {9, 255}, {9, 1000}});
}

TEST_CASE("tables that do not fit are refused") {
    u32 apic_ids[] = {0};
    std::vector<std::byte> memory(0x20000);
    usize needed = *build_acpi_tables(memory, base, {apic_ids, 0, 0});
    for (usize size = 0; size < needed; size += 37) {
        CHECK(build_acpi_tables(std::span(memory).first(size), base, {apic_ids, 0, 0}).error() == Error::out_of_memory);
    }
}

TEST_CASE("iasl reads every table back, and compiles again what it disassembled") {
    u32 apic_ids[] = {0, 1, 300};
    Tables tables({apic_ids, u64{1} << 36, u64{1} << 36});
    std::filesystem::path folder =
        std::filesystem::temp_directory_path() / ("undercroft-acpi-" + std::to_string(getpid()));
    std::filesystem::create_directories(folder);
    for (const auto& [signature, address] : tables.find()) {
        auto bytes = tables.bytes(address, tables.at<acpi::TableHeader>(address).length_bytes);
        std::string name = (folder / signature).string();
        std::ofstream(name + ".aml", std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
        std::string quiet = " > " + name + ".log 2>&1";
        CHECK(std::system(("iasl -d -p " + name + " " + name + ".aml" + quiet).c_str()) == 0);
        std::string text = (std::stringstream() << std::ifstream(name + ".log").rdbuf()).str();
        text += (std::stringstream() << std::ifstream(name + ".dsl").rdbuf()).str();
        INFO(text);
        CHECK(text.find("Invalid") == std::string::npos);
        CHECK(text.find("ncorrect checksum") == std::string::npos);
        CHECK(std::system(("iasl -ve -p " + name + "-again " + name + ".dsl" + quiet).c_str()) == 0);
    }
    std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace undercroft
