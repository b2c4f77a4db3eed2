// A hostile guest: garbage at the NVMe controller's registers, doorbells and queues, from a seed (`seed=N` on the command line). Afterwards the
// controller must either say that it is dead (CSTS.CFS) or work; after a reset it must work: Identify and a read complete.
#include <string.h>

#include "tests/boot/payloads/guest.hpp"

namespace undercroft::payload {
namespace {

// NVMe base specification 2.0, section 3.1.
constexpr u64 reg_configuration = 0x14, reg_status = 0x1C, reg_admin_attributes = 0x24, reg_admin_submission = 0x28,
              reg_admin_completion = 0x30, reg_doorbells = 0x1000;
constexpr u32 class_nvme = 0x01'0802;
constexpr u32 configuration_enable = 1 | (6u << 16) | (4u << 20);  // EN, 64-byte and 16-byte entries

volatile u8* registers;
u64 random_state;

u64 random() {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

u32 read32(u64 offset) { return *reinterpret_cast<volatile u32*>(registers + offset); }
void write32(u64 offset, u32 value) { *reinterpret_cast<volatile u32*>(registers + offset) = value; }
void write64(u64 offset, u64 value) { *reinterpret_cast<volatile u64*>(registers + offset) = value; }

struct Command {
    u8 opcode, flags;
    u16 id;
    u32 namespace_id;
    u64 reserved, metadata, prp1, prp2;
    u32 dword[6];
};
static_assert(sizeof(Command) == 64);

alignas(page_size) Command admin_submission[64];
alignas(page_size) u32 admin_completion[64][4];
alignas(page_size) Command io_submission[64];
alignas(page_size) u32 io_completion[64][4];
alignas(page_size) u8 data[16 * page_size];

u64 address_of(const volatile void* object) { return reinterpret_cast<u64>(object); }

bool find_controller() {
    for (u8 device = 0; device < 32; ++device) {
        if ((pci_read(device, 0, 8) >> 8) != class_nvme) {
            continue;
        }
        u64 base = pci_read(device, 0, 0x10) & ~0xFu;
        base |= u64{pci_read(device, 0, 0x14)} << 32;
        pci_write(device, 0, 4, pci_read(device, 0, 4) | 6);  // memory decode, bus master
        registers = reinterpret_cast<volatile u8*>(base);
        return true;
    }
    return false;
}

/// Waits until CSTS.RDY is `ready`, or the controller reports a fatal status; at most 5 s.
bool wait_ready(u32 ready) {
    for (int i = 0; i < 500; ++i) {
        u32 status = read32(reg_status);
        if ((status & 1) == ready) {
            return true;
        }
        wait_ms(10);
    }
    return false;
}

bool reset_controller() {
    write32(reg_configuration, 0);
    return wait_ready(0);
}

bool enable_controller() {
    write32(reg_admin_attributes, (63u << 16) | 63u);
    write64(reg_admin_submission, address_of(admin_submission));
    write64(reg_admin_completion, address_of(admin_completion));
    write32(reg_configuration, configuration_enable);
    return wait_ready(1);
}

void garbage_registers(u64 count) {
    for (u64 i = 0; i < count; ++i) {
        u64 offset = random() % 4 == 0 ? reg_doorbells + random() % 0x2000 : random() % 0x80;
        volatile u8* target = registers + offset;
        switch (random() % 6) {
        case 0:
            *target = static_cast<u8>(random());
            break;
        case 1:
            *reinterpret_cast<volatile u16*>(registers + (offset & ~u64{1})) = static_cast<u16>(random());
            break;
        case 2:
            *reinterpret_cast<volatile u64*>(registers + (offset & ~u64{7})) = random();
            break;
        case 3:
            (void)*reinterpret_cast<volatile u64*>(registers + (offset & ~u64{7}));
            break;
        default:
            *reinterpret_cast<volatile u32*>(registers + (offset & ~u64{3})) = static_cast<u32>(random());
            break;
        }
    }
}

void garbage_command(Command& command) {
    auto* words = reinterpret_cast<u64*>(&command);
    for (int i = 0; i < 8; ++i) {
        words[i] = random();
    }
    static constexpr u8 opcodes[] = {0x00, 0x01, 0x02, 0x04, 0x05, 0x06, 0x08, 0x09, 0x0A,
                                     0x0C, 0x0D, 0x0E, 0x10, 0x19, 0x7C, 0x80, 0x84};
    command.opcode = random() % 8 == 0 ? command.opcode : opcodes[random() % sizeof(opcodes)];
    command.flags = random() % 4 == 0 ? command.flags : 0;
    command.namespace_id = random() % 4 == 0 ? command.namespace_id : 1;
    // Sometimes memory that is there, so that the command gets further.
    command.prp1 = random() % 2 == 0 ? address_of(data) + (random() % 8) * page_size : command.prp1;
    command.prp2 = random() % 2 == 0 ? address_of(data) + random() % 4096 : command.prp2;
    if (random() % 2 == 0) {
        for (u32& dword : command.dword) {
            dword &= 0xFF;
        }
    }
}

void garbage_queues(u64 rounds) {
    for (u64 round = 0; round < rounds; ++round) {
        for (Command& command : admin_submission) {
            garbage_command(command);
        }
        for (Command& command : io_submission) {
            garbage_command(command);
        }
        for (usize i = 0; i + 8 <= sizeof(data); i += 8) {
            u64 value = random() % 3 == 0 ? address_of(data) : random();
            memcpy(data + i, &value, sizeof(value));
        }
        write32(reg_doorbells + 8 * (random() % 3), static_cast<u32>(random() % 80));
        write32(reg_doorbells + 4, static_cast<u32>(random() % 80));
    }
}

/// Submits one admin command at `slot` of a fresh queue; its status, or all ones where nothing came within 5 s.
u32 submit_admin(u32 slot, const Command& command) {
    admin_submission[slot] = command;
    admin_submission[slot].id = static_cast<u16>(slot);
    asm volatile("" : : : "memory");
    write32(reg_doorbells, slot + 1);
    for (int i = 0; i < 500; ++i) {
        u32 last = *static_cast<volatile u32*>(&admin_completion[slot][3]);
        if ((last >> 16) & 1) {
            return last >> 17;
        }
        wait_ms(10);
    }
    return ~0u;
}

u32 submit_read(u32 slot) {
    Command command = {};
    command.opcode = 2;
    command.namespace_id = 1;
    command.prp1 = address_of(data);
    command.id = static_cast<u16>(slot);
    io_submission[slot] = command;
    asm volatile("" : : : "memory");
    write32(reg_doorbells + 8, slot + 1);
    for (int i = 0; i < 500; ++i) {
        u32 last = *static_cast<volatile u32*>(&io_completion[slot][3]);
        if ((last >> 16) & 1) {
            return last >> 17;
        }
        wait_ms(10);
    }
    return ~0u;
}

bool works_after_reset() {
    memset(admin_completion, 0, sizeof(admin_completion));
    memset(io_completion, 0, sizeof(io_completion));
    if (!reset_controller() || !enable_controller()) {
        return false;
    }
    Command identify = {};
    identify.opcode = 6;
    identify.prp1 = address_of(data);
    identify.dword[0] = 1;  // CNS 01h: the controller
    Command create_completion = {};
    create_completion.opcode = 5;
    create_completion.prp1 = address_of(io_completion);
    create_completion.dword[0] = (63u << 16) | 1;
    create_completion.dword[1] = 1;
    Command create_submission = create_completion;
    create_submission.opcode = 1;
    create_submission.prp1 = address_of(io_submission);
    create_submission.dword[1] = (1u << 16) | 1;
    return submit_admin(0, identify) == 0 && submit_admin(1, create_completion) == 0 &&
           submit_admin(2, create_submission) == 0 && submit_read(0) == 0;
}

}  // namespace
}  // namespace undercroft::payload

void payload_run() {
    using namespace undercroft::payload;
    random_state = parameter("seed", 1) * 0x9E37'79B9'7F4A'7C15 + 1;
    map_first_terabyte();
    check(find_controller(), "an NVMe controller is there");
    if (failures() > 0) {
        return;
    }
    check(works_after_reset(), "it works before");
    for (undercroft::u64 round = 0; round < parameter("rounds", 4); ++round) {
        garbage_registers(200);
        check(reset_controller(), "it can be reset after garbage in its registers");
        enable_controller();
        garbage_queues(8);
        wait_ms(20);
        check(works_after_reset(), "it works again after garbage in its queues");
    }
}
