// A gRPC server as every process of Attune runs one: given services, health checking, reflection,
// bounded threads, graceful stop.
#ifndef ATTUNE_RPC_SERVER_H_
#define ATTUNE_RPC_SERVER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/impl/codegen/service_type.h"
#include "grpcpp/server.h"

namespace attune {

class RpcServer {
 public:
  // Listens on `address` ("host:port"; port 0 picks one). The services must outlive the server.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<RpcServer>> Start(
      const std::string& address, const std::vector<grpc::Service*>& services);
  ~RpcServer();  // as Stop(0)

  // host:port that others can call: the host asked for and the port bound.
  const std::string& address() const { return address_; }

  // Health goes to NOT_SERVING, new calls are refused, calls in flight get `grace` to end and are
  // then cancelled. Idempotent.
  void Stop(absl::Duration grace);

 private:
  RpcServer(std::unique_ptr<grpc::Server> server, std::string address);

  const std::unique_ptr<grpc::Server> server_;
  const std::string address_;
};

// What a launcher reads from a server's standard output: "listening HOST:PORT metrics HOST:PORT".
void AnnounceAddresses(const std::string& address, const std::string& metrics_address);

}  // namespace attune

#endif  // ATTUNE_RPC_SERVER_H_
