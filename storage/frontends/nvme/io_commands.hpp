// The NVM command set: reads, writes and the rest of what I/O queues carry. Source: NVM 1.0 section 3.
// Left out (and not announced): fused commands, Copy, reservations, Write Uncorrectable.
#pragma once

#include <atomic>

#include "kernel/guest/memory.hpp"
#include "storage/frontends/nvme/namespaces.hpp"
#include "storage/frontends/nvme/request.hpp"

namespace undercroft::nvme {

class IoCommands final : public CommandHandler {
public:
    /// `write_cache_enabled` is the Volatile Write Cache feature; all must outlive this.
    IoCommands(const GuestMemory& memory, const NamespaceTable& namespaces,
               const std::atomic<bool>& write_cache_enabled)
        : memory_(memory), namespaces_(namespaces), write_cache_enabled_(write_cache_enabled) {}

    void start(Request& request) override;

private:
    void start_flush(Request& request);
    void start_range(Request& request, const Namespace& target);
    void start_transfer(Request& request, const Namespace& target, u64 bytes);
    Task<void> gather_and_run(Request& request, const Namespace& target, u64 bytes);
    Task<void> run(Request& request, const Namespace& target);

    Task<void> flush(Request& request);
    Task<void> read(Request& request, const Namespace& target);
    Task<void> write(Request& request, const Namespace& target);
    Task<void> write_zeroes(Request& request, const Namespace& target);
    Task<void> compare(Request& request, const Namespace& target);
    Task<void> verify(Request& request, const Namespace& target);
    Task<void> deallocate(Request& request, const Namespace& target);

    /// Whether a write must be durable before its completion.
    bool must_be_durable(const SubmissionEntry& entry) const {
        return IoControl{entry.dword12}.force_unit_access() || !write_cache_enabled_.load(std::memory_order_relaxed);
    }

    const GuestMemory& memory_;
    const NamespaceTable& namespaces_;
    const std::atomic<bool>& write_cache_enabled_;
};

}  // namespace undercroft::nvme
