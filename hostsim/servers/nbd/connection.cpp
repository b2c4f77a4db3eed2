// The reader of a connection, and every command but reads and block status.
#include "hostsim/servers/nbd/connection.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "hostsim/servers/nbd/trimmed.hpp"

namespace undercroft::nbd {

namespace {

/// Pauses end at multiples of this, so that many connections of one thread wake it together.
constexpr u64 pause_grain_ns = 4 * nanoseconds_per_microsecond;

}  // namespace

LazyMemory::LazyMemory(u64 bytes) {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory != MAP_FAILED) {
        bytes_ = {static_cast<std::byte*>(memory), bytes};
    }
}

LazyMemory::~LazyMemory() {
    if (!bytes_.empty()) {
        munmap(bytes_.data(), bytes_.size());
    }
}

WireError wire_error(DiskError error, bool is_change) {
    switch (error) {
    case DiskError::illegal_block:
        return is_change ? WireError::no_space : WireError::invalid;
    case DiskError::invalid_input:
        return WireError::invalid;
    case DiskError::read_only:
    case DiskError::reservation_conflict:
        return WireError::not_permitted;
    case DiskError::unsupported_eject:
        return WireError::not_supported;
    case DiskError::memory_access:
        return WireError::no_memory;
    case DiskError::gone:
    case DiskError::cancelled:
        return WireError::shutting_down;
    case DiskError::aborted_by_preempt:
    case DiskError::io:
    case DiskError::medium_guard:
    case DiskError::medium_reference_tag:
    case DiskError::medium_application_tag:
    case DiskError::medium_read:
    case DiskError::medium_write:
    case DiskError::timed_out:
        return WireError::io;
    }
    return WireError::io;
}

/// While it lives, what `outer` asks is asked of `inner` as well.
class Connection::LinkedCancel : private CancelRegistration {
public:
    LinkedCancel(CancelToken outer, CancelSource& inner) : inner_(inner) {
        if (!arm(outer, &LinkedCancel::on_cancel)) {
            inner.cancel();
        }
    }

private:
    static void on_cancel(CancelRegistration& self) { static_cast<LinkedCancel&>(self).inner_.cancel(); }
    CancelSource& inner_;
};

Connection::Connection(ByteStream& stream, const std::vector<Export>& exports, const Limits& limits)
    : stream_(stream), exports_(exports), limits_(limits), buffer_(stream),
      record_(std::make_shared<ConnectionRecord>(limits.requests)), places_(limits.requests), replies_(stream) {}

Task<void> Connection::serve(CancelToken cancel) {
    LinkedCancel link(cancel, cancel_);
    {
        struct Deadline : Timer {
            explicit Deadline(CancelSource& source) : Timer(&Deadline::fire), source(source) {}
            static void fire(Timer& self) { static_cast<Deadline&>(self).source.cancel(); }
            CancelSource& source;
        } deadline(cancel_);
        Executor& executor = Executor::current();
        executor.arm(deadline, executor.now_ns() + limits_.negotiation_ns);
        std::optional<Agreement> agreement = co_await negotiate(stream_, buffer_, exports_, cancel_.token());
        executor.disarm(deadline);
        if (!agreement) {
            co_return;
        }
        agreement_ = *agreement;
    }
    record_->target.store(agreement_.target, std::memory_order_release);
    disk_ = agreement_.target->disk;
    sector_shift_ = static_cast<u32>(std::countr_zero(disk_->sector_size()));
    memory_.emplace(limits_.data_bytes);
    if (memory_->bytes().empty()) {
        log_warning("nbd: no address space for a connection's %llu bytes; it is refused",
                    static_cast<unsigned long long>(limits_.data_bytes));
        co_return;
    }
    pool_.emplace(memory_->bytes());
    co_await transmit();
}

Task<void> Connection::transmit() {
    sender_.spawn(replies_.run(cancel_));
    while (co_await next_request()) {
    }
    (void)co_await requests_.join();  // requests end within the disk's bound, or were cancelled
    replies_.stop();
    (void)co_await sender_.join();
}

// False: no more requests. What is in flight is answered after a proper disconnect, and cancelled otherwise.
Task<bool> Connection::next_request() {
    if (buffer_.available() < sizeof(RequestHeader)) {
        u64 pause = stream_.pause_ns(batch_requests_);
        batch_requests_ = 0;
        if (pause > 0) {
            u64 now = Executor::current().now_ns();
            (void)co_await sleep_until(align_up(now + pause, pause_grain_ns), cancel_.token());  // `fill` sees a cancel
        }
        if (!co_await buffer_.fill(sizeof(RequestHeader), cancel_.token())) {
            cancel_.cancel();
            co_return false;
        }
    }
    RequestHeader header;
    std::memcpy(&header, buffer_.take(sizeof(header)).data(), sizeof(header));
    Request request{.flags = header.flags,
                    .type = header.type,
                    .cookie = header.cookie,
                    .offset = header.offset,
                    .length = header.length};
    bool is_write = request.command() == Command::write;
    if (header.magic != request_magic || (is_write && request.length > payload_bytes_max)) {
        cancel_.cancel();
        co_return false;
    }
    if (request.command() == Command::disconnect) {
        co_return false;
    }
    if (!places_.try_acquire() && !co_await places_.acquire(1, {.cancel = cancel_.token()})) {
        co_return false;
    }
    ++request_count_;
    ++batch_requests_;
    std::optional<WireError> refusal = problem_with(request);
    if (is_write) {
        payload_pending_ = true;
        requests_.spawn(write(request, refusal));
        while (payload_pending_) {
            (void)co_await payload_received_.wait();  // the write says so, however it ends
        }
    } else if (refusal) {
        auto refuse = [](Connection& self, Request request, WireError error) -> Task<void> {
            Place place(self, request);
            Reply reply;
            (void)co_await self.answer(reply, request, error);
        };
        requests_.spawn(refuse(*this, request, *refusal));
    } else if (request.command() == Command::read) {
        requests_.spawn(read(request));
    } else if (request.command() == Command::block_status) {
        requests_.spawn(block_status(request));
    } else {
        requests_.spawn(run(request));
    }
    co_return true;
}

u16 Connection::known_flags(Command command) const {
    u16 fua = is_read_only(*agreement_.target) ? 0 : command_fua;
    switch (command) {
    case Command::read:
        return agreement_.structured_replies ? fua | command_df : fua;
    case Command::write_zeroes:
        return fua | command_no_hole | command_fast_zero;
    case Command::block_status:
        return fua | command_request_one;
    default:
        return fua;
    }
}

// Whether the request can be carried out at all; the disk checks its own side again.
std::optional<WireError> Connection::problem_with(const Request& request) const {
    Command command = request.command();
    bool is_change = command == Command::write || command == Command::trim || command == Command::write_zeroes;
    bool is_known = is_change || command == Command::read || command == Command::flush ||
                    (command == Command::block_status && agreement_.block_status);
    if (!is_known || (request.flags & ~known_flags(command)) != 0) {
        return WireError::invalid;
    }
    if (is_change && is_read_only(*agreement_.target)) {
        return WireError::not_permitted;
    }
    if (command == Command::flush) {
        return std::nullopt;
    }
    bool carries_data = command == Command::read || command == Command::write;
    u64 sector_mask = disk_->sector_size() - 1;
    if (((request.offset | request.length) & sector_mask) != 0 ||
        (carries_data && request.length > request_bytes_max) ||
        (command == Command::block_status && request.length == 0)) {
        return WireError::invalid;
    }
    u64 sectors = disk_->sector_count();
    SectorRange range = range_of(request);
    if (range.start > sectors || range.count > sectors - range.start) {
        return is_change ? WireError::no_space : WireError::invalid;
    }
    return std::nullopt;
}

// Commands without data in either direction.
Task<void> Connection::run(Request request) {
    Place place(*this, request);
    Reply reply;
    if (request.command() == Command::write_zeroes && request.wants(command_fast_zero)) {
        bool fast = !request.wants(command_no_hole) && disk_->facts().unmap == UnmapBehavior::zeroes;
        if (!fast) {
            (void)co_await answer(reply, request, WireError::not_supported);
            co_return;
        }
    }
    DiskResult<void> outcome = co_await change(request);
    WireError error = outcome ? WireError::none : wire_error(outcome.error(), true);
    (void)co_await answer(reply, request, error);
}

Task<DiskResult<void>> Connection::change(const Request& request) {
    bool durable = request.wants(command_fua);
    bool flush_after = durable && !disk_->facts().fua_respected;
    switch (request.command()) {
    case Command::trim:
        CO_TRY(co_await disk_->unmap(range_of(request), cancel_.token()));
        flush_after = durable;
        break;
    case Command::write_zeroes:
        CO_TRY(co_await disk_->write_zeroes(range_of(request), !request.wants(command_no_hole),
                                            durable ? ForceUnitAccess::yes : ForceUnitAccess::no, cancel_.token()));
        break;
    default:
        flush_after = true;
        break;
    }
    if (flush_after) {
        co_return co_await disk_->flush(cancel_.token());
    }
    co_return DiskResult<void>{};
}

// The reader waits while a write takes its payload from the stream, and goes on as soon as it has it.
Task<void> Connection::write(Request request, std::optional<WireError> refusal) {
    Place place(*this, request);
    u64 received = 0;
    if (!refusal) {
        refusal = co_await write_pieces(request, received);
    }
    if (payload_pending_) {
        if (!co_await buffer_.skip(request.length - received, cancel_.token())) {
            cancel_.cancel();
        }
        payload_pending_ = false;
        payload_received_.notify_all();
    }
    Reply reply;
    (void)co_await answer(reply, request, refusal.value_or(WireError::none));
}

// `received` bytes of the payload are consumed when it ends; all of them, and the reader told, where that went well.
Task<std::optional<WireError>> Connection::write_pieces(const Request& request, u64& received) {
    bool durable = request.wants(command_fua);
    ForceUnitAccess fua = durable && disk_->facts().fua_respected ? ForceUnitAccess::yes : ForceUnitAccess::no;
    while (received < request.length) {
        BounceLease lease;
        if (!co_await borrow(lease, request.length - received)) {
            co_return WireError::shutting_down;
        }
        Trimmed data(lease.segments(), request.length - received, sector_shift_);
        if (!co_await buffer_.payload(data.segments(), cancel_.token())) {
            cancel_.cancel();
            co_return WireError::shutting_down;
        }
        u64 sector = sector_of(request.offset + received);
        received += data.bytes();
        if (received == request.length) {
            payload_pending_ = false;
            payload_received_.notify_all();
        }
        DiskResult<void> outcome = co_await disk_->write(sector, data.segments(), fua, cancel_.token());
        if (!outcome) {
            co_return wire_error(outcome.error(), true);
        }
    }
    if (durable && fua == ForceUnitAccess::no) {
        DiskResult<void> flushed = co_await disk_->flush(cancel_.token());
        if (!flushed) {
            co_return wire_error(flushed.error(), true);
        }
    }
    co_return std::nullopt;
}

// Memory for a piece of a request; false where the connection ends meanwhile. No request takes all there is.
Task<bool> Connection::borrow(BounceLease& lease, u64 bytes) {
    u64 wanted = std::min<u64>(bytes, limits_.data_bytes / 4);
    if (pool_->try_acquire(lease, wanted)) {
        return Task<bool>::ready(true);
    }
    auto wait = [](BouncePool& pool, BounceLease& lease, u64 wanted, CancelToken cancel) -> Task<bool> {
        co_return (co_await pool.acquire(lease, wanted, cancel)).has_value();
    };
    return wait(*pool_, lease, wanted, cancel_.token());
}

// Reads and block status are answered in chunks once those are negotiated; all else has simple replies.
ReplyQueue::Sending Connection::answer(Reply& reply, const Request& request, WireError error) {
    if (error != WireError::none) {
        record_->activity.count_failure(kind_of(request.command()));
    }
    bool chunked = agreement_.structured_replies &&
                   (request.command() == Command::read || request.command() == Command::block_status);
    if (!chunked) {
        reply.append(
            SimpleReply{.magic = simple_reply_magic, .error = static_cast<u32>(error), .cookie = request.cookie});
    } else if (error == WireError::none) {
        start_chunk(reply, request, Chunk::none, 0, true);
    } else {
        start_chunk(reply, request, Chunk::error, sizeof(ErrorChunk), true);
        reply.append(ErrorChunk{.error = static_cast<u32>(error), .message_bytes = 0});
    }
    return replies_.send(reply);
}

void Connection::start_chunk(Reply& reply, const Request& request, Chunk type, u64 length, bool last) {
    reply.append(ChunkHeader{.magic = chunk_magic,
                             .flags = last ? chunk_done : u16{0},
                             .type = static_cast<u16>(type),
                             .cookie = request.cookie,
                             .length = static_cast<u32>(length)});
}

}  // namespace undercroft::nbd
