// disk convert: the copy with its progress bar, its note for going on, and a clean stop on SIGINT and SIGTERM.
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "hostsim/convert/convert_state.hpp"
#include "hostsim/convert/converter.hpp"
#include "hostsim/program/disk_command.hpp"
#include "hostsim/program/exit_status.hpp"
#include "hostsim/program/stop_signal.hpp"
#include "kernel/async/task_group.hpp"

namespace undercroft {

namespace {

constexpr u64 bar_interval_ns = 200 * nanoseconds_per_millisecond;
constexpr usize bar_width = 30;
constexpr u64 steps_without_terminal = 10;  // lines for the whole copy

// The bar on a terminal; a line now and then where there is none. Notes every checkpoint.
class Progress final : public ConvertObserver {
public:
    Progress(const char* doing, bool quiet, u64 start_bytes)
        : doing_(doing), quiet_(quiet), terminal_(isatty(STDERR_FILENO) != 0), start_bytes_(start_bytes),
          started_ns_(Executor::current().now_ns()) {}

    void note_in(std::string path, ConvertState state) {
        state_path_ = std::move(path);
        state_ = std::move(state);
    }
    void progress(const ConvertProgress& progress) override {
        u64 now = Executor::current().now_ns();
        bool ends = progress.done_bytes == progress.total_bytes;
        u64 step = progress.total_bytes == 0 ? 0 : progress.done_bytes * steps_without_terminal / progress.total_bytes;
        if (quiet_ || (terminal_ ? now < next_ns_ && !ends : step <= step_)) {
            return;
        }
        next_ns_ = now + bar_interval_ns;
        step_ = step;
        print(progress, now);
    }
    Result<void, std::string> checkpoint(u64 done_bytes) override {
        if (state_path_.empty()) {
            return {};
        }
        state_.done_bytes = done_bytes;
        return write_convert_state(state_path_, state_);
    }
    void end_line() {
        if (terminal_ && next_ns_ != 0) {
            (void)fputc('\n', stderr);
        }
    }

private:
    void print(const ConvertProgress& progress, u64 now) const {
        u64 total = std::max<u64>(progress.total_bytes, 1);
        u64 elapsed_ms = std::max<u64>((now - started_ns_) / nanoseconds_per_millisecond, 1);
        u64 rate = (progress.done_bytes - std::min(start_bytes_, progress.done_bytes)) * 1000 / elapsed_ms;
        std::string bar(progress.done_bytes * bar_width / total, '#');
        bar.resize(bar_width, '.');
        (void)fprintf(stderr, "%s%s [%s] %3llu %%  %s of %s  %s/s%s", terminal_ ? "\r\033[K" : "", doing_, bar.c_str(),
                      static_cast<unsigned long long>(progress.done_bytes * 100 / total),
                      readable_size(progress.done_bytes).c_str(), readable_size(progress.total_bytes).c_str(),
                      readable_size(rate).c_str(), terminal_ ? "" : "\n");
    }

    const char* doing_;
    bool quiet_;
    bool terminal_;
    u64 start_bytes_;
    u64 started_ns_;
    u64 next_ns_ = 0;
    u64 step_ = 0;
    std::string state_path_;
    ConvertState state_;
};

Task<void> stop_on_signal(StopSignal& signal, CancelSource& copy, CancelToken cancel) {
    if ((co_await signal.wait(cancel)).has_value()) {
        copy.cancel();
    }
}

struct Copy {
    Disk source;
    Disk target;
    std::string state_path;
    ConvertState state;
    bool fill;
    bool verify;
    bool quiet;
};

Task<Result<ConvertProgress, std::string>> copy_and_verify(Copy copy, StopSignal& signal) {
    CancelSource cancel;
    TaskGroup group;
    group.spawn(stop_on_signal(signal, cancel, group.token()));
    ConvertOptions options{.start_bytes = copy.state.done_bytes, .keep_holes = !copy.fill};
    Progress progress("copying", copy.quiet, copy.state.done_bytes);
    progress.note_in(copy.state_path, copy.state);
    auto outcome = co_await convert(copy.source, copy.target, options, progress, cancel.token());
    progress.end_line();
    if (outcome && copy.verify) {
        Progress comparing("comparing", copy.quiet, 0);
        auto same = co_await verify(copy.source, copy.target, options, comparing, cancel.token());
        comparing.end_line();
        if (!same) {
            outcome = fail(std::move(same.error()));
        }
    }
    group.stop();
    (void)co_await group.join();
    co_return outcome;
}

// The file under `disk` where there is exactly one: its copy's note lies beside it.
std::string note_path(DiskConfig& disk) {
    std::vector<std::string> paths;
    visit_disks(disk, [&](DiskConfig& one) {
        if (const auto* file = std::get_if<FileDiskConfig>(&one.kind)) {
            paths.push_back(file->path);
        } else if (const auto* vhd = std::get_if<Vhd1DiskConfig>(&one.kind)) {
            paths.push_back(vhd->path);
        } else if (const auto* sqlite = std::get_if<SqliteDiskConfig>(&one.kind)) {
            paths.push_back(sqlite->path);
        }
    });
    return paths.size() == 1 ? paths[0] + ".convert" : "";
}

// With --create: files that do not exist get the source's size.
void create_missing(DiskConfig& target, u64 bytes) {
    visit_disks(target, [&](DiskConfig& one) {
        std::visit(
            [&](auto& kind) {
                if constexpr (requires { kind.create_bytes; }) {
                    struct stat status{};
                    if (!kind.create_bytes && stat(kind.path.c_str(), &status) != 0) {
                        kind.create_bytes = bytes;
                    }
                }
            },
            one.kind);
    });
}

int run_copy(DiskSession& session, Copy copy, StopSignal& signal) {
    if (std::string problem = convert_problem(copy.source, copy.target); !problem.empty()) {
        return refuse_disk(exit_status::configuration_refused, problem);
    }
    std::string state_path = copy.state_path;
    auto outcome = session.run(copy_and_verify(std::move(copy), signal));
    if (!outcome) {
        bool stopped = outcome.error() == "cancelled";
        std::string on = state_path.empty() ? "" : "; the same command goes on from " + state_path;
        return refuse_disk(exit_status::failed, (stopped ? "stopped" : outcome.error()) + on);
    }
    if (!state_path.empty()) {
        unlink(state_path.c_str());
    }
    (void)printf("%s copied: %s of data, %s of zeros\n", readable_size(outcome->total_bytes).c_str(),
                 readable_size(outcome->copied_bytes).c_str(), readable_size(outcome->zero_bytes).c_str());
    return exit_status::done;
}

}  // namespace

int run_disk_convert(const CommandLine& line) {
    const std::string& source_line = line.positional()[1];
    const std::string& target_line = line.positional()[2];
    std::optional<DiskConfig> target_config = read_disk_line(target_line);
    if (!target_config) {
        return exit_status::configuration_refused;
    }
    StopSignal signal;
    auto session = DiskSession::create();
    if (!session) {
        return refuse_disk(exit_status::refused_by_system, session.error());
    }
    std::optional<Disk> source = (*session)->open(source_line, DiskAccess::read_only);
    if (!source) {
        return exit_status::configuration_refused;
    }
    u64 bytes = source->sector_count() * source->sector_size();
    if (line.has("create")) {
        create_missing(*target_config, bytes);
    }
    ConvertState state{.source = source_line, .target = target_line, .total_bytes = bytes};
    std::string state_path(line.has("state") ? std::string(line.value("state")) : note_path(*target_config));
    auto earlier = state_path.empty() ? std::optional<ConvertState>() : read_convert_state(state_path);
    if (!earlier) {
        return refuse_disk(exit_status::configuration_refused, earlier.error());
    }
    if (*earlier) {
        if ((*earlier)->source != source_line || (*earlier)->target != target_line ||
            (*earlier)->total_bytes != bytes) {
            return refuse_disk(exit_status::configuration_refused, state_path + " is the note of another copy (from " +
                                                                       (*earlier)->source +
                                                                       "): remove it to begin anew");
        }
        state.done_bytes = (*earlier)->done_bytes;
        (void)fprintf(stderr, "going on after %s\n", readable_size(state.done_bytes).c_str());
    }
    std::optional<Disk> target = (*session)->open(target_line, *target_config);
    if (!target) {
        return exit_status::configuration_refused;
    }
    return run_copy(**session,
                    {.source = *std::move(source),
                     .target = *std::move(target),
                     .state_path = state_path,
                     .state = state,
                     .fill = line.has("fill"),
                     .verify = line.has("verify"),
                     .quiet = line.has("quiet")},
                    signal);
}

}  // namespace undercroft
