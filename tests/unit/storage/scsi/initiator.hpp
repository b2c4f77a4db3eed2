// An initiator for tests: sends CDBs as bytes, keeps data and sense as bytes. What it expects is written in the tests as
// the standards' tables have it, not with the constants of the code under test.
#pragma once

#include <initializer_list>
#include <vector>

#include "hostsim/platform/virtual_platform.hpp"
#include "storage/backends/ram_disk.hpp"
#include "storage/scsi/block_unit.hpp"
#include "storage/scsi/target.hpp"
#include "tests/support/test_disks.hpp"

namespace undercroft::test {

using Bytes = std::vector<u8>;

inline u64 big_endian(const Bytes& bytes, usize at, usize size) {
    u64 value = 0;
    for (usize index = 0; index < size; ++index) {
        value = value << 8 | bytes.at(at + index);
    }
    return value;
}

/// `value` at `at` of a CDB or a parameter list.
inline Bytes with(Bytes bytes, usize at, usize size, u64 value) {
    for (usize index = 0; index < size; ++index) {
        bytes.at(at + index) = static_cast<u8>(value >> 8 * (size - 1 - index));
    }
    return bytes;
}

struct Answer {
    u8 status = 0xff;
    scsi::Delivery delivery = scsi::Delivery::done;
    u64 residual = 0;
    Bytes data = {};   ///< that arrived
    Bytes sense = {};  ///< as encoded

    /// Key, code and qualifier as one number, 05'24'00h for INVALID FIELD IN CDB; of fixed format.
    u32 error() const { return sense.size() < 14 ? 0 : u32{sense[2]} << 16 | u32{sense[12]} << 8 | sense[13]; }
};

/// One initiator, and what its requests run on.
class Initiator {
public:
    explicit Initiator(scsi::Target& target, u32 lun = 0) : target_(&target), lun_(lun) {}
    explicit Initiator(scsi::LogicalUnit& unit) : unit_(&unit) {}

    u32 nexus = 0;
    u64 tag = 1;

    Answer send(Bytes cdb, usize data_in_bytes = 0, Bytes data_out = {}, CancelToken cancel = {}) {
        return run_blocking(executor, send_task(std::move(cdb), data_in_bytes, std::move(data_out), cancel));
    }
    Task<Answer> send_task(Bytes cdb, usize data_in_bytes, Bytes data_out, CancelToken cancel = {}) {
        Bytes in(data_in_bytes, 0xee);
        MemorySegment in_segment{.data = reinterpret_cast<std::byte*>(in.data()), .size = in.size()};
        MemorySegment out_segment{.data = reinterpret_cast<std::byte*>(data_out.data()), .size = data_out.size()};
        scsi::Request request{.cdb = std::as_bytes(std::span(cdb)), .nexus = nexus, .tag = tag, .cancel = cancel};
        request.data_in = SegmentList(&in_segment, in.empty() ? 0 : 1);
        request.data_out = SegmentList(&out_segment, data_out.empty() ? 0 : 1);
        scsi::Completion done =
            co_await (target_ != nullptr ? target_->execute(lun_, request) : unit_->execute(request));
        Answer answer{.status = static_cast<u8>(done.status), .delivery = done.delivery, .residual = done.residual};
        CHECK(done.transferred + done.residual == in.size() + data_out.size());
        std::byte sense[scsi::sense_bytes_max];
        usize used = done.encode_sense(sense);
        answer.sense.assign(reinterpret_cast<u8*>(sense), reinterpret_cast<u8*>(sense) + used);
        if (data_out.empty()) {
            in.resize(done.transferred);
            answer.data = std::move(in);
        }
        co_return answer;
    }
    /// Takes the unit attentions that wait.
    void settle() {
        while (send({0, 0, 0, 0, 0, 0}).error() >> 16 == 6) {
        }
    }

    VirtualTimePlatform platform;
    Executor executor{platform};

private:
    scsi::Target* target_ = nullptr;
    scsi::LogicalUnit* unit_ = nullptr;
    u32 lun_ = 0;
};

/// A block device over a RAM disk of 1 MiB, its unit attention taken.
struct BlockRig {
    explicit BlockRig(u32 sector_size = 512, scsi::UnitIdentity identity = {.serial = "S-1"})
        : ram(*RamDisk::create({.sectors = mib / sector_size, .sector_size = sector_size, .id = {}})),
          unit({.disk = *Disk::create(ram), .identity = std::move(identity)}) {
        host.settle();
    }
    explicit BlockRig(Disk disk, scsi::UnitIdentity identity = {.serial = "S-1"})
        : unit({.disk = std::move(disk), .identity = std::move(identity)}) {
        host.settle();
    }
    std::shared_ptr<RamDisk> ram;
    scsi::BlockUnit unit;
    Initiator host{unit};
};

}  // namespace undercroft::test
