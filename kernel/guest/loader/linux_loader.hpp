// Loads a Linux kernel (bzImage, protocol 2.12 or later) by the 64-bit boot protocol: checks the image, places kernel,
// initial RAM disk, command line, zero page, GDT and identity page tables in guest memory, and says in which state the
// boot processor begins. Left out: the 16- and 32-bit entries, EFI, ELF kernels, Xen notes.
// Source: Linux Documentation/arch/x86/boot.rst and zero-page.rst.
#pragma once

#include <span>
#include <string_view>

#include "kernel/base/result.hpp"
#include "kernel/guest/memory.hpp"
#include "kernel/spec/tlfs.hpp"

namespace undercroft {

/// Why a kernel was not loaded: `code`, and a sentence for whoever started the machine that says what to do about it.
struct LoadError {
    Error code = Error::malformed;
    char text[200] = {};
};

/// Where a kernel or an initial RAM disk comes from: a file of firmware configuration, or memory. Read once, straight
/// to where it belongs.
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

struct LinuxImage {
    ImageSource& kernel;
    ImageSource* initrd = nullptr;  ///< null or empty: none
    std::string_view command_line;
    u64 acpi_rsdp_address = 0;  ///< for boot_params.acpi_rsdp_addr; 0: the guest scans. GuestPlatform fills it in.
};

/// The boot processor's state at the kernel's first instruction; what is not named is as after INIT.
struct LinuxStart {
    tlfs::InitialVpContext context;
    u64 rsi;  ///< address of the zero page
};

/// Loads `image`. Nothing in `memory` changes before everything has been checked.
Result<LinuxStart, LoadError> load_linux(const GuestMemory& memory, const LinuxImage& image);

}  // namespace undercroft
