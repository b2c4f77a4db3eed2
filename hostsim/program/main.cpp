// The Linux program: `undercroft-host VERB [OPTION]...`. Finds the verb, reads its command line, and lets it run.
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "hostsim/platform/log_sink.hpp"
#include "hostsim/program/exit_status.hpp"
#include "hostsim/program/verbs.hpp"
#include "kernel/config/object_reader.hpp"

namespace undercroft {

namespace {

void print_usage(FILE* out) {
    (void)fputs("Usage: undercroft VERB [OPTION]...\n\n", out);
    for (const Verb* verb : all_verbs()) {
        (void)fprintf(out, "  %-10s %s\n", verb->name, verb->summary);
    }
    (void)fputs("\n`undercroft VERB --help` explains each.\n", out);
}

int refuse(const std::string& why) {
    (void)fprintf(stderr, "undercroft: %s\n", why.c_str());
    return exit_status::usage;
}

int refuse_verb(std::string_view given) {
    std::vector<std::string_view> names;
    for (const Verb* verb : all_verbs()) {
        names.emplace_back(verb->name);
    }
    return refuse("there is no verb " + quoted(given) + suggestion(given, names));
}

int run_verb(const Verb& verb, std::span<char* const> arguments) {
    Result<CommandLine, std::string> line = CommandLine::parse(verb, arguments);
    if (!line) {
        return refuse(line.error() + "; see undercroft " + verb.name + " --help");
    }
    if (line->wants_help()) {
        (void)fputs(help_text(verb).c_str(), stdout);
        return exit_status::done;
    }
    return verb.run(*line);
}

int run(std::span<char* const> arguments) {
    if (arguments.size() < 2) {
        print_usage(stderr);
        return exit_status::usage;
    }
    std::string_view given = arguments[1];
    if (given == "--help" || given == "-h" || given == "help") {
        print_usage(stdout);
        return exit_status::done;
    }
    for (const Verb* verb : all_verbs()) {
        if (given == verb->name) {
            return run_verb(*verb, arguments.subspan(2));
        }
    }
    return refuse_verb(given);
}

}  // namespace

}  // namespace undercroft

int main(int count, char** arguments) {
    // A client that went away is an error of a write, not the end of the program.
    (void)signal(SIGPIPE, SIG_IGN);
    undercroft::log_to_standard_error();
    return undercroft::run({arguments, static_cast<undercroft::usize>(count)});
}
