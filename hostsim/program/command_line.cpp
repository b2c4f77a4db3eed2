// CommandLine over getopt_long.
#include "hostsim/program/command_line.hpp"

#include <getopt.h>
#include <stdio.h>

#include <charconv>

#include "kernel/base/assert.hpp"
#include "kernel/config/object_reader.hpp"

namespace undercroft {

namespace {

constexpr int first_option = 1000;
constexpr int help_option = 999;

std::vector<option> getopt_table(const Verb& verb) {
    std::vector<option> table;
    int index = first_option;
    for (const OptionSpec& spec : verb.options) {
        table.push_back({spec.name, spec.value != nullptr ? required_argument : no_argument, nullptr, index++});
    }
    table.push_back({"help", no_argument, nullptr, help_option});
    table.push_back({nullptr, 0, nullptr, 0});
    return table;
}

std::string unknown_option(const Verb& verb, std::string_view given) {
    std::vector<std::string> names{"--help"};
    for (const OptionSpec& spec : verb.options) {
        names.push_back(std::string("--") + spec.name);
    }
    std::vector<std::string_view> candidates(names.begin(), names.end());
    std::string_view word = given.substr(0, given.find('='));
    return std::string(verb.name) + " has no option " + quoted(word) + suggestion(word, candidates);
}

}  // namespace

Result<CommandLine, std::string> CommandLine::parse(const Verb& verb, std::span<char* const> arguments) {
    CommandLine line;
    for (const OptionSpec& spec : verb.options) {
        line.values_[spec.name];
    }
    std::vector<option> table = getopt_table(verb);
    std::string name = verb.name;
    std::vector<char*> words{name.data()};
    words.insert(words.end(), arguments.begin(), arguments.end());
    words.push_back(nullptr);
    optind = 0;  // start over, GNU's way
    opterr = 0;
    int count = static_cast<int>(words.size()) - 1;
    while (true) {
        int at = optind == 0 ? 1 : optind;
        int found = getopt_long(count, words.data(), "-:h", table.data(), nullptr);  // NOLINT(concurrency-mt-unsafe)
        if (found == -1) {
            break;
        }
        if (found == 1) {
            line.positional_.emplace_back(optarg);
        } else if (found == 'h' || found == help_option) {
            line.wants_help_ = true;
            return line;
        } else if (found == ':') {
            return std::unexpected(std::string(words[static_cast<usize>(optind - 1)]) + " needs a value");
        } else if (found >= first_option) {
            const OptionSpec& spec = verb.options[static_cast<usize>(found - first_option)];
            std::vector<std::string>& values = line.values_[spec.name];
            if (!values.empty() && spec.value != nullptr && !spec.repeatable) {
                return std::unexpected(std::string("--") + spec.name + " is given twice");
            }
            values.emplace_back(optarg != nullptr ? optarg : "");
        } else {
            return std::unexpected(unknown_option(verb, words[static_cast<usize>(at)]));
        }
    }
    for (int rest = optind; rest < count; ++rest) {
        line.positional_.emplace_back(words[static_cast<usize>(rest)]);
    }
    if (line.positional_.size() > verb.positional_max) {
        return std::unexpected(std::string(verb.name) + " has no use for " +
                               quoted(line.positional_[verb.positional_max]));
    }
    return line;
}

std::span<const std::string> CommandLine::values(std::string_view name) const {
    auto found = values_.find(name);
    ASSERT(found != values_.end());
    return found->second;
}

std::string_view CommandLine::value(std::string_view name) const {
    std::span<const std::string> all = values(name);
    return all.empty() ? std::string_view() : std::string_view(all.back());
}

Result<u64, std::string> CommandLine::number(std::string_view name, u64 fallback, u64 minimum, u64 maximum) const {
    if (!has(name)) {
        return fallback;
    }
    std::string_view text = value(name);
    u64 number = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || number < minimum || number > maximum) {
        return std::unexpected("--" + std::string(name) + " is " + quoted(text) + "; it has to be a number from " +
                               std::to_string(minimum) + " to " + std::to_string(maximum));
    }
    return number;
}

std::string help_text(const Verb& verb) {
    std::string text = std::string("Usage: undercroft ") + verb.name + " [OPTION]... " + verb.arguments + "\n\n" +
                       verb.summary + ".\n\n";
    char row[512];
    for (const OptionSpec& spec : verb.options) {
        std::string left = std::string("--") + spec.name + (spec.value != nullptr ? std::string(" ") + spec.value : "");
        (void)snprintf(row, sizeof(row), "  %-28s %s\n", left.c_str(), spec.help);
        text += row;
    }
    (void)snprintf(row, sizeof(row), "  %-28s %s\n", "--help", "this text");
    text += row;
    if (verb.help[0] != '\0') {
        text += std::string("\n") + verb.help + "\n";
    }
    return text;
}

}  // namespace undercroft
