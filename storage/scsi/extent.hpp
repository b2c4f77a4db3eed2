// Which blocks a CDB of SBC names: the same fields at the same places in all commands of one length (SPC-4 4.2.2).
#pragma once

#include "storage/disk.hpp"
#include "storage/scsi/command_table.hpp"

namespace undercroft::scsi {

/// LOGICAL BLOCK ADDRESS and the length behind it. In READ (6) and WRITE (6) a length of 0 means 256.
inline SectorRange extent_of(const Cdb& cdb) {
    constexpr u8 group_6 = 0;
    constexpr u8 group_12 = 5;
    constexpr u8 group_16 = 4;
    switch (cdb[0] >> 5) {
    case group_6:
        return {.start = cdb.be24(1) & 0x1f'ffff, .count = cdb[4] == 0 ? 256U : cdb[4]};
    case group_12:
        return {.start = cdb.be32(2), .count = cdb.be32(6)};
    case group_16:
        return {.start = cdb.be64(2), .count = cdb.be32(10)};
    default:
        return {.start = cdb.be32(2), .count = cdb.be16(7)};
    }
}

}  // namespace undercroft::scsi
