// Disks in fixed VHD files (storage/formats/vhd1.hpp): a `FileDisk` over all but the footer, which is written once, when
// the file is made, and never again.
#pragma once

#include <string>

#include "storage/disk.hpp"
#include "storage/formats/vhd1.hpp"

namespace undercroft {

struct Vhd1DiskOptions {
    bool direct = false;
    bool read_only = false;
    /// Makes the file, sparse, where there is none. One that exists must hold a disk of this size already.
    std::optional<u64> create_bytes{};
};

/// Opens the fixed VHD at `path`. A file that is damaged or no such VHD is left as it was. On failure: the reason,
/// without the path.
Task<Result<Disk, std::string>> open_vhd1_disk(std::string path, Vhd1DiskOptions options);

/// What the footer of `path` says, without opening the disk.
Result<Vhd1Info, std::string> check_vhd1_file(const std::string& path);

}  // namespace undercroft
