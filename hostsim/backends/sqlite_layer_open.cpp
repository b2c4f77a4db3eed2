// From a path, or from a cache's key, to a layer.
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "hostsim/backends/sqlite_layer.hpp"
#include "kernel/config/identifiers.hpp"

namespace undercroft {

namespace {

using LayerResult = Result<std::shared_ptr<DiskLayer>, std::string>;
using StoreResult = Result<std::unique_ptr<SqliteStore>, std::string>;
using DiskId = std::array<std::byte, 16>;

constexpr usize cache_key_chars_max = 128;

bool is_there(const std::string& path) {
    struct stat status{};
    return stat(path.c_str(), &status) == 0;
}

Result<DiskId, std::string> random_id() {
    DiskId id{};
    if (getrandom(id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) {
        return fail(std::string("the kernel gives no random bytes"));
    }
    return id;
}

std::string size_text(std::optional<u64> sectors) {
    return sectors ? decimal(*sectors) + " sectors" : "no size of its own";
}

StoreResult open_or_make(const std::string& path, const SqliteLayerOptions& options) {
    if (options.create && !is_there(path)) {
        if (options.read_only) {
            return fail(std::string("cannot be made and be read-only at once"));
        }
        DiskId id = TRY(random_id());
        TRY(SqliteStore::create(
            path, {.sector_size = options.create->sector_size, .sectors = options.create->sectors, .id = id}));
    }
    std::unique_ptr<SqliteStore> store = TRY(SqliteStore::open(path, {.read_only = options.read_only}));
    const SqliteStoreFacts& facts = store->facts();
    if (options.create &&
        (facts.sector_size != options.create->sector_size || facts.sectors != options.create->sectors)) {
        return fail("exists already with sectors of " + decimal(facts.sector_size) + " bytes and " +
                    size_text(facts.sectors) + ", not " + decimal(options.create->sector_size) + " and " +
                    size_text(options.create->sectors) + ": leave `create` out to open it as it is");
    }
    return store;
}

Result<std::string, std::string> cache_name(const std::string& key, const Disk& below) {
    if (key.empty()) {
        if (!below.facts().id) {
            return fail(std::string("the disk below has no identifier: give the cache a key of its own"));
        }
        std::string name;
        for (std::byte byte : *below.facts().id) {
            constexpr char digits[] = "0123456789abcdef";
            name += digits[std::to_integer<u8>(byte) >> 4];
            name += digits[std::to_integer<u8>(byte) & 15];
        }
        return name;
    }
    bool sound = key.size() <= cache_key_chars_max && key[0] != '.' && std::all_of(key.begin(), key.end(), [](char c) {
                     return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                            c == '_' || c == '.';
                 });
    if (!sound) {
        return fail(std::string("a cache's key is up to 128 letters, digits, '-', '_' and '.', not '.' first"));
    }
    return key;
}

StoreResult open_cache(const std::string& folder, const std::string& name, const Disk& below) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) {
        return fail("the cache's folder " + folder + " cannot be made: " + error.message());
    }
    std::string path = folder + "/" + name + ".sqlite";
    DiskId id = below.facts().id.value_or(DiskId{});
    if (!is_there(path)) {
        // Whoever makes it first: an error here shows itself when it is opened.
        (void)SqliteStore::create(path, {.sector_size = below.sector_size(), .id = id});
    }
    StoreResult store = SqliteStore::open(path, {.shared = true});
    if (!store) {
        return fail("the cache " + path + " " + store.error() + " (a cache can be removed: it is filled again)");
    }
    const SqliteStoreFacts& facts = (*store)->facts();
    if (facts.sector_size != below.sector_size() || facts.id != id || facts.sectors) {
        return fail("the cache " + path + " belongs to another disk: give another key, or remove it");
    }
    return store;
}

// Opens on the thread that will use it: recovering a log may take a while.
template <typename Open>
Task<LayerResult> open_on_thread(Open open) {
    auto pool = std::make_unique<BlockingPool>(1);
    Result<StoreResult> outcome = co_await pool->run(open);
    StoreResult store = std::move(*outcome);  // nobody cancels it
    if (!store) {
        co_return fail(std::move(store.error()));
    }
    co_return std::make_shared<SqliteLayer>(std::move(*store), std::move(pool));
}

}  // namespace

Task<LayerResult> open_sqlite_layer(std::string path, SqliteLayerOptions options) {
    return open_on_thread([path = std::move(path), options] { return open_or_make(path, options); });
}

Task<LayerResult> open_autocache_layer(std::string folder, const std::string& key, Disk below) {
    Result<std::string, std::string> name = cache_name(key, below);
    if (!name) {
        return Task<LayerResult>::ready(fail(std::move(name.error())));
    }
    return open_on_thread([folder = std::move(folder), name = std::move(*name), below = std::move(below)] {
        return open_cache(folder, name, below);
    });
}

}  // namespace undercroft
