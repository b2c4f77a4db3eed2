// A mapped file that somebody else may make smaller: touching what is gone raises SIGBUS, which would end the process. While
// a guard lives, such an access finds zeros instead, the whole mapping is private memory from then on, and the guard says
// so. Accesses of the kernel (io_uring) need no guard: they fail with an error.
#pragma once

#include <memory>

#include "kernel/base/result.hpp"

namespace undercroft {

class MappingGuard {
public:
    static constexpr usize guards_max = 1024;  ///< at one time, in the process

    /// Guards [`base`, + `size_bytes`), which is mapped, and stays so while the guard lives. `out_of_memory` past
    /// `guards_max`.
    static Result<std::unique_ptr<MappingGuard>> create(void* base, usize size_bytes);
    MappingGuard(const MappingGuard&) = delete;
    MappingGuard& operator=(const MappingGuard&) = delete;
    ~MappingGuard();

    /// Whether something of the file was missed.
    bool is_broken() const;

private:
    explicit MappingGuard(usize slot) : slot_(slot) {}
    usize slot_;
};

}  // namespace undercroft
