// Physical region pages: where the data of a command lies, page by page. Base 2.0, section 4.1.1.
#pragma once

#include <span>

#include "drivers/device.hpp"
#include "drivers/nvme/segment_view.hpp"
#include "kernel/spec/nvme_commands.hpp"

namespace undercroft::nvme::host {

/// Collects device memory into a data pointer. The rules: the first piece starts on a dword, every other on a page, and
/// every piece but the last ends on a page; pieces that follow each other directly count as one.
class PrpBuilder {
public:
    /// `list` is the command's own memory for a PRP list, within one page; `list_address` is where the device finds it.
    PrpBuilder(std::span<Le<u64>> list, u64 list_address) : list_(list), list_address_(list_address) {}

    /// Adds device memory behind what is there. False where the rules or the size of the list forbid it.
    bool add(u64 address, usize size_bytes);
    /// The finished pointer; fields that carry nothing hold `unmappable_address`.
    DataPointer finish() const;

private:
    bool add_page(u64 address);

    std::span<Le<u64>> list_;
    u64 list_address_;
    u64 first_ = 0;
    u64 end_ = 0;      // where the last piece ended
    usize pages_ = 0;  // the first included
};

/// Points `builder` at the memory of `view`, in place. False where it does not follow the rules or the device cannot
/// reach it: then it must be copied.
bool add_in_place(PrpBuilder& builder, DeviceHost& host, const SegmentView& view);

}  // namespace undercroft::nvme::host
