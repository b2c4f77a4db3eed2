// Admin commands. All run on executor 0. Source: base 2.0 section 5.
// Left out (and not announced): namespace management, firmware, security, self-test, Format NVM, Sanitize, directives;
// keep alive is refused.
#pragma once

#include "storage/frontends/nvme/events.hpp"
#include "storage/frontends/nvme/features.hpp"
#include "storage/frontends/nvme/identity.hpp"
#include "storage/frontends/nvme/queue_set.hpp"

namespace undercroft::nvme {

class AdminCommands final : public CommandHandler {
public:
    /// All must outlive this.
    AdminCommands(const GuestMemory& memory, const IdentityFields& identity, const NamespaceTable& namespaces,
                  QueueSet& queues, EventNotifier& events, FeatureStore& features, const ErrorLog& errors)
        : memory_(memory), identity_(identity), namespaces_(namespaces), queues_(queues), events_(events),
          features_(features), errors_(errors) {}

    void start(Request& request) override;

private:
    Task<void> run(Request& request);
    Task<Outcome> execute(Request& request);
    Task<Outcome> identify(Request& request);
    Status fill_identify(std::span<std::byte> data, const SubmissionEntry& entry) const;
    Status fill_namespace(std::span<std::byte> data, IdentifyStructure structure, u32 namespace_id) const;
    Task<Outcome> get_log_page(Request& request);
    Task<Outcome> get_features(Request& request);
    Task<Outcome> set_features(Request& request);
    Task<Outcome> abort(Request& request);

    /// Copies `data` to the host's buffer of `total_bytes`, and zeros behind it.
    Task<Outcome> send(Request& request, std::span<const std::byte> data, u64 total_bytes);
    /// Copies the host's buffer out.
    Task<Outcome> receive(Request& request, std::span<std::byte> data);
    /// Resolves the request's data into `request.data`.
    Task<Outcome> gather(Request& request, u64 bytes);

    const GuestMemory& memory_;
    const IdentityFields& identity_;
    const NamespaceTable& namespaces_;
    QueueSet& queues_;
    EventNotifier& events_;
    FeatureStore& features_;
    const ErrorLog& errors_;
    usize aborts_ = 0;
};

}  // namespace undercroft::nvme
