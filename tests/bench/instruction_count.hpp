// Counting instructions where the machine has no performance counters: the work runs once in a child that is
// single-stepped. Exact for user space; slow, so only for a few operations. Leaves out the kernel's instructions.
#pragma once

#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <functional>
#include <optional>

#include "kernel/base/types.hpp"

namespace undercroft {

/// Instructions of `work` and of what starts and stops it (a few hundred, the same each time); nothing where tracing is
/// not allowed.
inline std::optional<u64> count_instructions(const std::function<void()>& work) {
    pid_t child = fork();
    if (child < 0) {
        return std::nullopt;
    }
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) {
            _exit(1);
        }
        raise(SIGSTOP);
        work();
        raise(SIGSTOP);
        _exit(0);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) {
        return std::nullopt;
    }
    u64 steps = 0;
    long previous = 0;
    for (;;) {
        if (ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) != 0 || waitpid(child, &status, 0) != child ||
            !WIFSTOPPED(status)) {
            return std::nullopt;
        }
        if (WSTOPSIG(status) == SIGSTOP) {
            break;
        }
        // A repeated string instruction stops after each repetition; it is one instruction all the same.
        long address = ptrace(PTRACE_PEEKUSER, child, offsetof(user_regs_struct, rip), nullptr);
        steps += address != previous ? 1 : 0;
        previous = address;
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return steps;
}

}  // namespace undercroft
