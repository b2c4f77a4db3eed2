// The IDE controller of ours with a host that reads or writes by bus master as Linux's ata_piix does, port by port, as a
// line of a benchmark.
#pragma once

#include "kernel/spec/ata.hpp"
#include "storage/frontends/ide/controller.hpp"
#include "tests/bench/stack.hpp"
#include "tests/support/nvme_guest.hpp"

namespace undercroft {

class IdeStack final : public Stack, private InterruptLine, private GuestPause {
public:
    /// `disk` has sectors of 512 bytes.
    IdeStack(std::string name, Surroundings& surroundings, const Disk& disk, bool writes)
        : Stack(std::move(name)), surroundings_(surroundings), writes_(writes), sequence_(disk.sector_size()) {
        CurrentExecutorScope scope(surroundings_.executor);
        auto controller = ide::Controller::create({.memory = arena_.memory(),
                                                   .interrupts = {this, &unused_},
                                                   .pause = *this,
                                                   .executors = {&surroundings_.executor, &surroundings_.executor}});
        if (!controller) {
            give_up("no IDE controller");
        }
        controller_ = std::move(*controller);
        if (!controller_->attach_disk(0, 0, disk, {.model = "bench", .serial = "1"}) || !controller_->add_to(bus_)) {
            give_up("no IDE disk");
        }
        controller_->write_config(0x04, 0x0005, 0xFFFF);
        table_ = static_cast<u32>(arena_.allocate(page_size));
        u64 buffer = arena_.allocate(io_bytes);
        arena_.write(table_, static_cast<u32>(buffer));
        arena_.write(table_ + 4, u32{io_bytes} | 0x8000'0000U);
    }
    ~IdeStack() override { run_blocking(surroundings_.executor, controller_->close()); }

    void run(usize operations) override {
        CurrentExecutorScope scope(surroundings_.executor);
        for (usize count = 0; count < operations; ++count) {
            transfer(sequence_.next());
        }
    }
    /// Port accesses of one transfer: in a guest, an exit each.
    u64 accesses_of_one() {
        u64 before = accesses_;
        run(1);
        return accesses_ - before;
    }

private:
    static constexpr u16 base = 0x1F0;
    static constexpr u16 alternate_status = 0x3F6;
    static constexpr u8 ready = 0x50;
    static constexpr u64 master_command = 0;
    static constexpr u64 master_status = 2;
    static constexpr u64 master_table = 4;

    struct Unused final : InterruptLine {
        void set_level(bool) override {}
    };
    void set_level(bool high) override { raised_ = high; }
    u32 pause() override { return 0; }
    void resume(u32) override {}

    u8 in(u16 port) {
        ++accesses_;
        return static_cast<u8>(bus_.read_port(port, AccessSize::byte));
    }
    void out(u16 port, u64 value) {
        ++accesses_;
        bus_.write_port(port, AccessSize::byte, value & 0xFF);
    }
    u8 master_in(u64 offset) {
        ++accesses_;
        return static_cast<u8>(controller_->read_bar(4, offset, AccessSize::byte));
    }
    void master_out(u64 offset, AccessSize size, u64 value) {
        ++accesses_;
        controller_->write_bar(4, offset, size, value);
    }
    // The accesses and their order are those of libata's SFF functions for a command with 48-bit addresses.
    void transfer(u64 sector) {
        constexpr u64 sectors = io_bytes / 512;
        u8 direction = writes_ ? 0 : 8;
        (void)in(alternate_status);
        for (unsigned upper : {1U, 0U}) {
            out(base + 2, sectors >> (8 * upper));
            out(base + 3, sector >> (24 * upper));
            out(base + 4, sector >> (8 + 24 * upper));
            out(base + 5, sector >> (16 + 24 * upper));
        }
        out(base + 6, 0xE0);
        (void)in(alternate_status);
        master_out(master_table, AccessSize::dword, table_);
        (void)master_in(master_command);
        master_out(master_command, AccessSize::byte, direction);
        out(base + 7, writes_ ? 0x35 : 0x25);
        (void)in(alternate_status);
        master_out(master_command, AccessSize::byte, master_in(master_command) | 1U);
        while (!raised_) {
            surroundings_.executor.run_ready();
        }
        bool finished = (master_in(master_status) & 4) != 0;
        master_out(master_command, AccessSize::byte, master_in(master_command) & ~1U);
        (void)in(alternate_status);
        bool idle = (in(alternate_status) & 0x80) == 0;
        bool good = in(base + 7) == ready;
        master_out(master_status, AccessSize::byte, master_in(master_status));
        if (!finished || !idle || !good || raised_) {
            give_up("an IDE transfer failed");
        }
    }

    Surroundings& surroundings_;
    bool writes_;
    SectorSequence sequence_;
    test::GuestArena arena_{4 * mib};
    GuestBus bus_;
    Unused unused_;
    bool raised_ = false;
    u64 accesses_ = 0;
    u32 table_ = 0;
    std::unique_ptr<ide::Controller> controller_;
};

}  // namespace undercroft
