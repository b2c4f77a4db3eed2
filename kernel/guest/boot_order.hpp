// The order in which firmware tries the guest's disks: that of the configuration. A line for each, in the paths by which
// SeaBIOS knows devices (its file "bootorder"; Open Firmware device paths, PCI numbers as in the guest).
#pragma once

#include <string>
#include <string_view>

namespace undercroft {

class BootOrder {
public:
    /// All disks of the PCI function 00:`device`.0.
    void add_function(unsigned device);
    /// LUN `lun` of target 0 of the SCSI controller 00:`device`.0.
    void add_scsi(unsigned device, unsigned lun);
    /// A drive of the IDE controller 00:`device`.`function`.
    void add_ide(unsigned device, unsigned function, unsigned channel, unsigned place);
    void add_floppy(unsigned drive);
    /// What firmware gets.
    std::string_view text() const { return text_; }

private:
    void add(const char* path);

    std::string text_;
};

}  // namespace undercroft
