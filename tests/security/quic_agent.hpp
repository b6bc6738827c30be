#pragma once

#include "libp2p/host/host.hpp"
#include "tests/security/raw_agent.hpp"

/// An agent on libp2p, as the node in another process sees it: with an identity that its connection proves.
namespace nmp::security {

class QuicAgent {
 public:
  QuicAgent(async::Executor executor, std::uint8_t key) : executor_(executor) {
    auto made = libp2p::Host::make(executor, libp2p::HostOptions(key_of(key)));
    NMP_ASSERT(made.has_value());
    host_ = *std::move(made);
  }

  /// A gRPC channel on a stream to `node` on 127.0.0.1.
  Awaitable<Result<std::shared_ptr<rpc::Channel>>> dial(libp2p::PeerId node, std::uint16_t port) {
    auto where = libp2p::Multiaddr::parse("/ip4/127.0.0.1/udp/" + std::to_string(port) + "/quic-v1");
    libp2p::PeerInfo info{node, {*where}};
    NMP_CO_CHECK(co_await host_->connect(std::move(info), in(10s)));
    std::vector<std::string> protocols{"/nmp/grpc/1.0.0"};
    NMP_CO_TRY(auto stream, co_await host_->open_stream(node, std::move(protocols), in(10s)));
    co_return std::shared_ptr<rpc::Channel>(rpc::Channel::make(executor_, std::move(stream), rpc::ChannelOptions()));
  }
  Awaitable<void> close() { co_await host_->close(); }

 private:
  async::Executor executor_;
  std::unique_ptr<libp2p::Host> host_;
};

}  // namespace nmp::security
