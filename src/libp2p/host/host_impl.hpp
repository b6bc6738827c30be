#pragma once

// For the .cpp files of Host only.
#include <set>

#include "base/async/event.hpp"
#include "base/async/task_group.hpp"
#include "libp2p/dial/backoff.hpp"
#include "libp2p/dial/black_holes.hpp"
#include "libp2p/dial/resolution.hpp"
#include "libp2p/host/address_book.hpp"
#include "libp2p/host/host.hpp"
#include "libp2p/host/negotiated_stream.hpp"
#include "libp2p/host/quic_transport.hpp"
#include "libp2p/host/tcp_transport.hpp"
#include "libp2p/identify/profile.hpp"

namespace nmp::libp2p {

class Host::Impl final : public Transport::Listener, public std::enable_shared_from_this<Host::Impl> {
 public:
  Impl(async::Executor on, HostOptions wanted, PeerId self);
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() override;
  using Self = std::shared_ptr<Impl>;  // the host and calls in progress

  Result<void> start();
  static async::Awaitable<Result<void>> connect(Self self, PeerInfo peer, Instant deadline);
  static async::Awaitable<Result<StreamPtr>> open_stream(Self self,
                                                         PeerId peer,
                                                         std::vector<std::string> protocols,
                                                         Instant deadline);
  static async::Awaitable<Result<Duration>> ping(Self self, PeerId peer, Instant deadline);
  static async::Awaitable<void> close(Self self);

  struct Link {
    Link(PeerId who, Multiaddr where, bool is_inbound, const async::Executor& executor)
        : peer(std::move(who)), address(std::move(where)), inbound(is_inbound), streams_available(executor) {}
    PeerId peer;
    Multiaddr address;
    bool inbound;
    async::Event streams_available;
    identify::Profile profile;
    std::size_t pushes = 0;
    Instant last_used{};  ///< established, or a stream was opened
  };
  using LinkPtr = std::shared_ptr<Link>;  // the table and coroutines that wait on it

  /// One dial of a peer, shared by all who wait for it.
  struct Dial {
    Dial(const async::Executor& executor, const PeerId& who, std::vector<Multiaddr> addresses)
        : changed(executor), peer(who), tried(addresses.begin(), addresses.end()), names(addresses, who) {}
    async::Event changed;
    PeerId peer;
    std::set<Multiaddr> tried;
    dial::Resolution names;
    std::multimap<Instant, Multiaddr> plan;  ///< not begun yet
    std::size_t planned = 0;                 ///< begun or not
    std::size_t live = 0;
    std::optional<Error> last_error;
    std::optional<Result<void>> result;
  };
  using DialPtr = std::shared_ptr<Dial>;  // the table, its tasks and the waiters
  struct Attempt {
    DialPtr dial;
    Multiaddr address;
  };

  void on_established(ConnectionId id) override;
  void on_stream(ConnectionId id, StreamId stream) override;
  void on_streams_available(ConnectionId id) override;
  void on_closed(ConnectionId id, const Error& why) override;

  [[nodiscard]] std::vector<Transport*> transports() const;
  /// Null: none handles it.
  [[nodiscard]] Transport* transport_for(const Multiaddr& address) const;
  [[nodiscard]] Transport& transport_of(ConnectionId connection) const;
  [[nodiscard]] Instant now() const { return async::system_clock().now(); }
  [[nodiscard]] std::optional<ConnectionId> connection_of(const PeerId& peer) const;
  void close_peer(const PeerId& peer, std::uint64_t code);
  [[nodiscard]] std::vector<Multiaddr> listen_addresses() const;

  async::Executor executor;
  HostOptions options;
  PeerId id;
  std::unique_ptr<resources::Manager> resources;
  std::unique_ptr<tls::Context> tls;
  std::unique_ptr<quic::Endpoint> endpoint;
  std::unique_ptr<QuicTransport> quic;
  std::unique_ptr<TcpTransport> tcp;
  AddressBook book;
  std::map<ConnectionId, LinkPtr> links;
  std::map<PeerId, std::vector<ConnectionId>> by_peer;
  std::map<PeerId, DialPtr> dials;
  std::map<ConnectionId, Attempt> attempts;
  std::size_t lookups = 0;  ///< under way, at most kLookupsMax
  async::Event lookup_ended;
  dial::Backoff backoff;
  dial::BlackHoles black_holes;
  std::map<std::string, std::shared_ptr<StreamHandler>, std::less<>> handlers;  // the table and running streams
  std::vector<HostObserver*> observers;
  std::set<PeerId> kept;
  Instant trimmed{};
  std::uint64_t opened = 0;
  bool closed = false;
  int key_log_fd = -1;
  async::TaskGroup tasks;

 private:
  Result<void> open_key_log();

  // host_dial.cpp
  async::Awaitable<void> run_dial(DialPtr dial);
  /// Gives what the names have told so far its time.
  void plan_found(Dial& dial);
  void ask_names(const DialPtr& dial, Instant deadline);
  /// Tells the dial's names what a name server says, when it is the question's turn.
  async::Awaitable<Result<void>> look_up(DialPtr dial, dial::Resolution::Question question, Instant deadline);
  async::Awaitable<void> ask_name(DialPtr dial, dial::Resolution::Question question, Instant deadline);
  void start_attempt(const DialPtr& dial, const Multiaddr& address);
  /// If the connection is a dial's attempt: it is over, by an error unless it is up.
  void end_attempt(ConnectionId connection, std::optional<Error> why);
  void end_losers(const DialPtr& dial);

  async::Awaitable<void> serve_stream(LinkPtr link, std::unique_ptr<NegotiatedStream> stream);
  async::Awaitable<void> limit_untrusted(ConnectionId connection);
  /// Closes idle connections when there are many.
  void trim();
  static async::Awaitable<Result<std::unique_ptr<NegotiatedStream>>> open_on(Self self,
                                                                             ConnectionId connection,
                                                                             std::vector<std::string> protocols,
                                                                             Instant deadline);

  // identify.cpp
  void add_own_protocols();
  async::Awaitable<void> ask_identity(ConnectionId connection, LinkPtr link);
  async::Awaitable<Result<void>> read_identity(Stream& stream, LinkPtr link);
  async::Awaitable<void> answer_identify(StreamPtr stream);
  async::Awaitable<void> take_push(StreamPtr stream);
  static async::Awaitable<void> answer_ping(StreamPtr stream);
  Result<Bytes> own_identity(const Multiaddr& observed) const;
};

}  // namespace nmp::libp2p
