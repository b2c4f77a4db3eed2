// The simulations' program: Catch2's own options, and `--seed N` for a run with one seed. Prints the seed of whatever
// fails or panics.
#define CATCH_CONFIG_RUNNER
#include "tests/simulation/main.hpp"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "hostsim/platform/log_sink.hpp"

namespace undercroft::test {

namespace {

std::optional<u64> seed_of_command_line;
volatile u64 seed_under_way = 0;

void on_abort(int) {
    char text[128];
    int length = snprintf(text, sizeof(text), "replay: simulation_tests --seed %llu\n",
                          static_cast<unsigned long long>(seed_under_way));
    [[maybe_unused]] ssize_t written = write(STDERR_FILENO, text, static_cast<size_t>(length));
}

}  // namespace

std::optional<u64> requested_seed() { return seed_of_command_line; }

void announce_seed(u64 seed) { seed_under_way = seed; }

}  // namespace undercroft::test

// NOLINTNEXTLINE(bugprone-exception-escape): Catch2 is built on exceptions; one that escapes ends the program, as it should
int main(int argc, char** argv) {
    using namespace undercroft;
    Catch::Session session;
    std::string seed;
    bool log = false;
    session.cli(session.cli() | Catch::clara::Opt(seed, "number")["--seed"]("run this seed alone") |
                Catch::clara::Opt(log)["--log"]("print the log of what runs"));
    if (int status = session.applyCommandLine(argc, argv); status != 0) {
        return status;
    }
    if (!seed.empty()) {
        test::seed_of_command_line = strtoull(seed.c_str(), nullptr, 0);
    }
    if (log) {
        log_to_standard_error();
    }
    struct sigaction action = {};
    action.sa_handler = &test::on_abort;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(SIGABRT, &action, nullptr);
    return session.run();
}
