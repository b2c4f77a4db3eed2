// NvmeDisk.
#include "storage/backends/nvme_disk.hpp"

#include <algorithm>
#include <new>

namespace undercroft {

namespace {

DiskError disk_error_of_status(nvme::Status status) {
    using enum nvme::Status;
    switch (status) {
    case aborted_by_preempt:
        return DiskError::aborted_by_preempt;
    case lba_out_of_range:
    case capacity_exceeded:
        return DiskError::illegal_block;
    case invalid_field:
    case invalid_opcode:
    case command_size_limit_exceeded:
        return DiskError::invalid_input;
    case guard_check_error:
        return DiskError::medium_guard;
    case reference_tag_check_error:
        return DiskError::medium_reference_tag;
    case application_tag_check_error:
        return DiskError::medium_application_tag;
    case unrecovered_read_error:
    case deallocated_block:
        return DiskError::medium_read;
    case write_fault:
        return DiskError::medium_write;
    case data_transfer_error:
    case prp_offset_invalid:
        return DiskError::memory_access;
    case namespace_write_protected:
    case write_to_read_only_range:
        return DiskError::read_only;
    case reservation_conflict:
        return DiskError::reservation_conflict;
    case abort_requested:
        return DiskError::timed_out;
    case invalid_namespace_or_format:
        return DiskError::gone;
    default:
        return DiskError::io;
    }
}

Task<DiskResult<void>> finish(Task<nvme::host::Outcome> operation) {
    nvme::host::Outcome outcome = co_await operation;
    if (!outcome.succeeded()) {
        co_return fail(disk_error_of(outcome));
    }
    co_return DiskResult<void>{};
}

DiskFacts facts_of(const nvme::host::Namespace& name_space) {
    const nvme::host::NamespaceFacts& facts = name_space.facts();
    DiskFacts result;
    result.sector_size = facts.block_size;
    result.physical_sector_size = facts.physical_block_size;
    result.id = facts.unique_id;
    result.fua_respected = true;
    result.read_only = facts.read_only;
    if (name_space.deallocate_zeroes()) {
        result.unmap = UnmapBehavior::zeroes;
    } else if (name_space.can_deallocate()) {
        result.unmap = UnmapBehavior::unspecified;
    }
    result.optimal_unmap_sectors = std::max<u32>(facts.deallocate_granularity, 1);
    return result;
}

}  // namespace

DiskError disk_error_of(const nvme::host::Outcome& outcome) {
    switch (outcome.ending) {
    case nvme::host::Ending::completed:
        return disk_error_of_status(outcome.status.status());
    case nvme::host::Ending::interrupted:
    case nvme::host::Ending::timed_out:
        return DiskError::timed_out;
    case nvme::host::Ending::failed:
        return DiskError::io;
    case nvme::host::Ending::gone:
        return DiskError::gone;
    case nvme::host::Ending::cancelled:
        return DiskError::cancelled;
    }
    return DiskError::io;
}

NvmeDisk::NvmeDisk(std::shared_ptr<nvme::host::Namespace> name_space)
    : namespace_(std::move(name_space)), facts_(facts_of(*namespace_)), size_(namespace_->blocks()) {
    namespace_->observe(this);
}

NvmeDisk::~NvmeDisk() { namespace_->observe(nullptr); }

std::shared_ptr<NvmeDisk> NvmeDisk::create(std::shared_ptr<nvme::host::Namespace> name_space) {
    return std::shared_ptr<NvmeDisk>(new NvmeDisk(std::move(name_space)));
}

Task<DiskResult<void>> NvmeDisk::read(u64 sector, SegmentList into, CancelToken cancel) {
    return finish(namespace_->read(sector, into, cancel));
}

Task<DiskResult<void>> NvmeDisk::write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) {
    if (facts_.read_only) {
        return Task<DiskResult<void>>::ready(fail(DiskError::read_only));
    }
    return finish(namespace_->write(sector, from, fua == ForceUnitAccess::yes, cancel));
}

Task<DiskResult<void>> NvmeDisk::flush(CancelToken cancel) { return finish(namespace_->flush(cancel)); }

Task<DiskResult<void>> NvmeDisk::unmap(SectorRange range, CancelToken cancel) {
    if (facts_.unmap == UnmapBehavior::ignored) {
        return Task<DiskResult<void>>::ready(DiskResult<void>{});
    }
    return finish(namespace_->deallocate(range.start, range.count, cancel));
}

Task<DiskResult<void>> NvmeDisk::write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                              CancelToken cancel) {
    return finish(namespace_->write_zeroes(range.start, range.count, allow_unmap, fua == ForceUnitAccess::yes, cancel));
}

Task<DiskResult<BlockStatus>> NvmeDisk::block_status(SectorRange range, CancelToken) {
    u64 size = sector_count();  // which may have shrunk since the handle looked
    if (range.start > size || range.count > size - range.start) {
        return Task<DiskResult<BlockStatus>>::ready(fail(DiskError::illegal_block));
    }
    return Task<DiskResult<BlockStatus>>::ready(BlockStatus{.sectors = range.count, .state = BlockState::unknown});
}

Task<DiskResult<void>> NvmeDisk::eject() { return Task<DiskResult<void>>::ready(fail(DiskError::unsupported_eject)); }

Task<DiskResult<u64>> NvmeDisk::wait_for_resize(u64 known_sectors, CancelToken cancel) {
    return size_.wait(known_sectors, cancel);
}

}  // namespace undercroft
