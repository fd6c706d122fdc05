#include "serve/http_server.h"

#include <httplib.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "serve/api_error.h"

namespace attune {
namespace {

constexpr int kBacklog = 512;                             // connections that wait for accept
constexpr absl::Duration kIdleTime = absl::Seconds(30);   // of a connection between requests
constexpr absl::Duration kReadTime = absl::Seconds(60);   // of a whole request
constexpr absl::Duration kWriteTime = absl::Seconds(30);  // of a piece, while nothing is taken
constexpr size_t kRequestBytesMax = HttpServer::kBodyBytesMax + (64 << 10);  // with its head
constexpr size_t kPathBytesMax = 256;  // httplib matches paths with std::regex, which recurses

// One connection. httplib's own stream waits with select, which has room for 1024 descriptors only,
// and a handler cannot ask it whether the client is still there.
class Connection : public httplib::Stream {
 public:
  // When `stop_event` is readable, nothing is waited for any more.
  Connection(int socket, int stop_event) : socket_(socket), stop_event_(stop_event) {}

  // False: none comes.
  bool AwaitRequest() { return begin_ < end_ || Await(POLLIN, kIdleTime); }
  // Reading a request may take so long and so many bytes.
  void BeginRequest() {
    deadline_ = MonotonicTime() + kReadTime;
    bytes_left_ = kRequestBytesMax;
  }
  // The rest of the request has not been read: no other can follow.
  void AbandonRequest() { bytes_left_ = 0; }
  bool is_abandoned() const { return bytes_left_ == 0; }

  bool IsGone() const {
    pollfd event = {socket_, POLLRDHUP, 0};
    return ::poll(&event, 1, 0) > 0;
  }

  bool is_readable() const override { return begin_ < end_ || Await(POLLIN, absl::ZeroDuration()); }
  bool is_writable() const override { return !IsGone() && Await(POLLOUT, kWriteTime); }
  socket_t socket() const override { return socket_; }
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}

  ssize_t read(char* data, size_t size) override {
    if (begin_ == end_ && !Fill()) return -1;
    const size_t count = std::min({size, end_ - begin_, bytes_left_});
    if (count == 0) return -1;
    std::copy_n(buffer_.data() + begin_, count, data);
    begin_ += count;
    bytes_left_ -= count;
    return static_cast<ssize_t>(count);
  }

  ssize_t write(const char* data, size_t size) override {
    for (size_t sent = 0; sent < size;) {
      const ssize_t count = ::send(socket_, data + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count < 0 && (errno != EAGAIN || !Await(POLLOUT, kWriteTime))) return -1;
      sent += static_cast<size_t>(std::max<ssize_t>(count, 0));
    }
    return static_cast<ssize_t>(size);
  }

 private:
  bool Await(short what, absl::Duration timeout) const {
    std::array<pollfd, 2> events = {{{socket_, what, 0}, {stop_event_, POLLIN, 0}}};
    ::poll(events.data(), events.size(), static_cast<int>(absl::ToInt64Milliseconds(timeout)));
    return (events[0].revents & what) != 0;
  }

  bool Fill() {
    const absl::Duration left = deadline_ - MonotonicTime();
    if (left <= absl::ZeroDuration() || !Await(POLLIN, left)) return false;
    const ssize_t count = ::recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    begin_ = 0;
    end_ = static_cast<size_t>(std::max<ssize_t>(count, 0));
    return count > 0;
  }

  const int socket_;
  const int stop_event_;
  absl::Duration deadline_;
  size_t bytes_left_ = 0;
  std::array<char, 16 << 10> buffer_;
  size_t begin_ = 0, end_ = 0;  // what is in the buffer and not yet read
};

// Of this thread, while it serves a request: httplib does not hand its stream to handlers.
thread_local Connection* this_connection = nullptr;

// A thread for each connection, and a limit: beyond it no connection is accepted.
class ConnectionThreads : public httplib::TaskQueue {
 public:
  explicit ConnectionThreads(absl::Notification* listening) { listening->Notify(); }

  void enqueue(std::function<void()> serve) override {
    absl::MutexLock lock(&state_->mu);
    state_->mu.Await(absl::Condition(
        +[](int* count) { return *count < HttpServer::kConnectionsMax; }, &state_->count));
    ++state_->count;
    std::thread([state = state_, serve = std::move(serve)] {
      serve();
      absl::MutexLock done(&state->mu);
      --state->count;
    }).detach();
  }

  void shutdown() override {
    absl::MutexLock lock(&state_->mu);
    state_->mu.Await(absl::Condition(
        +[](int* count) { return *count == 0; }, &state_->count));
  }

 private:
  struct State {
    absl::Mutex mu;
    int count ABSL_GUARDED_BY(mu) = 0;
  };

  const std::shared_ptr<State> state_ = std::make_shared<State>();  // threads let go of it last
};

struct Address {
  std::string host;
  int port;
};

absl::StatusOr<Address> ParseAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  int port = -1;
  if (colon == std::string::npos || colon == 0 ||
      !absl::SimpleAtoi(text.substr(colon + 1), &port) || port < 0 || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot listen on ", text, ": write HOST:PORT, such as 127.0.0.1:8080"));
  }
  std::string host = text.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);  // IPv6
  return Address{std::move(host), port};
}

}  // namespace

class HttpServer::Impl : public httplib::Server {
 public:
  explicit Impl(HttpServer::Handler handler)
      : handler_(std::move(handler)), stop_event_(::eventfd(0, EFD_CLOEXEC)) {
    new_task_queue = [this] { return new ConnectionThreads(&listening_); };
    set_tcp_nodelay(true);
    set_keep_alive_timeout(absl::ToInt64Seconds(kIdleTime));  // what the header Keep-Alive says
    set_payload_max_length(kBodyBytesMax);
    set_socket_options([](socket_t socket) {  // httplib's default lets two servers share a port
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    });
    set_error_handler(
        httplib::Server::Handler([](const httplib::Request&, httplib::Response& response) {
          if (response.body.empty()) {
            response.set_content(ErrorBody(response.status), "application/json");
          }
        }));
    const auto reply = [this](const httplib::Request& request, httplib::Response& response) {
      Reply(request, "", response);
    };
    const auto reply_to_body = [this](const httplib::Request& request, httplib::Response& response,
                                      const httplib::ContentReader& reader) {
      ReadAndReply(request, reader, response);
    };
    Get(".*", reply);
    Options(".*", reply);
    Post(".*", reply_to_body);
    Put(".*", reply_to_body);
    Patch(".*", reply_to_body);
    Delete(".*", reply_to_body);
  }

  ~Impl() override {
    Stop();
    ::close(stop_event_);
  }

  // The port bound; 0 if that fails.
  int Listen(const Address& address) {
    int port = address.port;
    if (port == 0) {
      port = std::max(bind_to_any_port(address.host), 0);
    } else if (!bind_to_port(address.host, port)) {
      port = 0;
    }
    if (port == 0 || ::listen(svr_sock_, kBacklog) != 0) return 0;
    acceptor_ = std::thread([this] { listen_after_bind(); });
    listening_.WaitForNotification();  // stop() before that would be lost
    return port;
  }

  void Stop() {
    if (!acceptor_.joinable()) return;
    listening_is_over_ = true;
    ::eventfd_write(stop_event_, 1);
    stop();
    acceptor_.join();
  }

 private:
  bool process_and_close_socket(socket_t socket) override {
    Connection connection(socket, stop_event_);
    this_connection = &connection;
    bool ok = true, ends = false;
    while (ok && !ends && !listening_is_over_ && connection.AwaitRequest()) {
      connection.BeginRequest();
      ok = process_request(
          connection, /*close_connection=*/false, ends, [](httplib::Request& request) {
            request.headers.erase("Accept-Encoding");  // compression would hold tokens back
            request.headers.erase("Content-Type");     // forms would be taken apart
            request.ranges.clear();
            if (request.path.size() > kPathBytesMax) request.path = "/";
          });
      ends = ends || connection.is_abandoned();
    }
    ::shutdown(socket, SHUT_RDWR);
    ::close(socket);
    return ok;
  }

  void ReadAndReply(const httplib::Request& request, const httplib::ContentReader& reader,
                    httplib::Response& response) {
    std::string body;
    bool is_too_long = false;
    const bool is_read = reader([&](const char* data, size_t size) {
      is_too_long = body.size() + size > kBodyBytesMax;  // unpacked, too
      if (!is_too_long) body.append(data, size);
      return !is_too_long;
    });
    if (is_read) return Reply(request, body, response);
    if (response.status == 413 || is_too_long) {
      Fill(response, absl::OutOfRangeError(
                         absl::StrCat("the body is longer than ", kBodyBytesMax, " bytes")));
    } else {
      Fill(response, absl::InvalidArgumentError("the body cannot be read to its end"));
    }
    response.set_header("Connection", "close");
    this_connection->AbandonRequest();
  }

  static void Fill(httplib::Response& response, const absl::Status& error) {
    response.status = HttpStatusOf(error);
    response.set_content(ErrorBody(error), "application/json");
  }

  void Reply(const httplib::Request& request, const std::string& body,
             httplib::Response& response) {
    HttpReply reply =
        handler_({.method = request.method == "HEAD" ? "GET" : request.method,
                  .path = request.path,
                  .authorization = request.get_header_value("Authorization"),
                  .body = body,
                  .is_gone = [connection = this_connection] { return connection->IsGone(); }});
    response.status = reply.status;
    if (reply.retry_after_seconds > 0) {
      response.set_header("Retry-After", std::to_string(reply.retry_after_seconds));
    }
    if (reply.stream == nullptr) return response.set_content(reply.body, reply.content_type);
    response.set_header("Cache-Control", "no-cache");
    response.set_chunked_content_provider(reply.content_type, [stream = std::move(reply.stream)](
                                                                  size_t, httplib::DataSink& sink) {
      const bool ok =
          stream([&](absl::string_view piece) { return sink.write(piece.data(), piece.size()); });
      if (ok) sink.done();
      return ok;
    });
  }

  const HttpServer::Handler handler_;
  const int stop_event_;  // readable once the server stops
  std::atomic<bool> listening_is_over_ = false;
  absl::Notification listening_;
  std::thread acceptor_;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() { Stop(); }

void HttpServer::Stop() { impl_->Stop(); }

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& address,
                                                              Handler handler) {
  absl::StatusOr<Address> parsed = ParseAddress(address);
  if (!parsed.ok()) return parsed.status();
  std::unique_ptr<HttpServer> server(new HttpServer(std::make_unique<Impl>(std::move(handler))));
  const int port = server->impl_->Listen(*parsed);
  if (port == 0) {
    return absl::UnavailableError(absl::StrCat(
        "cannot listen on ", address, "; is the port in use, and is the host this machine's?"));
  }
  server->address_ = absl::StrCat(address.substr(0, address.rfind(':')), ":", port);
  return server;
}

}  // namespace attune
