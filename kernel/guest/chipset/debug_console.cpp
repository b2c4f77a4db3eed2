// Port E9h.
#include "kernel/guest/chipset/debug_console.hpp"

namespace undercroft {

void DebugConsole::write_port(u16, AccessSize, u64 value) {
    SpinlockGuard guard(lock_);
    char character = static_cast<char>(value);
    if (character == '\n') {
        if (lines_ < lines_max) {
            ++lines_;
            sink_.debug_line({line_, size_});
        }
        size_ = 0;
    } else if (size_ < line_bytes_max) {
        bool printable = character >= ' ' && character <= '~';
        line_[size_++] = printable ? character : '?';
    }
}

}  // namespace undercroft
