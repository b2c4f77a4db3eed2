// A hostile NBD client: handshake and requests from the input, cut into pieces. The first byte says how: its low bits
// the size of a piece, its high bits whether sends are slow, fail, or the disk is read-only.
#include "hostsim/platform/virtual_platform.hpp"
#include "hostsim/servers/nbd/connection.hpp"
#include "storage/backends/ram_disk.hpp"
#include "tests/support/scripted_stream.hpp"

using namespace undercroft;

namespace {

Task<bool> serve(ByteStream& stream, const std::vector<nbd::Export>& exports) {
    nbd::Connection connection(stream, exports, {.data_bytes = 256 * kib, .requests = 8});
    co_await connection.serve({});
    co_return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, usize size) {
    if (size == 0) {
        return 0;
    }
    VirtualTimePlatform platform;
    Executor executor(platform);
    auto ram = *RamDisk::create({.sectors = 8192, .memory_budget_bytes = 2 * mib, .id = {}});
    std::vector<nbd::Export> exports;
    exports.push_back({.name = "a", .description = "first", .disk = *Disk::create(ram)});
    exports.push_back({.name = "b", .description = "", .disk = *Disk::create(ram), .read_only = true});
    u8 how = data[0];
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    ScriptedStream stream({bytes + 1, bytes + size}, (how & 0x0f) == 0 ? ~usize{0} : 1U << (how & 0x0f));
    stream.set_slow_sends((how & 0x10) != 0 ? 3 : 0);
    if ((how & 0x20) != 0) {
        stream.fail_sends_from(3);
    }
    run_blocking(executor, serve(stream, exports));
    return 0;
}
