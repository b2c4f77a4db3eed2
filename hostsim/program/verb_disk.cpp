// Verb disk: makes, describes, checks, copies and maps disks, and makes keys. Finds the part that was asked for.
#include "hostsim/program/disk_command.hpp"
#include "hostsim/program/exit_status.hpp"
#include "hostsim/program/verbs.hpp"
#include "kernel/config/object_reader.hpp"

namespace undercroft {

namespace {

constexpr OptionSpec options[] = {
    {.name = "json", .value = nullptr, .help = "info, map: print JSON"},
    {.name = "read", .value = nullptr, .help = "check, map: read what is stored, not only what is known of it"},
    {.name = "create", .value = nullptr, .help = "convert: make the target, as large as the source"},
    {.name = "fill", .value = nullptr, .help = "convert: write zeros out, and leave no holes"},
    {.name = "verify", .value = nullptr, .help = "convert: compare both afterwards"},
    {.name = "state", .value = "PATH", .help = "convert: where the note is by which a stopped copy goes on"},
    {.name = "quiet", .value = nullptr, .help = "convert, check: no progress"},
};

constexpr char help[] =
    "  create DISK             make the file that DISK says with create=SIZE; nothing that exists is touched\n"
    "  info DISK               sizes, identifier, and what the disk can do\n"
    "  check DISK              look whether everything under DISK is sound\n"
    "  convert SOURCE TARGET   copy; zeros stay holes; stopped and called again it goes on where it was\n"
    "  map DISK                where data, zeros and holes are\n"
    "  key PATH                make a key for crypt: 64 random bytes in a file that only you can read\n\n"
    "DISK is in the one-line grammar (docs/disks.md). Examples are in docs/disk-command.md.\n"
    "Exit status: 0 done, 1 wrong command line, 13 disk refused, 20 no file or io_uring, 21 failed, stopped or "
    "unsound.";

struct Part {
    const char* name;
    usize arguments;
    int (*run)(const CommandLine& line);
};

constexpr Part parts[] = {
    {.name = "create", .arguments = 1, .run = run_disk_create},
    {.name = "info", .arguments = 1, .run = run_disk_info},
    {.name = "check", .arguments = 1, .run = run_disk_check},
    {.name = "convert", .arguments = 2, .run = run_disk_convert},
    {.name = "map", .arguments = 1, .run = run_disk_map},
    {.name = "key", .arguments = 1, .run = run_disk_key},
};

int run(const CommandLine& line) {
    std::vector<std::string_view> names;
    for (const Part& part : parts) {
        names.emplace_back(part.name);
        if (line.positional().empty() || line.positional()[0] != part.name) {
            continue;
        }
        if (line.positional().size() - 1 != part.arguments) {
            return refuse_disk(exit_status::usage, std::string("disk ") + part.name + " takes " +
                                                       (part.arguments == 1 ? "one argument" : "two arguments") +
                                                       "; see undercroft disk --help");
        }
        return part.run(line);
    }
    if (line.positional().empty()) {
        return refuse_disk(exit_status::usage, "disk needs to be told what to do; see undercroft disk --help");
    }
    const std::string& given = line.positional()[0];
    return refuse_disk(exit_status::usage, "disk cannot " + quoted(given) + suggestion(given, names));
}

}  // namespace

const Verb verb_disk{.name = "disk",
                     .summary = "Make, describe, check, copy and map disks, and make keys",
                     .arguments = "create|info|check|convert|map|key ARGUMENT...",
                     .help = help,
                     .options = options,
                     .positional_max = 3,
                     .run = &run};

}  // namespace undercroft
