// Registers, commands and status bytes of the Intel 82077AA floppy disk controller.
// Source: Intel 82077AA data sheet, sections 2 (registers) and 5 (commands).
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft::fdc {

inline constexpr u16 ports = 0x3F0;
inline constexpr unsigned irq = 6;
inline constexpr unsigned dma_channel = 2;

/// Registers by their offset.
namespace register_offset {
inline constexpr u16 digital_output = 2;       ///< DOR
inline constexpr u16 tape_drive = 3;           ///< TDR
inline constexpr u16 status_data_rate = 4;     ///< MSR (read), DSR (write)
inline constexpr u16 data = 5;                 ///< FIFO
inline constexpr u16 input_configuration = 7;  ///< DIR (read), CCR (write)
}  // namespace register_offset

namespace output_bit {
inline constexpr u8 drive = 3;
inline constexpr u8 not_reset = 1u << 2;
inline constexpr u8 dma_gate = 1u << 3;  ///< interrupt and DMA lines are driven
}  // namespace output_bit

namespace main_status_bit {
inline constexpr u8 command_busy = 1u << 4;
inline constexpr u8 non_dma = 1u << 5;
inline constexpr u8 to_host = 1u << 6;  ///< DIO
inline constexpr u8 request = 1u << 7;  ///< RQM
}  // namespace main_status_bit

inline constexpr u8 rate_reset_bit = 1u << 7;
inline constexpr u8 rate_mask = 3;
inline constexpr u8 input_disk_change = 1u << 7;

enum class Command : u8 {
    read_track = 0x02,
    specify = 0x03,
    sense_drive_status = 0x04,
    write_data = 0x05,
    read_data = 0x06,
    recalibrate = 0x07,
    sense_interrupt = 0x08,
    write_deleted = 0x09,
    read_id = 0x0A,
    read_deleted = 0x0C,
    format_track = 0x0D,
    dump_registers = 0x0E,
    seek = 0x0F,
    version = 0x10,
    perpendicular = 0x12,
    configure = 0x13,
    lock = 0x14,
    verify = 0x16,
    relative_seek = 0x8F,  ///< with the direction in bit 6
};

namespace command_bit {
inline constexpr u8 opcode = 0x1F;
inline constexpr u8 multitrack = 1u << 7;    ///< MT
inline constexpr u8 mfm = 1u << 6;           ///< MFM
inline constexpr u8 skip = 1u << 5;          ///< SK
inline constexpr u8 lock = 1u << 7;          ///< of LOCK
inline constexpr u8 seek_inward = 1u << 6;   ///< of RELATIVE SEEK
inline constexpr u8 enable_count = 1u << 7;  ///< EC, of VERIFY's second byte
inline constexpr u8 head = 1u << 2;          ///< of the second byte
inline constexpr u8 drive = 3;               ///< of the second byte
}  // namespace command_bit

namespace configure_bit {
inline constexpr u8 implied_seek = 1u << 6;  ///< EIS
inline constexpr u8 fifo_off = 1u << 5;      ///< EFIFO
inline constexpr u8 polling_off = 1u << 4;   ///< POLL
inline constexpr u8 fifo_threshold = 0x0F;
}  // namespace configure_bit

namespace status0_bit {
inline constexpr u8 abnormal = 1u << 6;
inline constexpr u8 invalid = 2u << 6;
inline constexpr u8 ready_changed = 3u << 6;
inline constexpr u8 seek_end = 1u << 5;
inline constexpr u8 equipment_check = 1u << 4;
inline constexpr u8 not_ready = 1u << 3;
}  // namespace status0_bit

namespace status1_bit {
inline constexpr u8 missing_mark = 1u << 0;     ///< MA
inline constexpr u8 not_writable = 1u << 1;     ///< NW
inline constexpr u8 no_data = 1u << 2;          ///< ND
inline constexpr u8 overrun = 1u << 4;          ///< OR
inline constexpr u8 data_error = 1u << 5;       ///< DE
inline constexpr u8 end_of_cylinder = 1u << 7;  ///< EN
}  // namespace status1_bit

namespace status2_bit {
inline constexpr u8 wrong_cylinder = 1u << 4;  ///< WC
inline constexpr u8 data_error = 1u << 5;      ///< DD
inline constexpr u8 control_mark = 1u << 6;    ///< CM
}  // namespace status2_bit

namespace status3_bit {
inline constexpr u8 always = (1u << 3) | (1u << 5);
inline constexpr u8 track_0 = 1u << 4;
inline constexpr u8 write_protected = 1u << 6;
}  // namespace status3_bit

inline constexpr u8 version_enhanced = 0x90;
/// Size code of 512-byte sectors.
inline constexpr u8 size_code_512 = 2;

}  // namespace undercroft::fdc
