// Where what a loader places in guest memory comes from, and why it was not placed.
#pragma once

#include <span>

#include "kernel/base/result.hpp"

namespace undercroft {

/// Why an image was not loaded: `code`, and a sentence for whoever started the machine that says what to do about it.
struct LoadError {
    Error code = Error::malformed;
    char text[200] = {};
};

/// A `LoadError` with a text as of printf.
__attribute__((format(printf, 2, 3))) std::unexpected<LoadError> refuse_image(Error code, const char* format, ...);

/// Where a kernel, an initial RAM disk or firmware comes from: a file of firmware configuration, or memory. Read once,
/// straight to where it belongs.
class ImageSource {
public:
    virtual ~ImageSource() = default;
    virtual u64 size_bytes() = 0;
    /// Fills `into`, which may be guest memory, from `offset_bytes`; the loader stays within `size_bytes`.
    virtual Result<void> read(u64 offset_bytes, std::span<std::byte> into) = 0;
};

/// An image that lies in memory of ours.
class MemoryImage : public ImageSource {
public:
    explicit MemoryImage(std::span<const std::byte> bytes) : bytes_(bytes) {}
    u64 size_bytes() override { return bytes_.size(); }
    Result<void> read(u64 offset_bytes, std::span<std::byte> into) override;

private:
    std::span<const std::byte> bytes_;
};

}  // namespace undercroft
