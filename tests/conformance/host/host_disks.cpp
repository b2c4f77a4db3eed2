// The host's own disks in the suite: files, fixed VHDs, databases, over io_uring in real time.
#include <stdlib.h>

#include <filesystem>

#include "hostsim/backends/file_disk.hpp"
#include "hostsim/backends/sqlite_layer.hpp"
#include "hostsim/backends/vhd1_disk.hpp"
#include "storage/backends/ram_disk.hpp"
#include "storage/layers/crypt_disk.hpp"
#include "storage/layers/layered_disk.hpp"
#include "storage/layers/whole_disk_layer.hpp"
#include "tests/conformance/disk_fixture.hpp"
#include "tests/unit/hostsim/backends/backend_fixture.hpp"

namespace undercroft::test {

namespace {

constexpr u64 hang_ns = 60 * nanoseconds_per_second;

class HostFixture : public DiskFixture {
public:
    Executor& executor() override { return executor_; }
    void run_until(const std::function<bool()>& done) override {
        CurrentExecutorScope scope(executor_);
        u64 limit = platform_->now_ns() + hang_ns;
        Timer wake_up([](Timer&) {});
        executor_.arm(wake_up, limit);
        executor_.run_until([&] { return done() || platform_->now_ns() >= limit; });
        executor_.disarm(wake_up);
        ASSERT(done());
    }

protected:
    std::string path(const char* name) { return folder_ / name; }
    void take(Task<Result<Disk, std::string>> opening) { disk = run(std::move(opening)).value(); }
    void take_layers(std::vector<LayerPlacement> layers, bool read_only) {
        disk = Disk::create(LayeredDisk::create(std::move(layers), {.read_only = read_only}).value()).value();
    }

private:
    TemporaryFolder folder_;
    std::unique_ptr<RingPlatform> platform_ = std::move(*RingPlatform::create());
    Executor executor_{*platform_};
};

class FileFixture : public HostFixture {
public:
    FileFixture(const DiskRecipe& recipe, u32 sector_size, bool direct) {
        std::string file = path("disk.img");
        FileDiskOptions options{.sector_size = sector_size, .direct = direct};
        options.create_bytes = recipe.sectors * sector_size;
        if (recipe.read_only) {
            take(open_file_disk(file, options));
            disk.reset();
            options.create_bytes.reset();
            options.read_only = true;
        }
        take(open_file_disk(file, options));
        resize = [file, sector_size](u64 sectors) { std::filesystem::resize_file(file, sectors * sector_size); };
    }
    ~FileFixture() override { disk.reset(); }
};

class CryptOverFileFixture final : public FileFixture {
public:
    CryptOverFileFixture(const DiskRecipe& recipe, u32 sector_size) : FileFixture(recipe, sector_size, true) {
        std::array<std::byte, 64> key;
        for (usize index = 0; index < key.size(); ++index) {
            key[index] = static_cast<std::byte>(index * 3 + 5);
        }
        disk = Disk::create(CryptDisk::create(*disk, key, memory_.pool).value()).value();
    }
    ~CryptOverFileFixture() override { disk.reset(); }

private:
    BounceMemory memory_{5};
};

class VhdFixture final : public HostFixture {
public:
    explicit VhdFixture(const DiskRecipe& recipe, bool direct) {
        Vhd1DiskOptions options{.direct = direct, .create_bytes = recipe.sectors * 512};
        if (recipe.read_only) {
            take(open_vhd1_disk(path("disk.vhd"), options));
            disk.reset();
            options.create_bytes.reset();
            options.read_only = true;
        }
        take(open_vhd1_disk(path("disk.vhd"), options));
    }
    ~VhdFixture() override { disk.reset(); }
};

class DatabaseFixture final : public HostFixture {
public:
    DatabaseFixture(const DiskRecipe& recipe, u32 sector_size) {
        SqliteLayerOptions::Create create{.sector_size = sector_size, .sectors = recipe.sectors};
        std::vector<LayerPlacement> layers;
        layers.push_back({.layer = run(open_sqlite_layer(path("disk.sqlite"), {.create = create})).value()});
        take_layers(std::move(layers), recipe.read_only);
    }
    ~DatabaseFixture() override { disk.reset(); }
};

class DifferenceFixture final : public HostFixture {
public:
    explicit DifferenceFixture(const DiskRecipe& recipe) {
        auto ram = RamDisk::create({.sectors = recipe.sectors, .id = {}}).value();
        std::vector<LayerPlacement> layers;
        SqliteLayerOptions::Create create{.sector_size = 512};
        layers.push_back({.layer = run(open_sqlite_layer(path("diff.sqlite"), {.create = create})).value()});
        layers.push_back({.layer = std::make_shared<WholeDiskLayer>(Disk::create(ram).value())});
        take_layers(std::move(layers), recipe.read_only);
        resize = [ram](u64 sectors) { ram->resize(sectors).value(); };
    }
    ~DifferenceFixture() override { disk.reset(); }
};

// As an auto-cache of a disk that is written: filled by reads, written through.
class CacheFixture final : public HostFixture {
public:
    explicit CacheFixture(const DiskRecipe& recipe) {
        auto ram = RamDisk::create({.sectors = recipe.sectors, .read_only = recipe.read_only, .id = {}}).value();
        Disk below = Disk::create(ram).value();
        std::vector<LayerPlacement> layers;
        layers.push_back({.layer = run(open_autocache_layer(path("caches"), "key", below)).value(),
                          .write_through = !recipe.read_only,
                          .read_cache = true});
        layers.push_back({.layer = std::make_shared<WholeDiskLayer>(below)});
        LayeredDiskOptions options{.read_only = recipe.read_only, .bounce = &memory_.pool};
        disk = Disk::create(LayeredDisk::create(std::move(layers), options).value()).value();
        resize = [ram](u64 sectors) { ram->resize(sectors).value(); };
    }
    ~CacheFixture() override { disk.reset(); }

private:
    BounceMemory memory_{5};
};

template <typename Fixture, typename... Arguments>
DiskFactory host_disk(const char* name, Arguments... arguments) {
    return {.name = name, .make = [=](const DiskRecipe& recipe) -> std::unique_ptr<DiskFixture> {
                return std::make_unique<Fixture>(recipe, arguments...);
            }};
}

const RegisterDisks disks{
    host_disk<FileFixture>("file, 512", 512u, false),
    host_disk<FileFixture>("file, 4096, direct", 4096u, true),
    host_disk<CryptOverFileFixture>("crypt over file, 4096", 4096u),
    host_disk<VhdFixture>("fixed VHD, direct", true),
    host_disk<DatabaseFixture>("SQLite disk, 4096", 4096u),
    host_disk<DifferenceFixture>("SQLite difference over RAM disk"),
    host_disk<CacheFixture>("SQLite cache over RAM disk"),
};

}  // namespace

}  // namespace undercroft::test
