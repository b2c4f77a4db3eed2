// A floppy controller over a RAM disk, with guest memory and a DMA controller, driven port by port.
#pragma once

#include <catch2/catch.hpp>

#include <vector>

#include "storage/frontends/floppy/controller.hpp"
#include "tests/unit/kernel/guest/guest_fixture.hpp"
#include "tests/unit/storage/frontends/nvme/fake_disk.hpp"

namespace undercroft::test {

struct Line : InterruptLine {
    void set_level(bool high) override { is_high = high; }
    bool is_high = false;
};

using Bytes = std::vector<u8>;

class Fdc {
public:
    explicit Fdc(u64 sectors = 2880, bool read_only = false) {
        RamDiskOptions options;
        options.sectors = sectors;
        options.read_only = read_only;
        disk = std::make_shared<FakeDisk>(options);
        controller.add_drive(0);
        inserted = controller.insert(0, *Disk::create(disk)).has_value();
        if (!dma.add_to(bus) || !controller.add_to(bus)) {
            std::abort();
        }
    }
    ~Fdc() {
        disk->release();
        bool closed = false;
        detail::run_root(controller.close(), closed);
        time.pass(0);
        if (!closed) {
            std::abort();
        }
    }
    Fdc(const Fdc&) = delete;
    Fdc& operator=(const Fdc&) = delete;

    u8 status() { return in8(bus, 0x3F4); }
    void reset() {
        out8(bus, 0x3F2, 0x00);
        out8(bus, 0x3F2, 0x1C);
        time.pass(1000);
        for (u8 drive = 0; drive < 4; ++drive) {
            command({0x08});
        }
        out8(bus, 0x3F7, 0);  // 500 kbit/s
    }
    /// Writes a command; its work waits until time passes.
    void begin(const Bytes& bytes) {
        for (u8 byte : bytes) {
            REQUIRE((status() & 0xC0) == 0x80);
            out8(bus, 0x3F5, byte);
        }
    }
    /// Writes a command, lets it run, and takes the result.
    Bytes command(const Bytes& bytes) {
        begin(bytes);
        time.pass(1000);
        return result();
    }
    Bytes result() {
        Bytes bytes;
        while ((status() & 0xF0) == 0xD0 && bytes.size() < 16) {
            bytes.push_back(in8(bus, 0x3F5));
        }
        return bytes;
    }
    void program_dma(u8 mode, u32 address, u16 bytes) {
        out8(bus, 0x0A, 0x06);
        out8(bus, 0x0C, 0);
        out8(bus, 0x0B, mode);
        out8(bus, 0x04, address & 0xFF);
        out8(bus, 0x04, (address >> 8) & 0xFF);
        out8(bus, 0x81, address >> 16);
        out8(bus, 0x05, (bytes - 1) & 0xFF);
        out8(bus, 0x05, (bytes - 1) >> 8);
        out8(bus, 0x0A, 0x02);
    }
    Bytes read(u8 c, u8 h, u8 r, u8 last, u8 opcode = 0xE6) {
        return command({opcode, static_cast<u8>(h << 2), c, h, r, 2, last, 0x1B, 0xFF});
    }
    Bytes seek(u8 cylinder) {
        command({0x0F, 0, cylinder});
        return command({0x08});
    }
    Bytes memory_bytes(u64 address, usize count) {
        Bytes bytes(count);
        std::memcpy(bytes.data(), memory.at(address), count);
        return bytes;
    }
    void fill(u64 sector, const Bytes& bytes) { access(sector, bytes.size(), &bytes, nullptr); }
    Bytes medium(u64 sector, usize count) {
        Bytes bytes(count);
        access(sector, count, nullptr, &bytes);
        return bytes;
    }
    /// Puts another disk in the place of the one that is in the drive.
    std::shared_ptr<FakeDisk> change_medium(u64 sectors, bool read_only = false) {
        RamDiskOptions options;
        options.sectors = sectors;
        options.read_only = read_only;
        auto other = std::make_shared<FakeDisk>(options);
        REQUIRE(controller.remove(0));
        REQUIRE(controller.insert(0, *Disk::create(other)));
        return other;
    }
    static Bytes pattern(usize count, u8 seed) {
        Bytes bytes(count);
        for (usize at = 0; at < count; ++at) {
            bytes[at] = static_cast<u8>(at * 3 + at / 512 + seed);
        }
        return bytes;
    }

    TestTime time;
    TestMemory memory{2 * mib};
    GuestBus bus;
    Line line;
    floppy::DmaController dma{memory.guest()};
    floppy::Controller controller{{.interrupt = line, .dma = dma, .executor = time.executor()}};
    std::shared_ptr<FakeDisk> disk;
    bool inserted = false;

private:
    void access(u64 sector, usize count, const Bytes* from, Bytes* into) {
        Bytes copy(from != nullptr ? *from : Bytes(count));
        MemorySegment segment{reinterpret_cast<std::byte*>(copy.data()), copy.size()};
        std::optional<DiskResult<void>> outcome;
        detail::run_root(from != nullptr ? disk->inner().write(sector, {&segment, 1}, ForceUnitAccess::no, {})
                                         : disk->inner().read(sector, {&segment, 1}, {}),
                         outcome);
        if (!outcome || !*outcome) {
            std::abort();
        }
        if (into != nullptr) {
            *into = copy;
        }
    }
};

}  // namespace undercroft::test
