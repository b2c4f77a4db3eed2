// A producer walks the source's map and hands pieces to a group of tasks; each piece owns one buffer while it lives.
#include "hostsim/convert/converter.hpp"

#include <algorithm>
#include <cstring>
#include <set>
#include <vector>

#include "kernel/async/semaphore.hpp"
#include "kernel/async/task_group.hpp"
#include "kernel/config/identifiers.hpp"

namespace undercroft {

namespace {

// What one question about the map, or one order of zeros, is about.
constexpr u64 status_bytes_max = 1 * gib;
constexpr u64 zero_bytes_max = 64 * mib;
// Zeros inside data are looked for in steps of this.
constexpr u64 zero_step_bytes = 64 * kib;

bool all_zero(const std::byte* data, u64 size) {
    return data[0] == std::byte{0} && std::memcmp(data, data + 1, size - 1) == 0;
}

std::string at_bytes(u64 offset) { return " at byte " + decimal(offset); }

class Converter {
public:
    Converter(Disk source, Disk target, const ConvertOptions& options, ConvertObserver& observer, CancelToken cancel)
        : source_(std::move(source)), target_(std::move(target)), options_(options), observer_(observer),
          cancel_(cancel), slots_(options.depth) {
        progress_.total_bytes = source_.sector_count() * source_.sector_size();
        progress_.done_bytes = std::min(options.start_bytes, progress_.total_bytes);
        cursor_ = checkpoint_ = progress_.done_bytes;
        for (usize index = 0; index < options.depth; ++index) {
            buffers_.emplace_back(options.piece_bytes);
            free_.push_back(index);
        }
    }

    Task<Result<ConvertProgress, std::string>> run() {
        while (cursor_ < progress_.total_bytes && problem_.empty() && !stopped()) {
            co_await next_run();
        }
        (void)co_await group_.join();
        if (stopped() && problem_.empty()) {
            problem_ = "cancelled";
        }
        co_await make_checkpoint();
        if (problem_.empty() && source_.sector_count() * source_.sector_size() != progress_.total_bytes) {
            problem_ = "the source changed its size while it was copied";
        }
        if (problem_.empty() && target_.sector_count() * target_.sector_size() < progress_.total_bytes) {
            problem_ = "the target became too small while it was written";
        }
        if (!problem_.empty()) {
            co_return fail(problem_);
        }
        co_return progress_;
    }

private:
    struct Piece {
        u64 offset;
        u64 bytes;
    };

    bool stopped() const { return cancel_.is_cancelled(); }
    void fail_with(std::string what, u64 offset, DiskError error) {
        if (problem_.empty() && error != DiskError::cancelled) {
            problem_ = std::move(what) + at_bytes(offset) + ": " + to_string(error);
        }
    }

    // One run of the map, as pieces.
    Task<void> next_run() {
        u64 bytes = std::min(progress_.total_bytes - cursor_, status_bytes_max);
        DiskResult<BlockStatus> status = co_await source_.block_status(
            {.start = cursor_ / source_.sector_size(), .count = bytes / source_.sector_size()}, cancel_);
        bool is_zero = false;
        if (status) {
            bytes = std::min(bytes, status->sectors * source_.sector_size());
            is_zero = status->state == BlockState::zero;
        }
        // The target's sectors may be larger: what is no whole number of them is read, with what follows.
        u64 unit = std::max(source_.sector_size(), target_.sector_size());
        if (is_zero) {
            is_zero = bytes >= unit;
            bytes = is_zero ? align_down(bytes, unit) : unit;
        } else {
            bytes = std::min(align_up(bytes, unit), progress_.total_bytes - cursor_);
        }
        u64 end = cursor_ + bytes;
        while (cursor_ < end && problem_.empty() && !stopped()) {
            u64 piece_max = is_zero ? zero_bytes_max : options_.piece_bytes;
            Piece piece{.offset = cursor_, .bytes = std::min(end - cursor_, piece_max)};
            (void)co_await slots_.acquire();
            cursor_ += piece.bytes;
            in_flight_.insert(piece.offset);
            group_.spawn(is_zero ? zero_piece(piece) : copy_piece(piece));
            if (done_bytes() - checkpoint_ >= options_.checkpoint_bytes) {
                co_await make_checkpoint();
            }
        }
    }

    u64 done_bytes() const { return in_flight_.empty() ? cursor_ : *in_flight_.begin(); }

    // Only what was done when the flush began is durable when it ends.
    Task<void> make_checkpoint() {
        u64 done = progress_.done_bytes;
        if (done == checkpoint_ && done != progress_.total_bytes) {
            co_return;
        }
        DiskResult<void> flushed = co_await target_.flush();
        if (!flushed) {
            fail_with("the target cannot be flushed", done, flushed.error());
            co_return;
        }
        checkpoint_ = done;
        if (Result<void, std::string> noted = observer_.checkpoint(done); !noted && problem_.empty()) {
            problem_ = noted.error();
        }
    }

    void finish(Piece piece, bool succeeded) {
        // A piece that failed stays in flight: nothing behind it counts as done.
        if (succeeded) {
            in_flight_.erase(piece.offset);
            progress_.done_bytes = done_bytes();
        }
        slots_.release();
        observer_.progress(progress_);
    }

    Task<void> zero_piece(Piece piece) {
        bool succeeded = co_await make_zero(piece);
        finish(piece, succeeded);
    }

    Task<void> copy_piece(Piece piece) {
        usize index = free_.back();
        free_.pop_back();
        MemorySegment segment{.data = buffers_[index].data(), .size = piece.bytes};
        DiskResult<void> read = co_await source_.read(piece.offset / source_.sector_size(), {&segment, 1}, cancel_);
        bool succeeded = read.has_value();
        if (!read) {
            fail_with("the source cannot be read", piece.offset, read.error());
        }
        for (u64 at = 0; at < piece.bytes && succeeded;) {
            u64 length = run_length(segment.data, at, piece.bytes);
            Piece run{.offset = piece.offset + at, .bytes = length};
            if (options_.keep_holes && all_zero(segment.data + at, std::min(length, zero_step_bytes))) {
                succeeded = co_await make_zero(run);
            } else {
                succeeded = co_await write(run, segment.data + at);
            }
            at += length;
        }
        free_.push_back(index);
        finish(piece, succeeded);
    }

    // How many bytes from `at` are alike: all steps of zeros, or none of them.
    u64 run_length(const std::byte* data, u64 at, u64 end) const {
        if (!options_.keep_holes) {
            return end - at;
        }
        bool first = all_zero(data + at, std::min(zero_step_bytes, end - at));
        u64 next = at + std::min(zero_step_bytes, end - at);
        while (next < end && all_zero(data + next, std::min(zero_step_bytes, end - next)) == first) {
            next += std::min(zero_step_bytes, end - next);
        }
        return next - at;
    }

    Task<bool> write(Piece piece, std::byte* data) {
        MemorySegment segment{.data = data, .size = piece.bytes};
        DiskResult<void> written =
            co_await target_.write(piece.offset / target_.sector_size(), {&segment, 1}, ForceUnitAccess::no, cancel_);
        if (!written) {
            fail_with("the target cannot be written", piece.offset, written.error());
            co_return false;
        }
        progress_.copied_bytes += piece.bytes;
        co_return true;
    }

    // What the target knows to be zero already stays as it is: a hole, mostly.
    Task<bool> make_zero(Piece piece) {
        u64 sector_size = target_.sector_size();
        SectorRange range{.start = piece.offset / sector_size, .count = piece.bytes / sector_size};
        u64 bytes = piece.bytes;
        while (options_.keep_holes && range.count > 0) {
            DiskResult<BlockStatus> status = co_await target_.block_status(range, cancel_);
            if (!status || status->state != BlockState::zero) {
                break;
            }
            range.start += status->sectors;
            range.count -= status->sectors;
        }
        DiskResult<void> zeroed =
            co_await target_.write_zeroes(range, options_.keep_holes, ForceUnitAccess::no, cancel_);
        if (!zeroed) {
            fail_with("the target cannot be written", piece.offset, zeroed.error());
            co_return false;
        }
        progress_.zero_bytes += bytes;
        co_return true;
    }

    Disk source_;
    Disk target_;
    ConvertOptions options_;
    ConvertObserver& observer_;
    CancelToken cancel_;
    TaskGroup group_;
    Semaphore slots_;
    std::vector<std::vector<std::byte>> buffers_;
    std::vector<usize> free_;
    std::set<u64> in_flight_;  // where pieces begin that have not ended well
    u64 cursor_ = 0;
    u64 checkpoint_ = 0;
    ConvertProgress progress_;
    std::string problem_;
};

}  // namespace

std::string convert_problem(const Disk& source, const Disk& target) {
    u64 source_bytes = source.sector_count() * source.sector_size();
    u64 target_bytes = target.sector_count() * target.sector_size();
    if (target.facts().read_only) {
        return "the target is read-only";
    }
    if (target_bytes < source_bytes) {
        return "the target has " + decimal(target_bytes) + " bytes, fewer than the " + decimal(source_bytes) +
               " of the source: make it as large";
    }
    if (source_bytes % target.sector_size() != 0) {
        return "the source's " + decimal(source_bytes) + " bytes are no whole number of the target's sectors of " +
               decimal(target.sector_size()) + " bytes: give the target smaller sectors";
    }
    return {};
}

Task<Result<ConvertProgress, std::string>> convert(Disk source, Disk target, ConvertOptions options,
                                                   ConvertObserver& observer, CancelToken cancel) {
    if (std::string problem = convert_problem(source, target); !problem.empty()) {
        co_return fail(std::move(problem));
    }
    u64 unit = std::max(source.sector_size(), target.sector_size());
    options.piece_bytes = std::max(align_down(options.piece_bytes, unit), unit);
    options.start_bytes = align_down(options.start_bytes, unit);
    Converter converter(std::move(source), std::move(target), options, observer, cancel);
    co_return co_await converter.run();
}

Task<Result<void, std::string>> verify(Disk source, Disk target, ConvertOptions options, ConvertObserver& observer,
                                       CancelToken cancel) {
    if (std::string problem = convert_problem(source, target); !problem.empty() && !target.facts().read_only) {
        co_return fail(std::move(problem));
    }
    u64 unit = std::max(source.sector_size(), target.sector_size());
    std::vector<std::byte> buffer(std::max(align_down(options.piece_bytes, unit), unit));
    ConvertProgress progress{.total_bytes = source.sector_count() * source.sector_size()};
    while (progress.done_bytes < progress.total_bytes) {
        u64 offset = progress.done_bytes;
        MemorySegment piece{.data = buffer.data(), .size = std::min<u64>(buffer.size(), progress.total_bytes - offset)};
        DiskResult<void> read = co_await source.read(offset / source.sector_size(), {&piece, 1}, cancel);
        if (!read) {
            co_return fail("the source cannot be read" + at_bytes(offset) + ": " + to_string(read.error()));
        }
        DiskResult<Comparison> found = co_await target.compare(offset / target.sector_size(), {&piece, 1}, cancel);
        if (!found) {
            co_return fail("the target cannot be read" + at_bytes(offset) + ": " + to_string(found.error()));
        }
        if (!found->equal) {
            co_return fail("they differ" + at_bytes(offset + found->first_difference_bytes));
        }
        progress.done_bytes += piece.size;
        observer.progress(progress);
    }
    co_return Result<void, std::string>{};
}

}  // namespace undercroft
