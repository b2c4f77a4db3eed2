// The 8259A pair's registers and priorities.
#include "kernel/guest/chipset/interrupt_controller_pair.hpp"

namespace undercroft {

namespace {

constexpr u16 port_master = 0x20;
constexpr u16 port_slave = 0xA0;
constexpr u16 port_edge_level = 0x4D0;
constexpr unsigned cascade_line = 2;
constexpr unsigned spurious_line = 7;

// ICW1, ICW4, OCW2 and OCW3 bits.
constexpr u8 icw1_select = 0x10;
constexpr u8 icw1_needs_icw4 = 0x01;
constexpr u8 icw1_single = 0x02;
constexpr u8 icw4_automatic_end = 0x02;
constexpr u8 icw4_special_fully_nested = 0x10;
constexpr u8 ocw3_select = 0x08;
constexpr u8 ocw3_read_command = 0x02;
constexpr u8 ocw3_read_in_service = 0x01;
constexpr u8 ocw3_poll = 0x04;
constexpr u8 ocw3_special_mask_command = 0x40;
constexpr u8 ocw3_special_mask = 0x20;

// Timer, cascade, keyboard, clock and coprocessor lines are always edges.
constexpr u8 edge_level_writable[2] = {0xF8, 0xDE};

}  // namespace

void InterruptControllerPair::Chip::set_level(unsigned line, bool high) {
    u8 bit = static_cast<u8>(1u << line);
    if ((level_triggered & bit) != 0) {
        request = static_cast<u8>(high ? request | bit : request & ~bit);
    } else if (high && (lines & bit) == 0) {
        request |= bit;
    } else if (!high) {
        request &= static_cast<u8>(~bit);  // a request that goes away before INTA is spurious
    }
    lines = static_cast<u8>(high ? lines | bit : lines & ~bit);
}

int InterruptControllerPair::Chip::highest_in_service() const {
    for (unsigned rank = 0; rank < 8; ++rank) {
        unsigned line = (lowest_priority + 1 + rank) & 7;
        if ((in_service & (1u << line)) != 0) {
            return static_cast<int>(line);
        }
    }
    return -1;
}

int InterruptControllerPair::Chip::pending(bool is_master) const {
    for (unsigned rank = 0; rank < 8; ++rank) {
        unsigned line = (lowest_priority + 1 + rank) & 7;
        u8 bit = static_cast<u8>(1u << line);
        bool in_service_here = (in_service & bit) != 0;
        if ((request & bit) != 0 && (mask & bit) == 0) {
            bool nests = special_fully_nested && is_master && line == cascade_line;
            if (!in_service_here || nests) {
                return static_cast<int>(line);
            }
        }
        // In special mask mode a masked line in service does not hold the lower ones back.
        if (in_service_here && !(special_mask && (mask & bit) != 0)) {
            if (!(special_fully_nested && is_master && line == cascade_line)) {
                return -1;
            }
        }
    }
    return -1;
}

void InterruptControllerPair::Chip::take(unsigned line) {
    u8 bit = static_cast<u8>(1u << line);
    if ((level_triggered & bit) == 0) {
        request &= static_cast<u8>(~bit);
    }
    if (!automatic_end) {
        in_service |= bit;
    } else if (rotates_on_automatic_end) {
        lowest_priority = static_cast<u8>(line);
    }
}

void InterruptControllerPair::Chip::end(u8 command) {
    bool rotates = (command & 0x80) != 0;
    bool is_specific = (command & 0x40) != 0;
    bool is_end = (command & 0x20) != 0;
    int line = is_specific ? command & 7 : highest_in_service();
    if (!is_end) {
        if (is_specific && rotates) {
            lowest_priority = command & 7;
        } else if (!is_specific) {
            rotates_on_automatic_end = rotates;
        }
        return;
    }
    if (line < 0) {
        return;
    }
    in_service &= static_cast<u8>(~(1u << line));
    if (rotates) {
        lowest_priority = static_cast<u8>(line);
    }
}

void InterruptControllerPair::Chip::write_command(u8 value) {
    if ((value & icw1_select) != 0) {
        u8 kept_lines = lines;
        u8 kept_levels = level_triggered;
        *this = Chip{};
        lines = kept_lines;
        level_triggered = kept_levels;
        request = lines & level_triggered;
        needs_icw4 = (value & icw1_needs_icw4) != 0;
        is_single = (value & icw1_single) != 0;
        initialisation_step = 2;
        return;
    }
    if ((value & ocw3_select) == 0) {
        end(value);
        return;
    }
    poll = (value & ocw3_poll) != 0;
    if ((value & ocw3_read_command) != 0) {
        reads_in_service = (value & ocw3_read_in_service) != 0;
    }
    if ((value & ocw3_special_mask_command) != 0) {
        special_mask = (value & ocw3_special_mask) != 0;
    }
}

void InterruptControllerPair::Chip::write_data(u8 value) {
    switch (initialisation_step) {
    case 2:
        vector_base = value & 0xF8;
        initialisation_step = is_single ? (needs_icw4 ? 4 : 0) : 3;
        break;
    case 3:
        initialisation_step = needs_icw4 ? 4 : 0;  // the cascade is wired; what is written changes nothing
        break;
    case 4:
        automatic_end = (value & icw4_automatic_end) != 0;
        special_fully_nested = (value & icw4_special_fully_nested) != 0;
        initialisation_step = 0;
        break;
    default:
        mask = value;
        break;
    }
}

Result<void> InterruptControllerPair::add_to(GuestBus& bus) {
    TRY(bus.add_ports(*this, port_master, 2));
    TRY(bus.add_ports(*this, port_slave, 2));
    TRY(bus.add_ports(*this, port_edge_level, 2));
    return {};
}

/// Propagates the slave's output to the master, and the master's to the processor.
void InterruptControllerPair::update() {
    chips_[0].set_level(cascade_line, chips_[1].pending(false) >= 0);
    bool requested = chips_[0].pending(true) >= 0;
    if (requested != is_requested_) {
        is_requested_ = requested;
        sink_.set_requested(requested);
    }
}

void InterruptControllerPair::set_level(unsigned irq, bool high) {
    SpinlockGuard guard(lock_);
    chips_[irq >> 3].set_level(irq & 7, high);
    update();
}

u8 InterruptControllerPair::acknowledge() {
    SpinlockGuard guard(lock_);
    int line = chips_[0].pending(true);
    if (line < 0) {
        return static_cast<u8>(chips_[0].vector_base + spurious_line);
    }
    chips_[0].take(static_cast<unsigned>(line));
    u8 vector = static_cast<u8>(chips_[0].vector_base + line);
    if (line == static_cast<int>(cascade_line)) {
        int slave_line = chips_[1].pending(false);
        if (slave_line >= 0) {
            chips_[1].take(static_cast<unsigned>(slave_line));
        } else {
            slave_line = spurious_line;
        }
        // The slave's output falls with INTA; what is still pending raises it again as a new edge.
        chips_[0].set_level(cascade_line, false);
        vector = static_cast<u8>(chips_[1].vector_base + slave_line);
    }
    update();
    return vector;
}

bool InterruptControllerPair::is_requested() {
    SpinlockGuard guard(lock_);
    return is_requested_;
}

u8 InterruptControllerPair::read_poll(Chip& chip, bool is_master) {
    chip.poll = false;
    int line = chip.pending(is_master);
    if (line < 0) {
        return 0;
    }
    chip.take(static_cast<unsigned>(line));
    return static_cast<u8>(0x80 | line);
}

u64 InterruptControllerPair::read_port(u16 port, AccessSize) {
    SpinlockGuard guard(lock_);
    if ((port & ~1) == port_edge_level) {
        return chips_[port & 1].level_triggered;
    }
    bool is_master = (port & ~1) == port_master;
    Chip& chip = chips_[is_master ? 0 : 1];
    if (chip.poll) {
        u8 value = read_poll(chip, is_master);
        update();
        return value;
    }
    if ((port & 1) != 0) {
        return chip.mask;
    }
    return chip.reads_in_service ? chip.in_service : chip.request;
}

void InterruptControllerPair::write_port(u16 port, AccessSize, u64 value) {
    SpinlockGuard guard(lock_);
    u8 byte = static_cast<u8>(value);
    if ((port & ~1) == port_edge_level) {
        Chip& chip = chips_[port & 1];
        chip.level_triggered = byte & edge_level_writable[port & 1];
        chip.request = static_cast<u8>((chip.request & ~chip.level_triggered) | (chip.lines & chip.level_triggered));
    } else {
        Chip& chip = chips_[(port & ~1) == port_master ? 0 : 1];
        (port & 1) != 0 ? chip.write_data(byte) : chip.write_command(byte);
    }
    update();
}

}  // namespace undercroft
