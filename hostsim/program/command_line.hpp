// The command line of a verb: a table of its options, and what was given. getopt_long does the reading; added are the
// refusals that say what to do (the nearest option that exists) and the text of --help.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/result.hpp"

namespace undercroft {

/// One `--name` of a verb.
struct OptionSpec {
    const char* name = nullptr;   ///< without the dashes
    const char* value = nullptr;  ///< what it takes, as --help names it: "PATH"; null for a flag
    const char* help = nullptr;   ///< one line
    bool repeatable = false;      ///< may be given several times
};

/// What a verb is to the program: a line in --help, its options, and its function.
struct Verb {
    const char* name;
    const char* summary;    ///< one line in the list of verbs
    const char* arguments;  ///< what stands behind the options: "[DISK]"
    const char* help;       ///< paragraphs under the table of options; may be empty
    std::span<const OptionSpec> options;
    usize positional_max;
    /// Does it; the result is the exit status (hostsim/program/exit_status.hpp).
    int (*run)(const class CommandLine& line);
};

/// What was given to a verb. Every name asked for must be in the verb's table.
class CommandLine {
public:
    /// Reads `arguments` (without program and verb). On failure a sentence that says what is wrong and what is there
    /// instead.
    static Result<CommandLine, std::string> parse(const Verb& verb, std::span<char* const> arguments);

    /// `--help` was given: nothing else was checked.
    bool wants_help() const { return wants_help_; }
    bool has(std::string_view name) const { return !values(name).empty(); }
    /// The last value of `name`; empty where it was not given.
    std::string_view value(std::string_view name) const;
    /// All values of `name`, in order; for a flag an empty text each time it was given.
    std::span<const std::string> values(std::string_view name) const;
    /// What is no option, in order.
    std::span<const std::string> positional() const { return positional_; }
    /// `name` as a whole number from `minimum` to `maximum`, `fallback` where it was not given; else what is wrong.
    Result<u64, std::string> number(std::string_view name, u64 fallback, u64 minimum, u64 maximum) const;

private:
    std::map<std::string, std::vector<std::string>, std::less<>> values_;
    std::vector<std::string> positional_;
    bool wants_help_ = false;
};

/// The text of `undercroft VERB --help`.
std::string help_text(const Verb& verb);

}  // namespace undercroft
