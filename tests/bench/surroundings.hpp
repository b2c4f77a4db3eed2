// What the stacks of the pipeline benchmark stand on: one executor, its memory, and disks of every kind.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "hostsim/platform/real_platform.hpp"
#include "storage/backends/ram_disk.hpp"
#include "storage/layers/crypt_disk.hpp"
#include "storage/layers/delay_disk.hpp"
#include "storage/layers/fault_disk.hpp"
#include "storage/layers/layered_disk.hpp"
#include "storage/layers/ram_layer.hpp"
#include "storage/layers/reservations_disk.hpp"
#include "storage/layers/striped_disk.hpp"
#include "storage/layers/whole_disk_layer.hpp"
#include "tests/bench/give_up.hpp"
#include "tests/support/test_disks.hpp"

namespace undercroft {

inline constexpr usize io_bytes = 4096;
inline constexpr u64 disk_bytes = 256 * kib;
inline constexpr usize ring_pages = 16;

struct alignas(page_size) BenchPage {
    std::byte bytes[page_size];
};

template <typename T, typename E>
T need(Result<T, E> result, const char* what) {
    if (!result) {
        give_up(what);
    }
    if constexpr (!std::is_void_v<T>) {
        return std::move(*result);
    }
}

/// Platform, executor, memory and bounce pages that all stacks share.
struct Surroundings {
    Surroundings() : bounce(64), pool({bounce[0].bytes, bounce.size() * page_size}), buffers(ring_pages) {
        for (usize index = 0; index < key.size(); ++index) {
            key[index] = static_cast<std::byte>(index);
        }
    }
    RealPlatform platform;
    Executor executor{platform};
    std::vector<BenchPage> bounce;
    BouncePool pool;
    std::vector<BenchPage> buffers;
    std::array<std::byte, XtsCipher::key_bytes> key;

    Disk null(u32 sector_size, u64 bytes = disk_bytes) {
        return need(Disk::create(std::make_shared<test::NullDisk>(bytes / sector_size, sector_size)), "null disk");
    }
    Disk pass_through(Disk below) {
        return need(Disk::create(std::make_shared<test::PassThroughDisk>(std::move(below))), "pass-through");
    }
    Disk crypt(Disk below) {
        return need(Disk::create(need(CryptDisk::create(std::move(below), key, pool), "crypt")), "crypt");
    }
    Disk striped(Disk first, Disk second) {
        return need(Disk::create(need(StripedDisk::create({std::move(first), std::move(second)}), "striped")),
                    "striped disk");
    }
    Disk delay(Disk below) {
        return need(Disk::create(need(DelayDisk::create(std::move(below), {}), "delay")), "delay");
    }
    Disk fault(Disk below) {
        return need(Disk::create(need(FaultDisk::create(std::move(below), {}), "fault")), "fault");
    }
    Disk reservations(Disk below, bool registered) {
        Disk disk = need(Disk::create(ReservationsDisk::create(std::move(below))), "reservations");
        if (registered) {
            need(run_blocking(executor, disk.reservations()->register_key({.new_key = 1}, {})), "register");
            need(run_blocking(executor, disk.reservations()->reserve(1, ReservationType::exclusive_access, {})),
                 "reserve");
        }
        return disk;
    }
    /// `below` as the only layer, or under a RAM layer.
    Disk layered(Disk below, bool with_ram) {
        std::vector<LayerPlacement> layers;
        if (with_ram) {
            layers.push_back({.layer = need(RamLayer::create({.sector_size = below.sector_size()}), "RAM layer")});
        }
        layers.push_back({.layer = std::make_shared<WholeDiskLayer>(std::move(below))});
        return need(Disk::create(need(LayeredDisk::create(std::move(layers)), "layered")), "layered disk");
    }
    Disk ram(u32 sector_size, u64 bytes = disk_bytes) {
        return need(
            Disk::create(
                need(RamDisk::create({.sectors = bytes / sector_size, .sector_size = sector_size, .id = {}}), "RAM")),
            "RAM disk");
    }
    /// Writes every sector through `disk`, so that reads find data.
    Disk filled(Disk disk) {
        std::vector<std::byte> bytes(disk.sector_count() * disk.sector_size());
        for (usize index = 0; index < bytes.size(); ++index) {
            bytes[index] = static_cast<std::byte>(index * 31 >> 4);
        }
        MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
        if (!run_blocking(executor, disk.write(0, {&segment, 1}))) {
            give_up("cannot fill a disk");
        }
        return disk;
    }
};

}  // namespace undercroft
