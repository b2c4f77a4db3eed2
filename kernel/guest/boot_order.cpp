// Paths of devices.
#include "kernel/guest/boot_order.hpp"

#include <cstdio>

#include "kernel/guest/chipset/pci_host.hpp"

namespace undercroft {

namespace {
constexpr unsigned path_bytes_max = 64;
}

void BootOrder::add(const char* path) {
    if (!text_.empty()) {
        text_ += '\n';
    }
    text_ += path;
}

void BootOrder::add_function(unsigned device) {
    char path[path_bytes_max];
    (void)std::snprintf(path, sizeof(path), "/pci@i0cf8/disk@%x", device);
    add(path);
}

void BootOrder::add_scsi(unsigned device, unsigned lun) {
    char path[path_bytes_max];
    (void)std::snprintf(path, sizeof(path), "/pci@i0cf8/scsi@%x/channel@0/disk@0,%x", device, lun);
    add(path);
}

void BootOrder::add_ide(unsigned device, unsigned function, unsigned channel, unsigned place) {
    char path[path_bytes_max];
    (void)std::snprintf(path, sizeof(path), "/pci@i0cf8/ide@%x,%x/drive@%x/disk@%x", device, function, channel, place);
    add(path);
}

void BootOrder::add_floppy(unsigned drive) {
    char path[path_bytes_max];
    (void)std::snprintf(path, sizeof(path), "/pci@i0cf8/isa@%x/fdc@03f0/floppy@%x", PciHost::isa_bridge_device, drive);
    add(path);
}

}  // namespace undercroft
