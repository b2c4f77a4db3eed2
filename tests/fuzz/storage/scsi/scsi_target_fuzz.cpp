// A hostile initiator: any CDB with any data to a block device with persistent reservations, a read-only one, an optical
// drive and a LUN that is not there; between them task management, resizes and media that come and go.
//
// Input: steps. A step begins with a byte: below 240 a command, else an event. A command: row of the command table (or,
// past its end, none), LUN and nexus, the CDB from byte 1 on, bytes of data in each direction, the first of those sent.
#include <cstring>

#include "hostsim/platform/virtual_platform.hpp"
#include "storage/backends/ram_disk.hpp"
#include "storage/layers/reservations_disk.hpp"
#include "storage/scsi/block_unit.hpp"
#include "storage/scsi/optical_unit.hpp"
#include "storage/scsi/target.hpp"
#include "tests/fuzz/fuzz_input.hpp"

namespace undercroft::fuzz {
namespace {

constexpr u64 disk_sectors = 256;
constexpr usize data_bytes_max = 64 * kib;  // what a u16 can ask for
constexpr usize guard_bytes = 64;
constexpr std::byte guard{0xa5};
constexpr u8 first_event = 240;
constexpr usize steps_max = 64;

struct Machine {
    Machine() {
        CurrentExecutorScope scope(executor);
        for (u8 host = 0; host < 2; ++host) {
            ways.push_back(Disk::create(ReservationsDisk::create(disk, registry, {std::byte{host}})).value());
        }
        scsi::UnitIdentity identity{.nexuses = 2};
        auto block = std::make_shared<scsi::BlockUnit>(
            scsi::BlockUnitConfig{.disk = ways[0], .identity = identity, .nexus_disks = ways});
        identity.read_only = true;
        auto protected_block =
            std::make_shared<scsi::BlockUnit>(scsi::BlockUnitConfig{.disk = frozen, .identity = identity});
        drive = std::make_shared<scsi::OpticalUnit>(
            scsi::OpticalUnitConfig{.medium = frozen, .identity = {.nexuses = 2, .keeps_sense = true}});
        MUST_HOLD(target.add(0, block) && target.add(1, protected_block) && target.add(2, drive));
    }
    ~Machine() {
        run_blocking(executor, target.close());
        std::vector<std::byte> bytes(disk_sectors * 512);
        MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
        MUST_HOLD(run_blocking(executor, frozen.read(0, {&segment, 1})));
        // Nobody could write there.
        MUST_HOLD(bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
    }
    void command(u8 row, Input& input);
    void event(u8 what);
    void check(const scsi::Request& request, const scsi::Completion& done);

    VirtualTimePlatform platform;
    Executor executor{platform};
    std::shared_ptr<RamDisk> ram = RamDisk::create({.sectors = disk_sectors, .sector_size = 512, .id = {}}).value();
    Disk disk = Disk::create(ram).value();
    Disk frozen =
        Disk::create(RamDisk::create({.sectors = disk_sectors, .sector_size = 512, .id = {}}).value()).value();
    std::shared_ptr<ReservationRegistry> registry = std::make_shared<ReservationRegistry>();
    std::vector<Disk> ways;
    scsi::Target target{nullptr, 2};
    std::shared_ptr<scsi::OpticalUnit> drive;
    std::vector<std::byte> in = std::vector<std::byte>(data_bytes_max + guard_bytes);
    std::vector<std::byte> out = std::vector<std::byte>(data_bytes_max);
};

void Machine::command(u8 row, Input& input) {
    std::span<const scsi::Command> table = scsi::command_table();
    u8 where = input.take<u8>();
    std::byte cdb[scsi::cdb_bytes_max] = {};
    usize length = 16;
    if (row < table.size()) {
        cdb[0] = static_cast<std::byte>(table[row].opcode);
        length = table[row].length;
        input.fill(std::span(cdb).subspan(1, length - 1));
        if (table[row].has_service_action()) {
            cdb[1] = (cdb[1] & std::byte{0xe0}) | std::byte{table[row].service_action};
        }
    } else {
        input.fill(cdb);
        length = where >> 3;
    }
    usize in_bytes = input.take<u16>();
    usize out_bytes = input.take<u16>();
    usize sent = input.take<u8>();
    std::fill(out.begin(), out.begin() + 256, std::byte{0});
    input.fill(std::span(out).first(std::min(sent, out_bytes)));
    std::fill_n(in.begin() + static_cast<std::ptrdiff_t>(in_bytes), guard_bytes, guard);
    // Each in two pieces, one of them odd.
    auto pieces = [](std::byte* data, usize bytes, MemorySegment(&list)[2]) {
        usize first = bytes > 3 ? 3 : bytes;
        list[0] = {.data = data, .size = first};
        list[1] = {.data = data + first, .size = bytes - first};
        return SegmentList(list, first == 0 ? 0 : (bytes > first ? 2 : 1));
    };
    MemorySegment in_list[2];
    MemorySegment out_list[2];
    scsi::Request request{.cdb = std::span(cdb).first(std::min<usize>(length, sizeof(cdb))),
                          .data_out = pieces(out.data(), out_bytes, out_list),
                          .data_in = pieces(in.data(), in_bytes, in_list),
                          .nexus = where >> 2 & 1U,
                          .tag = where};
    scsi::Completion done = run_blocking(executor, target.execute(where & 3, request));
    check(request, done);
    for (usize at = 0; at < guard_bytes; ++at) {
        MUST_HOLD(in[in_bytes + at] == guard);
    }
}

void Machine::check(const scsi::Request& request, const scsi::Completion& done) {
    MUST_HOLD(done.transferred + done.residual == total_bytes(request.data_in) + total_bytes(request.data_out));
    std::byte sense[scsi::sense_bytes_max];
    usize used = done.encode_sense(sense);
    MUST_HOLD((used != 0) == (done.status == scsi::Status::check_condition));
    if (done.status != scsi::Status::check_condition) {
        MUST_HOLD(done.status == scsi::Status::good || done.status == scsi::Status::reservation_conflict);
        return;
    }
    MUST_HOLD(done.sense.key != scsi::SenseKey::no_sense && done.sense.key != scsi::SenseKey::hardware_error);
    MUST_HOLD(done.transferred == 0);
}

void Machine::event(u8 what) {
    CurrentExecutorScope scope(executor);
    constexpr u8 functions = static_cast<u8>(scsi::TaskManagement::target_reset) + 1;
    if (what < functions) {
        (void)run_blocking(executor, target.manage(what & 3, static_cast<scsi::TaskManagement>(what), what & 1, 0));
    } else if (what == functions) {
        MUST_HOLD(ram->resize(ram->sector_count() == disk_sectors ? disk_sectors / 2 : disk_sectors));
    } else if (what == functions + 1) {
        (void)drive->remove();
    } else if (what == functions + 2) {
        MUST_HOLD(drive->insert(frozen));
    } else {
        (void)drive->remove_by_force();
    }
    executor.run_ready();
}

}  // namespace
}  // namespace undercroft::fuzz

extern "C" int LLVMFuzzerTestOneInput(const undercroft::u8* data, undercroft::usize size) {
    using namespace undercroft;
    using namespace undercroft::fuzz;
    Machine machine;
    Input input(data, size);
    for (usize step = 0; step < steps_max && !input.is_empty(); ++step) {
        u8 kind = input.take<u8>();
        if (kind >= first_event) {
            machine.event(kind - first_event);
        } else {
            machine.command(kind, input);
        }
    }
    return 0;
}
