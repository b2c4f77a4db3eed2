// Keys of crypt disks from files: what KEY means on the host. A file is read when its key is first asked for, and what
// was read is wiped at the end, or when told.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/result.hpp"

namespace undercroft {

class KeyFiles {
public:
    KeyFiles() = default;
    KeyFiles(const KeyFiles&) = delete;
    KeyFiles& operator=(const KeyFiles&) = delete;
    ~KeyFiles() { wipe(); }

    /// The bytes of the file at `path`, or why there are none. Valid until `wipe`.
    Result<std::span<const std::byte>, std::string> read(std::string_view path);
    /// Overwrites and forgets all keys.
    void wipe();

private:
    /// Of a file: a key has 64, and what is longer is told so.
    static constexpr usize bytes_max = 4096;
    struct Key {
        std::string path;
        std::vector<std::byte> bytes;
    };
    std::vector<Key> keys_;
};

}  // namespace undercroft
