// From a path to a disk in a file.
#include <errno.h>

#include "hostsim/backends/file_disk.hpp"
#include "hostsim/backends/file_open.hpp"
#include "hostsim/backends/open_disk.hpp"
#include "kernel/config/identifiers.hpp"

namespace undercroft {

namespace {

std::string sector_size_problem(u32 sector_size) {
    return sector_size == 512 || sector_size == 4096
               ? std::string()
               : "sectors of " + decimal(sector_size) + " bytes are not possible: use 512 or 4096";
}

std::string size_problem(u64 bytes, u32 sector_size) {
    if (bytes % sector_size == 0) {
        return {};
    }
    return "has " + decimal(bytes) + " bytes, which is no whole number of sectors of " + decimal(sector_size) +
           ": it was cut, or is no disk image (truncate -s %" + decimal(sector_size) + " makes it whole with zeros)";
}

Result<void, std::string> make_if_missing(const std::string& path, const FileDiskOptions& options) {
    if (!options.create_bytes) {
        return {};
    }
    if (options.read_only) {
        return fail(std::string("cannot be made and be read-only at once"));
    }
    if (std::string problem = size_problem(*options.create_bytes, options.sector_size); !problem.empty()) {
        return fail("cannot be made with " + decimal(*options.create_bytes) + " bytes: no whole number of sectors of " +
                    decimal(options.sector_size));
    }
    Result<void, CreateFailure> made = create_sparse_file(path, *options.create_bytes, {});
    if (!made && !made.error().exists) {
        return fail(made.error().text);
    }
    return {};
}

Result<FileDiskParts, std::string> look_at(FileDescriptor file, const FileDiskOptions& options) {
    FileDiskParts parts{.file = std::move(file), .sector_size = options.sector_size, .read_only = options.read_only};
    parts.size_bytes = TRY(regular_file_size(parts.file));
    if (std::string problem = size_problem(parts.size_bytes, options.sector_size); !problem.empty()) {
        return fail(std::move(problem));
    }
    if (options.create_bytes && *options.create_bytes != parts.size_bytes) {
        return fail("exists already with " + decimal(parts.size_bytes) + " bytes, not " +
                    decimal(*options.create_bytes) + ": leave `create` out to open it as it is");
    }
    parts.alignment = TRY(alignment_for(parts.file, options.direct, options.sector_size));
    parts.hole_bytes = hole_bytes_of(parts.file);
    parts.knows_holes = holes_are_known(parts.file, options.sector_size);
    return parts;
}

}  // namespace

Task<Result<Disk, std::string>> open_file_disk(std::string path, FileDiskOptions options) {
    if (std::string problem = sector_size_problem(options.sector_size); !problem.empty()) {
        co_return fail(std::move(problem));
    }
    CO_TRY(make_if_missing(path, options));
    OpenOptions how{.direct = options.direct, .read_only = options.read_only};
    FileDescriptor file = CO_TRY(co_await open_locked(path, how));
    FileDiskParts parts = CO_TRY(look_at(std::move(file), options));
    co_return disk_of(std::make_shared<FileDisk>(std::move(parts)));
}

}  // namespace undercroft
