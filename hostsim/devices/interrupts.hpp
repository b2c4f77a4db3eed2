// Interrupts of a simulated device: each vector notifies the executor that its driver bound it to.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "drivers/device.hpp"
#include "kernel/async/event.hpp"

namespace undercroft {

class SimulatedInterrupts {
public:
    explicit SimulatedInterrupts(usize vectors) : lines_(vectors) {}
    ~SimulatedInterrupts();

    /// Binds to the calling executor. `busy` where it is bound already. The binding goes before this object.
    Result<std::unique_ptr<InterruptBinding>> bind(usize vector);
    /// From any thread. Dropped where nobody is bound.
    void raise(usize vector);
    usize count() const { return lines_.size(); }

private:
    class Binding;
    std::mutex mutex_;  // of `lines_`: an interrupt may come while its binding goes
    std::vector<Binding*> lines_;
};

}  // namespace undercroft
