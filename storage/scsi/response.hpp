// What a command returns to the initiator: bytes in order, cut off at the allocation length and at the initiator's
// buffer.
#pragma once

#include "storage/scsi/request.hpp"
#include "storage/segments.hpp"

namespace undercroft::scsi {

class ResponseWriter {
public:
    ResponseWriter(const Request& request, u64 allocation_bytes)
        : cursor_(request.data_in), room_(std::min(allocation_bytes, total_bytes(request.data_in))),
          allocation_bytes_(allocation_bytes) {}

    /// The next bytes; those that find no room are counted alone.
    void put(std::span<const std::byte> bytes) {
        u64 fits = written_ < room_ ? std::min<u64>(bytes.size(), room_ - written_) : 0;
        cursor_.copy_in(bytes.first(static_cast<usize>(fits)));
        written_ += bytes.size();
    }
    /// A part in its layout: a struct, or a big-endian field.
    template <typename T>
        requires std::is_trivially_copyable_v<T>
    void put_part(const T& part) {
        put(std::as_bytes(std::span(&part, 1)));
    }

    /// Bytes that reached the initiator.
    u64 transferred() const { return std::min(written_, room_); }
    /// The buffer, and not the allocation length, was too small.
    bool overran() const { return std::min(written_, allocation_bytes_) > room_; }

private:
    SegmentCursor cursor_;
    u64 room_;
    u64 allocation_bytes_;
    u64 written_ = 0;
};

/// GOOD, with what `writer` wrote.
inline Completion completion_of(const Request& request, const ResponseWriter& writer) {
    u64 offered = total_bytes(request.data_in) + total_bytes(request.data_out);
    return {.delivery = writer.overran() ? Delivery::overrun : Delivery::done,
            .transferred = writer.transferred(),
            .residual = offered - writer.transferred()};
}

/// GOOD, with one part as the whole answer.
template <typename T>
Completion respond(const Request& request, u64 allocation_bytes, const T& part) {
    ResponseWriter writer(request, allocation_bytes);
    writer.put_part(part);
    return completion_of(request, writer);
}

}  // namespace undercroft::scsi
