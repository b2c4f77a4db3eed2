// The IDE function of a PIIX4 (82371AB): two channels at the ports that they have had since the PC/AT, interrupts 14
// and 15, and bus masters in BAR4. Configuration space has the timing registers, which keep what is written; of them
// only the decode-enable bits do something.
// Source: Intel 82371AB data sheet sections 3.2 and 6. Left out: native mode, timing as such.
#pragma once

#include <atomic>

#include "kernel/guest/bus.hpp"
#include "storage/frontends/ide/channel.hpp"

namespace undercroft::ide {

inline constexpr usize channels = 2;
/// Where a PIIX has it: function 1, beside the ISA bridge.
inline constexpr u8 pci_device = 1;
inline constexpr u8 pci_function = 1;

/// Everything a controller needs; what is referred to must outlive it.
struct ControllerConfig {
    const GuestMemory& memory;
    InterruptLine* interrupts[channels] = {};  ///< ISA 14 and 15
    GuestPause& pause;
    Executor* executors[channels] = {};
    u64 step_deadline_ns = 60 * nanoseconds_per_second;
};

class Controller final : public PciFunction, private PortDevice {
public:
    /// `out_of_memory`.
    static Result<std::unique_ptr<Controller>> create(const ControllerConfig& config);
    Controller(const Controller&) = delete;
    Controller& operator=(const Controller&) = delete;

    /// Puts a disk at `place` (0 or 1) of `channel` (0 or 1). `invalid_argument` for a sector size other than 512 to
    /// 4096 bytes, `busy` where there is a drive. Before the guest runs.
    Result<void> attach_disk(usize channel, usize place, Disk disk, DriveIdentity identity);
    /// As `attach_disk`, a packet device.
    Result<void> attach_packet(usize channel, usize place, std::shared_ptr<scsi::LogicalUnit> unit,
                               DriveIdentity identity);
    /// Registers the channels' ports.
    Result<void> add_to(GuestBus& bus);
    /// Ends what is under way. Both channels must be on the calling executor.
    Task<void> close();

    u32 read_config(u16 offset_bytes) override;
    void write_config(u16 offset_bytes, u32 value, u32 mask) override;
    PciBar bar(usize index) const override;
    u64 read_bar(usize index, u64 offset_bytes, AccessSize size) override;
    void write_bar(usize index, u64 offset_bytes, AccessSize size, u64 value) override;

private:
    explicit Controller(const ControllerConfig& config);

    // The control and INT 13h ports; a channel has its command block itself.
    u64 read_port(u16 port, AccessSize size) override;
    void write_port(u16 port, AccessSize size, u64 value) override;

    Channel channels_[channels];
    bool has_drive_[channels][Channel::drives_max] = {};
    // Configuration space is asked by one processor at a time.
    u16 command_ = 0;
    u32 timing_ = u32{ata::piix_decode_enable} | (u32{ata::piix_decode_enable} << 16);  // as firmware leaves it
    u8 slave_timing_ = 0;
    u32 ultra_dma_ = 0;
    u8 latency_ = 0;
    u8 interrupt_line_ = 0;
};

}  // namespace undercroft::ide
