// An HTTP server on loopback that answers as a test tells it to, however wrong that is: one thread, one connection
// after the other, each of one request.
#pragma once

#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "kernel/base/assert.hpp"
#include "kernel/base/types.hpp"

namespace undercroft::test {

class ScriptedHttpServer {
public:
    /// What is sent, byte for byte, `pause_ms` between its pieces; then the connection is closed.
    struct Reply {
        std::vector<std::string> pieces;
        u32 pause_ms = 0;
    };
    using Script = std::function<Reply(const std::string& request)>;

    explicit ScriptedHttpServer(Script script) : script_(std::move(script)), socket_(socket(AF_INET, SOCK_STREAM, 0)) {
        setenv("no_proxy", "*", 1);  // whatever proxy this machine has, loopback is nothing to it
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof(address);
        // SAFETY: the socket interface's way to say which kind of address this is.
        auto* generic = reinterpret_cast<sockaddr*>(&address);
        ASSERT(bind(socket_, generic, size) == 0 && listen(socket_, 16) == 0 &&
               getsockname(socket_, generic, &size) == 0);
        port_ = ntohs(address.sin_port);
        thread_ = std::thread([this] { serve(); });
    }
    ScriptedHttpServer(const ScriptedHttpServer&) = delete;
    ScriptedHttpServer& operator=(const ScriptedHttpServer&) = delete;
    ~ScriptedHttpServer() {
        ending_ = true;
        thread_.join();
        close(socket_);
    }

    std::string url(const std::string& path = "/blob") const {
        return "http://127.0.0.1:" + std::to_string(port_) + path;
    }
    usize requests() const { return requests_; }

private:
    void serve() {
        while (!ending_) {
            pollfd waiting{.fd = socket_, .events = POLLIN, .revents = 0};
            if (poll(&waiting, 1, 20) > 0) {
                int connection = accept(socket_, nullptr, nullptr);
                answer(connection);
                close(connection);
            }
        }
    }
    void answer(int connection) {
        std::string request;
        char buffer[2048];
        while (request.find("\r\n\r\n") == std::string::npos) {
            ssize_t got = recv(connection, buffer, sizeof(buffer), 0);
            if (got <= 0) {
                return;
            }
            request.append(buffer, static_cast<usize>(got));
        }
        ++requests_;
        Reply reply = script_(request);
        for (const std::string& piece : reply.pieces) {
            if (send(connection, piece.data(), piece.size(), MSG_NOSIGNAL) < 0) {
                return;
            }
            for (u32 waited = 0; waited < reply.pause_ms && !ending_; waited += 10) {
                usleep(10'000);
            }
        }
    }

    Script script_;
    int socket_;
    u16 port_ = 0;
    std::atomic<bool> ending_{false};
    std::atomic<usize> requests_{0};
    std::thread thread_;
};

}  // namespace undercroft::test
