// One disk with everything it stands on, as the conformance suite meets it. Each kind of disk adds a factory to
// `all_disks` in disk_factories.cpp.
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "hostsim/platform/virtual_platform.hpp"
#include "storage/disk.hpp"

namespace undercroft::test {

/// The base of every fixture: executor and virtual time. Derived fixtures own what is below the disk, and release
/// `disk` before it.
class DiskFixture {
public:
    virtual ~DiskFixture() = default;

    SimulatedProcessors processors{1};
    std::optional<Disk> disk;
    /// Changes the size at the bottom of the stack; empty where that cannot be done.
    std::function<void(u64 sectors)> resize;

    /// Runs `task` to its end; a hang is a panic with a limit of one virtual hour.
    template <typename T>
    T run(Task<T> task) {
        return processors.run(std::move(task), 0, processors.now_ns() + 3600 * nanoseconds_per_second);
    }
    u32 sector_size() const { return disk->sector_size(); }
};

struct DiskRecipe {
    bool read_only = false;
    u64 sectors = 512;
};

struct DiskFactory {
    std::string name;
    std::function<std::unique_ptr<DiskFixture>(const DiskRecipe&)> make;
    bool makes_read_only = true;  ///< whether `DiskRecipe::read_only` is obeyed
};

const std::vector<DiskFactory>& all_disks();

/// A buffer of its own, cut into segments at arbitrary places.
class SplitBuffer {
public:
    /// `cuts`: 0 gives one segment; else about so many, at places drawn from `random`.
    SplitBuffer(usize size, usize cuts, std::mt19937_64& random) : bytes(size) {
        std::vector<usize> places{0, size};
        for (usize cut = 0; cut < cuts && size > 0; ++cut) {
            places.push_back(random() % size);
        }
        std::sort(places.begin(), places.end());
        for (usize index = 0; index + 1 < places.size(); ++index) {
            if (usize length = places[index + 1] - places[index]; length > 0) {
                list_.push_back({.data = bytes.data() + places[index], .size = length});
            }
        }
    }
    SplitBuffer(const SplitBuffer&) = delete;
    SplitBuffer& operator=(const SplitBuffer&) = delete;

    std::vector<std::byte> bytes;
    SegmentList segments() const { return list_; }
    void fill(std::mt19937_64& random) {
        for (std::byte& byte : bytes) {
            byte = static_cast<std::byte>(random());
        }
    }

private:
    std::vector<MemorySegment> list_;
};

}  // namespace undercroft::test
