// What one 4 KiB read costs in software: the disk handle, a layer, the RAM disk, encryption, and the emulated NVMe
// controller on top, each alone and together, on one core, with the share of each.
//
// Buffers are a ring of 16 pages, the disks 256 KiB, sectors in an order that no prefetcher guesses: what a
// second-level cache holds, so that software shows, and not the neighbours on the memory bus. Rounds are interleaved
// (each stack once, then all again), so that a neighbour who slows the machine slows them alike; a figure is the median
// of its rounds. Leaves out devices, interrupts and a guest: those are counted in the guest (VM exits) and by the
// conformance of the driver.
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "storage/scsi/block_unit.hpp"
#include "storage/scsi/target.hpp"
#include "tests/bench/nvme_stack.hpp"
#include "tests/bench/surroundings.hpp"

namespace undercroft {
namespace {

/// Reads through the disk interface, one after the other.
class DiskStack final : public Stack {
public:
    DiskStack(std::string name, Surroundings& surroundings, Disk disk)
        : Stack(std::move(name)), surroundings_(surroundings), disk_(std::move(disk)), sequence_(disk_.sector_size()) {}
    void run(usize operations) override {
        if (!run_blocking(surroundings_.executor, read_all(operations))) {
            give_up("a read failed");
        }
    }

private:
    Task<DiskResult<void>> read_all(usize operations) {
        for (usize index = 0; index < operations; ++index) {
            MemorySegment segment{.data = surroundings_.buffers[index % ring_pages].bytes, .size = io_bytes};
            CO_TRY(co_await disk_.read(sequence_.next(), {&segment, 1}));
        }
        co_return DiskResult<void>{};
    }
    Surroundings& surroundings_;
    Disk disk_;
    SectorSequence sequence_;
};

/// The cipher alone, over the same pages.
class CipherStack final : public Stack {
public:
    CipherStack(std::string name, Surroundings& surroundings, u32 unit_bytes)
        : Stack(std::move(name)), surroundings_(surroundings), unit_bytes_(unit_bytes), cipher_(create(surroundings)),
          sequence_(unit_bytes) {}
    void run(usize operations) override {
        for (usize index = 0; index < operations; ++index) {
            cipher_.decrypt(sequence_.next(), unit_bytes_, {surroundings_.bounce[0].bytes, io_bytes},
                            {surroundings_.buffers[index % ring_pages].bytes, io_bytes});
        }
    }

private:
    static XtsCipher create(Surroundings& surroundings) {
        Result<XtsCipher> cipher = XtsCipher::create(surroundings.key);
        if (!cipher) {
            give_up("no cipher");
        }
        return std::move(*cipher);
    }
    Surroundings& surroundings_;
    u32 unit_bytes_;
    XtsCipher cipher_;
    SectorSequence sequence_;
};

/// READ (16) or WRITE (16) through a SCSI target, one after the other.
class TargetStack final : public Stack {
public:
    TargetStack(std::string name, Surroundings& surroundings, const Disk& disk, scsi::Opcode opcode)
        : Stack(std::move(name)), surroundings_(surroundings), sequence_(disk.sector_size()),
          blocks_(static_cast<u8>(io_bytes / disk.sector_size())), opcode_(opcode) {
        CurrentExecutorScope scope(surroundings_.executor);
        if (!target_.add(0, std::make_shared<scsi::BlockUnit>(scsi::BlockUnitConfig{.disk = disk}))) {
            give_up("no unit");
        }
        (void)run_blocking(surroundings_.executor, transfer(1));  // the unit attention of power on
    }
    ~TargetStack() override { run_blocking(surroundings_.executor, target_.close()); }
    void run(usize operations) override {
        if (!run_blocking(surroundings_.executor, transfer(operations))) {
            give_up("a command failed");
        }
    }

private:
    Task<bool> transfer(usize operations) {
        bool good = true;
        for (usize index = 0; index < operations; ++index) {
            Be<u64> lba = sequence_.next();
            std::byte cdb[16] = {static_cast<std::byte>(opcode_)};
            std::memcpy(cdb + 2, &lba, sizeof(lba));
            cdb[13] = static_cast<std::byte>(blocks_);
            MemorySegment segment{.data = surroundings_.buffers[index % ring_pages].bytes, .size = io_bytes};
            scsi::Request request{.cdb = cdb, .tag = index};
            (opcode_ == scsi::Opcode::read_16 ? request.data_in : request.data_out) = {&segment, 1};
            scsi::Completion done = co_await target_.execute(0, request);
            good = good && done.status == scsi::Status::good;
        }
        co_return good;
    }
    Surroundings& surroundings_;
    SectorSequence sequence_;
    u8 blocks_;
    scsi::Opcode opcode_;
    scsi::Target target_;
};

void print_share(const char* name, double part, double whole) {
    std::printf("  %-52s %8.0f ns %8.0f %%\n", name, part, 100 * part / whole);
}

void print_aim(const char* what, double value, double aim, const char* spdk) {
    std::printf("  %-52s %8.0f ns, aim %.0f: ratio %.2f%s; SPDK: %s\n", what, value, aim, value / aim,
                value <= aim ? "" : "  (missed)", spdk);
}

int run_benchmark() {
    Surroundings around;
    constexpr u32 large = 4096;
    std::vector<std::unique_ptr<Stack>> stacks;
    auto add = [&](std::unique_ptr<Stack> stack) { return stacks.emplace_back(std::move(stack)).get(); };
    auto disk_stack = [&](const char* name, Disk disk) {
        return add(std::make_unique<DiskStack>(name, around, std::move(disk)));
    };
    auto controller_stack = [&](const char* name, Disk disk, u32 depth) {
        return add(std::make_unique<ControllerStack>(name, around, std::move(disk), depth));
    };
    Disk ram = around.filled(around.ram(large));
    Disk crypt_ram = around.filled(around.crypt(around.ram(large)));
    Stack* null = disk_stack("null disk", around.null(large));
    Stack* pass = disk_stack("pass-through -> null disk", around.pass_through(around.null(large)));
    Stack* pass_pass = disk_stack("pass-through -> pass-through -> null disk",
                                  around.pass_through(around.pass_through(around.null(large))));
    disk_stack("delay of nothing -> null disk", around.delay(around.null(large)));
    disk_stack("fault without rules -> null disk", around.fault(around.null(large)));
    disk_stack("reservations, nobody registered -> null disk", around.reservations(around.null(large), false));
    disk_stack("reservations, registered -> null disk", around.reservations(around.null(large), true));
    Stack* striped = disk_stack("striped -> two null disks", around.striped(around.null(large), around.null(large)));
    Stack* layer = disk_stack("a layer alone -> null disk", around.layered(around.null(large), false));
    disk_stack("RAM layer that has nothing -> null disk", around.layered(around.null(large), true));
    disk_stack("RAM layer that has all -> null disk", around.filled(around.layered(around.null(large), true)));
    Stack* memory = disk_stack("RAM disk", ram);
    Stack* cipher = add(std::make_unique<CipherStack>("(AES-256-XTS alone)", around, large));
    Stack* crypt_null = disk_stack("crypt -> null disk", around.crypt(around.null(large)));
    Stack* crypt = disk_stack("crypt -> RAM disk", crypt_ram);
    Stack* crypt_small =
        disk_stack("crypt -> RAM disk, sectors of 512 bytes", around.filled(around.crypt(around.ram(512))));
    Stack* controller_null = controller_stack("NVMe controller -> null disk, depth 1", around.null(large), 1);
    Stack* controller_null_32 = controller_stack("NVMe controller -> null disk, depth 32", around.null(large), 32);
    Stack* controller = controller_stack("NVMe controller -> crypt -> RAM disk, depth 1", crypt_ram, 1);
    Stack* controller_32 = controller_stack("NVMe controller -> crypt -> RAM disk, depth 32", crypt_ram, 32);
    add(std::make_unique<TargetStack>("SCSI target -> null disk, READ (16)", around, around.null(large),
                                      scsi::Opcode::read_16));
    add(std::make_unique<TargetStack>("SCSI target -> null disk, WRITE (16)", around, around.null(large),
                                      scsi::Opcode::write_16));
    (void)crypt_small;
    (void)controller_null;

    measure(stacks);
    std::printf("One 4 KiB read, one core, sectors of 4096 bytes unless it says otherwise (median of %zu rounds):\n",
                rounds);
    print(stacks);
    std::printf("\nShares of NVMe controller -> crypt -> RAM disk at depth 32:\n");
    double whole = controller_32->ns();
    print_share("NVMe controller and the guest's side of the ring", whole - crypt->ns(), whole);
    print_share("crypt: AES-256-XTS", cipher->ns(), whole);
    print_share("crypt: the layer around it", crypt->ns() - memory->ns() - cipher->ns(), whole);
    print_share("RAM disk (a copy of 4 KiB) and handle", memory->ns(), whole);
    std::printf("\nAgainst the aims, and what SPDK's bdev layer takes on this kind of machine:\n");
    print_aim("null disk through its handle", null->ns(), 80, "81 ns");
    print_aim("a pass-through layer more", (pass_pass->ns() - null->ns()) / 2, 35, "70-80 ns");
    print_aim("striped more", striped->ns() - null->ns(), 60, "87-105 ns");
    print_aim("layered more", layer->ns() - null->ns(), 60, "no such layer");
    print_aim("crypt -> null disk", crypt_null->ns(), 550, "1060-1170 ns");
    (void)pass;
    (void)controller;
    (void)controller_null_32;
    return 0;
}

}  // namespace
}  // namespace undercroft

int main() { return undercroft::run_benchmark(); }
