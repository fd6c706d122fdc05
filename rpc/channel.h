// Client side of every connection inside Attune.
#ifndef ATTUNE_RPC_CHANNEL_H_
#define ATTUNE_RPC_CHANNEL_H_

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"

namespace attune {

// Keepalive on (a dead peer is noticed within seconds), messages up to kMessageBytesMax.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address);

inline constexpr int kMessageBytesMax = 256 << 20;

// Every call has a deadline. With `wait_for_ready` the call waits for the peer inside it; without,
// a peer that is away is UNAVAILABLE at once.
void SetDeadline(grpc::ClientContext& context, absl::Duration timeout,
                 bool wait_for_ready = false);

}  // namespace attune

#endif  // ATTUNE_RPC_CHANNEL_H_
