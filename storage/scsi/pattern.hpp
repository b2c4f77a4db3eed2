// Blocks that an initiator offers once and that are written or compared many times.
#pragma once

#include <cstring>
#include <memory>

#include "storage/segments.hpp"

namespace undercroft::scsi {

/// One read, write or comparison of those that are done in pieces.
inline constexpr u64 piece_bytes = DiskInterface::compare_piece_bytes;

/// Memory of `bytes` in which `block` stands again and again; null where there is none.
inline std::unique_ptr<std::byte[]> repeated(std::span<const std::byte> block, usize bytes) {
    std::unique_ptr<std::byte[]> memory(new (std::nothrow) std::byte[bytes]);
    for (usize at = 0; memory != nullptr && at < bytes; at += block.size()) {
        std::memcpy(memory.get() + at, block.data(), block.size());
    }
    return memory;
}

/// The first block that an initiator offers, copied, so that it cannot change any more; null where there is no memory.
inline std::unique_ptr<std::byte[]> first_block(SegmentList data, usize block_bytes) {
    std::unique_ptr<std::byte[]> block(new (std::nothrow) std::byte[block_bytes]);
    if (block != nullptr) {
        SegmentCursor(data).copy_out({block.get(), block_bytes});
    }
    return block;
}

}  // namespace undercroft::scsi
