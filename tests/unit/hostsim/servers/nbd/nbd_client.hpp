// The client's side of NBD, written down before it is sent: builds scripts and takes replies apart.
#pragma once

#include <catch2/catch.hpp>

#include "hostsim/platform/virtual_platform.hpp"
#include "hostsim/servers/nbd/connection.hpp"
#include "storage/backends/ram_disk.hpp"
#include "tests/support/scripted_stream.hpp"

namespace undercroft::nbd {

class Script {
public:
    template <typename T>
    Script& field(const T& value) {
        const auto* data = reinterpret_cast<const std::byte*>(&value);
        bytes.insert(bytes.end(), data, data + sizeof(value));
        return *this;
    }
    Script& text(std::string_view value) {
        auto view = std::as_bytes(std::span(value));
        bytes.insert(bytes.end(), view.begin(), view.end());
        return *this;
    }
    Script& fill(usize count, u8 value) {
        bytes.insert(bytes.end(), count, static_cast<std::byte>(value));
        return *this;
    }
    Script& flags(u32 value = 3) { return field(Be<u32>(value)); }
    Script& option(Option option, const Script& data) {
        field(OptionHeader{
            .magic = option_magic, .option = static_cast<u32>(option), .length = static_cast<u32>(data.bytes.size())});
        bytes.insert(bytes.end(), data.bytes.begin(), data.bytes.end());
        return *this;
    }
    Script& string(std::string_view value) { return field(Be<u32>(static_cast<u32>(value.size()))).text(value); }
    Script& go(std::string_view name = "") {
        return option(Option::go, Script().string(name).field(Be<u16>(1)).field(Be<u16>(3)));
    }
    Script& structured() { return option(Option::structured_reply, {}); }
    Script& allocation(std::string_view name = "") {
        return option(Option::set_meta_context, Script().string(name).field(Be<u32>(1)).string(allocation_context));
    }
    Script& request(Command command, u64 cookie, u64 offset, u32 length, u16 flags = 0) {
        return field(RequestHeader{.magic = request_magic,
                                   .flags = flags,
                                   .type = static_cast<u16>(command),
                                   .cookie = cookie,
                                   .offset = offset,
                                   .length = length});
    }
    Script& write(u64 cookie, u64 offset, u32 length, u8 value, u16 flags = 0) {
        return request(Command::write, cookie, offset, length, flags).fill(length, value);
    }
    Script& disconnect() { return request(Command::disconnect, 0, 0, 0); }

    std::vector<std::byte> bytes;
};

/// Takes apart what a server sent.
class Replies {
public:
    explicit Replies(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
    template <typename T>
    T take() {
        REQUIRE(bytes_.size() - position_ >= sizeof(T));
        T value;
        std::memcpy(&value, bytes_.data() + position_, sizeof(value));
        position_ += sizeof(value);
        return value;
    }
    std::vector<std::byte> take_bytes(usize count) {
        REQUIRE(bytes_.size() - position_ >= count);
        auto begin = bytes_.begin() + static_cast<std::ptrdiff_t>(position_);
        position_ += count;
        return {begin, begin + static_cast<std::ptrdiff_t>(count)};
    }
    /// The type of the next option reply, whose data become `data`.
    OptionReply option_reply(Option expected) {
        auto header = take<OptionReplyHeader>();
        REQUIRE(header.magic == option_reply_magic);
        REQUIRE(header.option == static_cast<u32>(expected));
        data = take_bytes(header.length);
        return static_cast<OptionReply>(header.type.value());
    }
    /// Past the greeting and everything that `go` and its preludes are answered with.
    void skip_handshake() {
        take<Greeting>();
        while (true) {
            auto header = take<OptionReplyHeader>();
            take_bytes(header.length);
            if (header.option == static_cast<u32>(Option::go) &&
                header.type == static_cast<u32>(OptionReply::acknowledged)) {
                return;
            }
        }
    }
    /// The error of the next simple reply, whose cookie becomes `cookie`.
    WireError simple() {
        auto reply = take<SimpleReply>();
        REQUIRE(reply.magic == simple_reply_magic);
        cookie = reply.cookie;
        return static_cast<WireError>(reply.error.value());
    }
    /// The next chunk's header; its payload becomes `data`.
    ChunkHeader chunk() {
        auto header = take<ChunkHeader>();
        REQUIRE(header.magic == chunk_magic);
        cookie = header.cookie;
        data = take_bytes(header.length);
        return header;
    }
    WireError chunk_error() {
        auto header = chunk();
        REQUIRE(header.type == static_cast<u16>(Chunk::error));
        REQUIRE(data.size() >= sizeof(ErrorChunk));
        ErrorChunk error;
        std::memcpy(&error, data.data(), sizeof(error));
        return static_cast<WireError>(error.error.value());
    }
    bool at_end() const { return position_ == bytes_.size(); }

    std::vector<std::byte> data;
    u64 cookie = 0;

private:
    std::vector<std::byte> bytes_;
    usize position_ = 0;
};

/// A server with one client, whose whole side is a script.
struct Session {
    explicit Session(u64 sectors = 32768, u32 sector_size = 512, bool read_only = false)
        : disk(*RamDisk::create({.sectors = sectors, .sector_size = sector_size, .read_only = read_only, .id = {}})),
          exports{{.name = "one", .description = "the first", .disk = *Disk::create(disk)}} {}

    Replies run(const Script& script, usize piece_bytes = ~usize{0}, usize slow_turns = 0) {
        ScriptedStream stream(script.bytes, piece_bytes);
        stream.set_slow_sends(slow_turns);
        return run(stream);
    }
    Replies run(ScriptedStream& stream) {
        VirtualTimePlatform platform;
        Executor executor(platform);
        auto serve = [](ScriptedStream& stream, Session& session) -> Task<bool> {
            Connection connection(stream, session.exports, session.limits);
            co_await connection.serve({});
            co_return true;
        };
        run_blocking(executor, serve(stream, *this));
        return Replies(stream.sent());
    }

    std::shared_ptr<RamDisk> disk;
    std::vector<Export> exports;
    Limits limits;
};

}  // namespace undercroft::nbd
