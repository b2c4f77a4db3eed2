// DeviceRecord.
#include "hostsim/servers/vhost_user/device_record.hpp"

namespace undercroft::vhost_user {

void DeviceRecord::describe(inspect::Node& node, u64 now_ns) {
    node.boolean("connected", is_connected.load(std::memory_order_acquire));
    node.number("frontends", frontends.get());
    bool counting = is_counting.load(std::memory_order_relaxed);
    node.setting("counting", counting ? "on" : "off", "on or off: whether requests are counted and timed",
                 [&](std::string_view text) -> inspect::SetResult {
                     if (text != "on" && text != "off") {
                         return std::unexpected(std::string("that is neither on nor off"));
                     }
                     is_counting.store(text == "on", std::memory_order_relaxed);
                     return {};
                 });
    inspect::IoTotals totals;
    activity.add_to(totals);
    totals.describe(node);
    node.child("in_flight", [&](inspect::Node& requests) { activity.describe_in_flight(requests, now_ns); });
}

}  // namespace undercroft::vhost_user
