// The other end of `inspect`: asks a running program, or an image through the socket of its serial port.
#pragma once

#include <atomic>
#include <string>
#include <string_view>

#include "hostsim/backends/file_descriptor.hpp"
#include "kernel/base/result.hpp"

namespace undercroft {

class InspectClient {
public:
    static constexpr u64 answer_ns = 10 * nanoseconds_per_second;
    static constexpr usize answer_bytes_max = 16 * mib;

    /// Connects to the socket at `path`. On failure what is there instead, and what to do.
    static Result<InspectClient, std::string> open(const std::string& path);

    /// The answer to `request` (a path, or PATH=VALUE), without tag and end. On failure why there is none: nothing
    /// came within `answer_ns`, or the program has ended. `interrupted` ends the wait.
    Result<std::string, std::string> ask(std::string_view request, const std::atomic<bool>& interrupted);

private:
    InspectClient(FileDescriptor socket, std::string path) : socket_(std::move(socket)), path_(std::move(path)) {}
    Result<void, std::string> wait(short events, u64 deadline_ns, const std::atomic<bool>& interrupted) const;
    Result<void, std::string> send_line(std::string_view line, u64 deadline_ns, const std::atomic<bool>& interrupted);
    Result<std::string, std::string> receive_line(u64 deadline_ns, const std::atomic<bool>& interrupted);

    FileDescriptor socket_;
    std::string path_;
    std::string received_;
    u64 number_ = 0;
};

}  // namespace undercroft
