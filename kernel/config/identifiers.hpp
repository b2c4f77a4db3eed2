// The small texts of a configuration and what they mean: PCI addresses, GUIDs, key names, sizes, times. All are parsed
// whole: trailing characters are an error.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "kernel/base/types.hpp"

namespace undercroft {

/// Where a PCI function is.
struct PciAddress {
    u16 segment = 0;
    u8 bus = 0;
    u8 device = 0;    ///< 0 to 31
    u8 function = 0;  ///< 0 to 7
    friend bool operator==(const PciAddress&, const PciAddress&) = default;
};

/// `0000:00:03.0`: hexadecimal segment, bus, device, function; segment may be left out.
std::optional<PciAddress> parse_pci_address(std::string_view text);
/// As `parse_pci_address` reads it, always with the segment.
std::string to_string(const PciAddress& address);

/// A GUID, its bytes in the order of its text.
struct Guid {
    std::array<u8, 16> bytes{};
    friend bool operator==(const Guid&, const Guid&) = default;
};

/// `8-4-4-4-12` hexadecimal digits of either case, with or without braces.
std::optional<Guid> parse_guid(std::string_view text);
/// As `parse_guid` reads it: lower case, no braces.
std::string to_string(const Guid& guid);

/// Longest name of a key: with its prefix it must fit into the name of a fw_cfg file (55 bytes).
inline constexpr usize key_name_length_max = 36;
/// Prefix of a key's fw_cfg file.
inline constexpr std::string_view key_file_prefix = "opt/undercroft/key/";

/// Letters, digits, `-`, `_` and `.`, at least one, not beginning with a dot.
bool is_key_name(std::string_view text);

/// A number of bytes: decimal digits, then nothing or one of K, M, G, T (1024 each, either case). Nothing on overflow.
std::optional<u64> parse_size(std::string_view text);

/// `bytes` as `parse_size` reads it, with the largest suffix that leaves a whole number: "64M", "1000".
std::string size_text(u64 bytes);

/// A time: decimal digits and one of ns, us, ms, s; or 0. In nanoseconds; nothing on overflow.
std::optional<u64> parse_duration(std::string_view text);
/// `nanoseconds` as `parse_duration` reads it, with the largest unit that leaves a whole number: "10ms".
std::string duration_text(u64 nanoseconds);

/// Decimal digits alone; nothing on overflow.
std::optional<u64> parse_decimal(std::string_view text);
/// The decimal digits of `value`.
std::string decimal(u64 value);
/// `text` in quotes, shortened and with control characters replaced: for messages.
std::string quoted(std::string_view text);

}  // namespace undercroft
