// Node and Walk. While there is a rest of the path, names are only compared; once it is used up, everything is printed.
#include "kernel/inspect/node.hpp"

#include <algorithm>

#include "kernel/base/log.hpp"
#include "kernel/config/object_reader.hpp"
#include "kernel/inspect/json_text.hpp"

namespace undercroft::inspect {

namespace {

std::string in_quotes(std::string_view place) { return place.empty() ? "the root" : quoted(place); }

}  // namespace

// Whether `name` is the next of the path; then `rest` is what follows. Names may hold slashes.
bool Node::matches(std::string_view name, std::string_view& rest) {
    if (walk_.found_) {
        return false;
    }
    if (walk_.candidates_.size() < Walk::candidates_max) {
        walk_.candidates_.emplace_back(name);
    }
    bool is_next =
        rest_.starts_with(name) && !name.empty() && (rest_.size() == name.size() || rest_[name.size()] == '/');
    if (is_next) {
        rest = rest_.substr(std::min(rest_.size(), name.size() + 1));
    }
    return is_next;
}

// Whether the value `name` is to be printed: all of the node is, or it alone is asked for.
bool Node::begins(std::string_view name, bool& is_target) {
    is_target = false;
    if (rest_.empty()) {
        walk_.print_key(*this, name);
        return !walk_.is_full();
    }
    std::string_view rest;
    is_target = matches(name, rest);
    if (is_target && !rest.empty()) {
        walk_.error_ = quoted(name) + " in " + in_quotes(walk_.place_) + " is a value: nothing is below it";
        is_target = false;
    }
    if (is_target) {
        walk_.note_found();
    }
    if (is_target && walk_.query_.value != nullptr) {
        walk_.error_ = quoted(walk_.query_.path) + " is no setting: it can only be read";
        return false;
    }
    return is_target;
}

void Node::number(std::string_view name, u64 value) {
    bool is_target = false;
    if (begins(name, is_target)) {
        walk_.json_ += decimal(value);
    }
}

void Node::boolean(std::string_view name, bool value) {
    bool is_target = false;
    if (begins(name, is_target)) {
        walk_.json_ += value ? "true" : "false";
    }
}

void Node::text(std::string_view name, std::string_view value) {
    bool is_target = false;
    if (begins(name, is_target)) {
        append_json_text(walk_.json_, value);
    }
}

void Node::setting(std::string_view name, std::string_view value, const char* takes, Apply apply) {
    bool is_target = false;
    bool is_printed = begins(name, is_target);
    if (is_target && walk_.query_.value != nullptr) {
        SetResult set = apply(*walk_.query_.value);
        walk_.error_ = set ? std::string()
                           : quoted(walk_.query_.path) + " cannot be " + quoted(*walk_.query_.value) + ": " +
                                 set.error() + "; it takes " + takes;
        return;
    }
    if (is_printed) {
        append_json_text(walk_.json_, value);
        std::string path = walk_.place_;
        path += path.empty() ? "" : "/";
        path += name;
        walk_.settings_.push_back({.path = std::move(path), .takes = takes});
    }
}

void Node::child(std::string_view name, FunctionRef<void(Node&)> describe) {
    if (rest_.empty()) {
        walk_.print_key(*this, name);
        if (!walk_.is_full()) {
            walk_.enter(name, {}, describe);
        }
        return;
    }
    std::string_view rest;
    if (matches(name, rest)) {
        walk_.enter(name, rest, describe);
    }
}

// Names may hold slashes, so that an earlier one may have seemed to be meant.
void Walk::note_found() {
    found_ = true;
    error_.clear();
}

void Walk::print_key(Node& node, std::string_view name) {
    if (overflowed_) {
        return;
    }
    json_ += node.is_first_ ? "" : ",";
    node.is_first_ = false;
    append_json_text(json_, name);
    json_ += ':';
}

bool Walk::is_full() {
    overflowed_ |= json_.size() > bytes_max_;
    return overflowed_;
}

void Walk::enter(std::string_view name, std::string_view rest, FunctionRef<void(Node&)> describe) {
    usize place_bytes = place_.size();
    place_ += place_.empty() ? "" : "/";
    place_ += name;
    Node node(*this, rest);
    bool is_printed = rest.empty();
    candidates_.clear();
    json_ += is_printed ? "{" : "";
    describe(node);
    json_ += is_printed ? "}" : "";
    if (is_printed) {
        note_found();
    }
    if (is_printed && query_.value != nullptr) {
        error_ = in_quotes(place_) + " is no setting, but has values below it";
    } else if (!is_printed && !found_) {
        not_found(node);
    }
    place_.resize(place_bytes);
}

void Walk::not_found(const Node& node) {
    if (!error_.empty()) {
        return;
    }
    std::vector<std::string_view> names(candidates_.begin(), candidates_.end());
    std::string_view next = node.rest_.substr(0, node.rest_.find('/'));
    error_ = "there is no " + quoted(next) + " in " + in_quotes(place_) + suggestion(next, names);
}

Result<std::string, std::string> Walk::run(FunctionRef<void(Node&)> root) {
    std::string_view path = query_.path;
    if (path.empty() && query_.value != nullptr) {
        return std::unexpected(std::string("say which setting, as PATH=VALUE"));
    }
    Node node(*this, path);
    json_ += path.empty() ? "{" : "";
    root(node);
    json_ += path.empty() ? "}" : "";
    if (!path.empty() && !found_) {
        not_found(node);
    }
    if (!error_.empty()) {
        return std::unexpected(std::move(error_));
    }
    if (overflowed_) {
        return std::unexpected("that is more than " + decimal(bytes_max_) + " bytes; ask for less, by a longer path");
    }
    return std::move(json_);
}

void describe_log_level(Node& node) {
    constexpr std::string_view names[] = {"error", "warning", "info", "debug"};
    node.setting("log_level", names[static_cast<usize>(log_level())], "error, warning, info or debug",
                 [&](std::string_view text) -> SetResult {
                     const auto* found = std::ranges::find(names, text);
                     if (found == std::end(names)) {
                         return std::unexpected(std::string("there is no such level"));
                     }
                     set_log_level(static_cast<LogLevel>(found - names));
                     return {};
                 });
}

}  // namespace undercroft::inspect
