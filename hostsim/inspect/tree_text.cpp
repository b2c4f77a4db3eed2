// The text form.
#include "hostsim/inspect/tree_text.hpp"

#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "hostsim/inspect/readable.hpp"
#include "kernel/config/identifiers.hpp"

namespace undercroft {

namespace {

using Json = rapidjson::Value;

std::string json_of(const Json& value) {
    rapidjson::StringBuffer buffer;
    rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
    value.Accept(writer);
    return {buffer.GetString(), buffer.GetSize()};
}

std::string_view view(const Json& text) { return {text.GetString(), text.GetStringLength()}; }

std::string joined(std::string_view path, std::string_view name) {
    return path.empty() ? std::string(name) : std::string(path) + "/" + std::string(name);
}

class TreeWriter {
public:
    TreeWriter(const Json& settings, const TreeTextOptions& options, NumbersSeen& seen)
        : settings_(settings), options_(options), seen_(seen) {}

    void node(const Json& value, const std::string& path, usize depth) {
        for (const auto& member : value.GetObject()) {
            std::string_view name = view(member.name);
            std::string below = joined(path, name);
            if (member.value.IsObject()) {
                if (name.ends_with("_below_ns")) {
                    text_ += indent(depth) + std::string(name) + ": " + buckets(member.value) + "\n";
                } else {
                    text_ += indent(depth) + std::string(name) + (member.value.ObjectEmpty() ? ": none\n" : "\n");
                    node(member.value, below, depth + 1);
                }
            } else {
                leaf(name, member.value, below, depth);
            }
        }
    }

    void leaf(std::string_view name, const Json& value, const std::string& path, usize depth) {
        auto setting = settings_.FindMember(Json(path.c_str(), static_cast<rapidjson::SizeType>(path.size())));
        bool is_setting = setting != settings_.MemberEnd();
        text_ += indent(depth) + std::string(name) + (is_setting ? " = " : ": ") + shown(name, value, path);
        text_ += is_setting ? "   (" + std::string(view(setting->value)) + ")\n" : "\n";
    }

    std::string take() { return std::move(text_); }

private:
    static std::string indent(usize depth) { return std::string(2 * depth, ' '); }

    static std::string number(std::string_view name, u64 value) {
        if (name.ends_with("_ns")) {
            return readable_time(value);
        }
        return name == "bytes" || name.ends_with("_bytes") ? readable_size(value) : decimal(value);
    }

    static std::string buckets(const Json& value) {
        std::string text;
        for (const auto& bucket : value.GetObject()) {
            u64 bound = parse_decimal(view(bucket.name)).value_or(0);
            text += (text.empty() ? "<" : ", <") + readable_time(bound) + " " + json_of(bucket.value);
        }
        return text.empty() ? "none" : text;
    }

    std::string shown(std::string_view name, const Json& value, const std::string& path) {
        if (value.IsString()) {
            return std::string(view(value));
        }
        if (!value.IsUint64()) {
            return json_of(value);
        }
        u64 now = value.GetUint64();
        seen_[path] = now;
        return number(name, now) + growth(name, path, now);
    }

    // What grew since the last look; ages and what goes up and down say nothing by that.
    std::string growth(std::string_view name, const std::string& path, u64 now) const {
        if (options_.before == nullptr || options_.elapsed_ns == 0 || name.ends_with("_ns")) {
            return "";
        }
        auto found = options_.before->find(path);
        if (found == options_.before->end() || found->second >= now) {
            return "";
        }
        auto rate =
            static_cast<u64>(static_cast<double>(now - found->second) * 1e9 / static_cast<double>(options_.elapsed_ns));
        return " (+" + number(name, rate) + "/s)";
    }

    const Json& settings_;
    const TreeTextOptions& options_;
    NumbersSeen& seen_;
    std::string text_;
};

}  // namespace

Result<InspectAnswer, std::string> parse_answer(std::string_view line) {
    rapidjson::Document document;
    // Iteratively: what answers is not trusted with our stack.
    document.Parse<rapidjson::kParseIterativeFlag>(line.data(), line.size());
    if (document.HasParseError() || !document.IsObject()) {
        return std::unexpected(std::string("what answers there is no running Undercroft: its answer is no JSON"));
    }
    if (auto error = document.FindMember("error"); error != document.MemberEnd() && error->value.IsString()) {
        return std::unexpected(std::string(view(error->value)));
    }
    auto value = document.FindMember("value");
    auto settings = document.FindMember("settings");
    if (value == document.MemberEnd() || settings == document.MemberEnd() || !settings->value.IsObject()) {
        return std::unexpected(std::string("what answers there is no running Undercroft: its answer has no value"));
    }
    return InspectAnswer{.json = json_of(value->value), .settings = json_of(settings->value)};
}

std::string tree_text(const InspectAnswer& answer, const TreeTextOptions& options, NumbersSeen& seen) {
    rapidjson::Document value;
    rapidjson::Document settings;
    value.Parse<rapidjson::kParseIterativeFlag>(answer.json.data(), answer.json.size());
    settings.Parse<rapidjson::kParseIterativeFlag>(answer.settings.data(), answer.settings.size());
    if (value.HasParseError() || settings.HasParseError() || !settings.IsObject()) {
        return answer.json + "\n";
    }
    TreeWriter writer(settings, options, seen);
    if (value.IsObject()) {
        writer.node(value, options.path, 0);
    } else {
        usize slash = options.path.rfind('/');
        std::string_view name = options.path;
        writer.leaf(slash == std::string::npos ? name : name.substr(slash + 1), value, options.path, 0);
    }
    return writer.take();
}

}  // namespace undercroft
