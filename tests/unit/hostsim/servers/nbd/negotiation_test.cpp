// The handshake: every option, and clients that do not follow the protocol.
#include "hostsim/servers/nbd/negotiation.hpp"

#include "tests/unit/hostsim/servers/nbd/nbd_client.hpp"

using namespace undercroft;
using namespace undercroft::nbd;

namespace {

Replies after_greeting(Session& session, const Script& script, usize piece_bytes = ~usize{0}) {
    Replies replies = session.run(script, piece_bytes);
    auto greeting = replies.take<Greeting>();
    CHECK(greeting.init_magic == init_magic);
    CHECK(greeting.option_magic == option_magic);
    CHECK(greeting.flags == 3);
    return replies;
}

}  // namespace

TEST_CASE("exports are listed with name and description") {
    Session session;
    Replies replies = after_greeting(session, Script().flags().option(Option::list, {}).option(Option::abort, {}), 1);
    CHECK(replies.option_reply(Option::list) == OptionReply::server);
    CHECK(replies.data.size() == 4 + 3 + 9);
    CHECK(replies.option_reply(Option::list) == OptionReply::acknowledged);
    CHECK(replies.option_reply(Option::abort) == OptionReply::acknowledged);
    CHECK(replies.at_end());
}

TEST_CASE("an unknown option is refused and the next one served") {
    Session session;
    Script tls =
        Script().flags().option(static_cast<Option>(5), {}).option(static_cast<Option>(999), Script().text("x"));
    Replies replies = after_greeting(session, tls.option(Option::abort, {}));
    CHECK(replies.option_reply(static_cast<Option>(5)) == OptionReply::error_unsupported);
    CHECK(replies.option_reply(static_cast<Option>(999)) == OptionReply::error_unsupported);
    CHECK(replies.option_reply(Option::abort) == OptionReply::acknowledged);
}

TEST_CASE("go describes the export") {
    Session session;
    Replies replies = after_greeting(session, Script().flags().structured().go("one"));
    CHECK(replies.option_reply(Option::structured_reply) == OptionReply::acknowledged);
    CHECK(replies.option_reply(Option::go) == OptionReply::info);
    REQUIRE(replies.data.size() == sizeof(InfoExport));
    InfoExport facts;
    std::memcpy(&facts, replies.data.data(), sizeof(facts));
    CHECK(facts.size_bytes == 32768 * 512);
    CHECK((facts.flags & flag_send_df) != 0);
    CHECK((facts.flags & flag_send_trim) != 0);
    CHECK((facts.flags & flag_read_only) == 0);
    CHECK(replies.option_reply(Option::go) == OptionReply::info);
    CHECK(replies.data.size() == sizeof(InfoBlockSize));
    CHECK(replies.option_reply(Option::go) == OptionReply::acknowledged);
    CHECK(replies.at_end());
}

TEST_CASE("a read-only disk offers no way to change it") {
    Session session(64, 512, true);
    CHECK(transmission_flags(session.exports[0], false) ==
          (flag_has_flags | flag_send_flush | flag_can_multi_conn | flag_read_only));
}

TEST_CASE("unknown exports and malformed requests are refused with the protocol's errors") {
    Session session;
    Script script;
    script.flags();
    script.go("two");
    script.option(Option::go, Script().field(Be<u32>(100)).text("short"));
    script.option(Option::info, Script().string("one").field(Be<u16>(7)));
    script.option(Option::go, Script().string("one").field(Be<u16>(0)).text("more"));
    script.option(Option::list, Script().text("data"));
    script.option(Option::structured_reply, Script().text("data"));
    script.option(Option::set_meta_context, Script().string("one").field(Be<u32>(0)));
    script.option(Option::abort, {});
    Replies replies = after_greeting(session, script, 7);
    CHECK(replies.option_reply(Option::go) == OptionReply::error_unknown_export);
    CHECK(replies.option_reply(Option::go) == OptionReply::error_invalid);
    CHECK(replies.option_reply(Option::info) == OptionReply::error_invalid);
    CHECK(replies.option_reply(Option::go) == OptionReply::error_invalid);
    CHECK(replies.option_reply(Option::list) == OptionReply::error_invalid);
    CHECK(replies.option_reply(Option::structured_reply) == OptionReply::error_invalid);
    CHECK(replies.option_reply(Option::set_meta_context) == OptionReply::error_invalid);  // not structured yet
    CHECK(replies.option_reply(Option::abort) == OptionReply::acknowledged);
}

TEST_CASE("metadata contexts are listed by namespace and chosen by name") {
    Session session;
    auto list = [](std::string_view query) { return Script().string("one").field(Be<u32>(1)).string(query); };
    Script script = Script().flags().structured();
    script.option(Option::list_meta_context, Script().string("one").field(Be<u32>(0)));
    script.option(Option::list_meta_context, list("base:"));
    script.option(Option::list_meta_context, list("qemu:"));
    script.option(Option::set_meta_context, list("base:allocation")).option(Option::abort, {});
    Replies replies = after_greeting(session, script);
    CHECK(replies.option_reply(Option::structured_reply) == OptionReply::acknowledged);
    CHECK(replies.option_reply(Option::list_meta_context) == OptionReply::meta_context);
    CHECK(replies.option_reply(Option::list_meta_context) == OptionReply::acknowledged);
    CHECK(replies.option_reply(Option::list_meta_context) == OptionReply::meta_context);
    CHECK(replies.option_reply(Option::list_meta_context) == OptionReply::acknowledged);
    CHECK(replies.option_reply(Option::list_meta_context) == OptionReply::acknowledged);
    CHECK(replies.option_reply(Option::set_meta_context) == OptionReply::meta_context);
    CHECK(replies.option_reply(Option::set_meta_context) == OptionReply::acknowledged);
}

TEST_CASE("a client that cannot handle large sectors is told to ask for them") {
    Session session(64, 4096);
    Script plain = Script().flags().option(Option::go, Script().string("").field(Be<u16>(0)));
    Replies replies = after_greeting(session, plain.option(Option::abort, {}));
    CHECK(replies.option_reply(Option::go) == OptionReply::error_block_size_required);
}

TEST_CASE("the old way of choosing an export works, with and without its zeroes") {
    Session session;
    Script name = Script().text("one");
    Replies with = after_greeting(session, Script().flags(1).option(Option::export_name, name));
    with.take_bytes(8 + 2 + export_name_zeroes);
    CHECK(with.at_end());
    Replies without = after_greeting(session, Script().flags(3).option(Option::export_name, name));
    without.take_bytes(8 + 2);
    CHECK(without.at_end());
    Replies unknown = after_greeting(session, Script().flags(3).option(Option::export_name, Script().text("no")));
    CHECK(unknown.at_end());
}

TEST_CASE("what is no NBD client is left without a word") {
    Session session;
    CHECK(after_greeting(session, Script().flags(0xff)).at_end());
    CHECK(after_greeting(session, Script().flags().text("GET / HTTP/1.1\r\n\r\n")).at_end());
    Script huge = Script().flags().field(OptionHeader{.magic = option_magic, .option = 3, .length = 1U << 30});
    CHECK(after_greeting(session, huge.fill(100, 1)).at_end());
    CHECK(after_greeting(session, Script()).at_end());
}

TEST_CASE("a client that says nothing is left after the time for the handshake") {
    Session session;
    ScriptedStream stream(Script().flags().bytes);
    stream.stay_silent();
    Replies replies = session.run(stream);
    replies.take<Greeting>();
    CHECK(replies.at_end());
}
