// A PIIX4's IDE function on a bus of its own, disks that obey, and the host that drives it port by port. The numbers are
// those of ATA/ATAPI-7, ACS-2 and the 82371AB data sheet, written out, so that a wrong constant of ours is found.
#pragma once

#include <vector>

#include "storage/frontends/ide/controller.hpp"
#include "tests/unit/kernel/guest/guest_fixture.hpp"
#include "tests/unit/storage/frontends/nvme/fake_disk.hpp"

namespace undercroft::test {

struct RecordingLine : InterruptLine {
    void set_level(bool high) override {
        rises += high && !is_high ? 1 : 0;
        is_high = high;
    }
    bool is_high = false;
    int rises = 0;
};

struct RecordingPause : GuestPause {
    u32 pause() override {
        ++paused;
        return 7;
    }
    void resume(u32 processor) override {
        wrong_names += processor == 7 ? 0 : 1;
        --paused;
    }
    int paused = 0;
    int wrong_names = 0;
};

inline RamDiskOptions ide_disk(u64 sectors, u32 sector_size = 512) {
    RamDiskOptions options;
    options.sectors = sectors;
    options.sector_size = sector_size;
    return options;
}

class IdeFixture {
public:
    static constexpr u16 base = 0x1F0;
    static constexpr u64 table = 0x1000;

    explicit IdeFixture(const RamDiskOptions& options = ide_disk(1 << 20), bool fua = false)
        : disk(std::make_shared<FakeDisk>(options)) {
        disk->facts_.fua_respected = fua;
        disk->facts_.unmap = UnmapBehavior::zeroes;
        controller = std::move(*ide::Controller::create({.memory = memory.guest(),
                                                         .interrupts = {&lines[0], &lines[1]},
                                                         .pause = pause,
                                                         .executors = {&time.executor(), &time.executor()}}));
        if (!controller->attach_disk(0, 0, *Disk::create(disk), {.model = "A model", .serial = "12345"}) ||
            !controller->add_to(bus)) {
            std::abort();
        }
        controller->write_config(0x04, 0x0005, 0xFFFF);
    }
    ~IdeFixture() {
        disk->release();
        if (!is_closed) {
            close();
        }
    }
    void close() {
        detail::run_root(controller->close(), is_closed);
        time.pass(0);
        if (!is_closed) {
            std::abort();
        }
    }
    IdeFixture(const IdeFixture&) = delete;
    IdeFixture& operator=(const IdeFixture&) = delete;

    u8 in(u16 offset) { return in8(bus, static_cast<u16>(base + offset)); }
    void out(u16 offset, unsigned value) { out8(bus, static_cast<u16>(base + offset), value); }
    /// Reads the status register without and with its side effect.
    u8 alternate() { return in8(bus, 0x3F6); }
    u8 status() { return in(7); }
    void settle() { time.pass(nanoseconds_per_microsecond); }

    /// Registers for a 28-bit command, and the command.
    void command(u8 opcode, u32 lba = 0, u8 count = 0, u8 features = 0, u8 device = 0x40) {
        out(6, device | ((lba >> 24) & 0x0F));
        out(1, features);
        out(2, count);
        out(3, lba & 0xFF);
        out(4, (lba >> 8) & 0xFF);
        out(5, (lba >> 16) & 0xFF);
        out(7, opcode);
        settle();
    }
    void command_ext(u8 opcode, u64 lba, u16 count, u16 features = 0) {
        out(6, 0x40);
        for (unsigned upper : {1u, 0u}) {
            out(1, (features >> (8 * upper)) & 0xFF);
            out(2, (count >> (8 * upper)) & 0xFF);
            out(3, (lba >> (24 * upper)) & 0xFF);
            out(4, (lba >> (8 + 24 * upper)) & 0xFF);
            out(5, (lba >> (16 + 24 * upper)) & 0xFF);
        }
        out(7, opcode);
        settle();
    }
    std::vector<u8> read_data(usize bytes) {
        std::vector<u8> data(bytes);
        for (usize at = 0; at < bytes; at += 2) {
            u64 word = bus.read_port(base, AccessSize::word);
            data[at] = static_cast<u8>(word);
            data[at + 1] = static_cast<u8>(word >> 8);
            settle_after(at + 2);
        }
        return data;
    }
    void write_data(std::span<const u8> data) {
        for (usize at = 0; at < data.size(); at += 2) {
            bus.write_port(base, AccessSize::word, data[at] | (data[at + 1] << 8));
            settle_after(at + 2);
        }
    }
    std::vector<u16> identify() {
        command(0xEC);
        std::vector<u8> data = read_data(512);
        std::vector<u16> words(256);
        for (usize index = 0; index < 256; ++index) {
            words[index] = static_cast<u16>(data[2 * index] | (data[2 * index + 1] << 8));
        }
        return words;
    }

    // Bus master of the first channel.
    u8 master_status() { return static_cast<u8>(controller->read_bar(4, 2, AccessSize::byte)); }
    void master_command(u8 value) {
        controller->write_bar(4, 0, AccessSize::byte, value);
        settle();
    }
    struct Region {
        u32 address;
        u16 bytes;
        bool is_last = false;
    };
    void set_table(std::initializer_list<Region> regions, u32 at = table) {
        u64 entry = at;
        for (const Region& region : regions) {
            memory.put<u32>(entry, region.address);
            memory.put<u32>(entry + 4, region.bytes | (region.is_last ? 0x8000'0000u : 0u));
            entry += 8;
        }
        controller->write_bar(4, 4, AccessSize::dword, at);
        controller->write_bar(4, 2, AccessSize::byte, 0x06);
    }

    /// Straight to and from the medium.
    void fill_disk(u64 sector, std::span<const u8> data) {
        std::vector<std::byte> copy(data.size());
        std::memcpy(copy.data(), data.data(), data.size());
        run(disk->inner().write(sector, segment(copy), ForceUnitAccess::no, {}));
    }
    std::vector<u8> disk_bytes(u64 sector, usize bytes) {
        std::vector<std::byte> copy(bytes);
        run(disk->inner().read(sector, segment(copy), {}));
        std::vector<u8> data(bytes);
        std::memcpy(data.data(), copy.data(), bytes);
        return data;
    }
    std::vector<u8> memory_bytes(u64 address, usize bytes) {
        std::vector<u8> data(bytes);
        std::memcpy(data.data(), memory.at(address), bytes);
        return data;
    }
    static std::vector<u8> pattern(usize bytes, u32 seed) {
        std::vector<u8> data(bytes);
        for (usize at = 0; at < bytes; ++at) {
            data[at] = static_cast<u8>((at * 7 + at / 512 * 13 + seed * 101) & 0xFF);
        }
        return data;
    }

    TestTime time;
    TestMemory memory{16 * mib};
    GuestBus bus;
    RecordingLine lines[2];
    RecordingPause pause;
    bool is_closed = false;
    std::shared_ptr<FakeDisk> disk;
    std::unique_ptr<ide::Controller> controller;

private:
    SegmentList segment(std::vector<std::byte>& data) {
        segment_ = {data.data(), data.size()};
        return {&segment_, 1};
    }
    void run(Task<DiskResult<void>> task) {
        std::optional<DiskResult<void>> outcome;
        detail::run_root(std::move(task), outcome);
        if (!outcome || !*outcome) {
            std::abort();
        }
    }
    /// A host looks at the status between blocks.
    void settle_after(usize bytes) {
        if (bytes % 512 == 0) {
            settle();
        }
    }
    MemorySegment segment_{};
};

}  // namespace undercroft::test
