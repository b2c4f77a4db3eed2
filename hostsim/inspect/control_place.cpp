// The folder of sockets.
#include "hostsim/inspect/control_place.hpp"

#include <dirent.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "hostsim/backends/file_descriptor.hpp"

namespace undercroft {

namespace {

constexpr usize programs_max = 1024;

enum class Listening : u8 { no, yes, unknown };

Listening listening_at(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    FileDescriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!probe || path.size() >= sizeof(address.sun_path)) {
        return Listening::unknown;
    }
    std::ranges::copy(path, address.sun_path);
    // SAFETY: the sockets API takes every kind of address through this pointer type.
    if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 || errno == EAGAIN) {
        return Listening::yes;
    }
    return errno == ECONNREFUSED ? Listening::no : Listening::unknown;
}

std::vector<std::string> sockets_in(const std::string& folder) {
    std::vector<std::string> paths;
    std::unique_ptr<DIR, int (*)(DIR*)> open(opendir(folder.c_str()), &closedir);
    while (open != nullptr && paths.size() < programs_max) {
        const dirent* entry = readdir(open.get());  // NOLINT(concurrency-mt-unsafe): the directory is this thread's
        if (entry == nullptr) {
            break;
        }
        if (std::string_view(entry->d_name).ends_with(".sock")) {
            paths.push_back(folder + "/" + entry->d_name);
        }
    }
    std::ranges::sort(paths);
    return paths;
}

}  // namespace

std::string control_folder() {
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");  // NOLINT(concurrency-mt-unsafe): nothing sets it
    if (runtime != nullptr && *runtime == '/') {
        return std::string(runtime) + "/undercroft";
    }
    return geteuid() == 0 ? "/run/undercroft" : "/tmp/undercroft-" + std::to_string(geteuid());
}

Result<std::string, std::string> make_control_path() {
    std::string folder = control_folder();
    if (mkdir(folder.c_str(), S_IRWXU) < 0 && errno != EEXIST) {
        return std::unexpected("the folder " + folder + " cannot be made: " + system_error_text(errno));
    }
    struct stat found{};
    if (lstat(folder.c_str(), &found) < 0 || !S_ISDIR(found.st_mode) || found.st_uid != geteuid() ||
        (found.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return std::unexpected(folder + " is no folder of this user's alone");
    }
    for (const std::string& path : sockets_in(folder)) {
        if (listening_at(path) == Listening::no) {
            (void)unlink(path.c_str());  // if it stays, it is in nobody's way
        }
    }
    return folder + "/serve-" + std::to_string(getpid()) + ".sock";
}

std::vector<std::string> running_programs() {
    std::vector<std::string> paths = sockets_in(control_folder());
    std::erase_if(paths, [](const std::string& path) { return listening_at(path) != Listening::yes; });
    return paths;
}

}  // namespace undercroft
