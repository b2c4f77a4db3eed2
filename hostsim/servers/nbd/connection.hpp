// One client: handshake, then its requests, many at once, answered in the order in which they are done. Memory for a
// connection is a fixed budget that is touched as far as it is used; after warm-up no request allocates from the heap.
//
// Who waits for what, and why that ends: the reader waits for bytes, for a place among the requests in flight and for
// data memory; requests wait for the disk (within a bound, by its contract) and for their reply to be sent; the sender
// waits for the client to take what is sent. A client that stops reading holds its own memory and nobody else's, until
// it goes away or the server stops, which cancels all of this.
#pragma once

#include <sys/mman.h>

#include "hostsim/servers/nbd/connection_record.hpp"
#include "hostsim/servers/nbd/negotiation.hpp"
#include "hostsim/servers/nbd/reply_queue.hpp"
#include "kernel/async/semaphore.hpp"
#include "kernel/async/task_group.hpp"
#include "kernel/base/log.hpp"
#include "storage/bounce_pool.hpp"

namespace undercroft::nbd {

struct Limits {
    u64 data_bytes = 4 * mib;  ///< of each connection, for the data of its requests; whole pages
    u32 requests = 128;        ///< in flight on each connection
    u64 negotiation_ns = 30 * nanoseconds_per_second;
};

/// The protocol's error for `error`. Out of range is another number for a change than for a read.
WireError wire_error(DiskError error, bool is_change);

/// Memory that exists as far as it is touched.
class LazyMemory {
public:
    explicit LazyMemory(u64 bytes);
    LazyMemory(const LazyMemory&) = delete;
    LazyMemory& operator=(const LazyMemory&) = delete;
    ~LazyMemory();
    std::span<std::byte> bytes() const { return bytes_; }

private:
    std::span<std::byte> bytes_;
};

class Connection {
public:
    /// `exports` and `stream` outlive the connection.
    Connection(ByteStream& stream, const std::vector<Export>& exports, const Limits& limits);
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// Serves the client until it leaves, breaks the protocol, or `cancel` asks. Once, on one executor.
    Task<void> serve(CancelToken cancel);

    u64 request_count() const { return request_count_; }
    const std::shared_ptr<ConnectionRecord>& record() const { return record_; }

private:
    struct Request {
        u16 flags;
        u16 type;
        u64 cookie;
        u64 offset;
        u32 length;
        Command command() const { return static_cast<Command>(type); }
        bool wants(u16 flag) const { return (flags & flag) != 0; }
    };
    /// A request's place among those in flight.
    class Place {
    public:
        Place(Connection& connection, const Request& request)
            : connection_(connection),
              started_(connection.record_->activity.begin(kind_of(request.command()), request.offset, request.length,
                                                          Executor::current().now_ns())) {}
        Place(const Place&) = delete;
        Place& operator=(const Place&) = delete;
        ~Place() {
            connection_.record_->activity.end(started_, Executor::current().now_ns());
            connection_.places_.release();
        }

    private:
        Connection& connection_;
        inspect::Activity::Started started_;
    };
    class LinkedCancel;

    Task<void> transmit();
    Task<bool> next_request();
    std::optional<WireError> problem_with(const Request& request) const;
    u16 known_flags(Command command) const;
    u64 sector_of(u64 bytes) const { return bytes >> sector_shift_; }
    SectorRange range_of(const Request& request) const {
        return {.start = sector_of(request.offset), .count = sector_of(request.length)};
    }

    Task<void> run(Request request);
    Task<DiskResult<void>> change(const Request& request);
    Task<void> write(Request request, std::optional<WireError> refusal);
    Task<std::optional<WireError>> write_pieces(const Request& request, u64& received);

    Task<void> read(Request request);
    Task<void> read_structured(const Request& request);
    Task<void> read_simple(const Request& request);
    Task<u64> send_data(const Request& request, SectorRange piece, bool is_last);
    Task<BlockStatus> zero_run(SectorRange rest);

    Task<void> block_status(Request request);

    Task<bool> borrow(BounceLease& lease, u64 bytes);
    ReplyQueue::Sending answer(Reply& reply, const Request& request, WireError error);
    static void start_chunk(Reply& reply, const Request& request, Chunk type, u64 length, bool last);

    ByteStream& stream_;
    const std::vector<Export>& exports_;
    Limits limits_;
    ReceiveBuffer buffer_;
    Agreement agreement_;
    std::optional<Disk> disk_;
    u32 sector_shift_ = 9;
    std::optional<LazyMemory> memory_;
    std::optional<BouncePool> pool_;
    std::shared_ptr<ConnectionRecord> record_;
    Semaphore places_;
    CancelSource cancel_;
    TaskGroup requests_;
    TaskGroup sender_;
    ReplyQueue replies_;
    WaitQueue payload_received_;
    bool payload_pending_ = false;  // a write still takes its payload from the stream
    u64 request_count_ = 0;
    u64 batch_requests_ = 0;  // since the reader last waited
};

}  // namespace undercroft::nbd
