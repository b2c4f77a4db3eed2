// The namespaces of the controller: which disk each id is, and what names it for ever.
#pragma once

#include <array>
#include <bit>
#include <vector>

#include "kernel/spec/nvme_identify.hpp"
#include "storage/disk.hpp"
#include "storage/frontends/nvme/limits.hpp"

namespace undercroft::nvme {

/// One namespace as configured.
struct NamespaceConfig {
    u32 id = 0;  ///< 1 to FFFFFFFEh
    Disk disk;
    /// Default: the disk's own id, else one made from the subsystem's name and `id`.
    std::optional<std::array<u8, 16>> nguid = {};
    std::optional<std::array<u8, 8>> eui64 = {};
};

struct Namespace {
    u32 id = 0;
    Disk disk;
    u32 block_shift = 0;  ///< log2 of the sector size
    std::array<u8, 16> nguid = {};
    std::array<u8, 8> eui64 = {};  ///< all zero: none

    u64 blocks() const { return disk.sector_count(); }
};

/// Fixed once the controller exists; sorted by id.
class NamespaceTable {
public:
    /// `invalid_argument` for an id that is 0, FFFFFFFFh or used twice, a sector size above `bounce_bytes`, or more
    /// than `namespaces_max` of them.
    static Result<NamespaceTable> create(std::span<const NamespaceConfig> configs, std::string_view subsystem_name);

    std::span<const Namespace> all() const { return all_; }
    /// The namespace with this id, or none.
    const Namespace* find(u32 id) const {
        for (const Namespace& entry : all_) {
            if (entry.id == id) {
                return &entry;
            }
        }
        return nullptr;
    }
    u32 id_max() const { return all_.empty() ? 1 : all_.back().id; }

private:
    std::vector<Namespace> all_;
};

}  // namespace undercroft::nvme
