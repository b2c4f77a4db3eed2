// The options of the handshake, one function each.
#include "hostsim/servers/nbd/negotiation.hpp"

#include <algorithm>
#include <cstring>

#include "hostsim/servers/nbd/protocol.hpp"

namespace undercroft::nbd {

namespace {

/// Options longer than this come from no client that follows the protocol.
constexpr u32 option_bytes_max = 32 * kib;
/// A client that has not chosen after so many options never will.
constexpr usize options_max = 256;
constexpr u32 client_flags_known = handshake_fixed_newstyle | handshake_no_zeroes;

/// Bytes of an option or a reply, with typed access that cannot leave them.
class OptionReader {
public:
    explicit OptionReader(std::span<const std::byte> bytes) : rest_(bytes) {}
    template <typename T>
    std::optional<T> number() {
        if (rest_.size() < sizeof(T)) {
            return std::nullopt;
        }
        Be<T> field;
        std::memcpy(&field, rest_.data(), sizeof(field));
        rest_ = rest_.subspan(sizeof(field));
        return field.value();
    }
    /// A string with its length in front.
    std::optional<std::string> text() {
        std::optional<u32> length = number<u32>();
        if (!length || *length > rest_.size() || *length > string_bytes_max) {
            return std::nullopt;
        }
        std::string result(reinterpret_cast<const char*>(rest_.data()), *length);
        rest_ = rest_.subspan(*length);
        return result;
    }
    bool at_end() const { return rest_.empty(); }

private:
    std::span<const std::byte> rest_;
};

class Negotiation {
public:
    Negotiation(ByteStream& stream, ReceiveBuffer& buffer, const std::vector<Export>& exports, CancelToken cancel)
        : stream_(stream), buffer_(buffer), exports_(exports), cancel_(cancel) {}

    Task<std::optional<Agreement>> run();

private:
    enum class Step : u8 { next_option, chosen, leave };

    Task<bool> greet();
    Task<Step> one_option();
    Task<Step> export_name(std::string_view name);
    Task<bool> list(std::span<const std::byte> data);
    Task<Step> info_or_go(Option option, std::span<const std::byte> data);
    Task<bool> describe(Option option, const Export& target, std::span<const u16> wanted);
    Task<bool> structured_reply(std::span<const std::byte> data);
    Task<bool> meta_context(Option option, std::span<const std::byte> data);

    Task<bool> send(std::span<const std::byte> bytes);
    Task<bool> reply(Option option, OptionReply type, std::span<const std::byte> data = {});
    Task<bool> refuse(Option option, OptionReply type, std::string_view why) {
        return reply(option, type, std::as_bytes(std::span(why)));
    }

    ByteStream& stream_;
    ReceiveBuffer& buffer_;
    const std::vector<Export>& exports_;
    CancelToken cancel_;
    Agreement agreement_;
    const Export* context_target_ = nullptr;  // what base:allocation was chosen for
    bool no_zeroes_ = false;
};

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
    return std::as_bytes(std::span(&value, 1));
}

void append(std::vector<std::byte>& to, std::span<const std::byte> bytes) {
    to.insert(to.end(), bytes.begin(), bytes.end());
}

void append(std::vector<std::byte>& to, std::string_view text) { append(to, std::as_bytes(std::span(text))); }

Task<bool> Negotiation::send(std::span<const std::byte> bytes) {
    iovec piece{.iov_base = const_cast<std::byte*>(bytes.data()),  // NOLINT(cppcoreguidelines-pro-type-const-cast)
                .iov_len = bytes.size()};
    co_return co_await stream_.send({&piece, 1}, cancel_) >= 0;
}

Task<bool> Negotiation::reply(Option option, OptionReply type, std::span<const std::byte> data) {
    OptionReplyHeader header{.magic = option_reply_magic,
                             .option = static_cast<u32>(option),
                             .type = static_cast<u32>(type),
                             .length = static_cast<u32>(data.size())};
    std::vector<std::byte> bytes;
    append(bytes, bytes_of(header));
    append(bytes, data);
    co_return co_await send(bytes);
}

Task<bool> Negotiation::greet() {
    Greeting greeting{.init_magic = init_magic,
                      .option_magic = option_magic,
                      .flags = handshake_fixed_newstyle | handshake_no_zeroes};
    if (!co_await send(bytes_of(greeting)) || !co_await buffer_.fill(sizeof(u32), cancel_)) {
        co_return false;
    }
    u32 flags = *OptionReader(buffer_.take(sizeof(u32))).number<u32>();
    no_zeroes_ = (flags & handshake_no_zeroes) != 0;
    co_return (flags & ~client_flags_known) == 0;
}

Task<bool> Negotiation::list(std::span<const std::byte> data) {
    if (!data.empty()) {
        co_return co_await refuse(Option::list, OptionReply::error_invalid, "a list takes no data");
    }
    for (const Export& subject : exports_) {
        std::vector<std::byte> entry;
        append(entry, bytes_of(Be<u32>(static_cast<u32>(subject.name.size()))));
        append(entry, subject.name);
        append(entry, subject.description);
        if (!co_await reply(Option::list, OptionReply::server, entry)) {
            co_return false;
        }
    }
    co_return co_await reply(Option::list, OptionReply::acknowledged);
}

Task<bool> Negotiation::structured_reply(std::span<const std::byte> data) {
    if (!data.empty()) {
        co_return co_await refuse(Option::structured_reply, OptionReply::error_invalid, "it takes no data");
    }
    agreement_.structured_replies = true;
    co_return co_await reply(Option::structured_reply, OptionReply::acknowledged);
}

// LIST without a query lists everything; SET without one chooses nothing. "base:" in a LIST asks for the namespace.
Task<bool> Negotiation::meta_context(Option option, std::span<const std::byte> data) {
    OptionReader reader(data);
    std::optional<std::string> name = reader.text();
    std::optional<u32> queries = reader.number<u32>();
    bool is_list = option == Option::list_meta_context;
    bool matched = is_list && queries == 0U;
    for (u32 index = 0; queries && index < *queries; ++index) {
        std::optional<std::string> query = reader.text();
        if (!query) {
            queries.reset();
            break;
        }
        matched |= *query == allocation_context || (is_list && *query == "base:");
    }
    if (!is_list) {
        context_target_ = nullptr;
    }
    if (!name || !queries || !reader.at_end()) {
        co_return co_await refuse(option, OptionReply::error_invalid, "the queries do not follow the protocol");
    }
    if (!agreement_.structured_replies) {
        co_return co_await refuse(option, OptionReply::error_invalid, "negotiate structured replies first");
    }
    const Export* target = find_export(exports_, *name);
    if (target == nullptr) {
        co_return co_await refuse(option, OptionReply::error_unknown_export, "there is no export of that name");
    }
    if (matched) {
        std::vector<std::byte> context;
        append(context, bytes_of(Be<u32>(is_list ? 0 : allocation_context_id)));
        append(context, std::string_view(allocation_context));
        if (!co_await reply(option, OptionReply::meta_context, context)) {
            co_return false;
        }
        context_target_ = is_list ? context_target_ : target;
    }
    co_return co_await reply(option, OptionReply::acknowledged);
}

Task<bool> Negotiation::describe(Option option, const Export& target, std::span<const u16> wanted) {
    InfoExport facts{.type = static_cast<u16>(Info::export_facts),
                     .size_bytes = target.disk.sector_count() * target.disk.sector_size(),
                     .flags = transmission_flags(target, agreement_.structured_replies)};
    InfoBlockSize sizes{.type = static_cast<u16>(Info::block_size),
                        .minimum = target.disk.sector_size(),
                        .preferred = std::max<u32>(target.disk.facts().physical_sector_size, page_size),
                        .maximum = request_bytes_max};
    bool sent = co_await reply(option, OptionReply::info, bytes_of(facts)) &&
                co_await reply(option, OptionReply::info, bytes_of(sizes));
    for (Info kind : {Info::name, Info::description}) {
        if (!sent || std::ranges::find(wanted, static_cast<u16>(kind)) == wanted.end()) {
            continue;
        }
        std::vector<std::byte> text;
        append(text, bytes_of(Be<u16>(static_cast<u16>(kind))));
        append(text, kind == Info::name ? target.name : target.description);
        sent = co_await reply(option, OptionReply::info, text);
    }
    co_return sent;
}

Task<Negotiation::Step> Negotiation::info_or_go(Option option, std::span<const std::byte> data) {
    OptionReader reader(data);
    std::optional<std::string> name = reader.text();
    std::optional<u16> count = reader.number<u16>();
    std::vector<u16> wanted;
    for (u32 index = 0; count && index < *count; ++index) {
        std::optional<u16> kind = reader.number<u16>();
        if (!kind) {
            count.reset();
            break;
        }
        wanted.push_back(*kind);
    }
    auto after = [](bool sent) { return sent ? Step::next_option : Step::leave; };
    if (!name || !count || !reader.at_end()) {
        co_return after(
            co_await refuse(option, OptionReply::error_invalid, "the request does not follow the protocol"));
    }
    const Export* target = find_export(exports_, *name);
    if (target == nullptr) {
        co_return after(co_await refuse(option, OptionReply::error_unknown_export, "there is no export of that name"));
    }
    bool knows_sizes = std::ranges::find(wanted, static_cast<u16>(Info::block_size)) != wanted.end();
    if (target->disk.sector_size() > 512 && !knows_sizes) {
        co_return after(co_await refuse(option, OptionReply::error_block_size_required,
                                        "this disk has large sectors: ask for the block sizes"));
    }
    if (!co_await describe(option, *target, wanted) || !co_await reply(option, OptionReply::acknowledged)) {
        co_return Step::leave;
    }
    if (option == Option::info) {
        co_return Step::next_option;
    }
    agreement_.target = target;
    agreement_.block_status = context_target_ == target;
    co_return Step::chosen;
}

// The old way to choose: no way to say no but to leave.
Task<Negotiation::Step> Negotiation::export_name(std::string_view name) {
    const Export* target = name.size() <= string_bytes_max ? find_export(exports_, name) : nullptr;
    if (target == nullptr) {
        co_return Step::leave;
    }
    std::vector<std::byte> bytes;
    append(bytes, bytes_of(Be<u64>(target->disk.sector_count() * target->disk.sector_size())));
    append(bytes, bytes_of(Be<u16>(transmission_flags(*target, agreement_.structured_replies))));
    bytes.resize(bytes.size() + (no_zeroes_ ? 0 : export_name_zeroes));
    agreement_.target = target;
    agreement_.block_status = context_target_ == target;
    co_return co_await send(bytes) ? Step::chosen : Step::leave;
}

Task<Negotiation::Step> Negotiation::one_option() {
    if (!co_await buffer_.fill(sizeof(OptionHeader), cancel_)) {
        co_return Step::leave;
    }
    OptionHeader header;
    std::memcpy(&header, buffer_.take(sizeof(header)).data(), sizeof(header));
    if (header.magic != option_magic || header.length > option_bytes_max ||
        !co_await buffer_.fill(header.length, cancel_)) {
        co_return Step::leave;
    }
    std::span<const std::byte> data = buffer_.take(header.length);
    auto option = static_cast<Option>(header.option.value());
    bool sent = true;
    switch (option) {
    case Option::export_name:
        co_return co_await export_name({reinterpret_cast<const char*>(data.data()), data.size()});
    case Option::abort:
        (void)co_await reply(option, OptionReply::acknowledged);
        co_return Step::leave;
    case Option::list:
        sent = co_await list(data);
        break;
    case Option::info:
    case Option::go:
        co_return co_await info_or_go(option, data);
    case Option::structured_reply:
        sent = co_await structured_reply(data);
        break;
    case Option::list_meta_context:
    case Option::set_meta_context:
        sent = co_await meta_context(option, data);
        break;
    default:
        sent = co_await refuse(option, OptionReply::error_unsupported, "this server has no such option");
        break;
    }
    co_return sent ? Step::next_option : Step::leave;
}

Task<std::optional<Agreement>> Negotiation::run() {
    if (!co_await greet()) {
        co_return std::nullopt;
    }
    for (usize count = 0; count < options_max; ++count) {
        Step step = co_await one_option();
        if (step == Step::chosen) {
            co_return agreement_;
        }
        if (step == Step::leave) {
            break;
        }
    }
    co_return std::nullopt;
}

}  // namespace

u16 transmission_flags(const Export& subject, bool structured_replies) {
    // Every connection sees the same disk, whose flush makes durable what any of them completed.
    u16 flags = flag_has_flags | flag_send_flush | flag_can_multi_conn;
    if (structured_replies) {
        flags |= flag_send_df;
    }
    if (is_read_only(subject)) {
        return flags | flag_read_only;
    }
    flags |= flag_send_fua | flag_send_write_zeroes | flag_send_fast_zero;
    if (subject.disk.facts().unmap != UnmapBehavior::ignored) {
        flags |= flag_send_trim;
    }
    return flags;
}

Task<std::optional<Agreement>> negotiate(ByteStream& stream, ReceiveBuffer& buffer, const std::vector<Export>& exports,
                                         CancelToken cancel) {
    Negotiation negotiation(stream, buffer, exports, cancel);
    co_return co_await negotiation.run();
}

}  // namespace undercroft::nbd
