// The child writes its report to a pipe; its standard error goes to another.
#include "hostsim/simulation/probe.hpp"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

namespace undercroft::simulation {

namespace {

u64 real_now_ns() {
    timespec now{};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<u64>(now.tv_sec) * nanoseconds_per_second + static_cast<u64>(now.tv_nsec);
}

std::string line_of(const HistoryEntry& entry) {
    return "h " + std::to_string(entry.at_ns) + " " + std::to_string(entry.first_sector) + " " +
           std::to_string(entry.sectors) + " " + entry.text + "\n";
}

std::string serialize(const Report& report) {
    std::string text = "d " + std::to_string(report.digest) + " " + std::to_string(report.counters.operations) + "\n";
    if (report.problem_sector) {
        text += "s " + std::to_string(*report.problem_sector) + "\n";
    }
    for (const std::string& problem : report.problems) {
        text += "p " + problem + "\n";
    }
    for (const HistoryEntry& entry : report.history) {
        text += line_of(entry);
    }
    return text + "e\n";
}

void read_line(std::string_view line, Finding& finding) {
    std::string rest(line.substr(std::min<usize>(2, line.size())));
    char* at = rest.data();
    switch (line.empty() ? '?' : line[0]) {
    case 'd':
        finding.digest = strtoull(at, &at, 10);
        finding.operations = strtoull(at, &at, 10);
        break;
    case 's':
        finding.sector = strtoull(at, &at, 10);
        break;
    case 'p':
        finding.problems.push_back(std::move(rest));
        break;
    case 'h': {
        HistoryEntry entry;
        entry.at_ns = strtoull(at, &at, 10);
        entry.first_sector = strtoull(at, &at, 10);
        entry.sectors = strtoull(at, &at, 10);
        entry.text = *at == ' ' ? at + 1 : at;
        finding.history.push_back(std::move(entry));
        break;
    }
    default:
        break;
    }
}

[[noreturn]] void run_child(u64 seed, const RunOptions& options, int report_file, int error_file) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGABRT, SIG_DFL);
    (void)dup2(error_file, STDERR_FILENO);
    std::string text = serialize(simulate(seed, options));
    for (usize done = 0; done < text.size();) {
        ssize_t written = write(report_file, text.data() + done, text.size() - done);
        if (written <= 0) {
            _exit(1);
        }
        done += static_cast<usize>(written);
    }
    _exit(0);
}

/// Reads both files until their ends, or until `deadline_ns`; false then.
bool read_all(int (&files)[2], std::string (&texts)[2], u64 deadline_ns) {
    usize open = 2;
    while (open > 0) {
        u64 now = real_now_ns();
        if (now >= deadline_ns) {
            return false;
        }
        pollfd polled[2] = {{files[0], POLLIN, 0}, {files[1], POLLIN, 0}};
        (void)poll(polled, 2, static_cast<int>((deadline_ns - now) / nanoseconds_per_millisecond) + 1);
        for (usize index = 0; index < 2; ++index) {
            if (polled[index].revents == 0) {
                continue;
            }
            char buffer[16384];
            ssize_t got = read(files[index], buffer, sizeof(buffer));
            if (got > 0) {
                texts[index].append(buffer, static_cast<usize>(got));
            } else {
                close(std::exchange(files[index], -1));
                --open;
            }
        }
    }
    return true;
}

/// The line of a panic or a sanitizer's report that says what it is about.
std::string headline(const std::string& errors) {
    for (const char* mark : {"panic at ", "ERROR: ", "runtime error: "}) {
        if (usize at = errors.find(mark); at != errors.npos) {
            return errors.substr(at, errors.find('\n', at) - at);
        }
    }
    return errors.substr(0, errors.find('\n'));
}

}  // namespace

Finding probe(u64 seed, const RunOptions& options, u64 limit_ns) {
    int reports[2];
    int errors[2];
    if (pipe(reports) != 0 || pipe(errors) != 0) {
        Finding finding;
        finding.failed = true;
        finding.problem = "no pipe can be made";
        finding.problems = {finding.problem};
        return finding;
    }
    (void)fflush(stdout);
    (void)fflush(stderr);
    pid_t child = fork();
    if (child == 0) {
        close(reports[0]);
        close(errors[0]);
        run_child(seed, options, reports[1], errors[1]);
    }
    close(reports[1]);
    close(errors[1]);
    int files[2] = {reports[0], errors[0]};
    std::string texts[2];
    bool ended = child > 0 && read_all(files, texts, real_now_ns() + limit_ns);
    int status = 0;
    if (child > 0) {
        if (!ended) {
            (void)kill(child, SIGKILL);
        }
        (void)waitpid(child, &status, 0);
    }
    for (int file : files) {
        if (file >= 0) {
            close(file);
        }
    }
    Finding finding;
    for (usize at = 0; at < texts[0].size();) {
        usize end = std::min(texts[0].find('\n', at), texts[0].size());
        read_line(std::string_view(texts[0]).substr(at, end - at), finding);
        at = end + 1;
    }
    if (!ended) {
        finding.problems = {"not through after " + std::to_string(limit_ns / nanoseconds_per_second) + " s"};
    } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        finding.problems.insert(finding.problems.begin(), headline(texts[1]));
    }
    finding.failed = !finding.problems.empty();
    finding.problem = finding.failed ? finding.problems[0] : "";
    return finding;
}

std::string kind_of(const std::string& problem) {
    std::string kind;
    for (char letter : problem.substr(0, problem.find(';'))) {
        bool digit = letter >= '0' && letter <= '9';
        if (!digit || kind.empty() || kind.back() != '#') {
            kind += digit ? '#' : letter;
        }
    }
    return kind;
}

}  // namespace undercroft::simulation
