// The machine's lives.
#include "hostsim/simulation/world.hpp"

#include "hostsim/simulation/workload.hpp"

namespace undercroft::simulation {

namespace {

constexpr usize memory_bytes = 8 * mib;

class World {
public:
    World(const Plan& plan, const RunOptions& options)
        : plan_(plan), decorate_(options.decorate), decorate_controller_(options.decorate_controller),
          random_(~plan.seed), processors_(plan.processors, random_.next()), memory_(memory_bytes),
          recorder_(processors_.clock(), options.keep_history),
          machine_{processors_, memory_, recorder_, plan_, decorate_, decorate_controller_, fence_},
          oracle_(plan.sectors(), Unwritten::zeros), workload_(machine_, oracle_) {
        for (usize index = 0; index < plan.devices; ++index) {
            devices_.push_back(std::make_unique<SimulatedDevice>(machine_, random_.next()));
        }
    }

    Report run() {
        check_life(plan_.written_first);
        for (u64 life = 0; life < plan_.lives && recorder_.is_clean(); ++life) {
            SeededRandom random = random_.fork();
            live(random);
            if (recorder_.is_clean()) {
                check_life(false);
            }
        }
        Counters& counters = recorder_.report.counters;
        counters.virtual_ns = processors_.now_ns();
        for (const auto& device : devices_) {
            counters.injected += device->injected();
        }
        recorder_.note(counters.virtual_ns);
        return std::move(recorder_.report);
    }

private:
    /// How a life ends.
    struct Ending {
        bool power_loss = false;
        bool removal = false;
        bool guest_shuts_down = false;
        bool is_orderly() const { return !power_loss && !removal; }
    };

    void start_stack() {
        stack_.emplace(machine_, devices_);
        workload_.smallest_sectors = plan_.resizes ? devices_[0]->medium().sector_count() : plan_.sectors();
    }

    /// Takes everything down; whether all that was written before is durable.
    void stop_stack() {
        u64 began = oracle_.now();
        if (stack_->close()) {
            oracle_.flushed(began);
        }
        if (plan_.is_volatile() && began_) {
            oracle_.forget_all();
        }
        stack_.reset();
        recorder_.expect(workload_.memory_is_sound(), "memory was written to after it was given back");
        recorder_.expect(memory_.free_pages() == memory_.total_pages(), "memory was not given back");
        memory_.start_tracking();
        ++recorder_.report.counters.power_cycles;
    }

    /// A life without faults, in which everything is read, and written if `write`.
    void check_life(bool write) {
        start_stack();
        stack_->set_faults(false);
        recorder_.event("a start without faults");
        if (stack_->open()) {
            if (stack_->guest() != nullptr) {
                stack_->guest()->calm_down();
            }
            if (!began_) {
                began_ = true;
                oracle_.forget_all(stack_->unwritten());
            }
            workload_.settle_all(stack_->disk());
            if (write) {
                workload_.write_all(stack_->disk());
            }
        } else {
            recorder_.problem("a machine without faults does not start");
        }
        stop_stack();
    }

    void live(SeededRandom random) {
        start_stack();
        recorder_.event("a start with faults");
        stack_->set_faults(true);
        Ending ending = draw_ending(random);
        SeededRandom workers = random.fork();
        bool open = stack_->open();
        if (open) {
            stack_->begin_disturbance();
            u64 end_ns = processors_.now_ns() + random.below(40 * nanoseconds_per_second);
            u64 resize_at_ns = next_resize(random);
            workload_.run(stack_->disk(), workers, [&] {
                if (processors_.now_ns() >= resize_at_ns) {
                    resize(random);
                    resize_at_ns = next_resize(random);
                }
                return processors_.now_ns() >= end_ns;
            });
        }
        end(ending, open);
    }

    Ending draw_ending(SeededRandom& random) const {
        Ending ending;
        u64 choice = random.below(100);
        // A new size is looked for at an orderly end.
        u64 losses = plan_.resizes ? 30 : 55;
        ending.power_loss = choice < losses && plan_.filter.allows(Hazard::power_loss);
        ending.removal =
            choice >= losses && choice < losses + 15 && plan_.has_nvme() && plan_.filter.allows(Hazard::removal);
        ending.guest_shuts_down = random.chance(700);
        return ending;
    }

    void end(const Ending& ending, bool open) {
        recorder_.event(ending.power_loss ? "the power goes"
                        : ending.removal  ? "controllers are pulled out"
                                          : "the end");
        for (const auto& device : devices_) {
            if (ending.power_loss) {
                device->medium().power_off();  // with everything under way
            }
            if (!ending.is_orderly()) {
                device->pull_out();
            }
        }
        if (open) {
            stack_->end_disturbance();
            workload_.stop();
        }
        stack_->set_faults(false);
        if (open && ending.is_orderly()) {
            end_in_order(ending);
        }
        stop_stack();
    }

    /// Nothing fails any more: what is promised now must be kept.
    void end_in_order(const Ending& ending) {
        if (GuestDriver* guest = stack_->guest()) {
            guest->calm_down();
        }
        if (plan_.resizes && is_healthy()) {
            check_size();
        }
        u64 began = oracle_.now();
        if (stack_->guest() != nullptr && ending.guest_shuts_down) {
            if (stack_->shut_guest_down() && is_healthy()) {
                recorder_.event("the guest has shut down");
                oracle_.flushed(began);
                cut_power();
            }
        } else if (machine_.run(stack_->disk().flush())) {
            recorder_.event("flushed before the end");
            oracle_.flushed(began);
            cut_power();
        }
    }

    void cut_power() {
        for (const auto& device : devices_) {
            device->medium().power_off();
        }
    }

    bool is_healthy() const {
        for (const auto& device : devices_) {
            if (!device->is_healthy()) {
                return false;
            }
        }
        return stack_->guest() == nullptr || stack_->guest()->is_alive();
    }

    // Sizes

    u64 next_resize(SeededRandom& random) const {
        return plan_.resizes ? processors_.now_ns() + random.below(500 * nanoseconds_per_millisecond) : no_deadline;
    }

    void resize(SeededRandom& random) {
        SimulatedMedium& medium = devices_[0]->medium();
        u64 before = medium.sector_count();
        u64 after = random.chance(300) ? plan_.sectors() : 1 + random.below(plan_.sectors());
        medium.resize(after);
        oracle_.dropped(std::min(before, after), plan_.sectors());
        workload_.smallest_sectors = std::min(workload_.smallest_sectors, after);
        recorder_.event("resized to " + std::to_string(after) + " sectors");
        ++recorder_.report.counters.resizes;
    }

    /// The disk on top must know the size of the medium by now, or soon; and tell whoever waits for it.
    void check_size() {
        u64 wanted = devices_[0]->medium().sector_count();
        u64 deadline_ns = processors_.now_ns() + workload_.bound_ns();
        machine_.run(wait_for_size(wanted, deadline_ns));
        recorder_.expect(!is_healthy() || stack_->disk().sector_count() == wanted,
                         "a new size does not arrive at the top");
    }

    Task<bool> wait_for_size(u64 wanted, u64 deadline_ns) {
        CancelSource source;
        TaskGroup group;
        bool told = stack_->disk().sector_count() == wanted;
        group.spawn(cancel_at(source, deadline_ns, group.token()));
        while (!told && !source.is_cancelled()) {
            DiskResult<u64> size =
                co_await stack_->disk().wait_for_resize(stack_->disk().sector_count(), source.token());
            told = stack_->disk().sector_count() == wanted;
            if (!size) {
                break;
            }
        }
        group.stop();
        (void)co_await group.join();
        co_return told;
    }

    static Task<void> cancel_at(CancelSource& source, u64 deadline_ns, CancelToken withdrawn) {
        Result<void> slept = co_await sleep_until(deadline_ns, withdrawn);
        if (slept.error() == Error::timed_out) {
            source.cancel();
        }
    }

    const Plan& plan_;
    const Decorate& decorate_;
    const DecorateController& decorate_controller_;
    SeededRandom random_;
    SimulatedProcessors processors_;
    DmaArena memory_;
    Recorder recorder_;
    Fence fence_;
    Machine machine_;
    SectorOracle oracle_;
    Workload workload_;
    std::vector<std::unique_ptr<SimulatedDevice>> devices_;
    std::optional<Stack> stack_;
    bool began_ = false;  // the disk was looked at once
};

}  // namespace

Report simulate(u64 seed, const RunOptions& options) {
    Plan plan(seed, options.filter);
    return World(plan, options).run();
}

}  // namespace undercroft::simulation
