// One disk with everything it stands on, as the conformance suite meets it, and how a kind of disk joins the suite:
//
//     const RegisterDisks disks{{.name = "file, 512", .make = [](const DiskRecipe& recipe) { ... }}};
//
// in a source that `undercroft_conformance_disks` (CMakeLists.txt) adds, from whichever folder under tests/. Disks that
// stand on others register as wrappers too, which the suite puts over disks that fail and that keep books.
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "hostsim/platform/virtual_platform.hpp"
#include "storage/bounce_pool.hpp"
#include "storage/disk.hpp"

namespace undercroft::test {

/// The base of every fixture. Derived fixtures own what is below the disk, and release `disk` before it.
class DiskFixture {
public:
    virtual ~DiskFixture() = default;

    std::optional<Disk> disk;
    /// Changes the size at the bottom of the stack, so that the disk's becomes `sectors` (a multiple of 8); empty where that
    /// cannot be done. Called on the executor and outside of it.
    std::function<void(u64 sectors)> resize;

    /// Where the disk's operations run.
    virtual Executor& executor() = 0;
    /// Runs that executor, and whatever else there is, until `done`. A hang ends the test.
    virtual void run_until(const std::function<bool()>& done) = 0;

    /// Runs `task` to its end.
    template <typename T>
    T run(Task<T> task) {
        std::optional<T> result;
        {
            CurrentExecutorScope scope(executor());
            detail::run_root(std::move(task), result);
        }
        run_until([&] { return result.has_value(); });
        return std::move(*result);
    }
    u32 sector_size() const { return disk->sector_size(); }
};

/// In virtual time: a hang is a panic after one virtual hour.
class VirtualTimeFixture : public DiskFixture {
public:
    Executor& executor() override { return processors.executor(0); }
    void run_until(const std::function<bool()>& done) override {
        processors.run_until(done, processors.now_ns() + 3600 * nanoseconds_per_second);
    }
    SimulatedProcessors processors{1};
};

struct DiskRecipe {
    bool read_only = false;
    u64 sectors = 512;  ///< a multiple of 8
};

struct DiskFactory {
    std::string name;
    std::function<std::unique_ptr<DiskFixture>(const DiskRecipe&)> make;
    bool makes_read_only = true;  ///< whether `DiskRecipe::read_only` is obeyed
};

/// Page-aligned bounce memory.
class BounceMemory {
public:
    explicit BounceMemory(usize pages) : pages_(pages), pool({pages_[0].bytes, sizeof(Page) * pages}) {}

private:
    struct alignas(page_size) Page {
        std::byte bytes[page_size];
    };
    std::vector<Page> pages_;

public:
    BouncePool pool;
};

/// A disk that stands on one other.
struct DiskWrapper {
    std::string name;
    /// Puts it over `below`, of 512 or 4096-byte sectors and a multiple of 8 sectors. `bounce` outlives it.
    std::function<Disk(Disk below, BounceSource& bounce)> wrap;
    bool forwards_reservations = true;
};

const std::vector<DiskFactory>& all_disks();
const std::vector<DiskWrapper>& all_wrappers();

class RegisterDisks {
public:
    RegisterDisks(std::initializer_list<DiskFactory> factories);
};

class RegisterWrappers {
public:
    RegisterWrappers(std::initializer_list<DiskWrapper> wrappers);
};

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
