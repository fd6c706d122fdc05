// An HTTP/1.1 server: requests to a function, its replies back. What it knows of HTTP is
// cpp-httplib's; connections, their limits and the end of a server are ours.
#ifndef ATTUNE_SERVE_HTTP_SERVER_H_
#define ATTUNE_SERVE_HTTP_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace attune {

struct HttpRequest {
  std::string method;         // GET (of HEAD, too), POST, ...
  std::string path;           // without the query
  std::string authorization;  // header; empty if there is none
  std::string body;
  // The client has closed its end of the connection. May be called until the reply is sent.
  std::function<bool()> is_gone;
};

struct HttpReply {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  int retry_after_seconds = 0;  // header Retry-After; 0: none

  // If set, it sends the body instead, in pieces: each is on its way when `write` returns, which is
  // false when the client does not take it. Returns false to break the connection off.
  using Write = std::function<bool(absl::string_view piece)>;
  std::function<bool(const Write& write)> stream;
};

class HttpServer {
 public:
  // Called on many threads, one for each connection.
  using Handler = std::function<HttpReply(const HttpRequest& request)>;

  // Listens on `address` ("host:port"; port 0 picks one). Requests that cannot be read, and bodies
  // of more than kBodyBytesMax, are answered here with an error object. INVALID_ARGUMENT: the
  // address is malformed; UNAVAILABLE: it cannot be listened on.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& address,
                                                                         Handler handler);
  ~HttpServer();  // as Stop

  // host:port that others can call: the host asked for and the port bound.
  const std::string& address() const { return address_; }

  // Takes no more connections, ends those that are idle, and waits for the handlers and streams of
  // the others. Idempotent.
  void Stop();

  static constexpr size_t kBodyBytesMax = 8 << 20;
  static constexpr int kConnectionsMax = 512;  // more wait until one ends

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
  std::string address_;
};

}  // namespace attune

#endif  // ATTUNE_SERVE_HTTP_SERVER_H_
