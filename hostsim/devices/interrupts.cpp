// SimulatedInterrupts.
#include "hostsim/devices/interrupts.hpp"

#include <atomic>

#include "kernel/base/assert.hpp"

namespace undercroft {

class SimulatedInterrupts::Binding final : public InterruptBinding, private Work {
public:
    Binding(SimulatedInterrupts& owner, usize vector)
        : Work(&Binding::run), owner_(owner), vector_(vector), executor_(Executor::current()) {}
    ~Binding() override {
        {
            std::lock_guard lock(owner_.mutex_);
            owner_.lines_[vector_] = nullptr;
        }
        // A post that is still in the executor's queue would come back to nobody.
        while (posted_.load()) {
            executor_.run_ready();
        }
    }

    Task<Result<void>> wait(WaitLimits limits) override {
        CO_TRY(co_await arrived_.wait(limits));
        arrived_.reset();
        co_return Result<void>{};
    }

    void raise() {
        if (!posted_.exchange(true)) {
            executor_.post_remote(*this);
        }
    }

private:
    static void run(Work& self) {
        auto& binding = static_cast<Binding&>(self);
        binding.posted_.store(false);
        binding.arrived_.set();
    }

    SimulatedInterrupts& owner_;
    usize vector_;
    Executor& executor_;
    Event arrived_;
    std::atomic<bool> posted_{false};
};

SimulatedInterrupts::~SimulatedInterrupts() {
    for (Binding* line : lines_) {
        ASSERT(line == nullptr);
    }
}

Result<std::unique_ptr<InterruptBinding>> SimulatedInterrupts::bind(usize vector) {
    if (vector >= lines_.size()) {
        return fail(Error::out_of_range);
    }
    std::lock_guard lock(mutex_);
    if (lines_[vector] != nullptr) {
        return fail(Error::busy);
    }
    auto binding = std::make_unique<Binding>(*this, vector);
    lines_[vector] = binding.get();
    return std::unique_ptr<InterruptBinding>(std::move(binding));
}

void SimulatedInterrupts::raise(usize vector) {
    std::lock_guard lock(mutex_);
    if (vector < lines_.size() && lines_[vector] != nullptr) {
        lines_[vector]->raise();
    }
}

}  // namespace undercroft
