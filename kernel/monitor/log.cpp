// The monitor's log: see log.hpp.
#include "kernel/monitor/log.hpp"

#include <stdarg.h>
#include <stdio.h>

#include <atomic>

#include "arch/x86_64/cpu.hpp"
#include "kernel/base/log.hpp"
#include "kernel/base/spinlock.hpp"

namespace undercroft::monitor {

namespace {

// 16550 at COM2.
constexpr u16 port = 0x2F8;
constexpr u16 line_control = port + 3;
constexpr u16 line_status = port + 5;
constexpr u8 transmitter_empty = 0x20;
constexpr u32 transmit_polls_max = 100'000;

Spinlock lock;
std::atomic<bool> unlocked{false};
std::atomic<bool> port_dead{false};

void put(char character) {
    if (port_dead.load(std::memory_order_relaxed)) {
        return;
    }
    for (u32 polls = 0; (arch::in8(line_status) & transmitter_empty) == 0; ++polls) {
        if (polls == transmit_polls_max) {
            port_dead.store(true, std::memory_order_relaxed);  // nobody there: never wait again
            return;
        }
        arch::pause();
    }
    arch::out8(port, static_cast<u8>(character));
}

void put_line(std::string_view prefix, std::string_view text) {
    bool locked = !unlocked.load(std::memory_order_relaxed);
    if (locked) {
        lock.lock();
    }
    for (char character : prefix) {
        put(character);
    }
    for (char character : text) {
        put(character >= ' ' && character != 0x7F ? character : character == '\t' ? ' ' : '?');
    }
    put('\r');
    put('\n');
    if (locked) {
        lock.unlock();
    }
}

void base_sink(LogLevel, std::string_view line) { put_line("monitor: ", line); }

}  // namespace

void log_initialise() {
    arch::out8(port + 1, 0);         // no interrupts
    arch::out8(line_control, 0x80);  // divisor latch
    arch::out8(port, 1);             // 115200 baud
    arch::out8(port + 1, 0);
    arch::out8(line_control, 0x03);  // 8 bits, no parity, one stop bit
    arch::out8(port + 2, 0xC7);      // FIFO on
    set_log_sink(base_sink);
}

void log(const char* format, ...) {
    char buffer[log_line_bytes_max];
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(buffer, sizeof(buffer), format, arguments);
    va_end(arguments);
    if (wanted > 0) {
        usize length = static_cast<usize>(wanted);
        put_line("monitor: ", {buffer, length < sizeof(buffer) ? length : sizeof(buffer) - 1});
    }
}

void log_image_line(std::string_view text) { put_line("", text); }

void log_without_lock() { unlocked.store(true, std::memory_order_relaxed); }

}  // namespace undercroft::monitor
