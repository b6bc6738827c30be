#pragma once

#include <map>

#include "base/async/task_group.hpp"
#include "libp2p/host/host.hpp"
#include "libp2p/kad/message.hpp"

namespace nmp::libp2p {

/// Kademlia requests to other peers. Keeps one idle stream per peer for the next request; a stream carries one request
/// at a time; a request that fails on a reused stream is tried once more on a new one. Network thread only.
class DhtStreams {
 public:
  /// `host` and `tasks` outlive it, and so do the calls in progress: the owner closes `tasks` first.
  DhtStreams(Host& host, async::TaskGroup& tasks, std::string protocol, std::size_t message_bytes_max)
      : host_(host), tasks_(tasks), protocol_(std::move(protocol)), message_bytes_max_(message_bytes_max) {}

  struct Answer {
    kad::Message message;
    Multiaddr from;  ///< over which connection it came
  };
  /// Errors: those of Host::open_stream, of the codec, closed, deadline_exceeded, cancelled; unavailable if the peer
  /// could not be dialled a moment ago.
  async::Awaitable<Result<Answer>> request(PeerId peer, kad::Message message, Instant deadline);
  /// For requests that have no answer (ADD_PROVIDER): ends when the transport has taken it.
  async::Awaitable<Result<void>> send(PeerId peer, kad::Message message, Instant deadline);

  /// Ends the streams that were not used since `since`.
  void close_idle(Instant since);
  void clear() { idle_.clear(); }
  [[nodiscard]] std::size_t idle() const { return idle_.size(); }

 private:
  struct Link {
    StreamPtr stream;
    kad::Splitter splitter;
    Instant used_at{};
  };
  using Exchange = async::Awaitable<Result<std::optional<Answer>>>;

  Exchange run(PeerId peer, kad::Message message, bool answered, Instant deadline);
  Exchange exchange(Link& link, const Bytes& frame, bool answered);
  async::Awaitable<Result<StreamPtr>> open(PeerId peer, Instant deadline);
  void keep(const PeerId& peer, Link link);

  Host& host_;
  async::TaskGroup& tasks_;
  std::string protocol_;
  std::size_t message_bytes_max_;
  std::map<PeerId, Link> idle_;
  std::map<PeerId, Instant> undialable_until_;
};

}  // namespace nmp::libp2p
