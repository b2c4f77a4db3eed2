// The disk over a blob: what is read goes to a thread, what would change it is refused.
#include "hostsim/backends/http_disk.hpp"

#include <bit>

#include "hostsim/backends/http_blob.hpp"
#include "hostsim/backends/open_disk.hpp"
#include "kernel/base/log.hpp"
#include "kernel/config/identifiers.hpp"
#include "storage/formats/vhd1.hpp"

namespace undercroft {

namespace {

// A cancellation, brought to the thread that fetches.
class StopFlag : public CancelRegistration {
public:
    explicit StopFlag(CancelToken cancel) {
        if (!arm(cancel, [](CancelRegistration& self) { static_cast<StopFlag&>(self).asked = true; })) {
            asked = true;
        }
    }
    std::atomic<bool> asked{false};
};

class HttpDisk final : public DiskInterface {
public:
    HttpDisk(std::unique_ptr<HttpBlob> blob, std::unique_ptr<BlockingPool> pool, const DiskFacts& facts, u64 sectors)
        : blob_(std::move(blob)), pool_(std::move(pool)), facts_(facts), size_(sectors) {}
    ~HttpDisk() override { size_.close(); }

    DiskFacts facts() const override { return facts_; }
    u64 sector_count() const override { return size_.get(); }

    Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel) override {
        u64 count = total_bytes(into) / facts_.sector_size;
        if (sector > size_.get() || count > size_.get() - sector) {
            co_return fail(DiskError::illegal_block);
        }
        StopFlag stop(cancel);
        auto fetch = [&] { return blob_->fetch(sector * facts_.sector_size, into, stop.asked); };
        Result<Result<void, HttpFailure>> outcome = co_await pool_->run(fetch, cancel);
        if (!outcome) {
            co_return fail(DiskError::cancelled);
        }
        if (!*outcome) {
            const HttpFailure& failure = outcome->error();
            if (failure.error != DiskError::cancelled) {
                log_warning("%s: sector %llu cannot be read: %s", blob_->name().c_str(),
                            static_cast<unsigned long long>(sector), failure.text.c_str());
            }
            co_return fail(failure.error);
        }
        co_return DiskResult<void>{};
    }
    Task<DiskResult<void>> write(u64, SegmentList, ForceUnitAccess, CancelToken) override { return refuse(); }
    Task<DiskResult<void>> flush(CancelToken) override { return Task<DiskResult<void>>::ready({}); }
    Task<DiskResult<void>> unmap(SectorRange, CancelToken) override { return refuse(); }
    Task<DiskResult<void>> write_zeroes(SectorRange, bool, ForceUnitAccess, CancelToken) override { return refuse(); }
    Task<DiskResult<BlockStatus>> block_status(SectorRange range, CancelToken) override {
        bool fits = range.start <= size_.get() && range.count <= size_.get() - range.start;
        using StatusResult = DiskResult<BlockStatus>;
        return Task<StatusResult>::ready(fits ? StatusResult({.sectors = range.count, .state = BlockState::unknown})
                                              : fail(DiskError::illegal_block));
    }
    Task<DiskResult<void>> eject() override {
        return Task<DiskResult<void>>::ready(fail(DiskError::unsupported_eject));
    }
    // A blob that changes its size is another blob: reads say so.
    Task<DiskResult<u64>> wait_for_resize(u64 known_sectors, CancelToken cancel) override {
        return size_.wait(known_sectors, cancel);
    }

private:
    static Task<DiskResult<void>> refuse() { return Task<DiskResult<void>>::ready(fail(DiskError::read_only)); }

    std::unique_ptr<HttpBlob> blob_;
    std::unique_ptr<BlockingPool> pool_;
    const DiskFacts facts_;
    DiskSize size_;
};

struct Opened {
    std::unique_ptr<HttpBlob> blob;
    DiskFacts facts;
    u64 sectors = 0;
};

std::string words_of(HttpFailure failure) { return "cannot be read: " + std::move(failure.text); }

Result<void, std::string> read_vhd1_footer(Opened& opened, u64 bytes) {
    if (bytes < vhd1_footer_bytes) {
        return fail(std::string("is too short for a VHD footer"));
    }
    std::array<std::byte, vhd1_footer_bytes> footer{};
    MemorySegment segment{.data = footer.data(), .size = footer.size()};
    std::atomic<bool> never{false};
    Result<void, HttpFailure> fetched = opened.blob->fetch(bytes - vhd1_footer_bytes, {&segment, 1}, never);
    if (!fetched) {
        return fail(words_of(std::move(fetched.error())));
    }
    Vhd1Info info = TRY(parse_vhd1_footer(footer, bytes));
    opened.facts.sector_size = vhd1_sector_bytes;
    opened.facts.id = info.unique_id;
    opened.sectors = info.size_bytes / vhd1_sector_bytes;
    return {};
}

Result<Opened, std::string> open_now(const std::string& url, const HttpDiskOptions& options) {
    if (!url.starts_with("http://") && !url.starts_with("https://")) {
        return fail(std::string("is no URL that begins with http:// or https://"));
    }
    if (options.sector_size != 512 && options.sector_size != 4096) {
        return fail("sectors of " + decimal(options.sector_size) + " bytes are not possible: use 512 or 4096");
    }
    Opened opened;
    opened.blob = std::make_unique<HttpBlob>(url, options);
    Result<u64, HttpFailure> bytes = opened.blob->measure();
    if (!bytes) {
        return fail(words_of(std::move(bytes.error())));
    }
    opened.facts = {.sector_size = options.sector_size,
                    .physical_sector_size = page_size,
                    .id = {},
                    .read_only = true,
                    .unmap = UnmapBehavior::ignored};
    if (options.format == BlobFormat::vhd1) {
        TRY(read_vhd1_footer(opened, *bytes));
        return opened;
    }
    if (*bytes % options.sector_size != 0) {
        return fail("has " + decimal(*bytes) + " bytes, which is no whole number of sectors of " +
                    decimal(options.sector_size));
    }
    opened.sectors = *bytes / options.sector_size;
    return opened;
}

}  // namespace

Task<Result<Disk, std::string>> open_http_disk(std::string url, HttpDiskOptions options) {
    auto pool = std::make_unique<BlockingPool>(std::max(options.connections, u32{1}));
    Result<Result<Opened, std::string>> outcome = co_await pool->run([&] { return open_now(url, options); });
    Opened opened = CO_TRY(std::move(*outcome));  // nobody cancels it
    co_return disk_of(
        std::make_shared<HttpDisk>(std::move(opened.blob), std::move(pool), opened.facts, opened.sectors));
}

}  // namespace undercroft
