// disk map: where data, zeros and holes are. A hole is what the disk knows to be zero without storing it; zeros that are
// stored are found by reading (--read), in steps.
#include <stdio.h>

#include <cstring>

#include "hostsim/program/disk_command.hpp"
#include "hostsim/program/exit_status.hpp"

namespace undercroft {

namespace {

constexpr u64 step_bytes = 64 * kib;

enum class Extent : u8 { data, zero, hole, unknown };
constexpr const char* extent_names[] = {"data", "zero", "hole", "unknown"};

// Prints extents, alike neighbours as one.
class MapPrinter {
public:
    explicit MapPrinter(bool json) : json_(json) {
        (void)fputs(json ? "[" : "           start           length  what\n", stdout);
    }
    void add(u64 start, u64 length, Extent extent) {
        if (length_ > 0 && extent == extent_) {
            length_ += length;
            return;
        }
        print();
        start_ = start;
        length_ = length;
        extent_ = extent;
    }
    void finish() {
        print();
        if (json_) {
            (void)fputs("\n]\n", stdout);
        }
    }

private:
    void print() {
        if (length_ == 0) {
            return;
        }
        const char* name = extent_names[static_cast<u8>(extent_)];
        if (json_) {
            (void)printf("%s\n {\"start\": %s, \"length\": %s, \"what\": \"%s\"}", printed_ ? "," : "",
                         decimal(start_).c_str(), decimal(length_).c_str(), name);
        } else {
            (void)printf("%16s %16s  %s\n", decimal(start_).c_str(), decimal(length_).c_str(), name);
        }
        printed_ = true;
    }
    bool json_;
    bool printed_ = false;
    u64 start_ = 0;
    u64 length_ = 0;
    Extent extent_ = Extent::unknown;
};

Task<DiskResult<void>> read_extents(const Disk& disk, SectorRange range, MapPrinter& printer) {
    std::vector<std::byte> buffer(step_bytes);
    u64 sectors_max = step_bytes / disk.sector_size();
    for (u64 at = range.start; at < range.start + range.count;) {
        // Steps are counted from the disk's beginning, so that the map does not depend on where runs begin.
        u64 count = std::min(sectors_max - at % sectors_max, range.start + range.count - at);
        MemorySegment segment{.data = buffer.data(), .size = count * disk.sector_size()};
        CO_TRY(co_await disk.read(at, {&segment, 1}));
        bool zero =
            segment.data[0] == std::byte{0} && std::memcmp(segment.data, segment.data + 1, segment.size - 1) == 0;
        printer.add(at * disk.sector_size(), segment.size, zero ? Extent::zero : Extent::data);
        at += count;
    }
    co_return DiskResult<void>{};
}

Task<DiskResult<void>> print_map(Disk disk, bool read, MapPrinter& printer) {
    for (u64 at = 0; at < disk.sector_count();) {
        BlockStatus status = CO_TRY(co_await disk.block_status({.start = at, .count = disk.sector_count() - at}));
        SectorRange range{.start = at, .count = status.sectors};
        if (read && status.state != BlockState::zero) {
            CO_TRY(co_await read_extents(disk, range, printer));
        } else {
            constexpr Extent extents[] = {Extent::data, Extent::hole, Extent::unknown};
            printer.add(at * disk.sector_size(), range.count * disk.sector_size(),
                        extents[static_cast<u8>(status.state)]);
        }
        at += range.count;
    }
    co_return DiskResult<void>{};
}

}  // namespace

int run_disk_map(const CommandLine& line) {
    auto session = DiskSession::create();
    if (!session) {
        return refuse_disk(exit_status::refused_by_system, session.error());
    }
    std::optional<Disk> disk = (*session)->open(line.positional()[1], DiskAccess::read_only);
    if (!disk) {
        return exit_status::configuration_refused;
    }
    MapPrinter printer(line.has("json"));
    DiskResult<void> printed = (*session)->run(print_map(*disk, line.has("read"), printer));
    printer.finish();
    if (!printed) {
        return refuse_disk(exit_status::failed, std::string("the disk cannot be read: ") + to_string(printed.error()));
    }
    return exit_status::done;
}

}  // namespace undercroft
