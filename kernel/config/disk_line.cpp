// The one-line grammar.
//
//     disk    = kind options { ":" word options } [ ":" below ]
//     options = { ";" name [ "=" word ] }
//     below   = disk, or for a striped disk "(" disk { "," disk } ")"
//     word    = quoted or bare text
//
// A bare word ends before ; , ( ) and, unless it is the last thing that its kind takes, before a colon: so that paths,
// URLs and PCI addresses need no quotes. A quoted word is between two ' or two ", and the same quote twice inside
// stands for itself; nothing else is special there. How many words a kind takes is its description's
// (disk_kinds.cpp), so that there is one way to read a line.
#include <algorithm>

#include "kernel/config/disk_fields.hpp"

namespace undercroft {

namespace {

constexpr std::string_view word_ends = ";,()";

/// A place in the line, and what is read from there.
class LineCursor {
public:
    LineCursor(ConfigReport& report, std::string_view line, const std::string& path)
        : report_(report), line_(line), path_(path) {}

    ConfigReport& report() const { return report_; }
    const std::string& path() const { return path_; }
    std::string_view line() const { return line_; }
    usize offset() const { return offset_; }
    bool at_end() const { return offset_ == line_.size(); }
    bool at(char character) const { return !at_end() && line_[offset_] == character; }
    bool take(char character) {
        bool there = at(character);
        offset_ += there ? 1 : 0;
        return there;
    }

    LineSpan span(usize begin, usize end) const {
        return {.column = static_cast<u32>(begin + 1), .length = static_cast<u32>(end - begin)};
    }
    void error(LineSpan span, std::string message) const { report_.error(path_, std::move(message), span); }
    /// About the character that comes next.
    void error_here(std::string message) const {
        error(span(offset_, at_end() ? offset_ : offset_ + 1), std::move(message));
    }

    /// Everything up to one of `ends`.
    std::string_view take_until(std::string_view ends) {
        usize end = std::min(line_.find_first_of(ends, offset_), line_.size());
        std::string_view taken = line_.substr(offset_, end - offset_);
        offset_ = end;
        return taken;
    }

    /// A word; nothing, after a report, where its quotes are wrong.
    std::optional<std::string> take_word(bool last) {
        usize begin = offset_;
        if (at('"') || at('\'')) {
            return take_quoted();
        }
        std::string_view word = take_until(last ? word_ends : ":;,()");
        if (usize quote = word.find_first_of("\"'"); quote != std::string_view::npos) {
            error(span(begin + quote, begin + quote + 1), "a text that holds a quote must be quoted as a whole");
            return std::nullopt;
        }
        return std::string(word);
    }

    /// Leaves the disk that cannot be read: up to the comma or parenthesis that ends it, or the end of the line.
    void skip_disk() {
        usize depth = 0;
        for (; !at_end(); ++offset_) {
            char character = line_[offset_];
            if (character == '"' || character == '\'') {
                usize end = line_.find(character, offset_ + 1);
                offset_ = end == std::string_view::npos ? line_.size() - 1 : end;
            } else if (character == '(') {
                ++depth;
            } else if (depth == 0 && (character == ')' || character == ',')) {
                return;
            } else if (character == ')') {
                --depth;
            }
        }
    }

private:
    std::optional<std::string> take_quoted() {
        usize begin = offset_;
        char quote = line_[offset_++];
        std::string word;
        for (;;) {
            usize end = line_.find(quote, offset_);
            if (end == std::string_view::npos) {
                error(span(begin, begin + 1), "this quote is not closed");
                offset_ = line_.size();
                return std::nullopt;
            }
            word += line_.substr(offset_, end - offset_);
            offset_ = end + 1;
            if (!take(quote)) {
                break;
            }
            word += quote;
        }
        if (!at_end() && word_ends.find(line_[offset_]) == std::string_view::npos && !at(':')) {
            error_here("a quoted text ends before ';', ':', ',' or ')'");
            return std::nullopt;
        }
        return word;
    }

    ConfigReport& report_;
    std::string_view line_;
    const std::string& path_;
    usize offset_ = 0;
};

std::optional<DiskConfig> read_disk_at(LineCursor& cursor, DiskDepth depth);

class LineFields final : public DiskFields {
public:
    LineFields(LineCursor& cursor, const DiskKindDescription& kind, LineSpan kind_span, DiskDepth depth)
        : DiskFields(cursor.report(), depth), cursor_(cursor), kind_(kind), kind_span_(kind_span) {}

    /// Everything before the disks below. False, after a report, where the line does not go on as it should.
    bool read() {
        if (!read_options()) {
            return false;
        }
        for (usize index = 0; index < kind_.arguments.size(); ++index) {
            bool last = index + 1 == kind_.arguments.size() && kind_.below == DisksBelow::none;
            if (!cursor_.take(':')) {
                return incomplete();
            }
            if (!read_argument(kind_.arguments[index], last) || !read_options()) {
                return false;
            }
        }
        end_ = cursor_.offset();
        return true;
    }

    /// The disk without the disks below.
    LineSpan own_span() const { return cursor_.span(kind_span_.column - 1, end_); }

    void error(std::string_view name, std::string message) override {
        const Entry* entry = find_entry(name);
        cursor_.error(entry == nullptr ? kind_span_ : entry->span, std::string(name) + ": " + std::move(message));
    }
    void error(std::string message) override { cursor_.error(kind_span_, std::move(message)); }

    DiskBelow below(DiskDepth depth) override {
        if (!cursor_.take(':') || cursor_.at_end()) {
            incomplete();
            return {};
        }
        std::optional<DiskConfig> disk = read_disk_at(cursor_, depth);
        return disk ? DiskBelow(std::move(*disk)) : DiskBelow();
    }

    std::vector<DiskConfig> members(DiskDepth depth) override {
        std::vector<DiskConfig> disks;
        if (!cursor_.take(':') || !cursor_.take('(')) {
            incomplete();
            return disks;
        }
        usize count = 0;
        do {
            while (cursor_.take(' ')) {
            }
            std::optional<DiskConfig> disk = read_disk_at(cursor_, depth);
            if (disk && count < striped_members_max) {
                disks.push_back(std::move(*disk));
            }
            ++count;
        } while (cursor_.take(','));
        if (!cursor_.take(')')) {
            cursor_.error_here("the list of disks is not closed by ')'");
            cursor_.skip_disk();
        }
        if (count < 2 || count > striped_members_max) {
            cursor_.error(kind_span_,
                          "has from 2 to " + decimal(striped_members_max) + " disks; there are " + decimal(count));
        }
        return disks;
    }

    std::vector<FaultRuleConfig> fault_rules() override {
        const Entry* entry = find_entry("rules");
        Result<std::vector<FaultRuleConfig>, FaultSpecError> rules = parse_fault_rules(entry->value.text);
        if (!rules) {
            // Inside quotes the text may be shorter than the line's; then the whole of it is pointed at.
            bool plain = entry->span.length == entry->value.text.size();
            u32 offset = static_cast<u32>(rules.error().offset);
            cursor_.error(plain ? LineSpan{.column = entry->span.column + offset,
                                           .length = static_cast<u32>(rules.error().length)}
                                : entry->span,
                          std::move(rules.error().message));
            return {};
        }
        return std::move(*rules);
    }

protected:
    FieldValue find(std::string_view name) override {
        const Entry* entry = find_entry(name);
        return entry == nullptr ? FieldValue{} : entry->value;
    }

private:
    struct Entry {
        std::string_view name;
        FieldValue value;
        LineSpan span;
    };

    const Entry* find_entry(std::string_view name) const {
        const auto found = std::ranges::find(entries_, name, &Entry::name);
        return found == entries_.end() ? nullptr : &*found;
    }

    bool incomplete() {
        cursor_.error_here("\"" + std::string(kind_.name) + "\" goes on otherwise: it is written " +
                           std::string(kind_.usage));
        cursor_.skip_disk();
        end_ = cursor_.offset();
        return false;
    }

    void add_text(std::string_view name, std::string text, LineSpan span) {
        entries_.push_back({name, {.type = FieldValue::Type::word, .text = std::move(text)}, span});
    }

    bool read_argument(std::string_view name, bool last) {
        usize begin = cursor_.offset();
        std::optional<std::string> word = cursor_.take_word(last);
        if (!word) {
            cursor_.skip_disk();
            return false;
        }
        usize names_slash = name.find('/');
        if (names_slash == std::string_view::npos) {
            add_text(name, std::move(*word), cursor_.span(begin, cursor_.offset()));
            return true;
        }
        usize slash = word->rfind('/');
        if (slash == std::string::npos) {
            return incomplete();
        }
        add_text(name.substr(0, names_slash), word->substr(0, slash), cursor_.span(begin, begin + slash));
        add_text(name.substr(names_slash + 1), word->substr(slash + 1),
                 cursor_.span(std::min(begin + slash + 1, cursor_.offset()), cursor_.offset()));
        return true;
    }

    bool read_options() {
        while (cursor_.take(';')) {
            usize begin = cursor_.offset();
            std::string_view name = cursor_.take_until("=:;,()");
            LineSpan name_span = cursor_.span(begin, cursor_.offset());
            Entry entry{.name = name, .value = {.type = FieldValue::Type::flag, .number = 1}, .span = name_span};
            if (cursor_.take('=')) {
                usize value_begin = cursor_.offset();
                std::optional<std::string> value = cursor_.take_word(false);
                if (!value) {
                    cursor_.skip_disk();
                    return false;
                }
                entry.value = {.type = FieldValue::Type::word, .text = std::move(*value)};
                entry.span = cursor_.span(value_begin, cursor_.offset());
            }
            if (std::ranges::find(kind_.options, name) == kind_.options.end()) {
                cursor_.error(name_span, "\"" + std::string(kind_.name) + "\" has no option " + quoted(name) +
                                             suggestion(name, kind_.options));
            } else if (find_entry(name) != nullptr) {
                cursor_.error(name_span, "option " + quoted(name) + " is given twice");
            } else {
                entries_.push_back(std::move(entry));
            }
        }
        return true;
    }

    LineCursor& cursor_;
    const DiskKindDescription& kind_;
    LineSpan kind_span_;
    usize end_ = 0;
    std::vector<Entry> entries_;
};

std::optional<DiskConfig> read_disk_at(LineCursor& cursor, DiskDepth depth) {
    usize errors = cursor.report().error_count();
    usize begin = cursor.offset();
    std::string_view name = cursor.take_until(":;,()");
    LineSpan kind_span = cursor.span(begin, cursor.offset());
    const DiskKindDescription* kind = find_disk_kind(name);
    if (kind == nullptr) {
        cursor.error(kind_span, unknown_disk_kind(name));
    }
    if (kind == nullptr || !check_disk_depth(cursor.report(), cursor.path(), kind_span, depth)) {
        cursor.skip_disk();
        return std::nullopt;
    }
    LineFields fields(cursor, *kind, kind_span, depth);
    if (!fields.read()) {
        return std::nullopt;
    }
    DiskConfig disk{.path = cursor.path(), .span = fields.own_span(), .kind = kind->read(fields)};
    return cursor.report().error_count() == errors ? std::optional(std::move(disk)) : std::nullopt;
}

}  // namespace

std::optional<DiskConfig> read_disk_line(ConfigReport& report, std::string_view line, const std::string& path,
                                         DiskDepth depth) {
    if (line.size() > disk_line_bytes_max) {
        report.error(path, "is longer than " + decimal(disk_line_bytes_max) + " bytes");
        return std::nullopt;
    }
    LineCursor cursor(report, line, path);
    usize errors = report.error_count();
    std::optional<DiskConfig> disk = read_disk_at(cursor, depth);
    if (!cursor.at_end() && report.error_count() == errors) {
        cursor.error_here("the disk ends before this character; a text that holds it must be quoted");
        return std::nullopt;
    }
    return disk;
}

Result<DiskConfig, ConfigErrors> parse_disk(std::string_view line, const std::string& path) {
    ConfigReport report;
    std::optional<DiskConfig> disk = read_disk_line(report, line, path, {});
    if (!disk || report.error_count() > 0) {
        return std::unexpected(report.take_errors());
    }
    return std::move(*disk);
}

}  // namespace undercroft
