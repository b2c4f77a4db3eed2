// Disks and errors as text for people: the one-line form, and carets under the part of a line that is wrong.
#include <algorithm>

#include "kernel/config/disk_fields.hpp"

namespace undercroft {

namespace {

template <typename... Visitors>
struct Overloaded : Visitors... {
    using Visitors::operator()...;
};

bool needs_quotes(std::string_view text, bool last) {
    return std::ranges::any_of(text, [last](char character) {
        constexpr std::string_view special = " ;,()\"'";
        return special.find(character) != std::string_view::npos || (character == ':' && !last);
    });
}

// `last`: the last word of its kind, where a colon needs no quotes.
std::string word(std::string_view text, bool last) {
    if (!needs_quotes(text, last)) {
        return std::string(text);
    }
    std::string result = "'";
    for (char character : text) {
        result += character;
        result += character == '\'' ? "'" : "";
    }
    return result + "'";
}

std::string flag(const char* name, bool set) { return set ? std::string(";") + name : ""; }

std::string create_option(const std::optional<u64>& bytes) { return bytes ? ";create=" + size_text(*bytes) : ""; }

std::string sector_option(u32 sector_size) { return sector_size == 512 ? "" : ";sector_size=" + decimal(sector_size); }

std::string time_text(const DelayTimeConfig& time) {
    return duration_text(time.average_ns) + (time.p99_ns == 0 ? "" : "/" + duration_text(time.p99_ns));
}

std::string time_option(const char* name, const std::optional<DelayTimeConfig>& time) {
    return time ? std::string(";") + name + "=" + time_text(*time) : "";
}

std::string seed_option(u64 seed) { return seed == 1 ? "" : ";seed=" + decimal(seed); }

std::string vmbus_text(const VmbusDiskConfig& vmbus) {
    return ":" + to_string(vmbus.instance_id) + "/" + decimal(vmbus.sub_device);
}

std::string delay_text(const DelayDiskConfig& delay) {
    return ":" + time_text(delay.all) + time_option("read", delay.read) + time_option("write", delay.write) +
           time_option("flush", delay.flush) + time_option("unmap", delay.unmap) + seed_option(delay.seed);
}

enum class Secrets : bool { hidden, shown };

// What stands between the kind and the disks below.
std::string own_text(const DiskConfig& disk, Secrets secrets) {
    Overloaded text{
        [](const NvmeDiskConfig& it) { return ":" + to_string(it.device) + "/" + decimal(it.namespace_id); },
        [](const RamDiskConfig& it) { return ":" + size_text(it.size_bytes) + sector_option(it.sector_size); },
        [](const CryptDiskConfig& it) { return ":" + std::string(crypt_cipher) + ":" + word(it.key, false); },
        [](const MemoryDiffConfig&) { return std::string(); },
        [](const StripedDiskConfig& it) { return ";chunk=" + size_text(it.chunk_bytes); },
        [](const ReservationsConfig&) { return std::string(); },
        [](const DelayDiskConfig& it) { return delay_text(it); },
        [](const FaultDiskConfig& it) { return ":" + fault_rules_text(it.rules) + seed_option(it.seed); },
        [](const FileDiskConfig& it) {
            return ":" + word(it.path, true) + flag("direct", it.direct) + flag("ro", it.read_only) +
                   create_option(it.create_bytes) + sector_option(it.sector_size);
        },
        [](const BlockDeviceConfig& it) { return ":" + word(it.path, true) + flag("ro", it.read_only); },
        [](const Vhd1DiskConfig& it) {
            return ":" + word(it.path, true) + flag("direct", it.direct) + flag("ro", it.read_only) +
                   create_option(it.create_bytes);
        },
        [secrets](const BlobDiskConfig& it) {
            std::string url = secrets == Secrets::shown ? it.url : public_url(it.url);
            return ":" + std::string(blob_formats[static_cast<usize>(it.format)]) + ":" + word(url, true);
        },
        [](const SqliteDiskConfig& it) {
            return ":" + word(it.path, true) + create_option(it.create_bytes) + sector_option(it.sector_size);
        },
        [](const SqliteDiffConfig& it) { return ":" + word(it.path, false) + flag("create", it.create); },
        [](const AutoCacheConfig& it) { return ":" + word(it.key, false); },
        [](const VmbusDiskConfig& it) { return vmbus_text(it); },
        [](const EmptyDriveConfig&) { return std::string(); },
    };
    return std::visit(text, disk.kind);
}

std::string line_text(const DiskConfig& disk, Secrets secrets) {
    std::string text = std::string(kind_name(disk)) + own_text(disk, secrets);
    std::span<const DiskConfig> below = disks_below(disk);
    if (!std::holds_alternative<StripedDiskConfig>(disk.kind)) {
        return below.empty() ? text : text + ":" + line_text(below.front(), secrets);
    }
    text += ":(";
    for (usize index = 0; index < below.size(); ++index) {
        text += (index == 0 ? "" : ",") + line_text(below[index], secrets);
    }
    return text + ")";
}

}  // namespace

std::string_view kind_name(const DiskConfig& disk) {
    // In the order of `DiskKind`.
    constexpr std::string_view names[] = {"nvme",   "mem",   "crypt", "memdiff", "striped",
                                          "prwrap", "delay", "fault", "file",    "block",
                                          "vhd1",   "blob",  "sql",   "sqldiff", "autocache"};
    if (const auto* vmbus = std::get_if<VmbusDiskConfig>(&disk.kind)) {
        return vmbus->type == VmbusDiskConfig::Type::nvme ? "nvme" : "vscsi";
    }
    return std::holds_alternative<EmptyDriveConfig>(disk.kind) ? "empty" : names[disk.kind.index()];
}

std::span<const DiskConfig> disks_below(const DiskConfig& disk) {
    return std::visit(
        [](const auto& kind) -> std::span<const DiskConfig> {
            if constexpr (requires { kind.over.size(); }) {
                return kind.over;
            } else if constexpr (requires { kind.over; }) {
                return kind.over ? std::span<const DiskConfig>(kind.over.get(), 1) : std::span<const DiskConfig>();
            } else {
                return {};
            }
        },
        disk.kind);
}

ConfigError error_at(const DiskConfig& disk, std::string message, std::string_view property) {
    ConfigError error{.path = disk.path, .message = std::move(message), .span = disk.span};
    if (disk.span.column == 0 && !property.empty()) {
        error.path += (error.path.empty() ? "" : ".") + std::string(property);
    }
    return error;
}

std::string to_string(const DiskConfig& disk) { return line_text(disk, Secrets::shown); }

std::string public_text(const DiskConfig& disk) { return line_text(disk, Secrets::hidden); }

std::string public_url(std::string_view url) {
    usize host = url.find("://");
    host = host == std::string_view::npos ? 0 : host + 3;
    url = url.substr(0, std::min(url.find_first_of("?#", host), url.size()));
    usize path = std::min(url.find('/', host), url.size());
    usize at = url.substr(0, path).rfind('@');
    bool has_user = at != std::string_view::npos && at >= host;
    return std::string(url.substr(0, host)) + std::string(url.substr(has_user ? at + 1 : host));
}

std::string to_string(const ConfigError& error) {
    std::string place = error.path;
    if (error.span.column != 0) {
        place += (place.empty() ? "column " : ", column ") + decimal(error.span.column);
    }
    return place.empty() ? error.message : place + ": " + error.message;
}

std::string caret_lines(const ConfigError& error, std::string_view line) {
    constexpr usize before_max = 50;
    constexpr usize shown_max = 100;
    if (error.span.column == 0 || error.span.column > line.size() + 1) {
        return "";
    }
    usize at = error.span.column - 1;
    usize begin = at > before_max ? at - before_max : 0;
    usize end = std::min(line.size(), begin + shown_max);
    usize marked_end = std::clamp<usize>(at + error.span.length, at + 1, std::max(end, at + 1));
    std::string shown = begin > 0 ? "..." : "";
    std::string carets(shown.size(), ' ');
    for (usize offset = begin; offset < std::max(end, marked_end); ++offset) {
        char character = offset < end ? line[offset] : ' ';
        bool control = static_cast<u8>(character) < ' ' || character == 0x7f;
        shown += control ? '?' : character;
        // The later bytes of a character in UTF-8 take no column of their own.
        if ((static_cast<u8>(character) & 0xc0) != 0x80) {
            carets += offset < at ? " " : offset == at ? "^" : offset < marked_end ? "~" : "";
        }
    }
    return "  " + shown + (end < line.size() ? "..." : "") + "\n  " + carets + "\n";
}

}  // namespace undercroft
