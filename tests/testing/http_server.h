// A local HTTP server whose every answer, right or wrong, is written by the test.
#ifndef ATTUNE_TESTS_TESTING_HTTP_SERVER_H_
#define ATTUNE_TESTS_TESTING_HTTP_SERVER_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"

namespace attune {

// A whole answer.
inline std::string HttpAnswer(const std::string& status, const std::string& body,
                              const std::string& headers = "") {
  return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         headers + "Connection: close\r\n\r\n" + body;
}

// Each connection has its thread and one request.
class HttpTestServer {
 public:
  // The bytes to answer a request (head and body) with; empty: the connection is closed without.
  // Called from many threads.
  using Handler = std::function<std::string(const std::string& request)>;

  explicit HttpTestServer(Handler handler) : handler_(std::move(handler)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(listener_, 128) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      std::abort();
    }
    url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    acceptor_ = std::thread([this] { Accept(); });
  }

  ~HttpTestServer() {
    stopped_.Notify();
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    for (std::thread& thread : connections_) thread.join();
    ::close(listener_);
  }

  const std::string& url() const { return url_; }  // "http://127.0.0.1:port"

  // For a handler that never answers.
  std::string HangUntilStopped() {
    stopped_.WaitForNotification();
    return "";
  }

 private:
  void Accept() {
    for (int fd = ::accept(listener_, nullptr, nullptr); fd >= 0;
         fd = ::accept(listener_, nullptr, nullptr)) {
      connections_.emplace_back([this, fd] {
        const std::string request = ReadRequest(fd);
        const std::string answer = request.empty() ? "" : handler_(request);
        for (size_t sent = 0; sent < answer.size();) {
          const ssize_t count =
              ::send(fd, answer.data() + sent, answer.size() - sent, MSG_NOSIGNAL);
          if (count <= 0) break;
          sent += static_cast<size_t>(count);
        }
        ::close(fd);
      });
    }
  }

  // Head and as much of the body as Content-Length says; empty if the client goes before.
  static std::string ReadRequest(int fd) {
    std::string request;
    std::array<char, 4096> buffer;
    for (;;) {
      const size_t head = request.find("\r\n\r\n");
      const size_t length = request.find("Content-Length: ");
      if (head != std::string::npos &&
          (length == std::string::npos ||
           request.size() >= head + 4 + std::strtoul(request.c_str() + length + 16, nullptr, 10))) {
        return request;
      }
      const ssize_t count = ::recv(fd, buffer.data(), buffer.size(), 0);
      if (count <= 0) return "";
      request.append(buffer.data(), static_cast<size_t>(count));
    }
  }

  const Handler handler_;
  int listener_ = -1;
  std::string url_;
  absl::Notification stopped_;
  std::thread acceptor_;
  std::vector<std::thread> connections_;  // of the acceptor, and after it of the destructor
};

// The body of a request that the server read.
inline std::string HttpBody(const std::string& request) {
  return request.substr(request.find("\r\n\r\n") + 4);
}

}  // namespace attune

#endif  // ATTUNE_TESTS_TESTING_HTTP_SERVER_H_
