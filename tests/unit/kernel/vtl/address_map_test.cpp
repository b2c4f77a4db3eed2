// Translations at the edges of each range.
#include "kernel/vtl/address_map.hpp"

#include <catch2/catch.hpp>

namespace undercroft {
namespace {

const std::byte* at(u64 address) { return reinterpret_cast<const std::byte*>(address); }

TEST_CASE("each view of memory translates inside its ranges and refuses outside") {
    vtl2::BootInfo boot_info = {};
    boot_info.memory_bytes = 8 * mib;
    boot_info.memory_device_address = 0x7000'0000;
    boot_info.guest_range_count = 2;
    boot_info.guest_ranges[0] = {.guest_address = 0, .size_bytes = 2 * gib, .device_address = 0x0100'0000};
    boot_info.guest_ranges[1] = {.guest_address = 4 * gib, .size_bytes = gib, .device_address = 0x1'4000'0000};
    AddressMap map(boot_info);

    CHECK(map.guest_physical(at(vtl2::image_virtual + 8 * mib - 1)) == vtl2::memory_base + 8 * mib - 1);
    CHECK(*map.guest_physical_of_any(at(vtl2::guest_virtual + 4096), 4096) == 4096);
    CHECK(*map.guest_physical_of_any(at(vtl2::image_virtual), 8 * mib) == vtl2::memory_base);
    CHECK(map.guest_physical_of_any(at(vtl2::image_virtual), 8 * mib + 1).error() == Error::out_of_range);
    CHECK(map.guest_physical_of_any(at(vtl2::guest_virtual + 2 * gib - 1), 2).error() == Error::out_of_range);

    CHECK(map.device_window(at(vtl2::image_virtual + 0x1000))->address == 0x7000'1000);
    CHECK(map.device_window(at(vtl2::image_virtual + 0x1000))->size_bytes == 8 * mib - 0x1000);
    CHECK(map.device_window(at(vtl2::guest_virtual + 4 * gib + 5))->address == 0x1'4000'0005);
    CHECK(map.device_window(at(vtl2::guest_virtual + 3 * gib)).error() == Error::out_of_range);
    CHECK(map.device_window(at(vtl2::device_virtual)).error() == Error::out_of_range);
    CHECK(map.device_window(at(0)).error() == Error::out_of_range);

    CHECK(map.guest_memory()->total_bytes() == 3 * gib);
}

}  // namespace
}  // namespace undercroft
