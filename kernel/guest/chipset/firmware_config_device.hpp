// The guest's own firmware configuration (fw_cfg): what its firmware cannot find out by itself, as files, read through
// ports 510h and 511h. Read only, by the port interface. Left out: DMA, numbered items of before there were files (they
// read as zeros), writing.
// Source: QEMU docs/specs/fw_cfg.rst.
#pragma once

#include <string_view>
#include <vector>

#include "kernel/base/spinlock.hpp"
#include "kernel/guest/bus.hpp"
#include "kernel/spec/fw_cfg.hpp"

namespace undercroft {

class FirmwareConfigDevice : public PortDevice {
public:
    static constexpr usize files_max = 16;
    static constexpr usize name_bytes_max = sizeof(fw_cfg::DirectoryEntry::name) - 1;

    /// Ports 510h and 511h.
    Result<void> add_to(GuestBus& bus);
    /// Adds a file, before the guest runs. `invalid_argument` for an empty or long name, `busy` for one that is there,
    /// `out_of_memory` past `files_max`.
    Result<void> add_file(std::string_view name, std::span<const std::byte> content);
    /// A file of one number, little-endian.
    Result<void> add_number(std::string_view name, u64 value);

    u64 read_port(u16 port, AccessSize size) override;
    void write_port(u16 port, AccessSize size, u64 value) override;
    void read_port_string(u16 port, AccessSize size, std::span<std::byte> into) override;

private:
    std::span<const std::byte> selected() const;
    u8 next_byte();
    void update_directory();

    Spinlock lock_;
    u16 selector_ = 0;
    usize offset_bytes_ = 0;
    std::vector<fw_cfg::DirectoryEntry> entries_;
    std::vector<std::vector<std::byte>> contents_;
    std::vector<std::byte> directory_;
};

}  // namespace undercroft
