// The tree of all that is alive, for people and programs to look into. Nothing is kept for it: whoever owns something
// describes it, when asked, into a `Node`: its values, its settings, and the nodes below. One walk answers one request:
// it prints the node that the path names and all below it as JSON, or changes one setting.
//
//     void describe(inspect::Node& node) {
//         node.number("size_bytes", size());
//         node.setting("delay", duration_text(delay_), "a time such as 10ms", [&](std::string_view text) { ... });
//         node.child("below", [&](inspect::Node& below) { below_.describe(below); });
//     }
//
// A name says its unit with its end (`_bytes`, `_ns`), as everywhere. Names are as their owners have them and may hold
// slashes; a path is names with slashes between them. Leaves out who may ask, and how requests travel
// (kernel/inspect/request.hpp).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "kernel/base/result.hpp"

namespace undercroft::inspect {

/// Something callable that outlives the call it is handed to.
template <typename Signature>
class FunctionRef;

template <typename R, typename... Arguments>
class FunctionRef<R(Arguments...)> {
public:
    template <typename F>
        requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef>)
    FunctionRef(F&& function)  // NOLINT(bugprone-forwarding-reference-overload): constrained
        // SAFETY: cast back to its own type, constness included, by the function below, which knows it.
        : object_(const_cast<void*>(static_cast<const void*>(std::addressof(function)))),
          call_([](void* object, Arguments... arguments) -> R {
              return (*static_cast<std::remove_reference_t<F>*>(object))(arguments...);
          }) {}
    R operator()(Arguments... arguments) const { return call_(object_, arguments...); }

private:
    void* object_;
    R (*call_)(void*, Arguments...);
};

/// What becomes of a new value: nothing, or why it cannot be.
using SetResult = Result<void, std::string>;
using Apply = FunctionRef<SetResult(std::string_view text)>;

class Walk;

class Node {
public:
    void number(std::string_view name, u64 value);
    void boolean(std::string_view name, bool value);
    void text(std::string_view name, std::string_view value);
    /// A value that may be changed: `takes` says to what ("a time such as 10ms"); `apply` checks and does it.
    void setting(std::string_view name, std::string_view value, const char* takes, Apply apply);
    /// What lies below; `describe` is called only where it is asked for.
    void child(std::string_view name, FunctionRef<void(Node&)> describe);

private:
    friend class Walk;
    Node(Walk& walk, std::string_view rest) : walk_(walk), rest_(rest) {}
    bool matches(std::string_view name, std::string_view& rest);
    bool begins(std::string_view name, bool& is_target);

    Walk& walk_;
    std::string_view rest_;  // of the path, from here on; empty: everything here is asked for
    bool is_first_ = true;   // nothing was printed yet
};

/// What one walk is for.
struct Query {
    std::string_view path = {};          ///< empty: the root
    const std::string* value = nullptr;  ///< to be set; null: to be read
};

/// One request on its way down.
class Walk {
public:
    Walk(const Query& query, usize bytes_max) : query_(query), bytes_max_(bytes_max) {}

    /// Prints what was asked for as JSON, or sets it (then there is no text). On failure a sentence that says what is
    /// there instead, or why the value cannot be.
    Result<std::string, std::string> run(FunctionRef<void(Node&)> root);
    /// The settings that were printed: whole path, and what they take.
    struct Setting {
        std::string path;
        const char* takes;
    };
    const std::vector<Setting>& settings() const { return settings_; }

private:
    friend class Node;
    static constexpr usize candidates_max = 64;

    void print_key(Node& node, std::string_view name);
    void enter(std::string_view name, std::string_view rest, FunctionRef<void(Node&)> describe);
    void not_found(const Node& node);
    void note_found();
    bool is_full();

    Query query_;
    usize bytes_max_;
    std::string json_;
    std::string place_;  // path of the node that is being described
    std::string error_;
    bool found_ = false;
    bool overflowed_ = false;
    std::vector<std::string> candidates_;  // names in the last node where nothing matched
    std::vector<Setting> settings_;
};

/// The setting `log_level`.
void describe_log_level(Node& node);

}  // namespace undercroft::inspect
