// The files that QEMU hands its guest (fw_cfg): a directory read once, and files read by name. Access is through the
// monitor, which copies straight to where the bytes belong. Left out: writing, the legacy items other than the
// directory. Source: QEMU docs/specs/fw_cfg.rst.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "kernel/base/result.hpp"

namespace undercroft {

/// How bytes of an item are read: by the monitor in the image, from memory in tests.
class FirmwareConfigTransport {
public:
    virtual ~FirmwareConfigTransport() = default;
    /// Fills `into` with the bytes of item `selector` from `offset_bytes` on.
    virtual Result<void> read(u16 selector, u64 offset_bytes, std::span<std::byte> into) = 0;
};

struct FirmwareFile {
    u16 selector;
    u32 size_bytes;
};

class FirmwareConfig {
public:
    static constexpr usize files_max = 256;
    static constexpr usize name_bytes_max = 56;  ///< with the terminating zero

    /// Reads the directory. `malformed` where it holds more than `files_max` files; errors of the transport.
    static Result<FirmwareConfig> open(FirmwareConfigTransport& transport);

    /// `not_found` where there is none of that name.
    Result<FirmwareFile> find(std::string_view name) const;
    /// Reads `into.size()` bytes from `offset_bytes`; `out_of_range` beyond the file's end.
    Result<void> read(const FirmwareFile& file, u64 offset_bytes, std::span<std::byte> into) const;
    /// A whole file. `not_found`, or `out_of_range` where it is larger than `bytes_max`.
    Result<std::vector<std::byte>> read_file(std::string_view name, usize bytes_max) const;

private:
    struct Entry {
        FirmwareFile file;
        char name[name_bytes_max];
    };
    explicit FirmwareConfig(FirmwareConfigTransport& transport) : transport_(&transport) {}

    FirmwareConfigTransport* transport_;
    std::vector<Entry> entries_;
};

}  // namespace undercroft
