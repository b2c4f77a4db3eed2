// BlockDevice.
#include "storage/frontends/virtio/block_device.hpp"

#include <algorithm>

#include "kernel/async/wait_queue.hpp"

namespace undercroft::virtio {

namespace {
/// At most one report of a changed size in this time.
constexpr u64 resize_pause_ns = 10 * nanoseconds_per_millisecond;
}  // namespace

void copy_configuration(std::span<const std::byte> configuration, u32 offset_bytes, std::span<std::byte> into) {
    std::ranges::fill(into, std::byte{0});
    if (offset_bytes < configuration.size()) {
        std::span<const std::byte> rest = configuration.subspan(offset_bytes);
        std::ranges::copy(rest.first(std::min(rest.size(), into.size())), into.begin());
    }
}

void BlockDevice::read_configuration(u32 offset_bytes, std::span<std::byte> into) const {
    BlockConfig config = block_config(disk_, identity_);
    copy_configuration(std::as_bytes(std::span(&config, 1)), offset_bytes, into);
}

Task<Result<u32>> BlockDevice::process(u16 queue, const Chain& chain, CancelToken cancel) {
    (void)queue;
    return execute_block_request(disk_, identity_, chain, cancel);
}

bool BlockDevice::went_well(u16 queue, const Chain& chain) const {
    (void)queue;
    const MemorySegment& last = chain.writable().back();  // a request without one has broken the queue
    return last.data[last.size - 1] == static_cast<std::byte>(BlockStatusCode::ok);
}

Task<void> BlockDevice::watch(ConfigurationListener& listener, CancelToken cancel) {
    u64 known = disk_.sector_count();
    while (!cancel.is_cancelled()) {
        DiskResult<u64> size = co_await disk_.wait_for_resize(known, cancel);
        if (!size) {
            co_return;
        }
        if (*size != known) {
            known = *size;
            listener.configuration_changed();
        }
        (void)co_await sleep_for(resize_pause_ns, cancel);
    }
}

}  // namespace undercroft::virtio
