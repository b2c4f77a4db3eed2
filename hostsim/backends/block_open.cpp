// From a path to a disk on a block device: what the device is and can do.
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include <bit>
#include <fstream>

#include "hostsim/backends/block_disk.hpp"
#include "hostsim/backends/file_open.hpp"
#include "hostsim/backends/open_disk.hpp"
#include "kernel/config/identifiers.hpp"

namespace undercroft {

namespace {

constexpr u32 sector_bytes_max = 65536;

// A number of the device's queue in sysfs; nothing where the kernel has none. A partition has its disk's queue.
std::optional<u64> queue_limit(dev_t device, const char* name) {
    std::string folder = "/sys/dev/block/" + decimal(major(device)) + ":" + decimal(minor(device));
    for (const char* queue : {"/queue/", "/../queue/"}) {
        std::ifstream file(folder + queue + name);
        u64 value = 0;
        if (file >> value) {
            return value;
        }
    }
    return std::nullopt;
}

DiscardMethod discard_method(dev_t device) {
    // A hole is made by writing zeros that may unmap, and by nothing else.
    if (queue_limit(device, "write_zeroes_max_bytes").value_or(0) > 0) {
        return DiscardMethod::punch;
    }
    return queue_limit(device, "discard_max_bytes").value_or(0) > 0 ? DiscardMethod::discard : DiscardMethod::none;
}

Result<BlockDeviceFacts, std::string> look_at(const FileDescriptor& file, bool read_only) {
    struct stat status{};
    if (fstat(file.get(), &status) != 0) {
        return fail("cannot be looked at: " + system_error_text(errno));
    }
    if (!S_ISBLK(status.st_mode)) {
        return fail(std::string("is no block device: use file:PATH"));
    }
    BlockDeviceFacts facts;
    int logical = 0;
    unsigned physical = 0;
    int device_is_read_only = 0;
    if (ioctl(file.get(), BLKSSZGET, &logical) != 0 || ioctl(file.get(), BLKPBSZGET, &physical) != 0 ||
        ioctl(file.get(), BLKGETSIZE64, &facts.size_bytes) != 0 ||
        ioctl(file.get(), BLKROGET, &device_is_read_only) != 0) {
        return fail("does not tell its sizes: " + system_error_text(errno));
    }
    facts.sector_size = static_cast<u32>(logical);
    if (logical < 512 || facts.sector_size > sector_bytes_max || !std::has_single_bit(facts.sector_size)) {
        return fail("has sectors of " + decimal(facts.sector_size) + " bytes, which no disk here can have");
    }
    facts.physical_sector_size =
        std::has_single_bit(physical) ? std::max(physical, facts.sector_size) : facts.sector_size;
    facts.read_only = read_only || device_is_read_only != 0;
    facts.discard = discard_method(status.st_rdev);
    u64 granularity = queue_limit(status.st_rdev, "discard_granularity").value_or(0);
    facts.discard_granularity = static_cast<u32>(std::clamp<u64>(granularity, facts.sector_size, gib));
    return facts;
}

Task<Result<Disk, std::string>> open_device(std::string path, BlockDiskOptions options) {
    struct stat status{};
    if (stat(path.c_str(), &status) == 0 && !S_ISBLK(status.st_mode)) {
        co_return fail(std::string("is no block device: use file:PATH"));
    }
    OpenOptions how{.direct = options.direct, .read_only = options.read_only, .exclusive = !options.read_only};
    FileDescriptor file = CO_TRY(co_await open_locked(path, how));
    BlockDeviceFacts facts = CO_TRY(look_at(file, options.read_only));
    // The kernel gives the file system of the device's node, not the device; what it accepts is a logical block.
    DirectAlignment alignment{};
    if (options.direct) {
        alignment = {.memory = facts.sector_size, .offset = facts.sector_size};
    }
    co_return disk_of(std::make_shared<BlockDisk>(std::move(file), alignment, facts));
}

}  // namespace

Task<Result<Disk, std::string>> open_block_disk(std::string path, BlockDiskOptions options) {
    return open_device(std::move(path), options);
}

}  // namespace undercroft
