// The bugs, a class each.
#include "tests/simulation/planted_bugs.hpp"

#include "hostsim/devices/seeded_random.hpp"
#include "kernel/async/event.hpp"
#include "storage/forwarding_disk.hpp"
#include "storage/reservations.hpp"
#include "storage/segments.hpp"

namespace undercroft::test {

namespace {

using simulation::Place;

/// Misbehaves now and then: each machine's life by the same draws.
class Misbehaving : public ForwardingDisk {
public:
    explicit Misbehaving(Disk below) : ForwardingDisk(std::move(below)) {}

protected:
    bool now(u32 permille) { return random_.chance(permille); }
    u64 sectors_of(SegmentList list) const { return total_bytes(list) / below_.sector_size(); }
    static Task<DiskResult<void>> succeed() { return Task<DiskResult<void>>::ready(DiskResult<void>{}); }

private:
    SeededRandom random_{1};
};

class LostFlush final : public Misbehaving {
public:
    using Misbehaving::Misbehaving;
    Task<DiskResult<void>> flush(CancelToken cancel) override { return now(500) ? succeed() : below_.flush(cancel); }
};

class MissedForceUnitAccess final : public Misbehaving {
public:
    using Misbehaving::Misbehaving;
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess, CancelToken cancel) override {
        return below_.write(sector, from, ForceUnitAccess::no, cancel);
    }
};

class WrongSectorWritten final : public Misbehaving {
public:
    using Misbehaving::Misbehaving;
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) override {
        bool wrong = now(20) && sector + sectors_of(from) < below_.sector_count();
        return below_.write(wrong ? sector + 1 : sector, from, fua, cancel);
    }
};

class WrongSectorRead final : public Misbehaving {
public:
    using Misbehaving::Misbehaving;
    Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel) override {
        bool wrong = now(20) && sector + sectors_of(into) < below_.sector_count();
        return below_.read(wrong ? sector + 1 : sector, into, cancel);
    }
};

/// Writes once more to memory of a read that ended long ago.
class LateCompletion final : public Misbehaving {
public:
    using Misbehaving::Misbehaving;
    Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel) override {
        if (!late_.empty() && now(50)) {
            *late_[0].data ^= std::byte{1};
        }
        late_.assign(into.begin(), into.end());
        return below_.read(sector, into, cancel);
    }

private:
    std::vector<MemorySegment> late_;
};

class ForgottenResize final : public Misbehaving {
public:
    explicit ForgottenResize(Disk below) : Misbehaving(std::move(below)), sectors_(below_.sector_count()) {}
    u64 sector_count() const override { return sectors_; }
    Task<DiskResult<u64>> wait_for_resize(u64, CancelToken cancel) override {
        Event never;
        (void)co_await never.wait({.cancel = cancel});
        co_return fail(DiskError::cancelled);
    }

private:
    u64 sectors_;
};

/// Decrypts holes, which gives noise.
class DecryptedHole final : public Misbehaving {
public:
    using Misbehaving::Misbehaving;
    Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel) override {
        std::vector<std::byte> bytes(total_bytes(into));
        MemorySegment segment{bytes.data(), bytes.size()};
        CO_TRY(co_await below_.read(sector, SegmentList(&segment, 1), cancel));
        u32 size = below_.sector_size();
        for (usize at = 0; below_.facts().knows_holes && at < bytes.size(); at += size) {
            bool hole = std::all_of(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                                    bytes.begin() + static_cast<std::ptrdiff_t>(at + size),
                                    [](std::byte byte) { return byte == std::byte{0}; });
            for (usize index = at; hole && index < at + size; ++index) {
                bytes[index] = static_cast<std::byte>(index * 37 + sector);
            }
        }
        SegmentCursor(into).copy_in(bytes);
        co_return DiskResult<void>{};
    }
};

class TornWriteAcknowledged final : public Misbehaving {
public:
    using Misbehaving::Misbehaving;
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) override {
        u64 sectors = sectors_of(from);
        if (sectors < 2 || !now(30)) {
            co_return co_await below_.write(sector, from, fua, cancel);
        }
        std::vector<std::byte> half(sectors / 2 * below_.sector_size());
        SegmentCursor(from).copy_out(half);
        MemorySegment segment{half.data(), half.size()};
        co_return co_await below_.write(sector, SegmentList(&segment, 1), fua, cancel);
    }
};

/// A sector that is half old and half new.
class TornSector final : public Misbehaving {
public:
    using Misbehaving::Misbehaving;
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) override {
        if (!now(30)) {
            co_return co_await below_.write(sector, from, fua, cancel);
        }
        usize size = below_.sector_size();
        std::vector<std::byte> bytes(total_bytes(from));
        MemorySegment first{bytes.data(), size};
        CO_TRY(co_await below_.read(sector, SegmentList(&first, 1), cancel));
        std::vector<std::byte> second_half(bytes.begin() + static_cast<std::ptrdiff_t>(size / 2),
                                           bytes.begin() + static_cast<std::ptrdiff_t>(size));
        SegmentCursor(from).copy_out(bytes);
        std::copy(second_half.begin(), second_half.end(), bytes.begin() + static_cast<std::ptrdiff_t>(size / 2));
        MemorySegment all{bytes.data(), bytes.size()};
        co_return co_await below_.write(sector, SegmentList(&all, 1), fua, cancel);
    }
};

/// What was unmapped, and is promised to be zeros, reads as before.
class StaleAfterUnmap final : public Misbehaving {
public:
    using Misbehaving::Misbehaving;
    Task<DiskResult<void>> unmap(SectorRange, CancelToken) override { return succeed(); }
};

class ZeroesNotWritten final : public Misbehaving {
public:
    using Misbehaving::Misbehaving;
    Task<DiskResult<void>> write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                        CancelToken cancel) override {
        return now(200) ? succeed() : below_.write_zeroes(range, allow_unmap, fua, cancel);
    }
};

/// A completion status that nobody looks at.
class FailedWriteIsSuccess final : public Misbehaving {
public:
    using Misbehaving::Misbehaving;
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) override {
        (void)co_await below_.write(sector, from, fua, cancel);
        co_return DiskResult<void>{};
    }
};

class FailedReadIsSuccess final : public Misbehaving {
public:
    using Misbehaving::Misbehaving;
    Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel) override {
        (void)co_await below_.read(sector, into, cancel);
        co_return DiskResult<void>{};
    }
};

/// What a reset interrupts is taken for done instead of done again.
class InterruptedWriteIsDone final : public Misbehaving {
public:
    using Misbehaving::Misbehaving;
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) override {
        DiskResult<void> result = co_await below_.write(sector, from, fua, cancel);
        bool interrupted = !result && (result.error() == DiskError::timed_out ||
                                       result.error() == DiskError::cancelled || result.error() == DiskError::gone);
        co_return interrupted ? DiskResult<void>{} : result;
    }
};

/// Says that a write is done, and does it with the next.
class EarlyAcknowledgement final : public Misbehaving {
public:
    using Misbehaving::Misbehaving;
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) override {
        if (!owed_.empty()) {
            std::vector<std::byte> bytes = std::exchange(owed_, {});
            MemorySegment segment{bytes.data(), bytes.size()};
            (void)co_await below_.write(owed_sector_, SegmentList(&segment, 1), ForceUnitAccess::no, cancel);
        } else if (now(30)) {
            owed_.resize(total_bytes(from));
            owed_sector_ = sector;
            SegmentCursor(from).copy_out(owed_);
            co_return DiskResult<void>{};
        }
        co_return co_await below_.write(sector, from, fua, cancel);
    }

private:
    std::vector<std::byte> owed_;
    u64 owed_sector_ = 0;
};

/// Keeps the sector that was read last, whatever is written to it.
class StaleCache final : public Misbehaving {
public:
    using Misbehaving::Misbehaving;
    Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel) override {
        u32 size = below_.sector_size();
        if (sector != kept_sector_ || sectors_of(into) != 1) {
            CO_TRY(co_await below_.read(sector, into, cancel));
            std::vector<std::byte> bytes(total_bytes(into));
            SegmentCursor(into).copy_out(bytes);
            kept_sector_ = sector;
            kept_.assign(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
        } else {
            SegmentCursor(into).copy_in(kept_);
        }
        co_return DiskResult<void>{};
    }

private:
    u64 kept_sector_ = ~u64{0};
    std::vector<std::byte> kept_;
};

/// An operation that never ends, whoever asks.
class ForgottenCompletion final : public Misbehaving {
public:
    using Misbehaving::Misbehaving;
    Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel) override {
        if (now(10)) {
            co_await never_.wait();
        }
        co_return co_await below_.read(sector, into, cancel);
    }

private:
    struct Never {
        Event event;
        Task<void> wait() { (void)co_await event.wait(); }
    } never_;
};

class BlockStatusLies final : public Misbehaving {
public:
    using Misbehaving::Misbehaving;
    Task<DiskResult<BlockStatus>> block_status(SectorRange range, CancelToken cancel) override {
        BlockStatus status = CO_TRY(co_await below_.block_status(range, cancel));
        if (status.state == BlockState::data) {
            status.state = now(100) ? BlockState::zero : BlockState::data;
        }
        co_return status;
    }
};

/// What another host's reservation forbids is taken for done.
class ReservationConflictIsDone final : public Misbehaving {
public:
    using Misbehaving::Misbehaving;
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) override {
        DiskResult<void> result = co_await below_.write(sector, from, fua, cancel);
        co_return !result && result.error() == DiskError::reservation_conflict ? DiskResult<void>{} : result;
    }
};

/// Takes the disk away from whoever reserved it, and goes on.
class ReservationTakenOver final : public Misbehaving {
public:
    using Misbehaving::Misbehaving;
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) override {
        DiskResult<void> result = co_await below_.write(sector, from, fua, cancel);
        if (!result && result.error() == DiskError::reservation_conflict) {
            constexpr ReservationKey key = 1;
            Registrant others[4];
            PersistentReservations& reservations = *below_.reservations();
            (void)co_await reservations.register_key({.new_key = key}, {});
            (void)co_await reservations.report(others, {});
            (void)co_await reservations.preempt(key, others[0].key, ReservationType::write_exclusive, AbortTasks::no,
                                                {});
            result = co_await below_.write(sector, from, fua, cancel);
        }
        co_return result;
    }
};

/// An error that only bad protection information gives is not among those that are looked for.
class GuardErrorIsSuccess final : public Misbehaving {
public:
    using Misbehaving::Misbehaving;
    Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel) override {
        DiskResult<void> result = co_await below_.read(sector, into, cancel);
        co_return !result && result.error() == DiskError::medium_guard ? DiskResult<void>{} : result;
    }
};

/// The admin queue's registers are there only while they can be written.
class AdminRegistersVanish final : public PciFunction {
public:
    explicit AdminRegistersVanish(PciFunction& controller) : controller_(controller) {}
    u32 read_config(u16 offset) override { return controller_.read_config(offset); }
    void write_config(u16 offset, u32 value, u32 mask) override { controller_.write_config(offset, value, mask); }
    PciBar bar(usize index) const override { return controller_.bar(index); }
    u64 read_bar(usize index, u64 offset, AccessSize size) override {
        using namespace nvme::register_offset;
        bool vanishes = offset >= admin_queue_attributes && offset < admin_completion_queue + 8 &&
                        (controller_.read_bar(0, configuration, AccessSize::dword) & 1) != 0;
        return vanishes ? 0 : controller_.read_bar(index, offset, size);
    }
    void write_bar(usize index, u64 offset, AccessSize size, u64 value) override {
        controller_.write_bar(index, offset, size, value);
    }

private:
    PciFunction& controller_;
};

template <typename Bug>
std::shared_ptr<DiskInterface> make(Disk below) {
    return std::make_shared<Bug>(std::move(below));
}

/// The fault layer with a rule that lies.
template <FaultAction action, FaultOperation operation>
std::shared_ptr<DiskInterface> make_fault(Disk below) {
    FaultRule rule{.operations = static_cast<FaultOperations>(operation), .action = action};
    rule.one_in = 20;
    return FaultDisk::create(std::move(below), {&rule, 1}).value();
}

template <typename Bug>
std::unique_ptr<PciFunction> wrap(PciFunction& controller) {
    return std::make_unique<Bug>(controller);
}

constexpr PlantedBug bugs[] = {
    {"lost flush", Place::medium, &make<LostFlush>},
    {"lost flush, on top", Place::pipeline, &make<LostFlush>},
    {"missed FUA", Place::medium, &make<MissedForceUnitAccess>},
    {"missed FUA, on top", Place::pipeline, &make<MissedForceUnitAccess>},
    {"wrong sector written", Place::medium, &make<WrongSectorWritten>},
    {"wrong sector read", Place::pipeline, &make<WrongSectorRead>},
    {"late completion", Place::pipeline, &make<LateCompletion>},
    {"forgotten resize", Place::pipeline, &make<ForgottenResize>},
    {"forgotten resize, at the bottom", Place::medium, &make<ForgottenResize>},
    {"decrypted hole", Place::pipeline, &make<DecryptedHole>},
    {"torn write acknowledged", Place::medium, &make<TornWriteAcknowledged>},
    {"torn sector", Place::medium, &make<TornSector>},
    {"stale after unmap", Place::pipeline, &make<StaleAfterUnmap>},
    {"zeroes not written", Place::medium, &make<ZeroesNotWritten>},
    {"failed write is a success", Place::medium, &make<FailedWriteIsSuccess>},
    {"failed read is a success", Place::pipeline, &make<FailedReadIsSuccess>},
    {"interrupted write is done", Place::pipeline, &make<InterruptedWriteIsDone>},
    {"early acknowledgement", Place::medium, &make<EarlyAcknowledgement>},
    {"stale cache", Place::pipeline, &make<StaleCache>},
    {"forgotten completion", Place::pipeline, &make<ForgottenCompletion>},
    {"block status lies", Place::medium, &make<BlockStatusLies>},
    {"reservation conflict is done", Place::reservations, &make<ReservationConflictIsDone>},
    {"reservation taken over", Place::reservations, &make<ReservationTakenOver>},
    {"guard error is a success", Place::pipeline, &make<GuardErrorIsSuccess>},
    {"corrupted read", Place::pipeline, &make_fault<FaultAction::corrupt, FaultOperation::read>},
    {"corrupted write", Place::medium, &make_fault<FaultAction::corrupt, FaultOperation::write>},
    {"silently torn write", Place::pipeline, &make_fault<FaultAction::tear, FaultOperation::write>},
    {"admin registers vanish", Place::pipeline, nullptr, &wrap<AdminRegistersVanish>},
};

}  // namespace

simulation::RunOptions PlantedBug::plant() const {
    simulation::RunOptions options;
    options.decorate_controller = wrap;
    if (make != nullptr) {
        options.decorate = [bug = *this](Place where, const Disk& disk) {
            return where == bug.place ? Disk::create(bug.make(disk)).value() : disk;
        };
    }
    return options;
}

std::span<const PlantedBug> planted_bugs() { return bugs; }

}  // namespace undercroft::test
