// The one table of commands: what exists, for which kinds of unit, how long its CDB is and which of its bits mean
// anything. Commands are parsed by it, REPORT SUPPORTED OPERATION CODES (SPC-4 6.35) prints it, and the fuzzer draws
// from it. Usage bits are those of the standards, without what no unit here does (protection information, groups, NACA): a
// CDB that sets one of the others is refused, and told which byte.
#pragma once

#include <array>
#include <span>

#include "kernel/base/result.hpp"
#include "kernel/spec/scsi.hpp"
#include "storage/scsi/sense.hpp"

namespace undercroft::scsi {

/// A CDB, read once; zeros behind its end.
struct Cdb {
    std::array<u8, cdb_bytes_max> bytes = {};

    u8 operator[](usize at) const { return bytes[at]; }
    u16 be16(usize at) const { return static_cast<u16>(bytes[at] << 8 | bytes[at + 1]); }
    u32 be24(usize at) const { return u32{bytes[at]} << 16 | be16(at + 1); }
    u32 be32(usize at) const { return u32{be16(at)} << 16 | be16(at + 2); }
    u64 be64(usize at) const { return u64{be32(at)} << 32 | be32(at + 4); }
    Opcode opcode() const { return static_cast<Opcode>(bytes[0]); }
    /// Where `Command::service_action` says that there is one.
    u8 service_action() const { return bytes[1] & 0x1f; }
};

/// What answers commands; a bit each.
enum class UnitKind : u8 { block = 1, optical = 2, well_known = 4, missing = 8 };

enum class CommandFlag : u8 {
    none = 0,
    /// Carried out in spite of a pending unit attention, which stays (SAM-5 5.14).
    before_attention = 1,
    /// Carried out in spite of a RESERVE of another initiator (SPC-2 table 9), or its persistent reservation (SPC-4
    /// table 46, SBC-3 table 13).
    before_reservation = 2,
    /// NOT READY where there is no medium, or it does not turn.
    needs_medium = 4,
    /// Reaches the medium through `Disk`, which knows of persistent reservations itself.
    asks_disk = 8,
    /// There where what the unit stands on has it: `LogicalUnit::offers`.
    depends = 16,
    /// Carried out while the unit is being sanitized, and after that has failed (SBC-3 4.11).
    while_sanitizing = 32,
};
constexpr CommandFlag operator|(CommandFlag one, CommandFlag other) {
    return static_cast<CommandFlag>(static_cast<u8>(one) | static_cast<u8>(other));
}

inline constexpr u8 no_service_action = 0xff;

struct Command {
    Opcode opcode;
    u8 service_action;
    u8 length;  ///< of the CDB in bytes
    u8 units;   ///< bits of `UnitKind`
    CommandFlag flags;
    /// Of byte 1 on: bits that mean something; those of a service action are not among them.
    std::array<u8, cdb_bytes_max - 1> usage;

    bool is_for(UnitKind kind) const { return (units & static_cast<u8>(kind)) != 0; }
    bool has(CommandFlag flag) const { return (static_cast<u8>(flags) & static_cast<u8>(flag)) != 0; }
    bool has_service_action() const { return service_action != no_service_action; }
};

/// All rows, by operation code.
std::span<const Command> command_table();
/// The rows with `opcode`, for any kind of unit.
std::span<const Command> commands_with(u8 opcode);

/// What is wrong with a CDB; `field_byte` where it is a field.
struct CdbFault {
    AdditionalSense code;
    u8 field_byte;
};

/// Reads a command's bytes, once; what is behind its end is left out.
Cdb read_cdb(std::span<const std::byte> bytes);
/// The command in `cdb`, which was `length` bytes long as it came, for a unit of that kind; or why there is none.
Result<const Command*, CdbFault> parse_cdb(const Cdb& cdb, usize length, UnitKind kind);

}  // namespace undercroft::scsi
