// Reading and changing mode pages.
#include "storage/scsi/mode_pages.hpp"

#include <algorithm>
#include <cstring>

#include "kernel/base/assert.hpp"

namespace undercroft::scsi {

ModePages::ModePages(std::span<const ModePage> pages) : pages_(pages) { set_defaults(); }

void ModePages::set_defaults() {
    SpinlockGuard guard(lock_);
    usize offset = 0;
    for (const ModePage& page : pages_) {
        ASSERT(offset + page.defaults.size() <= bytes_max);
        std::memcpy(current_ + offset, page.defaults.data(), page.defaults.size());
        offset += page.defaults.size();
    }
}

const ModePage* ModePages::find(u8 code, usize& offset) const {
    offset = 0;
    for (const ModePage& page : pages_) {
        if (page.code() == code) {
            return &page;
        }
        offset += page.defaults.size();
    }
    return nullptr;
}

usize ModePages::read(u8 code, ModeControl control, std::span<u8, bytes_max> into) const {
    SpinlockGuard guard(lock_);
    usize offset = 0;
    usize used = 0;
    for (const ModePage& page : pages_) {
        usize bytes = page.defaults.size();
        if (code == all_mode_pages || code == page.code()) {
            const u8* from = control == ModeControl::current    ? current_ + offset
                             : control == ModeControl::defaults ? page.defaults.data()
                                                                : page.changeable.data();
            std::memcpy(into.data() + used, from, bytes);
            into[used] = page.code();
            into[used + 1] = static_cast<u8>(bytes - 2);
            used += bytes;
        }
        offset += bytes;
    }
    return used;
}

Result<bool, usize> ModePages::write(std::span<const u8> list) {
    SpinlockGuard guard(lock_);
    u8 next[bytes_max];
    std::memcpy(next, current_, sizeof(next));
    for (usize at = 0; at < list.size();) {
        usize offset = 0;
        // PS is reserved here, and drivers send back what MODE SENSE gave them. SPF is a code that no page has.
        const ModePage* page = find(list[at] & 0x7f, offset);
        if (page == nullptr) {
            return fail(at);
        }
        usize bytes = page->defaults.size();
        if (list.size() - at < bytes) {
            return fail(list.size());
        }
        if (list[at + 1] != bytes - 2) {
            return fail(at + 1);
        }
        for (usize byte = 2; byte < bytes; ++byte) {
            u8 changed = list[at + byte] ^ current_[offset + byte];
            if ((changed & ~page->changeable[byte]) != 0) {
                return fail(at + byte);
            }
            next[offset + byte] = list[at + byte];
        }
        at += bytes;
    }
    bool is_different = std::memcmp(next, current_, sizeof(next)) != 0;
    std::memcpy(current_, next, sizeof(next));
    return is_different;
}

u8 ModePages::get(u8 code, usize at) const {
    SpinlockGuard guard(lock_);
    usize offset = 0;
    return find(code, offset) != nullptr ? current_[offset + at] : u8{0};
}

void ModePages::set(u8 code, usize at, u8 bits, bool on) {
    SpinlockGuard guard(lock_);
    usize offset = 0;
    if (find(code, offset) != nullptr) {
        u8& byte = current_[offset + at];
        byte = static_cast<u8>(on ? byte | bits : byte & ~bits);
    }
}

}  // namespace undercroft::scsi
