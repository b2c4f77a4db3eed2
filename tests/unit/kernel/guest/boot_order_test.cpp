// The paths by which SeaBIOS knows the guest's disks, in the order in which they were named.
#include "kernel/guest/boot_order.hpp"

#include <catch2/catch.hpp>

namespace undercroft::test {
namespace {

TEST_CASE("boot order: a line for each disk, as the firmware looks for it") {
    BootOrder order;
    CHECK(order.text().empty());
    order.add_ide(1, 1, 1, 0);
    CHECK(order.text() == "/pci@i0cf8/ide@1,1/drive@1/disk@0");
    order.add_function(18);
    order.add_scsi(3, 12);
    order.add_floppy(1);
    CHECK(order.text() == "/pci@i0cf8/ide@1,1/drive@1/disk@0\n"
                          "/pci@i0cf8/disk@12\n"
                          "/pci@i0cf8/scsi@3/channel@0/disk@0,c\n"
                          "/pci@i0cf8/isa@1/fdc@03f0/floppy@1");
}

}  // namespace
}  // namespace undercroft::test
