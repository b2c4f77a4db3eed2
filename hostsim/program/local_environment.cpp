// LocalEnvironment.
#include "hostsim/program/local_environment.hpp"

#include <stdio.h>

#include "kernel/crypto/wipe.hpp"

namespace undercroft {

namespace {

constexpr usize bounce_bytes = 4 * mib;
constexpr usize key_bytes_max = 4096;

}  // namespace

/// A bounce pool for each executor.
class LocalEnvironment::Pools final : public BounceSource {
public:
    explicit Pools(const std::vector<Executor*>& executors) {
        for (Executor* executor : executors) {
            places_.push_back(std::make_unique<Place>(*executor));
        }
    }
    BouncePool& pool() override {
        Executor* asking = &Executor::current();
        for (auto& place : places_) {
            if (&place->executor == asking) {
                return place->pool;
            }
        }
        PANIC("a disk is used on an executor that it was not made for");
    }

private:
    struct Place {
        explicit Place(Executor& owner)
            : executor(owner), memory(new(std::align_val_t(page_size)) std::byte[bounce_bytes]),
              pool({memory, bounce_bytes}) {}
        Place(const Place&) = delete;
        Place& operator=(const Place&) = delete;
        ~Place() { ::operator delete[](memory, std::align_val_t(page_size)); }
        Executor& executor;
        std::byte* memory;
        BouncePool pool;
    };
    std::vector<std::unique_ptr<Place>> places_;
};

LocalEnvironment::LocalEnvironment(const std::vector<Executor*>& executors) {
    for (auto& pools : pools_) {
        pools = std::make_unique<Pools>(executors);
    }
}

LocalEnvironment::~LocalEnvironment() {
    for (auto& [name, key] : keys_) {
        secure_wipe(key);
    }
}

std::optional<std::span<const std::byte>> LocalEnvironment::key(std::string_view name) {
    if (auto found = keys_.find(name); found != keys_.end()) {
        return found->second;
    }
    std::unique_ptr<FILE, int (*)(FILE*)> file(fopen(std::string(name).c_str(), "rbe"), &fclose);
    if (file == nullptr) {
        return std::nullopt;
    }
    std::vector<std::byte> bytes(key_bytes_max);
    bytes.resize(fread(bytes.data(), 1, bytes.size(), file.get()));
    return keys_.emplace(name, std::move(bytes)).first->second;
}

Task<DiskResult<Disk>> LocalEnvironment::open_nvme(PciAddress, u32) {
    return Task<DiskResult<Disk>>::ready(fail(DiskError::gone));
}

BounceSource& LocalEnvironment::bounce(usize nesting) { return *pools_.at(nesting); }

}  // namespace undercroft
