// InflightQueue and InflightMemory.
#include "hostsim/servers/vhost_user/inflight.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "kernel/spec/virtio.hpp"

namespace undercroft::vhost_user {

namespace {

struct Entry {
    u8 inflight;
    u8 padding[5];
    u16 next;
    u64 counter;
};
static_assert(sizeof(Entry) == 16 && offsetof(Entry, counter) == 8);

struct Region {
    u64 features;
    u16 version;
    u16 entries;
    u16 last_batch_head;
    u16 used_index;
};
static_assert(sizeof(Region) == 16 && offsetof(Region, used_index) == 14);

constexpr u64 region_alignment = 64;

u64 region_bytes(u16 queue_size) {
    return align_up(sizeof(Region) + u64{queue_size} * sizeof(Entry), region_alignment);
}

// SAFETY: the memory is mapped, 64-byte aligned and large enough: see `InflightMemory`.
Region& region_at(std::byte* memory) { return *reinterpret_cast<Region*>(memory); }
Entry& entry_at(std::byte* memory, u16 head) { return reinterpret_cast<Entry*>(memory + sizeof(Region))[head]; }

/// A crash may come between any two stores: what the compiler must not reorder.
void barrier() { std::atomic_signal_fence(std::memory_order_seq_cst); }

}  // namespace

std::vector<u16> InflightQueue::recover(u16 published_used) {
    std::vector<u16> heads;
    Region& region = region_at(memory_);
    if (region.version == 0) {
        region = {
            .features = 0, .version = 1, .entries = queue_size_, .last_batch_head = 0, .used_index = published_used};
        return heads;
    }
    if (region.used_index != published_used && region.last_batch_head < queue_size_) {
        entry_at(memory_, region.last_batch_head).inflight = 0;
    }
    barrier();
    region.used_index = published_used;
    for (u16 head = 0; head < queue_size_; ++head) {
        const Entry& entry = entry_at(memory_, head);
        if (entry.inflight != 0) {
            heads.push_back(head);
            counter_ = std::max(counter_, entry.counter + 1);
        }
    }
    std::ranges::sort(heads, {}, [this](u16 head) { return entry_at(memory_, head).counter; });
    return heads;
}

void InflightQueue::taken(u16 head) {
    if (memory_ != nullptr && head < queue_size_) {
        Entry& entry = entry_at(memory_, head);
        entry.counter = counter_++;
        barrier();
        entry.inflight = 1;
        barrier();
    }
}

void InflightQueue::completing(u16 head) {
    if (memory_ != nullptr && head < queue_size_) {
        region_at(memory_).last_batch_head = head;
        barrier();
    }
}

void InflightQueue::completed(u16 head, u16 published_used) {
    if (memory_ != nullptr && head < queue_size_) {
        barrier();
        entry_at(memory_, head).inflight = 0;
        barrier();
        region_at(memory_).used_index = published_used;
    }
}

Result<std::unique_ptr<InflightMemory>> InflightMemory::create(u16 queues, u16 queue_size) {
    std::unique_ptr<InflightMemory> memory(new InflightMemory(queues, queue_size));
    memory->file_ = Descriptor(memfd_create("undercroft-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    u64 bytes = queues * InflightPacked::region_bytes(queue_size);  // the larger of the two
    if (!memory->file_.is_valid() || ftruncate(memory->file_.get(), static_cast<off_t>(bytes)) != 0 ||
        fcntl(memory->file_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        return fail(Error::out_of_memory);
    }
    TRY(memory->map(0, bytes));
    return memory;
}

Result<std::unique_ptr<InflightMemory>> InflightMemory::open(const Inflight& layout, Descriptor file) {
    struct stat status{};
    bool sound = layout.queues > 0 && layout.queue_size > 0 && layout.queue_size <= virtio::queue_size_max &&
                 is_aligned(layout.map_offset, page_size) && is_aligned(layout.map_bytes, region_alignment) &&
                 layout.map_bytes >= layout.queues * region_bytes(layout.queue_size) &&
                 fstat(file.get(), &status) == 0 && layout.map_bytes <= static_cast<u64>(status.st_size) &&
                 layout.map_offset <= static_cast<u64>(status.st_size) - layout.map_bytes;
    if (!sound) {
        return fail(Error::malformed);
    }
    std::unique_ptr<InflightMemory> memory(new InflightMemory(layout.queues, layout.queue_size));
    memory->file_ = std::move(file);
    TRY(memory->map(layout.map_offset, layout.map_bytes));
    return memory;
}

Result<void> InflightMemory::map(u64 offset, u64 bytes) {
    base_bytes_ = bytes;
    void* base =
        mmap(nullptr, base_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), static_cast<off_t>(offset));
    if (base == MAP_FAILED) {
        return fail(Error::out_of_memory);
    }
    base_ = base;
    memory_ = static_cast<std::byte*>(base);
    guard_ = TRY(MappingGuard::create(base_, base_bytes_));
    return {};
}

InflightMemory::~InflightMemory() {
    guard_ = nullptr;
    if (base_ != nullptr) {
        munmap(base_, base_bytes_);
    }
}

Inflight InflightMemory::layout() const {
    return {.map_bytes = base_bytes_, .map_offset = 0, .queues = queues_, .queue_size = queue_size_};
}

/// The memory is divided equally: a predecessor may have given less to each queue than is given now.
std::byte* InflightMemory::part(usize index, u16 queue_size, u64 part_bytes) const {
    u64 stride = align_down(base_bytes_ / queues_, region_alignment);
    bool fits = index < queues_ && queue_size <= queue_size_ && part_bytes <= stride;
    return fits ? memory_ + index * stride : nullptr;
}

InflightQueue InflightMemory::queue(usize index, u16 queue_size) const {
    return {part(index, queue_size, region_bytes(queue_size)), queue_size};
}

InflightPacked InflightMemory::packed_queue(usize index, u16 queue_size) const {
    return {part(index, queue_size, InflightPacked::region_bytes(queue_size)), queue_size};
}

}  // namespace undercroft::vhost_user
