// Loads a Linux kernel (bzImage, protocol 2.12 or later) by the 64-bit boot protocol: checks the image, places kernel,
// initial RAM disk, command line, zero page, GDT and identity page tables in guest memory, and says in which state the
// boot processor begins. Left out: the 16- and 32-bit entries, EFI, ELF kernels, Xen notes.
// Source: Linux Documentation/arch/x86/boot.rst and zero-page.rst.
#pragma once

#include <string_view>

#include "kernel/guest/loader/image_source.hpp"
#include "kernel/guest/memory.hpp"
#include "kernel/spec/tlfs.hpp"

namespace undercroft {

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
