#include "serve/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "tests/testing/http_get.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using absl::StatusCode;
using testing::HasSubstr;
using testing::StartsWith;

std::unique_ptr<HttpServer> StartServer(HttpServer::Handler handler) {
  return HttpServer::Start("127.0.0.1:0", std::move(handler)).value();
}

HttpReply Echo(const HttpRequest& request) {
  return {.body = absl::StrCat(request.method, " ", request.path, " ", request.authorization, " ",
                               request.body)};
}

// A connection that sends and receives what the test says.
class RawClient {
 public:
  explicit RawClient(const std::string& address) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in peer{};
    peer.sin_family = AF_INET;
    peer.sin_port =
        htons(static_cast<uint16_t>(std::atoi(address.c_str() + address.rfind(':') + 1)));
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&peer), sizeof(peer)) != 0) std::abort();
  }
  ~RawClient() { Close(); }

  void Send(const std::string& bytes) {
    if (::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) std::abort();
  }
  // Up to and with `end`, or what there is when the server closes the connection.
  std::string ReceiveUntil(const std::string& end) {
    std::string text;
    char byte;
    while (!text.ends_with(end) && ::recv(socket_, &byte, 1, 0) == 1) text += byte;
    return text;
  }
  std::string ReceiveAll() { return ReceiveUntil(std::string(1, '\0')); }
  void Close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }

 private:
  int socket_;
};

TEST(HttpServerTest, AnswersRequestsOfOneConnection) {
  const auto server = StartServer(Echo);
  RawClient client(server->address());
  client.Send("POST /a HTTP/1.1\r\nAuthorization: Bearer k\r\nContent-Length: 2\r\n\r\nhi");
  EXPECT_THAT(client.ReceiveUntil("hi"), HasSubstr("POST /a Bearer k hi"));
  client.Send("PUT /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nyo\r\n0\r\n\r\n");
  EXPECT_THAT(client.ReceiveUntil("yo"), HasSubstr("PUT /b  yo"));
  client.Send("GET /c?d=e HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.ReceiveAll(), HasSubstr("GET /c  "));
}

TEST(HttpServerTest, StatusAndHeadersAreTheHandlers) {
  const auto server = StartServer([](const HttpRequest&) {
    return HttpReply{
        .status = 429, .content_type = "text/plain", .body = "later", .retry_after_seconds = 3};
  });
  const std::string reply = HttpGet(server->address(), "/");
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 429 "));
  EXPECT_THAT(reply, HasSubstr("Retry-After: 3\r\n"));
  EXPECT_THAT(reply, HasSubstr("Content-Type: text/plain\r\n"));
}

TEST(HttpServerTest, PiecesOfAStreamArriveAtOnce) {
  absl::Notification first_has_come;
  const auto server = StartServer([&](const HttpRequest&) {
    return HttpReply{.content_type = "text/event-stream", .stream = [&](const auto& write) {
                       const bool ok = write("one\n");
                       first_has_come.WaitForNotification();
                       return ok && write("two\n");
                     }};
  });
  RawClient client(server->address());
  client.Send("GET / HTTP/1.1\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.ReceiveUntil("one\n"), HasSubstr("text/event-stream"));
  first_has_come.Notify();
  EXPECT_THAT(client.ReceiveAll(), HasSubstr("two\n\r\n0\r\n\r\n"));
}

TEST(HttpServerTest, TellsThatTheClientHasGone) {
  absl::Notification asked, gone;
  const auto server = StartServer([&](const HttpRequest& request) {
    EXPECT_FALSE(request.is_gone());
    asked.Notify();
    while (!request.is_gone()) {
    }
    gone.Notify();
    return HttpReply{};
  });
  RawClient client(server->address());
  client.Send("GET / HTTP/1.1\r\n\r\n");
  asked.WaitForNotification();
  client.Close();
  gone.WaitForNotification();
}

TEST(HttpServerTest, RefusesBodiesThatAreTooLong) {
  bool is_called = false;
  const auto server = StartServer([&](const HttpRequest&) {
    is_called = true;
    return HttpReply{};
  });
  RawClient client(server->address());
  client.Send(absl::StrCat("POST / HTTP/1.1\r\nContent-Length: ", HttpServer::kBodyBytesMax + 1,
                           "\r\n\r\n", std::string(HttpServer::kBodyBytesMax + 1, 'a')));
  EXPECT_THAT(client.ReceiveUntil("\r\n"), StartsWith("HTTP/1.1 413 "));
  EXPECT_FALSE(is_called);
}

TEST(HttpServerTest, AnswersWhatItCannotRead) {
  const auto server = StartServer(Echo);
  RawClient client(server->address());
  client.Send("NONSENSE\r\n\r\n");
  const std::string reply = client.ReceiveUntil("}}");
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(reply, HasSubstr("invalid_request_error"));
}

TEST(HttpServerTest, StopEndsIdleConnectionsAndWaitsForBusyOnes) {
  absl::Notification asked, may_answer;
  const auto server = StartServer([&](const HttpRequest&) {
    asked.Notify();
    may_answer.WaitForNotification();
    return HttpReply{.body = "done"};
  });
  RawClient idle(server->address()), half(server->address()), busy(server->address());
  half.Send("POST / HTTP/1.1\r\nContent-Le");
  busy.Send("GET / HTTP/1.1\r\n\r\n");
  asked.WaitForNotification();
  std::thread stopper([&] { server->Stop(); });
  EXPECT_EQ(idle.ReceiveAll(), "");
  may_answer.Notify();
  EXPECT_THAT(busy.ReceiveAll(), HasSubstr("done"));
  stopper.join();
  server->Stop();  // again does nothing
}

TEST(HttpServerTest, AddressesAreChecked) {
  for (const char* address : {"8080", ":8080", "localhost:", "localhost:65536", "localhost:x"}) {
    EXPECT_THAT(HttpServer::Start(address, Echo),
                StatusIs(StatusCode::kInvalidArgument, "HOST:PORT"))
        << address;
  }
  const auto server = StartServer(Echo);
  EXPECT_THAT(HttpServer::Start(server->address(), Echo),
              StatusIs(StatusCode::kUnavailable, "in use"));
  const auto ipv6 = HttpServer::Start("[::1]:0", Echo);
  if (ipv6.ok()) {  // where there is IPv6
    EXPECT_THAT((*ipv6)->address(), StartsWith("[::1]:"));
  }
}

}  // namespace
}  // namespace attune
