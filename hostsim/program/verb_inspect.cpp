// Verb inspect: looks into a running `serve` or a running image, and changes its live settings.
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

#include "hostsim/inspect/client.hpp"
#include "hostsim/inspect/control_place.hpp"
#include "hostsim/inspect/tree_text.hpp"
#include "hostsim/program/exit_status.hpp"
#include "hostsim/program/verbs.hpp"
#include "kernel/config/identifiers.hpp"

namespace undercroft {

namespace {

constexpr usize paths_max = 64;
constexpr u64 interval_ms_default = 1000;
constexpr u64 interval_ms_max = 3'600'000;

constexpr OptionSpec options[] = {
    {.name = "control",
     .value = "WHERE",
     .help = "unix:PATH, where the program listens (default: the only one that runs)"},
    {.name = "json", .value = nullptr, .help = "print JSON, a line for each PATH"},
    {.name = "watch", .value = nullptr, .help = "print again and again, with what grew a second, until Ctrl-C"},
    {.name = "interval", .value = "MILLISECONDS", .help = "between two looks with --watch (default: 1000)"},
    {.name = "list", .value = nullptr, .help = "print where programs listen"},
};

constexpr char help[] =
    "Prints the tree of all that is alive in a running `undercroft serve`, or in the image of a running `undercroft\n"
    "boot`: all of it, or what is at each PATH.\n"
    "PATH=VALUE changes a setting; settings are shown with '=' and what they take.\n"
    "Exit status: 0 done, or stopped; 1 wrong command line; 20 nobody listens, or no answer; 21 refused: no such "
    "path,\n"
    "or a value that cannot be.";

std::atomic<bool> interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free);

void on_signal(int) { interrupted = true; }

void end_on_signals() {
    struct sigaction action = {};
    action.sa_handler = &on_signal;
    (void)sigaction(SIGINT, &action, nullptr);
    (void)sigaction(SIGTERM, &action, nullptr);
}

int refuse(int status, const std::string& why) {
    (void)fprintf(stderr, "undercroft: %s\n", why.c_str());
    return status;
}

Result<std::string, std::string> find_socket(const CommandLine& line) {
    if (line.has("control")) {
        std::string_view where = line.value("control");
        return std::string(where.starts_with("unix:") ? where.substr(5) : where);
    }
    std::vector<std::string> running = running_programs();
    if (running.size() == 1) {
        return running.front();
    }
    if (running.empty()) {
        return std::unexpected("nothing runs that could be looked into: no program listens in " + control_folder() +
                               "; start `undercroft serve`, or name its --control");
    }
    std::string list;
    for (const std::string& path : running) {
        list += "\n  --control unix:" + path;
    }
    return std::unexpected("several programs run; say which:" + list);
}

u64 now_ns() {
    timespec now{};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<u64>(now.tv_sec) * nanoseconds_per_second + static_cast<u64>(now.tv_nsec);
}

/// Prints answers, one look after the other.
class Printer {
public:
    Printer(InspectClient client, std::vector<std::string> requests, bool json)
        : client_(std::move(client)), requests_(std::move(requests)), json_(json) {}

    /// One look; the exit status.
    int look(bool is_watching) {
        std::string text;
        NumbersSeen seen;
        u64 at_ns = now_ns();
        for (const std::string& request : requests_) {
            Result<std::string, std::string> line = client_.ask(request, interrupted);
            if (!line) {
                return interrupted ? exit_status::done : refuse(exit_status::refused_by_system, line.error());
            }
            Result<InspectAnswer, std::string> answer = parse_answer(*line);
            if (!answer) {
                (void)fputs(text.c_str(), stdout);
                return refuse(exit_status::failed, answer.error());
            }
            TreeTextOptions options{.path = path_of(request),
                                    .before = before_.empty() ? nullptr : &before_,
                                    .elapsed_ns = at_ns - before_ns_};
            text += json_ ? answer->json + "\n" : tree_text(*answer, options, seen);
        }
        if (is_watching && !json_ && isatty(STDOUT_FILENO) != 0) {
            text.insert(0, "\033[H\033[2J");
        } else if (is_watching && !json_) {
            text += "\n";
        }
        (void)fputs(text.c_str(), stdout);
        (void)fflush(stdout);
        before_ = std::move(seen);
        before_ns_ = at_ns;
        return ferror(stdout) != 0 ? exit_status::refused_by_system : exit_status::done;
    }

    int watch(u64 interval_ms) {
        int status = exit_status::done;
        while (status == exit_status::done && !interrupted) {
            status = look(true);
            u64 wake_ns = now_ns() + interval_ms * nanoseconds_per_millisecond;
            while (!interrupted && now_ns() < wake_ns) {
                u64 rest_ns = std::min(wake_ns - now_ns(), 100 * nanoseconds_per_millisecond);
                timespec pause{.tv_sec = 0, .tv_nsec = static_cast<long>(rest_ns)};
                (void)nanosleep(&pause, nullptr);  // a signal ends it early
            }
        }
        return status;
    }

private:
    static std::string path_of(const std::string& request) {
        std::string path = request.substr(0, request.find('='));
        while (path.ends_with('/')) {
            path.pop_back();
        }
        return path.substr(std::min(path.find_first_not_of('/'), path.size()));
    }

    InspectClient client_;
    std::vector<std::string> requests_;
    bool json_;
    NumbersSeen before_;
    u64 before_ns_ = 0;
};

int run(const CommandLine& line) {
    Result<u64, std::string> interval_ms = line.number("interval", interval_ms_default, 1, interval_ms_max);
    if (!interval_ms) {
        return refuse(exit_status::usage, interval_ms.error());
    }
    if (line.has("list")) {
        for (const std::string& path : running_programs()) {
            (void)printf("unix:%s\n", path.c_str());
        }
        return exit_status::done;
    }
    std::vector<std::string> requests(line.positional().begin(), line.positional().end());
    for (const std::string& request : requests) {
        if (line.has("watch") && request.find('=') != std::string::npos) {
            return refuse(exit_status::usage, "--watch is for looking: set " + quoted(request) + " without it");
        }
    }
    if (requests.empty()) {
        requests.emplace_back("/");
    }
    end_on_signals();
    Result<std::string, std::string> path = find_socket(line);
    if (!path) {
        return refuse(exit_status::refused_by_system, path.error());
    }
    Result<InspectClient, std::string> client = InspectClient::open(*path);
    if (!client) {
        return refuse(exit_status::refused_by_system, client.error());
    }
    Printer printer(std::move(*client), std::move(requests), line.has("json"));
    return line.has("watch") ? printer.watch(*interval_ms) : printer.look(false);
}

}  // namespace

const Verb verb_inspect{.name = "inspect",
                        .summary = "Look into a running program or image, and change its live settings",
                        .arguments = "[PATH | PATH=VALUE]...",
                        .help = help,
                        .options = options,
                        .positional_max = paths_max,
                        .run = &run};

}  // namespace undercroft
