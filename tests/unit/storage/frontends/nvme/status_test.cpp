// The one table from disk errors to NVMe status, value by value.
#include <catch2/catch.hpp>

#include "storage/frontends/nvme/status.hpp"

using namespace undercroft;
using namespace undercroft::nvme;

TEST_CASE("every disk error has its NVMe status", "[nvme]") {
    struct Row {
        DiskError error;
        u16 status;
        bool do_not_retry;
    };
    const Row rows[] = {
        {DiskError::aborted_by_preempt, 0x01b, true},
        {DiskError::illegal_block, 0x080, true},
        {DiskError::invalid_input, 0x002, true},
        {DiskError::io, 0x006, false},
        {DiskError::medium_guard, 0x282, true},
        {DiskError::medium_reference_tag, 0x284, true},
        {DiskError::medium_application_tag, 0x283, true},
        {DiskError::medium_read, 0x281, true},
        {DiskError::medium_write, 0x280, true},
        {DiskError::memory_access, 0x004, false},
        {DiskError::read_only, 0x182, true},
        {DiskError::reservation_conflict, 0x083, true},
        {DiskError::unsupported_eject, 0x001, true},
        {DiskError::timed_out, 0x007, false},
        {DiskError::gone, 0x006, true},
        {DiskError::cancelled, 0x007, false},
    };
    REQUIRE(std::size(rows) == disk_error_count);
    for (const Row& row : rows) {
        INFO(to_string(row.error));
        Outcome outcome = outcome_of(row.error);
        CHECK(static_cast<u16>(outcome.status) == row.status);
        CHECK(outcome.do_not_retry == row.do_not_retry);
    }
}
