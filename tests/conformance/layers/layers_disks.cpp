// Everything under storage/ that needs no device, in the suite: RAM disk, crypt, striped, layered, delay and fault, alone
// and on top of each other.
#include "storage/backends/ram_disk.hpp"
#include "storage/layers/crypt_disk.hpp"
#include "storage/layers/delay_disk.hpp"
#include "storage/layers/fault_disk.hpp"
#include "storage/layers/layered_disk.hpp"
#include "storage/layers/ram_layer.hpp"
#include "storage/layers/reservations_disk.hpp"
#include "storage/layers/striped_disk.hpp"
#include "storage/layers/whole_disk_layer.hpp"
#include "tests/conformance/disk_fixture.hpp"
#include "tests/support/test_disks.hpp"

namespace undercroft::test {
namespace {

constexpr usize bounce_pages = 5;  // few, so that requests come in pieces and wait for each other

Disk handle(std::shared_ptr<DiskInterface> implementation) { return Disk::create(std::move(implementation)).value(); }

std::shared_ptr<RamDisk> make_ram(const DiskRecipe& recipe, u32 sector_size, u64 sectors) {
    return RamDisk::create({.sectors = sectors, .sector_size = sector_size, .read_only = recipe.read_only, .id = {}})
        .value();
}

using Wrap = std::function<Disk(Disk below, BounceSource& bounce)>;

Disk pass_through(Disk below, BounceSource&) { return handle(std::make_shared<PassThroughDisk>(std::move(below))); }

Disk slow(Disk below, BounceSource&) { return handle(std::make_shared<SlowDisk>(std::move(below))); }

/// As an NVMe: holds bytes, and cannot tell holes.
class HoleHidingDisk final : public PassThroughDisk {
public:
    using PassThroughDisk::PassThroughDisk;
    DiskFacts facts() const override {
        DiskFacts facts = below_.facts();
        facts.knows_holes = false;
        return facts;
    }
    Task<DiskResult<BlockStatus>> block_status(SectorRange range, CancelToken) override {
        return Task<DiskResult<BlockStatus>>::ready(BlockStatus{.sectors = range.count, .state = BlockState::unknown});
    }
};

Disk hide_holes(Disk below, BounceSource&) { return handle(std::make_shared<HoleHidingDisk>(std::move(below))); }

Disk crypt(Disk below, BounceSource& bounce) {
    std::array<std::byte, 64> key;
    for (usize index = 0; index < key.size(); ++index) {
        key[index] = static_cast<std::byte>(index * 7 + 1);
    }
    return handle(CryptDisk::create(std::move(below), key, bounce).value());
}

Disk delay(Disk below, BounceSource&) {
    DelayTime time{.average_ns = 1000, .p99_ns = 20'000};
    return handle(
        DelayDisk::create(std::move(below), {.read = time, .write = time, .flush = time, .unmap = {.average_ns = 500}})
            .value());
}

Disk no_delay(Disk below, BounceSource&) { return handle(DelayDisk::create(std::move(below), {}).value()); }

/// Rules that never act, and delays that do.
Disk fault(Disk below, BounceSource&) {
    const FaultRule rules[] = {
        {.action = FaultAction::fail, .error = DiskError::io, .skip = ~u64{0}},
        {.action = FaultAction::delay, .error = {}, .delay_ns = 700, .one_in = 3},
    };
    return handle(FaultDisk::create(std::move(below), rules).value());
}

std::shared_ptr<RamLayer> ram_layer(const Disk& below, std::optional<u64> sectors = {}) {
    return RamLayer::create({.sectors = sectors, .sector_size = below.sector_size(), .id = {}}).value();
}

Disk layered(std::vector<LayerPlacement> layers, bool read_only, BounceSource& bounce) {
    return handle(LayeredDisk::create(std::move(layers), {.read_only = read_only, .bounce = &bounce}).value());
}

/// What is written stays in memory.
Disk difference(Disk below, BounceSource& bounce) {
    bool read_only = below.facts().read_only;
    return layered({{.layer = ram_layer(below)}, {.layer = std::make_shared<WholeDiskLayer>(below)}}, read_only,
                   bounce);
}

Disk only_layer(Disk below, BounceSource& bounce) {
    bool read_only = below.facts().read_only;
    return layered({{.layer = std::make_shared<WholeDiskLayer>(below)}}, read_only, bounce);
}

Disk write_through_cache(Disk below, BounceSource& bounce) {
    bool read_only = below.facts().read_only;
    return layered({{.layer = ram_layer(below), .write_through = true, .read_cache = true},
                    {.layer = std::make_shared<WholeDiskLayer>(below)}},
                   read_only, bounce);
}

Disk three_layers(Disk below, BounceSource& bounce) {
    bool read_only = below.facts().read_only;
    return layered({{.layer = ram_layer(below), .write_through = true},
                    {.layer = ram_layer(below), .write_through = true, .read_cache = true},
                    {.layer = std::make_shared<WholeDiskLayer>(below)}},
                   read_only, bounce);
}

/// A difference over a cache: the cache is filled by reads alone.
Disk difference_over_cache(Disk below, BounceSource& bounce) {
    bool read_only = below.facts().read_only;
    return layered({{.layer = ram_layer(below)},
                    {.layer = ram_layer(below), .read_cache = true},
                    {.layer = std::make_shared<WholeDiskLayer>(below)}},
                   read_only, bounce);
}

Disk with_reservations(Disk below, BounceSource&) { return handle(ReservationsDisk::create(std::move(below))); }

/// One of two registered hosts, so that operations are looked at, and kept in the books, one by one.
Disk shared_reservations(Disk below, BounceSource&) {
    const ReservationState before{.persists_through_power_loss = true,
                                  .registrant_count = 2,
                                  .registrants = {Registrant{.host = {std::byte{1}}, .key = 11, .is_holder = false},
                                                  Registrant{.host = {std::byte{2}}, .key = 22, .is_holder = false}}};
    auto registry = std::make_shared<ReservationRegistry>(nullptr, before);
    return handle(ReservationsDisk::create(std::move(below), std::move(registry), {std::byte{1}}));
}

/// Half of the sectors on `below`, half elsewhere.
Disk striped(Disk below, BounceSource&) {
    auto other = RamDisk::create({.sectors = below.sector_count(), .sector_size = below.sector_size(), .id = {}});
    return handle(StripedDisk::create({below, handle(other.value())}, u64{8} * below.sector_size()).value());
}

/// A RAM disk at the bottom, and wrappers over it, the lowest first.
class StackFixture final : public VirtualTimeFixture {
public:
    StackFixture(const DiskRecipe& recipe, u32 sector_size, const std::vector<Wrap>& wraps) {
        auto ram = make_ram(recipe, sector_size, recipe.sectors);
        disk = handle(ram);
        resize = [ram](u64 sectors) { ram->resize(sectors).value(); };
        for (const Wrap& wrap : wraps) {
            // Each has bounce memory of its own: a request above holds some while one below waits for it.
            disk = wrap(*disk, bounce_.emplace_back(std::make_unique<BounceMemory>(bounce_pages))->pool);
        }
    }
    ~StackFixture() override { disk.reset(); }

private:
    std::vector<std::unique_ptr<BounceMemory>> bounce_;
};

DiskFactory stack(std::string name, u32 sector_size, std::vector<Wrap> wraps = {}) {
    return {.name = std::move(name) + ", " + std::to_string(sector_size),
            .make = [=](const DiskRecipe& recipe) -> std::unique_ptr<DiskFixture> {
                return std::make_unique<StackFixture>(recipe, sector_size, wraps);
            }};
}

class StripedFixture final : public VirtualTimeFixture {
public:
    StripedFixture(const DiskRecipe& recipe, u32 sector_size, usize members, const std::vector<Wrap>& wraps) {
        std::vector<Disk> disks;
        std::vector<std::shared_ptr<RamDisk>> rams;
        for (usize member = 0; member < members; ++member) {
            rams.push_back(make_ram(recipe, sector_size, recipe.sectors / members));
            Disk one = handle(rams.back());
            for (const Wrap& wrap : wraps) {
                one = wrap(one, bounce_.emplace_back(std::make_unique<BounceMemory>(bounce_pages))->pool);
            }
            disks.push_back(one);
        }
        disk = handle(StripedDisk::create(disks, u64{8} / members * sector_size).value());
        resize = [rams, members](u64 sectors) {
            for (const auto& ram : rams) {
                ram->resize(sectors / members).value();
            }
        };
    }
    ~StripedFixture() override { disk.reset(); }

private:
    std::vector<std::unique_ptr<BounceMemory>> bounce_;
};

DiskFactory stripes(std::string name, u32 sector_size, usize members, std::vector<Wrap> wraps = {}) {
    return {.name = std::move(name) + ", " + std::to_string(sector_size),
            .make = [=](const DiskRecipe& recipe) -> std::unique_ptr<DiskFixture> {
                return std::make_unique<StripedFixture>(recipe, sector_size, members, wraps);
            }};
}

/// A RAM layer with a size of its own, alone or over a RAM disk of another size.
class SizedLayerFixture final : public VirtualTimeFixture {
public:
    SizedLayerFixture(const DiskRecipe& recipe, u32 sector_size, std::optional<u64> sectors_below) {
        auto top = RamLayer::create({.sectors = recipe.sectors, .sector_size = sector_size, .id = {}}).value();
        std::vector<LayerPlacement> layers{{.layer = top}};
        if (sectors_below) {
            layers.push_back(
                {.layer = std::make_shared<WholeDiskLayer>(handle(make_ram(recipe, sector_size, *sectors_below)))});
        }
        disk = layered(std::move(layers), recipe.read_only, bounce_.pool);
        resize = [top](u64 sectors) { top->resize(sectors).value(); };
    }
    ~SizedLayerFixture() override { disk.reset(); }

private:
    BounceMemory bounce_{bounce_pages};
};

DiskFactory sized_layer(std::string name, u32 sector_size, std::optional<u64> sectors_below = {}) {
    return {.name = std::move(name) + ", " + std::to_string(sector_size),
            .make = [=](const DiskRecipe& recipe) -> std::unique_ptr<DiskFixture> {
                return std::make_unique<SizedLayerFixture>(recipe, sector_size, sectors_below);
            }};
}

const RegisterWrappers wrappers{
    {.name = "pass-through", .wrap = pass_through},
    {.name = "crypt", .wrap = crypt},
    {.name = "delay", .wrap = delay},
    {.name = "delay of nothing", .wrap = no_delay},
    {.name = "fault", .wrap = fault},
    {.name = "a layer alone", .wrap = only_layer},
    {.name = "write-through cache", .wrap = write_through_cache},
    {.name = "three layers", .wrap = three_layers},
    {.name = "reservations", .wrap = with_reservations, .forwards_reservations = false},
    {.name = "reservations, registered", .wrap = shared_reservations, .forwards_reservations = false},
    {.name = "striped", .wrap = striped, .forwards_reservations = false},
    {.name = "crypt over striped",
     .wrap = [](Disk below, BounceSource& bounce) { return crypt(striped(std::move(below), bounce), bounce); },
     .forwards_reservations = false},
};

const RegisterDisks disks{
    stack("RAM disk", 512),
    stack("RAM disk", 4096),
    stack("pass-through over RAM disk", 512, {pass_through}),
    stack("crypt over RAM disk", 512, {crypt}),
    stack("crypt over RAM disk", 4096, {crypt}),
    stack("crypt over slow RAM disk", 512, {slow, crypt}),
    stack("crypt over slow RAM disk", 4096, {slow, crypt}),
    stack("crypt over a disk that cannot tell holes", 512, {hide_holes, slow, crypt}),
    stack("delay over RAM disk", 512, {delay}),
    stack("fault over RAM disk", 4096, {fault}),
    stack("reservations over RAM disk", 512, {with_reservations}),
    stack("shared reservations over slow RAM disk", 4096, {slow, shared_reservations}),
    stack("crypt over shared reservations over delay over RAM disk", 512, {delay, shared_reservations, crypt}),
    stack("a layer alone", 512, {only_layer}),
    stack("a layer alone that cannot tell holes", 4096, {hide_holes, only_layer}),
    stack("RAM layer over RAM disk", 512, {difference}),
    stack("RAM layer over RAM disk", 4096, {difference}),
    stack("RAM layer over slow disk that cannot tell holes", 512, {hide_holes, slow, difference}),
    stack("write-through cache over slow RAM disk", 512, {slow, write_through_cache}),
    stack("write-through cache over a disk that cannot tell holes", 4096, {hide_holes, write_through_cache}),
    stack("three layers", 512, {slow, three_layers}),
    stack("RAM layer over read cache over slow RAM disk", 512, {slow, difference_over_cache}),
    stack("crypt over RAM layer over delay over RAM disk", 512, {delay, difference, crypt}),
    stack("RAM layer over crypt over fault over slow RAM disk", 4096, {slow, fault, crypt, difference}),
    stack("write-through cache over crypt over RAM layer", 512, {difference, crypt, write_through_cache}),
    stripes("striped over two RAM disks", 512, 2),
    stripes("striped over four RAM disks", 4096, 4),
    stripes("striped over eight slow RAM disks", 512, 8, {slow}),
    stripes("striped over RAM layers over crypt", 512, 2, {slow, crypt, difference}),
    sized_layer("RAM layer of its own size", 512),
    sized_layer("RAM layer over a smaller RAM disk", 512, 300),
    sized_layer("RAM layer over a larger RAM disk", 4096, 1000),
};

}  // namespace
}  // namespace undercroft::test
