// What the parts of verb `disk` share: disks from the command line, opened on an executor of the program's own, and the
// ways to print. Each part is one file, disk_*.cpp.
#pragma once

#include <string>

#include "hostsim/inspect/readable.hpp"
#include "hostsim/pipeline/host_environment.hpp"
#include "hostsim/platform/ring_platform.hpp"
#include "hostsim/program/command_line.hpp"

namespace undercroft {

enum class DiskAccess : u8 { as_given, read_only };

/// One run of the verb: an executor over io_uring, and what opens disks on it.
class DiskSession {
public:
    /// On failure: what to do about it; the exit status is then `refused_by_system`.
    static Result<std::unique_ptr<DiskSession>, std::string> create();

    /// Opens the disk that `line` describes. `read_only`: whatever can be opened so is, and nothing is made. On failure
    /// the reason has been printed.
    std::optional<Disk> open(const std::string& line, DiskAccess access);
    std::optional<Disk> open(const std::string& line, const DiskConfig& config);

    template <typename T>
    T run(Task<T> task) {
        return run_blocking(executor_, std::move(task));
    }

private:
    explicit DiskSession(std::unique_ptr<RingPlatform> platform);

    std::unique_ptr<RingPlatform> platform_;
    Executor executor_;
    HostPipelineEnvironment environment_;
};

/// The description in `line`; on failure its errors have been printed.
std::optional<DiskConfig> read_disk_line(const std::string& line);

/// Calls `visit` for `disk` and all below it.
template <typename Visit>
void visit_disks(DiskConfig& disk, Visit&& visit) {
    visit(disk);
    std::visit(
        [&](auto& kind) {
            if constexpr (requires { *kind.over; }) {
                visit_disks(*kind.over, visit);
            } else if constexpr (requires { kind.over.begin(); }) {
                for (DiskConfig& member : kind.over) {
                    visit_disks(member, visit);
                }
            }
        },
        disk.kind);
}

/// Prints `undercroft: WHY` and hands back `status`.
int refuse_disk(int status, const std::string& why);

/// `text` in quotes, as JSON (RFC 8259) has it.
std::string json_text(std::string_view text);

// The parts: their command line without the verb's name; they return the exit status.
int run_disk_create(const CommandLine& line);
int run_disk_key(const CommandLine& line);
int run_disk_info(const CommandLine& line);
int run_disk_check(const CommandLine& line);
int run_disk_map(const CommandLine& line);
int run_disk_convert(const CommandLine& line);

}  // namespace undercroft
