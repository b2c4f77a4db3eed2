// Building and taking down.
#include "hostsim/simulation/stack.hpp"

#include <algorithm>
#include <array>

#include "storage/backends/ram_disk.hpp"
#include "storage/layers/crypt_disk.hpp"
#include "storage/layers/delay_disk.hpp"
#include "storage/layers/ram_layer.hpp"
#include "storage/layers/striped_disk.hpp"
#include "storage/layers/whole_disk_layer.hpp"

namespace undercroft::simulation {

namespace {

constexpr usize bounce_bytes_per_processor = 16 * page_size;

constexpr DelayTime slow_time{.average_ns = 200 * nanoseconds_per_microsecond,
                              .p99_ns = 2 * nanoseconds_per_millisecond};
constexpr DelayOptions slow_times{.read = slow_time, .write = slow_time, .flush = slow_time, .unmap = slow_time};

/// A handle to what somebody else owns.
template <typename T>
std::shared_ptr<DiskInterface> borrowed(T& disk) {
    return std::shared_ptr<DiskInterface>(std::shared_ptr<void>(), &disk);
}

template <typename Closable>
Task<Result<void>> close_of(Closable& closable) {
    co_await closable.close();
    co_return Result<void>{};
}

}  // namespace

ProcessorPools::ProcessorPools(DmaArena& memory, std::span<Executor* const> executors, usize bytes_per_processor) {
    for (Executor* executor : executors) {
        pools_.push_back({executor, memory.allocate(bytes_per_processor).value(), nullptr});
        pools_.back().pool = std::make_unique<BouncePool>(pools_.back().memory.bytes());
    }
}

BouncePool& ProcessorPools::pool() {
    auto own = std::find_if(pools_.begin(), pools_.end(),
                            [](const Entry& entry) { return entry.executor == &Executor::current(); });
    return *own->pool;
}

Disk Machine::decorated(Place place, std::shared_ptr<DiskInterface> implementation) const {
    Disk disk = Disk::create(std::move(implementation)).value();
    return decorate ? decorate(place, std::move(disk)) : disk;
}

SimulatedDevice::SimulatedDevice(const Machine& machine, u64 seed)
    : machine_(machine), executors_(machine.processors.executors()),
      medium_(machine.plan.sectors_per_device(), machine.plan.medium, seed), tamper_(~seed) {}

void SimulatedDevice::set_faults(bool on) {
    medium_.set_faults(on ? machine_.plan.medium_faults : MediumFaults{});
    tamper_.set_faults(on ? machine_.plan.controller_faults : NvmeFaults{});
}

Disk SimulatedDevice::direct() {
    medium_.power_on();
    direct_ = true;
    return machine_.decorated(Place::medium, borrowed(medium_));
}

std::optional<Disk> SimulatedDevice::open_nvme() {
    medium_.power_on();
    tamper_.plug_in();
    nvme::NamespaceConfig name_space{.id = 1, .disk = machine_.decorated(Place::medium, borrowed(medium_))};
    device_ = SimulatedNvme::create({.executors = executors_,
                                     .namespaces = std::span(&name_space, 1),
                                     .vectors = machine_.plan.vectors,
                                     .tamper = &tamper_,
                                     .memory = &machine_.memory})
                  .value();
    tamper_.watch(&machine_.memory);
    medium_.may_touch_memory = [this] { return device_->is_bus_master(); };
    auto opened = machine_.run(nvme::Driver::open(*device_, machine_.plan.driver, executors_));
    if (!opened) {
        return std::nullopt;
    }
    driver_ = std::move(*opened);
    auto name_space_opened = machine_.run(driver_->open_namespace(1));
    if (!name_space_opened) {
        return std::nullopt;
    }
    return Disk::create(NvmeDisk::create(*name_space_opened)).value();
}

bool SimulatedDevice::is_healthy() const {
    return driver_ == nullptr || driver_->state() == nvme::Driver::State::running;
}

void SimulatedDevice::count() {
    Counters& counters = machine_.recorder.report.counters;
    nvme::host::DriverStatistics statistics = driver_->statistics();
    counters.resets += statistics.resets;
    counters.aborts += statistics.aborts;
    counters.violations += statistics.violations;
    counters.given_up += driver_->state() == nvme::Driver::State::failed;
}

bool SimulatedDevice::close() {
    Recorder& recorder = machine_.recorder;
    bool durable = false;
    if (driver_ != nullptr) {
        count();
        u64 before = machine_.processors.now_ns();
        durable = machine_.run(driver_->close()).has_value();
        recorder.expect(machine_.processors.now_ns() - before <= machine_.plan.driver.request_bound_ns(),
                        "closing the driver took too long");
    }
    if (device_ != nullptr) {
        recorder.expect(!device_->is_bus_master(), "the device can reach memory after its driver was closed");
    }
    medium_.power_off();
    driver_.reset();
    if (device_ != nullptr) {
        (void)machine_.run(close_of(*device_));
        tamper_.watch(nullptr);
        medium_.may_touch_memory = nullptr;
        device_.reset();
    }
    direct_ = false;
    return durable;
}

Stack::Stack(const Machine& machine, std::span<const std::unique_ptr<SimulatedDevice>> devices)
    : machine_(machine), devices_(devices), executors_(machine.processors.executors()),
      disturbance_(machine.plan, machine.recorder, machine.fence) {}

Stack::~Stack() = default;

void Stack::set_faults(bool on) {
    for (const auto& device : devices_) {
        device->set_faults(on);
    }
}

BounceSource& Stack::new_pools() {
    pools_.push_back(std::make_unique<ProcessorPools>(machine_.memory, executors_, bounce_bytes_per_processor));
    return *pools_.back();
}

std::optional<Disk> Stack::build(const PipelineNode& node) {
    std::vector<Disk> below;
    for (const PipelineNode& member : node.below) {
        std::optional<Disk> disk = build(member);
        if (!disk) {
            return std::nullopt;
        }
        below.push_back(std::move(*disk));
    }
    const Plan& plan = machine_.plan;
    switch (node.kind) {
    case PipelineNode::Kind::medium:
        return devices_[node.number]->direct();
    case PipelineNode::Kind::nvme:
        return devices_[node.number]->open_nvme();
    case PipelineNode::Kind::memory:
        return machine_.decorated(
            Place::medium,
            RamDisk::create({.sectors = plan.sectors(), .sector_size = plan.medium.sector_size, .id = {}}).value());
    case PipelineNode::Kind::crypt:
        return encrypted(below[0]);
    case PipelineNode::Kind::delay:
        return Disk::create(DelayDisk::create(below[0], slow_times).value()).value();
    case PipelineNode::Kind::striped:
        return Disk::create(StripedDisk::create(std::move(below), node.number * plan.medium.sector_size).value())
            .value();
    case PipelineNode::Kind::overlay:
        return layered(below[0], {.layer = new_ram_layer(), .write_through = false, .read_cache = false});
    case PipelineNode::Kind::cache:
        return layered(below[0], {.layer = new_ram_layer(), .write_through = true, .read_cache = true});
    case PipelineNode::Kind::faulty:
        return Disk::create(disturbance_.faulty(below[0])).value();
    case PipelineNode::Kind::reservations:
        return machine_.decorated(Place::reservations, disturbance_.reserved(below[0]));
    }
    return std::nullopt;
}

Disk Stack::encrypted(const Disk& below) {
    std::array<std::byte, XtsCipher::key_bytes> key{};
    for (usize index = 0; index < key.size(); ++index) {
        key[index] = static_cast<std::byte>(index + 1);
    }
    if (!below.facts().knows_holes) {
        unwritten_ = Unwritten::unspecified;
    }
    return Disk::create(CryptDisk::create(below, key, new_pools()).value()).value();
}

std::shared_ptr<DiskLayer> Stack::new_ram_layer() const {
    return RamLayer::create({.sectors = {}, .sector_size = machine_.plan.medium.sector_size, .id = {}}).value();
}

Disk Stack::layered(const Disk& below, LayerPlacement top) {
    std::vector<LayerPlacement> layers;
    layers.push_back(std::move(top));
    layers.push_back({.layer = std::make_shared<WholeDiskLayer>(below)});
    return Disk::create(LayeredDisk::create(std::move(layers), {.bounce = &new_pools()}).value()).value();
}

bool Stack::open() {
    std::optional<Disk> pipeline = build(machine_.plan.pipeline);
    if (!pipeline) {
        return false;
    }
    if (machine_.decorate) {
        pipeline = machine_.decorate(Place::pipeline, *pipeline);
    }
    if (machine_.plan.guest.is_there) {
        return open_guest(*pipeline);
    }
    disk_ = std::move(pipeline);
    return true;
}

bool Stack::open_guest(const Disk& pipeline) {
    guest_memory_ = machine_.memory.memory();
    nvme::NamespaceConfig name_space{.id = 1, .disk = pipeline};
    guest_ = std::make_shared<GuestDriver>(GuestDriver::Config{.memory = machine_.memory,
                                                               .recorder = machine_.recorder,
                                                               .executors = executors_,
                                                               .habits = machine_.plan.guest,
                                                               .unmap = pipeline.facts().unmap,
                                                               .seed = machine_.plan.seed});
    controller_ = nvme::Controller::create({.memory = guest_memory_,
                                            .messages = *guest_,
                                            .executors = executors_,
                                            .namespaces = std::span(&name_space, 1)})
                      .value();
    function_ = machine_.decorate_controller ? machine_.decorate_controller(*controller_) : nullptr;
    if (!machine_.run(guest_->start(function_ != nullptr ? *function_ : *controller_))) {
        return false;
    }
    disk_ = Disk::create(guest_).value();
    return true;
}

bool Stack::shut_guest_down() { return guest_ != nullptr && machine_.run(guest_->shut_down()).has_value(); }

bool Stack::close() {
    Recorder& recorder = machine_.recorder;
    disk_.reset();
    if (guest_ != nullptr) {
        (void)machine_.run(guest_->stop());
        if (controller_ != nullptr) {
            (void)machine_.run(close_of(*controller_));
            function_.reset();
            controller_.reset();
        }
        guest_->report_counters();
        guest_.reset();
    }
    bool durable = true;
    bool any = false;
    for (const auto& device : devices_) {
        if (device->is_open()) {
            durable &= device->close();
            any = true;
        }
        recorder.expect(device->medium().operations_under_way() == 0, "operations outlive what asked for them");
    }
    pools_.clear();
    return any && durable;
}

}  // namespace undercroft::simulation
