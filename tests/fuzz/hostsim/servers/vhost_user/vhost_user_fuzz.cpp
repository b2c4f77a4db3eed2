// libFuzzer target: a hostile vhost-user frontend. The input is a sequence of messages; descriptors beside them come from
// a few that a frontend could have (guest memory, in-flight memory, eventfds, a file that is empty). The whole stream is
// sent, the session runs to its end, and what it answered is thrown away. Guest memory holds a ring with requests.
#include "hostsim/platform/ring_platform.hpp"
#include "hostsim/servers/vhost_user/session.hpp"
#include "storage/backends/ram_disk.hpp"
#include "storage/frontends/virtio/block_device.hpp"
#include "tests/support/vhost_frontend.hpp"
#include "tests/unit/storage/frontends/virtio/virtio_driver.hpp"

using namespace undercroft;
using namespace undercroft::vhost_user;
using virtio::FakeDriver;

namespace {

constexpr usize messages_max = 48;  // fit into a socket's buffer

Task<bool> serve(Session& session) {
    co_await session.serve({});
    co_return true;
}

void fill_rings(std::byte* memory, bool packed) {
    memset(memory, 0, FakeDriver::memory_bytes);
    FakeDriver driver(memory, 8, packed);
    for (u32 type : {0U, 1U, 4U, 8U}) {
        u64 at = FakeDriver::data_at + type * 64;
        driver.put(at, virtio::BlockRequestHeader{.type = type, .reserved = 0U, .sector = u64{type}});
        driver.add({{at, 16, false}, {0x10000, 512, type == 0 || type == 8}, {at + 32, 1, true}}, packed);
    }
}

/// The ring calls at once.
Descriptor signalled() { return Descriptor(eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC)); }

struct Input {
    const u8* at;
    const u8* end;
    u8 byte() { return at < end ? *at++ : u8{0}; }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, usize size) {
    static std::unique_ptr<RingPlatform> platform = std::move(*RingPlatform::create({.submission_entries = 8}));
    static Executor executor(*platform);
    static SharedMemory memory(FakeDriver::memory_bytes);
    static SharedMemory region(64 * kib);
    Input input{.at = data, .end = data + size};
    u8 flags = input.byte();
    fill_rings(memory.data(), (flags & 1) != 0);
    if ((flags & 2) != 0) {
        memset(region.data(), flags, 64 * kib);
    }
    Frontend frontend;
    virtio::BlockDevice device(*Disk::create(*RamDisk::create({.sectors = 256, .id = {}})),
                               {.serial = "fuzz", .queues = 2});
    {
        Session session(frontend.take_server_end(), device);
        Descriptor kick = signalled();
        Descriptor call = signalled();
        SharedMemory nothing(0);
        for (usize count = 0; count < messages_max && input.at < input.end; ++count) {
            u8 request = input.byte();
            u8 how = input.byte();
            usize bytes = std::min<usize>(input.byte(), static_cast<usize>(input.end - input.at));
            const int choices[] = {memory.file(), region.file(), kick.get(), call.get(), nothing.file()};
            int files[9];
            usize file_count = (how & 0x0f) < 10 ? how & 0x03 : how & 0x0f;
            file_count = std::min<usize>(file_count, 9);
            for (usize index = 0; index < file_count; ++index) {
                files[index] = choices[((how >> 4) + index) % std::size(choices)];
            }
            frontend.send(request, std::as_bytes(std::span(input.at, bytes)), std::span(files, file_count),
                          (how & 0x08) != 0 ? flag_version | flag_need_reply : flag_version);
            input.at += bytes;
        }
        frontend.end_writing();
        run_blocking(executor, serve(session));
    }
    return 0;
}
