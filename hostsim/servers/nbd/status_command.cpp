// NBD_CMD_BLOCK_STATUS in the context base:allocation.
#include "hostsim/servers/nbd/connection.hpp"

namespace undercroft::nbd {

namespace {

/// Extents in one reply; a client asks again from where they end.
constexpr usize extents_max = 128;
/// How often the disk is asked for one request: neighbours of one state become one extent.
constexpr usize looks_max = 4096;

u32 flags_of(BlockState state) { return state == BlockState::zero ? extent_hole | extent_zero : 0; }

}  // namespace

Task<void> Connection::block_status(Request request) {
    Place place(*this, request);
    Reply reply;
    BounceLease lease;
    if (!co_await borrow(lease, extents_max * sizeof(Extent))) {
        co_return;
    }
    // SAFETY: a lease starts on a page boundary and has at least a page; extents have alignment 1.
    auto* extents = reinterpret_cast<Extent*>(lease.segments()[0].data);
    static_assert(extents_max * sizeof(Extent) <= page_size);
    usize count = 0;
    usize wanted = request.wants(command_request_one) ? 1 : extents_max;
    SectorRange rest = range_of(request);
    for (usize look = 0; look < looks_max && rest.count > 0; ++look) {
        DiskResult<BlockStatus> status = co_await disk_->block_status(rest, cancel_.token());
        if (!status || status->sectors == 0) {
            WireError error = status ? WireError::io : wire_error(status.error(), false);
            (void)co_await answer(reply, request, error);
            co_return;
        }
        u64 sectors = std::min(status->sectors, rest.count);
        u32 flags = flags_of(status->state);
        u32 bytes = static_cast<u32>(sectors << sector_shift_);
        if (count > 0 && extents[count - 1].flags == flags) {
            extents[count - 1].length = extents[count - 1].length + bytes;
        } else if (count == wanted) {
            break;
        } else {
            extents[count++] = {.length = bytes, .flags = flags};
        }
        rest.start += sectors;
        rest.count -= sectors;
    }
    MemorySegment list{.data = lease.segments()[0].data, .size = count * sizeof(Extent)};
    start_chunk(reply, request, Chunk::block_status, sizeof(Be<u32>) + list.size, true);
    reply.append(Be<u32>(allocation_context_id));
    reply.data = {&list, 1};
    (void)co_await replies_.send(reply);
}

}  // namespace undercroft::nbd
