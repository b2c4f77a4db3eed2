// PRP and SGL resolution.
#include "storage/frontends/nvme/data_pointer.hpp"

#include <algorithm>

#include "storage/frontends/nvme/guest_words.hpp"

namespace undercroft::nvme {

namespace {

constexpr u64 memory_page = u64{1} << memory_page_log2;
constexpr u64 prp_bytes = 8;

Status add_piece(const GuestMemory& memory, u64 address, u64 bytes, SegmentBuilder& segments, Status when_full) {
    Result<std::span<std::byte>> piece = memory.resolve(address, bytes);
    if (!piece) {
        return Status::data_transfer_error;
    }
    return segments.append(*piece) ? Status::success : when_full;
}

/// A PRP list is a page of entries; where more follow, its last entry points to the next page.
Status resolve_prp_list(const GuestMemory& memory, u64 list_address, u64 bytes, SegmentBuilder& segments) {
    if (!is_aligned(list_address, prp_bytes)) {
        return Status::prp_offset_invalid;
    }
    // Each round takes at least one entry of data, but the first (which may begin at the last entry of its page).
    while (bytes > 0) {
        u64 entries_in_page = (memory_page - list_address % memory_page) / prp_bytes;
        u64 entries_left = (bytes + memory_page - 1) / memory_page;
        bool chained = entries_left > entries_in_page;
        u64 entries = chained ? entries_in_page - 1 : entries_left;
        Result<std::span<std::byte>> list = memory.resolve(list_address, (entries + (chained ? 1 : 0)) * prp_bytes);
        if (!list) {
            return Status::data_transfer_error;
        }
        for (u64 index = 0; index < entries; ++index) {
            u64 address = load_guest_u64(list->data() + index * prp_bytes);
            if (!is_aligned(address, memory_page)) {
                return Status::prp_offset_invalid;
            }
            u64 piece = std::min(bytes, memory_page);
            Status status = add_piece(memory, address, piece, segments, Status::internal_error);
            if (status != Status::success) {
                return status;
            }
            bytes -= piece;
        }
        if (chained) {
            list_address = load_guest_u64(list->data() + entries * prp_bytes);
            if (!is_aligned(list_address, memory_page)) {
                return Status::prp_offset_invalid;
            }
        }
    }
    return Status::success;
}

Status resolve_prp(const GuestMemory& memory, const DataPointer& pointer, u64 bytes, SegmentBuilder& segments) {
    u64 first = pointer.prp1;
    if (!is_aligned(first, 4)) {
        return Status::prp_offset_invalid;
    }
    u64 piece = std::min(bytes, memory_page - first % memory_page);
    Status status = add_piece(memory, first, piece, segments, Status::internal_error);
    bytes -= piece;
    if (status != Status::success || bytes == 0) {
        return status;
    }
    if (bytes > memory_page) {
        return resolve_prp_list(memory, pointer.prp2, bytes, segments);
    }
    if (!is_aligned(pointer.prp2, memory_page)) {
        return Status::prp_offset_invalid;
    }
    return add_piece(memory, pointer.prp2, bytes, segments, Status::internal_error);
}

/// The walk through SGL segments.
class SglWalk {
public:
    SglWalk(const GuestMemory& memory, u64 bytes, SegmentBuilder& segments)
        : memory_(memory), bytes_(bytes), segments_(segments) {}

    Status run(SglDescriptor descriptor) {
        bool last = false;
        for (;;) {
            if (descriptor.type() != SglType::segment && descriptor.type() != SglType::last_segment) {
                // Only the one descriptor of the command itself.
                Status status = take_data(descriptor);
                return status == Status::success && bytes_ > 0 ? Status::data_sgl_length_invalid : status;
            }
            last = descriptor.type() == SglType::last_segment;
            Status status = take_segment(descriptor, last);
            if (status != Status::success || bytes_ == 0) {
                return status;
            }
            if (last) {
                return Status::data_sgl_length_invalid;
            }
            descriptor = next_;
        }
    }

private:
    Status take_segment(const SglDescriptor& descriptor, bool last) {
        u64 length = descriptor.length_bytes;
        if (descriptor.subtype() != 0) {
            return Status::sgl_descriptor_type_invalid;
        }
        if (length == 0 || length % sizeof(SglDescriptor) != 0) {
            return Status::invalid_sgl_segment_descriptor;
        }
        Result<std::span<std::byte>> list = memory_.resolve(descriptor.address, length);
        if (!list) {
            return Status::data_transfer_error;
        }
        u64 count = length / sizeof(SglDescriptor);
        for (u64 index = 0; index < count; ++index) {
            if (++descriptors_ > sgl_descriptors_max) {
                return Status::invalid_number_of_sgl_descriptors;
            }
            SglDescriptor entry;
            std::memcpy(&entry, list->data() + index * sizeof entry, sizeof entry);
            bool pointer = entry.type() == SglType::segment || entry.type() == SglType::last_segment;
            if (pointer) {
                // Only the last place of a segment that is not the last may point on.
                if (last || index + 1 != count) {
                    return Status::invalid_sgl_segment_descriptor;
                }
                next_ = entry;
                return Status::success;
            }
            Status status = take_data(entry);
            if (status != Status::success || bytes_ == 0) {
                return status;
            }
        }
        return last ? Status::success : Status::invalid_sgl_segment_descriptor;
    }

    Status take_data(const SglDescriptor& descriptor) {
        if (descriptor.type() != SglType::data_block || descriptor.subtype() != 0) {
            return Status::sgl_descriptor_type_invalid;
        }
        u64 piece = std::min<u64>(bytes_, descriptor.length_bytes);
        if (piece == 0) {
            return Status::success;
        }
        bytes_ -= piece;
        return add_piece(memory_, descriptor.address, piece, segments_, Status::invalid_number_of_sgl_descriptors);
    }

    const GuestMemory& memory_;
    u64 bytes_;
    SegmentBuilder& segments_;
    u32 descriptors_ = 0;
    SglDescriptor next_;
};

}  // namespace

usize segments_needed(const SubmissionEntry& entry, u64 bytes) {
    if (entry.data_pointer_kind() == DataPointerKind::prp) {
        return (entry.data_pointer.prp1 % memory_page + bytes + memory_page - 1) / memory_page;
    }
    SglDescriptor descriptor;
    std::memcpy(&descriptor, &entry.data_pointer, sizeof descriptor);
    return descriptor.type() == SglType::data_block ? 1 : segments_max;
}

Status resolve_data(const GuestMemory& memory, const SubmissionEntry& entry, u64 bytes, SegmentBuilder& segments) {
    switch (entry.data_pointer_kind()) {
    case DataPointerKind::prp:
        return resolve_prp(memory, entry.data_pointer, bytes, segments);
    case DataPointerKind::sgl_contiguous_metadata:
    case DataPointerKind::sgl_segment_metadata: {
        SglDescriptor descriptor;
        std::memcpy(&descriptor, &entry.data_pointer, sizeof descriptor);
        return SglWalk(memory, bytes, segments).run(descriptor);
    }
    case DataPointerKind::reserved:
        break;
    }
    return Status::invalid_field;
}

}  // namespace undercroft::nvme
