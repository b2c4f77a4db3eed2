// Where a server listens: `unix:PATH` or `tcp:ADDRESS:PORT` on a loopback address. Leaves out anything that other
// machines can reach: these protocols are neither authenticated nor encrypted here.
#pragma once

#include <string>
#include <string_view>

#include "kernel/async/cancel.hpp"
#include "kernel/async/task.hpp"
#include "kernel/base/result.hpp"

namespace undercroft {

class Listener {
public:
    /// Listens at `where`. A socket file that nobody listens on any more is replaced, one that is in use refused; it is
    /// made for its owner only. On failure what is wrong and what to do.
    static Result<Listener, std::string> open(std::string_view where);
    Listener(Listener&& other) noexcept;
    Listener& operator=(Listener&&) = delete;
    /// Stops listening, and removes the socket file.
    ~Listener();

    /// The next connection's descriptor, non-blocking calls not being needed; or the negative of an errno value
    /// (-ECANCELED where `cancel` asked).
    Task<i32> accept(CancelToken cancel);

    /// As given, with the port that was chosen where the one given was 0.
    const std::string& where() const { return where_; }

private:
    Listener() = default;
    int descriptor_ = -1;
    bool is_tcp_ = false;
    std::string path_;
    std::string where_;
};

}  // namespace undercroft
