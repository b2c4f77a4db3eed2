// What an NBD server offers: disks under names.
#pragma once

#include <string>
#include <vector>

#include "storage/disk.hpp"

namespace undercroft::nbd {

struct Export {
    std::string name;  ///< at most 4096 bytes; names differ
    std::string description;
    Disk disk;
    bool read_only = false;  ///< writes are refused although the disk would take them
};

/// The export `name`; the empty name means the first. Null where there is none.
inline const Export* find_export(const std::vector<Export>& exports, std::string_view name) {
    if (name.empty() && !exports.empty()) {
        return &exports.front();
    }
    for (const Export& candidate : exports) {
        if (candidate.name == name) {
            return &candidate;
        }
    }
    return nullptr;
}

inline bool is_read_only(const Export& subject) { return subject.read_only || subject.disk.facts().read_only; }

}  // namespace undercroft::nbd
