// Making, checking and opening fixed VHD files.
#include "hostsim/backends/vhd1_disk.hpp"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <time.h>

#include <bit>

#include "hostsim/backends/file_open.hpp"
#include "hostsim/backends/open_disk.hpp"
#include "kernel/config/identifiers.hpp"

namespace undercroft {

namespace {

constexpr u64 seconds_from_1970_to_2000 = 946'684'800;

Result<Vhd1Info, std::string> read_footer(const FileDescriptor& file) {
    u64 bytes = TRY(regular_file_size(file));
    if (bytes < vhd1_footer_bytes) {
        return fail(std::string("is too short for a VHD footer"));
    }
    std::array<std::byte, vhd1_footer_bytes> footer{};
    ssize_t got = pread(file.get(), footer.data(), footer.size(), static_cast<off_t>(bytes - vhd1_footer_bytes));
    if (got != static_cast<ssize_t>(footer.size())) {
        return fail("its footer cannot be read" + (got < 0 ? ": " + system_error_text(errno) : std::string()));
    }
    return parse_vhd1_footer(footer, bytes);
}

Result<void, std::string> make_if_missing(const std::string& path, const Vhd1DiskOptions& options) {
    if (!options.create_bytes) {
        return {};
    }
    u64 bytes = *options.create_bytes;
    if (options.read_only) {
        return fail(std::string("cannot be made and be read-only at once"));
    }
    if (bytes == 0 || bytes % vhd1_sector_bytes != 0 || bytes > vhd1_size_bytes_max) {
        return fail("a VHD cannot have " + decimal(bytes) + " bytes: whole sectors of 512, at most 2040 GiB");
    }
    std::array<std::byte, 16> id{};
    if (getrandom(id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) {
        return fail("the kernel gives no random bytes: " + system_error_text(errno));
    }
    u64 seconds = static_cast<u64>(time(nullptr)) - seconds_from_1970_to_2000;
    auto footer =
        std::bit_cast<std::array<std::byte, vhd1_footer_bytes>>(make_vhd1_footer(bytes, id, static_cast<u32>(seconds)));
    Result<void, CreateFailure> made = create_sparse_file(path, bytes + vhd1_footer_bytes, footer);
    if (!made && !made.error().exists) {
        return fail(made.error().text);
    }
    return {};
}

Result<FileDiskParts, std::string> look_at(FileDescriptor file, const std::string& path,
                                           const Vhd1DiskOptions& options) {
    FileDiskParts parts{.file = std::move(file), .sector_size = vhd1_sector_bytes, .read_only = options.read_only};
    parts.size_bytes = TRY(regular_file_size(parts.file));
    Vhd1Info info = TRY(check_vhd1_file(path));  // through the page cache: direct I/O has wishes about alignment
    if (options.create_bytes && *options.create_bytes != info.size_bytes) {
        return fail("exists already with " + decimal(info.size_bytes) + " bytes, not " +
                    decimal(*options.create_bytes) + ": leave `create` out to open it as it is");
    }
    if (info.saved_state) {
        return fail(std::string("belongs to a machine that is suspended: resume and shut it down first"));
    }
    parts.alignment = TRY(alignment_for(parts.file, options.direct, vhd1_sector_bytes));
    parts.hole_bytes = hole_bytes_of(parts.file);
    parts.knows_holes = holes_are_known(parts.file, vhd1_sector_bytes);
    parts.window_bytes = info.size_bytes;
    parts.id = info.unique_id;
    return parts;
}

}  // namespace

Result<Vhd1Info, std::string> check_vhd1_file(const std::string& path) {
    FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) {
        return fail("cannot be opened: " + system_error_text(errno));
    }
    return read_footer(file);
}

Task<Result<Disk, std::string>> open_vhd1_disk(std::string path, Vhd1DiskOptions options) {
    CO_TRY(make_if_missing(path, options));
    OpenOptions how{.direct = options.direct, .read_only = options.read_only};
    FileDescriptor file = CO_TRY(co_await open_locked(path, how));
    FileDiskParts parts = CO_TRY(look_at(std::move(file), path, options));
    co_return disk_of(std::make_shared<FileDisk>(std::move(parts)));
}

}  // namespace undercroft
