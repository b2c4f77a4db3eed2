// BounceMemory.
#include "drivers/nvme/bounce.hpp"

#include <algorithm>
#include <cstring>
#include <new>

namespace undercroft::nvme::host {

Result<std::unique_ptr<BounceMemory>> BounceMemory::create(DeviceHost& host, usize pages) {
    ASSERT(pages >= pages_max && pages <= 0xffff);
    std::unique_ptr<BounceMemory> memory(new (std::nothrow) BounceMemory(pages));
    if (!memory) {
        return fail(Error::out_of_memory);
    }
    memory->buffer_ = TRY(host.allocate_dma(pages * page_size));
    memory->free_.reset(new (std::nothrow) u16[pages]);
    if (!memory->free_) {
        return fail(Error::out_of_memory);
    }
    for (usize page = pages; page > 0; --page) {
        memory->free_[memory->free_count_++] = static_cast<u16>(page - 1);
    }
    return memory;
}

Task<Result<void>> BounceMemory::acquire(Loan& loan, usize count, WaitLimits limits) {
    ASSERT(loan.count == 0 && count > 0 && count <= pages_max);
    CO_TRY(co_await available_.acquire(count, limits));
    for (; loan.count < count; ++loan.count) {
        loan.pages[loan.count] = free_[--free_count_];
    }
    co_return Result<void>{};
}

/// Calls `copy(bounce, data, size)` for runs that lie in one page of the loan and one segment of `view`.
template <typename Copy>
void BounceMemory::for_each_piece(const Loan& loan, const SegmentView& view, Copy&& copy) {
    usize position = 0;
    view.for_each([&](std::byte* data, usize size) {
        while (size > 0) {
            usize in_page = position % page_size;
            usize piece = std::min(size, page_size - in_page);
            copy(buffer_.data() + loan.pages[position / page_size] * page_size + in_page, data, piece);
            position += piece;
            data += piece;
            size -= piece;
        }
        return true;
    });
}

void BounceMemory::copy_in(const Loan& loan, const SegmentView& from) {
    for_each_piece(loan, from, [](std::byte* bounce, std::byte* data, usize size) { std::memcpy(bounce, data, size); });
}

void BounceMemory::copy_out(const Loan& loan, const SegmentView& into) {
    for_each_piece(loan, into, [](std::byte* bounce, std::byte* data, usize size) { std::memcpy(data, bounce, size); });
}

bool BounceMemory::add_to(PrpBuilder& prp, const Loan& loan, usize bytes) const {
    bool fits = true;
    for (usize index = 0; bytes > 0; ++index) {
        usize piece = std::min(bytes, page_size);
        fits &= prp.add(buffer_.device_address() + loan.pages[index] * page_size, piece);
        bytes -= piece;
    }
    return fits;
}

void BounceMemory::release(Loan& loan) {
    for (usize index = 0; index < loan.count; ++index) {
        free_[free_count_++] = loan.pages[index];
    }
    available_.release(loan.count);
    loan.count = 0;
}

}  // namespace undercroft::nvme::host
