// The last step of opening: a handle for what was opened.
#pragma once

#include <memory>
#include <string>

#include "storage/disk.hpp"

namespace undercroft {

/// A handle for `implementation`, or why its facts cannot be those of a disk.
inline Result<Disk, std::string> disk_of(std::shared_ptr<DiskInterface> implementation) {
    DiskResult<Disk> disk = Disk::create(std::move(implementation));
    if (!disk) {
        return fail(std::string("is too large, or contradicts itself"));
    }
    return std::move(*disk);
}

}  // namespace undercroft
