// An open file of the operating system, closed by its owner, and the texts of its errors.
#pragma once

#include <unistd.h>

#include <cstring>
#include <string>
#include <utility>

namespace undercroft {

class FileDescriptor {
public:
    FileDescriptor() = default;
    explicit FileDescriptor(int descriptor) : descriptor_(descriptor) {}
    FileDescriptor(FileDescriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
    FileDescriptor& operator=(FileDescriptor&& other) noexcept {
        std::swap(descriptor_, other.descriptor_);
        return *this;
    }
    ~FileDescriptor() {
        if (descriptor_ >= 0) {
            close(descriptor_);
        }
    }

    int get() const { return descriptor_; }
    explicit operator bool() const { return descriptor_ >= 0; }

private:
    int descriptor_ = -1;
};

/// The text of an errno value, for example "No such file or directory".
inline std::string system_error_text(int error) {
    char buffer[128];
    return strerror_r(error, buffer, sizeof(buffer));
}

}  // namespace undercroft
