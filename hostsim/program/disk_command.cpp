// Opening disks for verb `disk`, and its small texts.
#include "hostsim/program/disk_command.hpp"

#include <stdio.h>

#include "hostsim/program/exit_status.hpp"
#include "kernel/inspect/json_text.hpp"

namespace undercroft {

namespace {

void print_errors(const ConfigErrors& errors, const std::string& line) {
    for (const ConfigError& error : errors) {
        (void)fprintf(stderr, "undercroft: %s\n%s", to_string(error).c_str(), caret_lines(error, line).c_str());
    }
}

void make_read_only(DiskConfig& disk) {
    visit_disks(disk, [](DiskConfig& one) {
        std::visit(
            [](auto& kind) {
                if constexpr (requires { kind.read_only; }) {
                    kind.read_only = true;
                }
                if constexpr (requires { kind.create_bytes; }) {
                    kind.create_bytes.reset();
                }
            },
            one.kind);
    });
}

}  // namespace

Result<std::unique_ptr<DiskSession>, std::string> DiskSession::create() {
    std::unique_ptr<RingPlatform> platform = TRY(RingPlatform::create());
    return std::unique_ptr<DiskSession>(new DiskSession(std::move(platform)));
}

DiskSession::DiskSession(std::unique_ptr<RingPlatform> platform)
    : platform_(std::move(platform)), executor_(*platform_), environment_({&executor_}) {}

std::optional<DiskConfig> read_disk_line(const std::string& line) {
    Result<DiskConfig, ConfigErrors> config = parse_disk(line, "DISK");
    if (!config) {
        print_errors(config.error(), line);
        return std::nullopt;
    }
    return std::move(*config);
}

std::optional<Disk> DiskSession::open(const std::string& line, const DiskConfig& config) {
    Result<Disk, ConfigErrors> disk = run(build_pipeline(config, environment_));
    environment_.wipe_keys();
    if (!disk) {
        print_errors(disk.error(), line);
        return std::nullopt;
    }
    return std::move(*disk);
}

std::optional<Disk> DiskSession::open(const std::string& line, DiskAccess access) {
    std::optional<DiskConfig> config = read_disk_line(line);
    if (!config) {
        return std::nullopt;
    }
    if (access == DiskAccess::read_only) {
        make_read_only(*config);
    }
    environment_.read_databases_in_use(access == DiskAccess::read_only);
    std::optional<Disk> disk = open(line, *config);
    environment_.read_databases_in_use(false);
    return disk;
}

int refuse_disk(int status, const std::string& why) {
    (void)fprintf(stderr, "undercroft: %s\n", why.c_str());
    return status;
}

std::string json_text(std::string_view text) {
    std::string json;
    inspect::append_json_text(json, text);
    return json;
}

}  // namespace undercroft
