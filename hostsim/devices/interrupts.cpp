// SimulatedInterrupts.
#include "hostsim/devices/interrupts.hpp"

#include "kernel/base/assert.hpp"

namespace undercroft {

class SimulatedInterrupts::Binding final : public InterruptBinding, private Work {
public:
    Binding(std::atomic<Binding*>& line) : Work(&Binding::run), line_(line), executor_(Executor::current()) {}
    ~Binding() override {
        line_.store(nullptr);
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

    std::atomic<Binding*>& line_;
    Executor& executor_;
    Event arrived_;
    std::atomic<bool> posted_{false};
};

SimulatedInterrupts::~SimulatedInterrupts() {
    for (auto& line : lines_) {
        ASSERT(line.load() == nullptr);
    }
}

Result<std::unique_ptr<InterruptBinding>> SimulatedInterrupts::bind(usize vector) {
    if (vector >= lines_.size()) {
        return fail(Error::out_of_range);
    }
    if (lines_[vector].load() != nullptr) {
        return fail(Error::busy);
    }
    auto binding = std::make_unique<Binding>(lines_[vector]);
    lines_[vector].store(binding.get());
    return std::unique_ptr<InterruptBinding>(std::move(binding));
}

void SimulatedInterrupts::raise(usize vector) {
    Binding* binding = vector < lines_.size() ? lines_[vector].load() : nullptr;
    if (binding != nullptr) {
        binding->raise();
    }
}

}  // namespace undercroft
