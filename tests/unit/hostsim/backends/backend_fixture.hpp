// What the tests of the host's backends share: an executor over io_uring, a folder that goes away, and whole-buffer
// reads and writes.
#pragma once

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "hostsim/platform/ring_platform.hpp"
#include "storage/disk.hpp"

namespace undercroft::test {

class TemporaryFolder {
public:
    TemporaryFolder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "undercroft-test-XXXXXX").string();
        path_ = mkdtemp(pattern.data());
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

/// An executor over a ring of its own, and shorthands for what tests do with disks on it.
struct BackendFixture {
    std::unique_ptr<RingPlatform> platform = std::move(*RingPlatform::create());
    Executor executor{*platform};
    TemporaryFolder folder;

    template <typename T>
    T run(Task<T> task) {
        return run_blocking(executor, std::move(task));
    }
    Disk open(Task<Result<Disk, std::string>> task) {
        Result<Disk, std::string> disk = run(std::move(task));
        INFO((disk ? "" : disk.error()));
        REQUIRE(disk.has_value());
        return *disk;
    }
    std::string refusal(Task<Result<Disk, std::string>> task) {
        Result<Disk, std::string> disk = run(std::move(task));
        REQUIRE(!disk.has_value());
        return disk.error();
    }
    DiskResult<void> write(const Disk& disk, u64 sector, u8 value, u64 sectors,
                           ForceUnitAccess fua = ForceUnitAccess::no) {
        std::vector<std::byte> bytes(sectors * disk.sector_size(), std::byte{value});
        MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
        return run(disk.write(sector, {&segment, 1}, fua));
    }
    /// The one value that all bytes of the sectors have; -1 where they differ, -2 where reading failed.
    int read(const Disk& disk, u64 sector, u64 sectors = 1) {
        std::vector<std::byte> bytes(sectors * disk.sector_size(), std::byte{0xee});
        MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
        if (!run(disk.read(sector, {&segment, 1}))) {
            return -2;
        }
        bool alike = std::all_of(bytes.begin(), bytes.end(), [&](std::byte byte) { return byte == bytes[0]; });
        return alike ? std::to_integer<int>(bytes[0]) : -1;
    }
    BlockStatus status(const Disk& disk, u64 sector, u64 sectors) {
        return run(disk.block_status({.start = sector, .count = sectors})).value();
    }
};

inline std::string file_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline void set_file_text(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace undercroft::test
