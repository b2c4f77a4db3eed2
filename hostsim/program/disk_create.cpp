// disk create, disk key: new files, and never over one that exists.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <array>

#include "hostsim/backends/file_open.hpp"
#include "hostsim/program/disk_command.hpp"
#include "hostsim/program/exit_status.hpp"
#include "kernel/crypto/wipe.hpp"
#include "kernel/crypto/xts.hpp"

namespace undercroft {

namespace {

bool exists(const std::string& path) {
    struct stat status{};
    return lstat(path.c_str(), &status) == 0;
}

// The files that `disk` asks to be made.
std::vector<std::string> files_to_make(DiskConfig& disk) {
    std::vector<std::string> files;
    visit_disks(disk, [&](DiskConfig& one) {
        std::visit(
            [&](auto& kind) {
                if constexpr (requires { kind.create_bytes; }) {
                    if (kind.create_bytes) {
                        files.push_back(kind.path);
                    }
                } else if constexpr (requires { kind.create; }) {
                    if (kind.create) {
                        files.push_back(kind.path);
                    }
                }
            },
            one.kind);
    });
    return files;
}

// A key and a place to keep it that is wiped in every case.
struct Key {
    std::array<std::byte, XtsCipher::key_bytes> bytes{};
    ~Key() { secure_wipe(bytes); }
};

bool fill_with_random(Key& key) {
    do {
        if (getrandom(key.bytes.data(), key.bytes.size(), 0) != static_cast<ssize_t>(key.bytes.size())) {
            return false;
        }
    } while (equal_in_constant_time(std::span(key.bytes).first<XtsCipher::key_bytes / 2>(),
                                    std::span(key.bytes).last<XtsCipher::key_bytes / 2>()));
    return true;
}

}  // namespace

int run_disk_create(const CommandLine& line) {
    const std::string& text = line.positional()[1];
    std::optional<DiskConfig> config = read_disk_line(text);
    if (!config) {
        return exit_status::configuration_refused;
    }
    std::vector<std::string> files = files_to_make(*config);
    if (files.empty()) {
        return refuse_disk(exit_status::usage,
                           "nothing in this disk is to be made: say how large, for example file:disk.img;create=1G");
    }
    for (const std::string& path : files) {
        if (exists(path)) {
            return refuse_disk(exit_status::configuration_refused, path + " exists already, and is left as it is");
        }
    }
    auto session = DiskSession::create();
    if (!session) {
        return refuse_disk(exit_status::refused_by_system, session.error());
    }
    std::optional<Disk> disk = (*session)->open(text, *config);
    if (!disk) {
        return exit_status::configuration_refused;
    }
    (void)printf("%s made: %s\n", files.back().c_str(),
                 readable_size(disk->sector_count() * disk->sector_size()).c_str());
    return exit_status::done;
}

int run_disk_key(const CommandLine& line) {
    const std::string& path = line.positional()[1];
    Key key;
    if (!fill_with_random(key)) {
        return refuse_disk(exit_status::refused_by_system, "the kernel gives no random bytes");
    }
    FileDescriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file) {
        return refuse_disk(exit_status::refused_by_system, errno == EEXIST
                                                               ? path + " exists already, and is left as it is"
                                                               : path + " cannot be made: " + system_error_text(errno));
    }
    // The mask of the process may have taken more than was wanted.
    bool written = fchmod(file.get(), 0600) == 0 &&
                   write(file.get(), key.bytes.data(), key.bytes.size()) == static_cast<ssize_t>(key.bytes.size()) &&
                   fsync(file.get()) == 0 && sync_folder_of(path);
    if (!written) {
        std::string why = system_error_text(errno);
        unlink(path.c_str());
        return refuse_disk(exit_status::refused_by_system, path + " cannot be written: " + why);
    }
    (void)printf("%s made: a key of %zu bytes; without it what it encrypts is lost\n", path.c_str(), key.bytes.size());
    return exit_status::done;
}

}  // namespace undercroft
