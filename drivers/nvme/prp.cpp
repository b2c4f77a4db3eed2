// PrpBuilder.
#include "drivers/nvme/prp.hpp"

#include "drivers/nvme/options.hpp"

namespace undercroft::nvme::host {

namespace {
constexpr u64 first_alignment = 4;
}

bool PrpBuilder::add_page(u64 address) {
    if (pages_ == 0) {
        first_ = address;
    } else if (pages_ - 1 < list_.size()) {
        list_[pages_ - 1] = address;
    } else {
        return false;
    }
    ++pages_;
    return true;
}

bool PrpBuilder::add(u64 address, usize size_bytes) {
    u64 end = address + size_bytes;
    if (size_bytes == 0 || end < address) {
        return false;
    }
    u64 page = address;
    if (pages_ > 0 && address == end_) {
        page = align_up(address, page_size);  // goes on in the page where the last piece ended
    } else if (!is_aligned(address, pages_ == 0 ? first_alignment : page_size) || !is_aligned(end_, page_size)) {
        return false;
    }
    for (; page < end; page = align_down(page, page_size) + page_size) {
        if (!add_page(page)) {
            return false;
        }
    }
    end_ = end;
    return true;
}

DataPointer PrpBuilder::finish() const {
    DataPointer pointer;
    pointer.prp1 = pages_ > 0 ? first_ : unmappable_address;
    if (pages_ <= 1) {
        pointer.prp2 = unmappable_address;
    } else if (pages_ == 2) {
        pointer.prp2 = list_[0].value();
    } else {
        pointer.prp2 = list_address_;
    }
    return pointer;
}

bool add_in_place(PrpBuilder& builder, DeviceHost& host, const SegmentView& view) {
    return view.for_each([&](std::byte* data, usize size) {
        while (size > 0) {
            Result<DeviceRange> range = host.device_range(data, size);
            if (!range || range->size_bytes == 0 || range->size_bytes > size ||
                !builder.add(range->address, range->size_bytes)) {
                return false;
            }
            data += range->size_bytes;
            size -= range->size_bytes;
        }
        return true;
    });
}

}  // namespace undercroft::nvme::host
