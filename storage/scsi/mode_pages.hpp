// Mode pages (SPC-4 7.5): the values as they are, as they were made, and which bits of them may be changed. Leaves out
// saving, and pages with subpages.
#pragma once

#include <span>

#include "kernel/base/result.hpp"
#include "kernel/base/spinlock.hpp"

namespace undercroft::scsi {

/// One page as it is at first: page code, length, then what the length counts.
struct ModePage {
    std::span<const u8> defaults;
    std::span<const u8> changeable;  ///< as many; a bit each that MODE SELECT may change

    u8 code() const { return defaults[0]; }
};

/// PC of MODE SENSE.
enum class ModeControl : u8 { current = 0, changeable = 1, defaults = 2, saved = 3 };

inline constexpr u8 all_mode_pages = 0x3f;

/// The pages of one unit. Any processor.
class ModePages {
public:
    static constexpr usize bytes_max = 64;  ///< of all pages together

    /// `pages` are constants.
    explicit ModePages(std::span<const ModePage> pages);

    /// Writes page `code`, or all; returns the bytes used, at most `bytes_max`; 0 where there is no such page.
    usize read(u8 code, ModeControl control, std::span<u8, bytes_max> into) const;
    /// Takes the pages in `list` over, all of them or none. Else which byte of `list` is wrong, or `list.size()` where it
    /// ends within a page. True where anything is different now.
    Result<bool, usize> write(std::span<const u8> list);
    void set_defaults();
    /// One byte of a page that exists.
    u8 get(u8 code, usize at) const;
    /// Sets a bit that the device changes itself.
    void set(u8 code, usize at, u8 bits, bool on);

private:
    /// Where the page's bytes are in `current_`; nothing where there is no such page.
    const ModePage* find(u8 code, usize& offset) const;

    std::span<const ModePage> pages_;
    mutable Spinlock lock_;
    u8 current_[bytes_max] = {};
};

}  // namespace undercroft::scsi
