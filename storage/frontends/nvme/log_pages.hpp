// The log pages, as far as they can be told without knowing who asks. Source: base 2.0 section 5.16.
#pragma once

#include "kernel/spec/nvme_logs.hpp"
#include "storage/frontends/nvme/error_log.hpp"
#include "storage/frontends/nvme/events.hpp"
#include "storage/frontends/nvme/identity.hpp"

namespace undercroft::nvme {

class QueueSet;

/// Where log pages take their contents from.
struct LogSources {
    const ErrorLog& errors;
    const EventNotifier& events;
    const IdentityFields& identity;
    const QueueSet& queues;
};

inline constexpr usize log_page_bytes_max = 4096;

/// Builds `page` in `into` (zeroed, `log_page_bytes_max`) and gives its length; 0 where there is no such page.
usize fill_log_page(LogPage page, std::span<std::byte> into, const LogSources& sources);

}  // namespace undercroft::nvme
