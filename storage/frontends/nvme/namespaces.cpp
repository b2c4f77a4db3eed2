// Checks namespaces, and makes ids that stay the same over every start.
#include "storage/frontends/nvme/namespaces.hpp"

#include <algorithm>
#include <string_view>

#include "kernel/base/endian.hpp"

namespace undercroft::nvme {

namespace {

/// FNV-1a, 64 bits: no secret is in it, it has to be the same for ever.
u64 hash(std::string_view text, u64 state) {
    for (char letter : text) {
        state = (state ^ static_cast<u8>(letter)) * 0x0000'0100'0000'01b3;
    }
    return state;
}

std::array<u8, 16> made_nguid(std::string_view subsystem_name, u32 id) {
    u64 high = hash(subsystem_name, 0xcbf2'9ce4'8422'2325 ^ id);
    u64 low = hash(subsystem_name, high ^ 0x9e37'79b9'7f4a'7c15);
    struct {
        Be<u64> first;
        Be<u64> second;
    } words{.first = high, .second = low};
    return std::bit_cast<std::array<u8, 16>>(words);
}

std::array<u8, 16> nguid_of(const NamespaceConfig& config, std::string_view subsystem_name) {
    if (config.nguid) {
        return *config.nguid;
    }
    if (config.disk.facts().id) {
        return std::bit_cast<std::array<u8, 16>>(*config.disk.facts().id);
    }
    return made_nguid(subsystem_name, config.id);
}

}  // namespace

Result<NamespaceTable> NamespaceTable::create(std::span<const NamespaceConfig> configs,
                                              std::string_view subsystem_name) {
    if (configs.size() > namespaces_max) {
        return fail(Error::invalid_argument);
    }
    NamespaceTable table;
    for (const NamespaceConfig& config : configs) {
        bool usable = config.id != 0 && config.id != 0xffff'ffff && config.disk.sector_size() <= bounce_bytes;
        if (!usable || table.find(config.id) != nullptr) {
            return fail(Error::invalid_argument);
        }
        table.all_.push_back({.id = config.id,
                              .disk = config.disk,
                              .block_shift = static_cast<u32>(std::countr_zero(config.disk.sector_size())),
                              .nguid = nguid_of(config, subsystem_name),
                              .eui64 = config.eui64.value_or(std::array<u8, 8>{})});
    }
    std::ranges::sort(table.all_, {}, &Namespace::id);
    return table;
}

}  // namespace undercroft::nvme
