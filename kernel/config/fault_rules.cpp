// Fault rules as text:
//
//     rules  = rule { "+" rule }
//     rule   = operation "-" action [ "@" first [ "-" last ] ] { "/" limit "=" number }
//     action = "fail" [ "-" error ] | "hold" | "delay-" time | "corrupt" | "tear" [ "-" error ]
//     limit  = "skip" | "count" | "one_in"
//
// `write-fail-medium_write@2048-4095/count=3/one_in=10`: of the writes that touch sectors 2048 to 4095, one in ten
// fails, until three have.
#include <algorithm>

#include "kernel/config/disk_fields.hpp"

namespace undercroft {

namespace {

constexpr std::string_view operation_names[] = {"any", "read", "write", "flush", "unmap", "zero", "status", "compare"};
constexpr std::string_view action_names[] = {"fail", "hold", "delay", "corrupt", "tear"};
// In the order of `DiskError`, which lies above this folder; a test compares them.
constexpr std::string_view error_names[] = {"aborted_by_preempt",
                                            "illegal_block",
                                            "invalid_input",
                                            "io",
                                            "medium_guard",
                                            "medium_reference_tag",
                                            "medium_application_tag",
                                            "medium_read",
                                            "medium_write",
                                            "memory_access",
                                            "read_only",
                                            "reservation_conflict",
                                            "unsupported_eject",
                                            "timed_out",
                                            "gone",
                                            "cancelled"};
constexpr std::string_view limit_names[] = {"skip", "count", "one_in"};
constexpr u8 default_error = 3;  // io
constexpr u64 sector_max = disk_bytes_max / 512;

using Action = FaultRuleConfig::Action;
using Operation = FaultRuleConfig::Operation;

class RuleReader {
public:
    explicit RuleReader(std::string_view text) : text_(text) {}

    bool at_end() const { return offset_ == text_.size(); }
    bool take(char character) {
        bool there = !at_end() && text_[offset_] == character;
        offset_ += there ? 1 : 0;
        return there;
    }

    Result<FaultRuleConfig, FaultSpecError> rule() {
        FaultRuleConfig rule;
        rule.operation = static_cast<FaultRuleConfig::Operation>(TRY(name(operation_names, "operation")));
        usize action_begin = offset_;
        if (!take('-')) {
            return problem(action_begin, "the operation is followed by '-' and what happens, as in write-fail");
        }
        action_begin = offset_;
        rule.action = static_cast<FaultRuleConfig::Action>(TRY(name(action_names, "action")));
        TRY(action_argument(rule));
        TRY(check_action(rule, action_begin));
        TRY(range(rule));
        TRY(limits(rule));
        return rule;
    }

    std::unexpected<FaultSpecError> problem(usize begin, std::string message) const {
        usize end = std::max(begin, offset_);
        return std::unexpected(FaultSpecError{.offset = begin, .length = end - begin, .message = std::move(message)});
    }
    usize offset() const { return offset_; }

private:
    std::string_view word(std::string_view ends) {
        usize end = std::min(text_.find_first_of(ends, offset_), text_.size());
        std::string_view taken = text_.substr(offset_, end - offset_);
        offset_ = end;
        return taken;
    }

    Result<usize, FaultSpecError> name(std::span<const std::string_view> names, const char* what) {
        usize begin = offset_;
        std::string_view given = word("-@/+=");
        if (auto found = std::ranges::find(names, given); found != names.end()) {
            return static_cast<usize>(found - names.begin());
        }
        return problem(begin, std::string("unknown ") + what + " " + quoted(given) + suggestion(given, names));
    }

    Result<void, FaultSpecError> action_argument(FaultRuleConfig& rule) {
        bool may_have_error = rule.action == Action::fail || rule.action == Action::tear;
        if (may_have_error && take('-')) {
            rule.error = static_cast<u8>(TRY(name(error_names, "error")));
        } else if (rule.action == Action::fail) {
            rule.error = default_error;
        }
        if (rule.action == Action::delay) {
            usize begin = offset_;
            std::optional<u64> time = take('-') ? parse_duration(word("@/+-")) : std::nullopt;
            if (!time || *time == 0 || *time > delay_ns_max) {
                return problem(begin, "\"delay\" is followed by '-' and a time of at most an hour, such as 50ms");
            }
            rule.delay_ns = *time;
        }
        return {};
    }

    Result<void, FaultSpecError> check_action(const FaultRuleConfig& rule, usize begin) const {
        bool data =
            rule.operation == Operation::any || rule.operation == Operation::read || rule.operation == Operation::write;
        if (rule.action == Action::corrupt && !data) {
            return problem(begin, "only reads and writes can be corrupted");
        }
        if (rule.action == Action::tear && rule.operation != Operation::write) {
            return problem(begin, "only writes can be torn");
        }
        return {};
    }

    Result<void, FaultSpecError> range(FaultRuleConfig& rule) {
        usize begin = offset_;
        if (!take('@')) {
            return {};
        }
        std::optional<u64> first = parse_decimal(word("-/+"));
        std::optional<u64> last = take('-') ? parse_decimal(word("/+")) : first;
        if (!first || !last || *last < *first || *last > sector_max) {
            return problem(begin, "'@' is followed by a sector, or by the first and the last such as @0-7");
        }
        rule.first_sector = *first;
        rule.last_sector = *last;
        return {};
    }

    Result<void, FaultSpecError> limits(FaultRuleConfig& rule) {
        u64* const values[] = {&rule.skip, &rule.count, &rule.one_in};
        bool given[std::size(limit_names)] = {};
        while (take('/')) {
            usize begin = offset_;
            usize which = TRY(name(limit_names, "limit"));
            std::optional<u64> value = take('=') ? parse_decimal(word("/+")) : std::nullopt;
            if (!value || *value == 0 || given[which]) {
                return problem(begin, "a limit is a name and a number from 1, given once, such as count=3");
            }
            *values[which] = *value;
            given[which] = true;
        }
        return {};
    }

    std::string_view text_;
    usize offset_ = 0;
};

std::string limit_text(std::string_view name, u64 value, u64 otherwise) {
    return value == otherwise ? "" : "/" + std::string(name) + "=" + decimal(value);
}

std::string rule_text(const FaultRuleConfig& rule) {
    std::string text = std::string(operation_names[static_cast<usize>(rule.operation)]) + "-" +
                       std::string(action_names[static_cast<usize>(rule.action)]);
    if (rule.error) {
        text += "-" + std::string(error_names[*rule.error]);
    }
    if (rule.action == Action::delay) {
        text += "-" + duration_text(rule.delay_ns);
    }
    if (rule.first_sector != 0 || rule.last_sector != ~u64{0}) {
        text += "@" + decimal(rule.first_sector);
        text += rule.last_sector == rule.first_sector ? "" : "-" + decimal(rule.last_sector);
    }
    return text + limit_text("skip", rule.skip, 0) + limit_text("count", rule.count, 0) +
           limit_text("one_in", rule.one_in, 1);
}

}  // namespace

std::span<const std::string_view> fault_error_names() { return error_names; }

Result<std::vector<FaultRuleConfig>, FaultSpecError> parse_fault_rules(std::string_view text) {
    RuleReader reader(text);
    std::vector<FaultRuleConfig> rules;
    do {
        if (rules.size() == fault_rules_max) {
            return reader.problem(reader.offset(), "more than " + decimal(fault_rules_max) + " rules");
        }
        rules.push_back(TRY(reader.rule()));
    } while (reader.take('+'));
    if (!reader.at_end()) {
        return std::unexpected(FaultSpecError{.offset = reader.offset(),
                                              .length = 1,
                                              .message = "a rule is written such as write-fail-io@0-7/count=3; rules "
                                                         "are joined by '+'"});
    }
    return rules;
}

std::string fault_rules_text(std::span<const FaultRuleConfig> rules) {
    std::string text;
    for (const FaultRuleConfig& rule : rules) {
        text += (text.empty() ? "" : "+") + rule_text(rule);
    }
    return text;
}

}  // namespace undercroft
