// What a disk's caller is told of each ending and status of an NVMe command, and of a range that is none.
#include "storage/backends/nvme_disk.hpp"

#include <catch2/catch.hpp>

#include "tests/support/nvme_rig.hpp"

namespace undercroft {
namespace {

using nvme::Status;
using nvme::host::Ending;

DiskError error_after(Status status) {
    return disk_error_of({.ending = Ending::completed, .status = nvme::StatusField::make(status, true, true)});
}

}  // namespace

TEST_CASE("each ending of an NVMe command has its disk error") {
    CHECK(disk_error_of({.ending = Ending::interrupted, .status = {}}) == DiskError::timed_out);
    CHECK(disk_error_of({.ending = Ending::timed_out, .status = {}}) == DiskError::timed_out);
    CHECK(disk_error_of({.ending = Ending::failed, .status = {}}) == DiskError::io);
    CHECK(disk_error_of({.ending = Ending::gone, .status = {}}) == DiskError::gone);
    CHECK(disk_error_of({.ending = Ending::cancelled, .status = {}}) == DiskError::cancelled);
}

TEST_CASE("each NVMe status that means something of its own has its disk error") {
    CHECK(error_after(Status::aborted_by_preempt) == DiskError::aborted_by_preempt);
    CHECK(error_after(Status::lba_out_of_range) == DiskError::illegal_block);
    CHECK(error_after(Status::capacity_exceeded) == DiskError::illegal_block);
    CHECK(error_after(Status::invalid_field) == DiskError::invalid_input);
    CHECK(error_after(Status::invalid_opcode) == DiskError::invalid_input);
    CHECK(error_after(Status::command_size_limit_exceeded) == DiskError::invalid_input);
    CHECK(error_after(Status::guard_check_error) == DiskError::medium_guard);
    CHECK(error_after(Status::reference_tag_check_error) == DiskError::medium_reference_tag);
    CHECK(error_after(Status::application_tag_check_error) == DiskError::medium_application_tag);
    CHECK(error_after(Status::unrecovered_read_error) == DiskError::medium_read);
    CHECK(error_after(Status::deallocated_block) == DiskError::medium_read);
    CHECK(error_after(Status::write_fault) == DiskError::medium_write);
    CHECK(error_after(Status::data_transfer_error) == DiskError::memory_access);
    CHECK(error_after(Status::prp_offset_invalid) == DiskError::memory_access);
    CHECK(error_after(Status::namespace_write_protected) == DiskError::read_only);
    CHECK(error_after(Status::write_to_read_only_range) == DiskError::read_only);
    CHECK(error_after(Status::reservation_conflict) == DiskError::reservation_conflict);
    CHECK(error_after(Status::abort_requested) == DiskError::timed_out);
    CHECK(error_after(Status::invalid_namespace_or_format) == DiskError::gone);
    CHECK(error_after(Status::internal_error) == DiskError::io);
    CHECK(error_after(static_cast<Status>(0x7ff)) == DiskError::io);
}

TEST_CASE("the disk checks the range of block status itself: it may have shrunk since the handle looked") {
    test::NvmeRig rig({.sectors = 256});
    REQUIRE(rig.open().has_value());
    NvmeDisk& disk = *rig.nvme_disk;
    REQUIRE(rig.run(disk.block_status({.start = 0, .count = 256}, {})).value().sectors == 256);
    REQUIRE(rig.run(disk.block_status({.start = 1, .count = 256}, {})).error() == DiskError::illegal_block);
    REQUIRE(rig.run(disk.block_status({.start = 257, .count = 1}, {})).error() == DiskError::illegal_block);
    REQUIRE(rig.run(disk.block_status({.start = ~u64{0}, .count = 2}, {})).error() == DiskError::illegal_block);
}

}  // namespace undercroft
