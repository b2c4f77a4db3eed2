// The handler of SIGBUS, and the table of mappings that it looks into.
#include "hostsim/platform/mapping_guard.hpp"

#include <signal.h>
#include <sys/mman.h>

#include <atomic>
#include <mutex>

namespace undercroft {

namespace {

/// Read in the handler, on any thread: only lock-free atomics. A slot whose `bytes` is 0 is free.
struct Slot {
    std::atomic<std::uintptr_t> base{0};
    std::atomic<usize> bytes{0};
    std::atomic<bool> broken{false};
};
static_assert(std::atomic<std::uintptr_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

constinit Slot slots[MappingGuard::guards_max];
constinit std::mutex slots_mutex;  // who takes a slot, and gives it back
struct sigaction previous;

void on_bus_error(int number, siginfo_t* info, void* context) {
    auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
    for (Slot& slot : slots) {
        std::uintptr_t base = slot.base.load();
        usize bytes = slot.bytes.load();
        if (bytes == 0 || address < base || address - base >= bytes) {
            continue;
        }
        // SAFETY: the guard's owner keeps this range mapped; nobody else's memory is replaced.
        void* replaced = mmap(reinterpret_cast<void*>(base), bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
        if (replaced != MAP_FAILED) {
            slot.broken.store(true);
            return;  // the access is made again
        }
    }
    if ((previous.sa_flags & SA_SIGINFO) != 0) {
        previous.sa_sigaction(number, info, context);
    } else {
        sigaction(SIGBUS, &previous, nullptr);  // the access is made again, and ends the process as it would have
    }
}

void install_handler() {
    struct sigaction action{};
    action.sa_sigaction = &on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(SIGBUS, &action, &previous);
}

}  // namespace

Result<std::unique_ptr<MappingGuard>> MappingGuard::create(void* base, usize size_bytes) {
    static std::once_flag installed;
    std::call_once(installed, &install_handler);
    std::lock_guard lock(slots_mutex);
    for (usize index = 0; index < guards_max; ++index) {
        Slot& slot = slots[index];
        if (slot.bytes.load() == 0) {
            slot.broken.store(false);
            slot.base.store(reinterpret_cast<std::uintptr_t>(base));
            slot.bytes.store(size_bytes);
            return std::unique_ptr<MappingGuard>(new MappingGuard(index));
        }
    }
    return fail(Error::out_of_memory);
}

MappingGuard::~MappingGuard() {
    std::lock_guard lock(slots_mutex);
    slots[slot_].bytes.store(0);
}

bool MappingGuard::is_broken() const { return slots[slot_].broken.load(); }

}  // namespace undercroft
