// What one 4 KiB read or write costs in the controllers that guests see, on one core: NVMe, virtio-scsi, virtio-blk and
// IDE bus master, over a disk that stores nothing and one in memory, with the guest's side of the rings and registers.
// Leaves out the guest and its exits: those are counted in the guest (30-exits.sh).
#include "tests/bench/ide_stack.hpp"
#include "tests/bench/nvme_stack.hpp"
#include "tests/bench/virtio_stack.hpp"

namespace undercroft {
namespace {

int run_benchmark() {
    Surroundings around;
    std::vector<std::unique_ptr<Stack>> stacks;
    constexpr u32 sector_bytes = 512;
    struct Below {
        const char* name;
        Disk disk;
    };
    Below disks[] = {{"null disk", around.null(sector_bytes)}, {"RAM disk", around.filled(around.ram(sector_bytes))}};
    IdeStack* ide = nullptr;
    for (const Below& below : disks) {
        std::string over = std::string(" -> ") + below.name;
        for (u32 depth : {1U, 32U}) {
            std::string at_depth = over + ", depth " + std::to_string(depth);
            stacks.push_back(
                std::make_unique<ControllerStack>("NVMe" + at_depth + ", read", around, below.disk, depth));
            for (bool writes : {false, true}) {
                std::string name = at_depth + (writes ? ", write" : ", read");
                stacks.push_back(std::make_unique<VirtioStack>("virtio-scsi" + name, around, below.disk,
                                                               VirtioProtocol::scsi, depth, writes));
                stacks.push_back(std::make_unique<VirtioStack>("virtio-blk" + name, around, below.disk,
                                                               VirtioProtocol::block, depth, writes));
            }
        }
        for (bool writes : {false, true}) {
            auto stack = std::make_unique<IdeStack>("IDE DMA" + over + (writes ? ", write" : ", read"), around,
                                                    below.disk, writes);
            ide = stack.get();
            stacks.push_back(std::move(stack));
        }
    }
    measure(stacks);
    std::printf(
        "One 4 KiB read or write through a controller, one core, sectors of 512 bytes (median of %zu rounds):\n",
        rounds);
    print(stacks);
    std::printf("An IDE transfer takes %llu accesses of registers, whatever the depth; in a guest, an exit each.\n",
                static_cast<unsigned long long>(ide->accesses_of_one()));
    return 0;
}

}  // namespace
}  // namespace undercroft

int main() { return undercroft::run_benchmark(); }
