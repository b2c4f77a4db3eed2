// disk info, disk check: what a disk is, and whether all of it is sound.
#include <stdio.h>

#include "hostsim/backends/sqlite_store.hpp"
#include "hostsim/program/disk_command.hpp"
#include "hostsim/program/exit_status.hpp"

namespace undercroft {

namespace {

constexpr u64 read_bytes = 1 * mib;

std::string id_text(const DiskFacts& facts) {
    std::string text;
    for (std::byte byte : facts.id.value_or(std::array<std::byte, 16>{})) {
        char digits[3];
        (void)snprintf(digits, sizeof(digits), "%02x", std::to_integer<unsigned>(byte));
        text += digits;
    }
    return facts.id ? text : "";
}

const char* unmap_text(UnmapBehavior behavior) {
    constexpr const char* texts[] = {"zeroes", "unspecified", "ignored"};
    return texts[static_cast<u8>(behavior)];
}

void print_json(const std::string& line, const Disk& disk) {
    const DiskFacts& facts = disk.facts();
    auto word = [](bool value) { return value ? "true" : "false"; };
    (void)printf("{\"disk\": %s, \"bytes\": %s, \"sectors\": %s, \"sector_size\": %u, \"physical_sector_size\": %u, ",
                 json_text(line).c_str(), decimal(disk.sector_count() * facts.sector_size).c_str(),
                 decimal(disk.sector_count()).c_str(), facts.sector_size, facts.physical_sector_size);
    (void)printf("\"id\": %s, \"read_only\": %s, \"fua\": %s, \"unmap\": \"%s\", \"unmap_sectors\": %u, "
                 "\"knows_holes\": %s}\n",
                 facts.id ? json_text(id_text(facts)).c_str() : "null", word(facts.read_only),
                 word(facts.fua_respected), unmap_text(facts.unmap), facts.optimal_unmap_sectors,
                 word(facts.knows_holes));
}

void print_text(const std::string& line, const Disk& disk) {
    const DiskFacts& facts = disk.facts();
    u64 bytes = disk.sector_count() * facts.sector_size;
    (void)printf("disk          %s\n", line.c_str());
    (void)printf("size          %s (%s bytes)\n", readable_size(bytes).c_str(), decimal(bytes).c_str());
    (void)printf("sectors       %s of %u bytes; %u physically\n", decimal(disk.sector_count()).c_str(),
                 facts.sector_size, facts.physical_sector_size);
    (void)printf("identifier    %s\n", facts.id ? id_text(facts).c_str() : "none");
    (void)printf("changes       %s\n", facts.read_only ? "refused (read-only)" : "taken");
    (void)printf("FUA           %s\n", facts.fua_respected ? "obeyed" : "not known: flush instead");
    (void)printf("unmap         %s, best in %u sectors\n", unmap_text(facts.unmap), facts.optimal_unmap_sectors);
    (void)printf("holes         %s\n", facts.knows_holes ? "known" : "not all known");
}

// Databases, row by row. Everything else is checked when it is opened.
int check_databases(DiskConfig& config) {
    int status = exit_status::done;
    visit_disks(config, [&](DiskConfig& one) {
        const std::string* path = nullptr;
        if (const auto* sqlite = std::get_if<SqliteDiskConfig>(&one.kind)) {
            path = &sqlite->path;
        } else if (const auto* diff = std::get_if<SqliteDiffConfig>(&one.kind)) {
            path = &diff->path;
        }
        if (path == nullptr) {
            return;
        }
        auto store = SqliteStore::open(*path, {});  // for itself: a reader beside others leaves files behind
        Result<void, std::string> sound = store ? (*store)->check() : fail(store.error());
        if (!sound) {
            status = refuse_disk(exit_status::failed, *path + " " + sound.error());
        }
    });
    return status;
}

// Reads what may be stored; the first sector that cannot be read ends it.
Task<int> read_everything(Disk disk) {
    std::vector<std::byte> buffer(read_bytes);
    u64 sectors_max = read_bytes / disk.sector_size();
    for (u64 at = 0; at < disk.sector_count();) {
        DiskResult<BlockStatus> status = co_await disk.block_status({.start = at, .count = disk.sector_count() - at});
        u64 count = status ? status->sectors : sectors_max;
        if (status && status->state == BlockState::zero) {
            at += count;
            continue;
        }
        count = std::min(count, sectors_max);
        MemorySegment segment{.data = buffer.data(), .size = count * disk.sector_size()};
        if (DiskResult<void> read = co_await disk.read(at, {&segment, 1}); !read) {
            co_return refuse_disk(exit_status::failed, "sectors " + decimal(at) + " to " + decimal(at + count - 1) +
                                                           " cannot be read: " + to_string(read.error()));
        }
        at += count;
    }
    co_return exit_status::done;
}

}  // namespace

int run_disk_info(const CommandLine& line) {
    const std::string& text = line.positional()[1];
    auto session = DiskSession::create();
    if (!session) {
        return refuse_disk(exit_status::refused_by_system, session.error());
    }
    std::optional<Disk> disk = (*session)->open(text, DiskAccess::read_only);
    if (!disk) {
        return exit_status::configuration_refused;
    }
    line.has("json") ? print_json(text, *disk) : print_text(text, *disk);
    return exit_status::done;
}

int run_disk_check(const CommandLine& line) {
    const std::string& text = line.positional()[1];
    std::optional<DiskConfig> config = read_disk_line(text);
    if (!config) {
        return exit_status::configuration_refused;
    }
    if (int status = check_databases(*config); status != exit_status::done) {
        return status;
    }
    auto session = DiskSession::create();
    if (!session) {
        return refuse_disk(exit_status::refused_by_system, session.error());
    }
    std::optional<Disk> disk = (*session)->open(text, DiskAccess::read_only);
    if (!disk) {
        return exit_status::failed;
    }
    if (line.has("read")) {
        if (int status = (*session)->run(read_everything(*disk)); status != exit_status::done) {
            return status;
        }
    }
    if (!line.has("quiet")) {
        (void)printf("sound: %s\n", readable_size(disk->sector_count() * disk->sector_size()).c_str());
    }
    return exit_status::done;
}

}  // namespace undercroft
