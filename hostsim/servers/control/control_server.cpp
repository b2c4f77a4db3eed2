// ControlServer.
#include "hostsim/servers/control/control_server.hpp"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "hostsim/backends/file_descriptor.hpp"
#include "hostsim/platform/ring_platform.hpp"
#include "kernel/base/log.hpp"

namespace undercroft {

namespace {

constexpr u64 accept_retry_ns = 100 * nanoseconds_per_millisecond;
constexpr usize receive_bytes = 4096;

}  // namespace

Task<void> ControlServer::accept(Listener& listener, CancelToken cancel) {
    while (!cancel.is_cancelled()) {
        i32 accepted = co_await listener.accept(cancel);
        if (accepted == -ECANCELED) {
            break;
        }
        if (accepted < 0) {
            log_warning("control: no connection could be accepted: %s", strerrordesc_np(-accepted));
            (void)co_await sleep_for(accept_retry_ns, cancel);
        } else if (clients_.running() >= limits_.clients) {
            constexpr std::string_view full = "{\"error\":\"too many clients look already; end one of them\"}\n";
            (void)send(accepted, full.data(), full.size(), MSG_NOSIGNAL | MSG_DONTWAIT);  // as far as it goes
            close(accepted);
        } else {
            clients_.spawn(serve(accepted));
        }
    }
    clients_.stop();
    (void)co_await clients_.join();  // each ends: its waits are cancelled
}

Task<void> ControlServer::serve(int descriptor) {
    FileDescriptor owned(descriptor);
    inspect::LineReader reader;
    char bytes[receive_bytes];
    while (true) {
        WaitLimits limits{.deadline_ns = Executor::current().now_ns() + limits_.idle_ns, .cancel = clients_.token()};
        i32 got = co_await ring_operation(
            [&](io_uring_sqe* entry) { io_uring_prep_recv(entry, descriptor, bytes, sizeof(bytes), 0); }, limits);
        if (got <= 0) {
            co_return;
        }
        // Several lines at once are no more than fit into `bytes`.
        std::vector<std::string> lines;
        reader.feed({bytes, static_cast<usize>(got)}, [&](std::string_view line) { lines.emplace_back(line); });
        for (std::string& line : lines) {
            if (!co_await answer(descriptor, std::move(line))) {
                co_return;
            }
        }
    }
}

Task<bool> ControlServer::answer(int descriptor, std::string line) {
    co_await program_.prepare();
    std::string text =
        inspect::answer(line, [this](inspect::Node& root) { program_.describe(root); }, limits_.answer_bytes);
    WaitLimits limits{.deadline_ns = Executor::current().now_ns() + limits_.send_ns, .cancel = clients_.token()};
    for (usize sent = 0; sent < text.size();) {
        i32 count = co_await ring_operation(
            [&](io_uring_sqe* entry) {
                io_uring_prep_send(entry, descriptor, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
            },
            limits);
        if (count <= 0) {
            co_return false;
        }
        sent += static_cast<usize>(count);
    }
    co_return true;
}

}  // namespace undercroft
