// NBD_CMD_READ: simple replies, and structured ones in which holes are said instead of sent.
#include "hostsim/servers/nbd/connection.hpp"
#include "hostsim/servers/nbd/trimmed.hpp"

namespace undercroft::nbd {

namespace {

/// A zero run inside a request that is shorter than this is sent as data: a chunk costs as much.
constexpr u64 hole_bytes_min = 32 * kib;
/// What DF (do not fragment) is honoured for. The protocol asks for 64 KiB; a lease always has this much.
constexpr u64 unfragmented_bytes_max = BouncePool::piece_pages * page_size;

}  // namespace

Task<void> Connection::read(Request request) {
    Place place(*this, request);
    if (request.length == 0) {
        Reply reply;
        (void)co_await answer(reply, request, WireError::none);
    } else if (!agreement_.structured_replies) {
        co_await read_simple(request);
    } else {
        co_await read_structured(request);
    }
}

// A simple reply is one message: its header says that all went well before the last byte was read. Where the memory for
// all of it cannot be had at once, the stream is this request's until the end, and an error ends the connection.
Task<void> Connection::read_simple(const Request& request) {
    BounceLease lease;
    if (!co_await borrow(lease, request.length)) {
        co_return;
    }
    for (u64 done = 0; done < request.length;) {
        Trimmed data(lease.segments(), request.length - done, sector_shift_);
        DiskResult<void> outcome =
            co_await disk_->read(sector_of(request.offset + done), data.segments(), cancel_.token());
        Reply reply;
        if (!outcome) {
            if (done > 0) {
                replies_.fail();
            } else {
                (void)co_await answer(reply, request, wire_error(outcome.error(), false));
            }
            co_return;
        }
        if (done == 0) {
            reply.append(SimpleReply{.magic = simple_reply_magic, .error = 0, .cookie = request.cookie});
        }
        done += data.bytes();
        reply.data = data.segments();
        reply.continues = done < request.length;
        reply.owner = &lease;
        if (!co_await replies_.send(reply)) {
            co_return;
        }
    }
}

// What to send next of `rest`: a zero run that is worth a chunk, or data up to one.
Task<BlockStatus> Connection::zero_run(SectorRange rest) {
    constexpr usize looks_max = 64;
    u64 worth = hole_bytes_min >> sector_shift_;
    u64 data = 0;
    for (usize look = 0; look < looks_max && data < rest.count; ++look) {
        SectorRange range{.start = rest.start + data, .count = rest.count - data};
        DiskResult<BlockStatus> status = co_await disk_->block_status(range, cancel_.token());
        if (!status || status->sectors == 0) {
            break;
        }
        u64 sectors = std::min(status->sectors, range.count);
        bool is_hole = status->state == BlockState::zero && (sectors >= worth || sectors == rest.count);
        if (is_hole) {
            co_return data > 0 ? BlockStatus{.sectors = data, .state = BlockState::data}
                               : BlockStatus{.sectors = sectors, .state = BlockState::zero};
        }
        data += sectors;
    }
    co_return BlockStatus{.sectors = rest.count, .state = BlockState::data};
}

Task<void> Connection::read_structured(const Request& request) {
    SectorRange rest = range_of(request);
    bool whole = request.wants(command_df);
    if (whole && request.length > unfragmented_bytes_max) {
        Reply reply;
        (void)co_await answer(reply, request, WireError::overflow);
        co_return;
    }
    while (rest.count > 0) {
        BlockStatus run{.sectors = rest.count, .state = BlockState::data};
        if (disk_->facts().knows_holes) {
            run = co_await zero_run(rest);
            run =
                whole && run.sectors < rest.count ? BlockStatus{.sectors = rest.count, .state = BlockState::data} : run;
        }
        u64 sent = run.sectors;
        if (run.state == BlockState::zero) {
            Reply reply;
            start_chunk(reply, request, Chunk::offset_hole, sizeof(OffsetHole), sent == rest.count);
            reply.append(
                OffsetHole{.offset = rest.start << sector_shift_, .length = static_cast<u32>(sent << sector_shift_)});
            if (!co_await replies_.send(reply)) {
                co_return;
            }
        } else {
            sent = co_await send_data(request, {.start = rest.start, .count = sent}, sent == rest.count);
            if (sent == 0) {
                co_return;
            }
        }
        rest.start += sent;
        rest.count -= sent;
    }
}

// Sends as much of `piece` as there is memory for, and returns how much that was; 0 where the request has ended.
// `is_last`: nothing of the request follows behind `piece`.
Task<u64> Connection::send_data(const Request& request, SectorRange piece, bool is_last) {
    BounceLease lease;
    if (!co_await borrow(lease, piece.count << sector_shift_)) {
        co_return 0;
    }
    Trimmed data(lease.segments(), piece.count << sector_shift_, sector_shift_);
    DiskResult<void> outcome = co_await disk_->read(piece.start, data.segments(), cancel_.token());
    Reply reply;
    if (!outcome) {
        (void)co_await answer(reply, request, wire_error(outcome.error(), false));
        co_return 0;
    }
    u64 sectors = sector_of(data.bytes());
    start_chunk(reply, request, Chunk::offset_data, sizeof(Be<u64>) + data.bytes(), is_last && sectors == piece.count);
    reply.append(Be<u64>(piece.start << sector_shift_));
    reply.data = data.segments();
    co_return co_await replies_.send(reply) ? sectors : 0;
}

}  // namespace undercroft::nbd
