#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string>

#include "base/async/awaitable.hpp"
#include "core/envelope.hpp"
#include "core/errors.hpp"
#include "core/receipt.hpp"
#include "libp2p/peer/keys.hpp"
#include "rpc/channel.hpp"
#include "store/store.hpp"

namespace nmp::client {

/// Why there is no outcome: a row of docs/errors.md, and words for people that may hold a peer's text (escape it).
struct Failure {
  const core::Reason* reason = nullptr;
  std::string message;
  /// The node said so itself, unsigned: a hint only. It never makes an agent ask for less.
  bool from_node = false;
};
[[nodiscard]] Failure failure(std::string_view reason, std::string message = {});
/// How a code of ours reads.
[[nodiscard]] Failure failure_of(const Error& error);
template <class T>
using Attempt = std::expected<T, Failure>;

struct RunRequest {
  /// `run`; `watch` leaves the filter as a watchdog, whose ID is the evidence; core/watch.hpp has those that ask about
  /// watchdogs: their capability is kWatchdogsCapability, they have no module, and their inputs say what is asked.
  std::string op{core::kRunOperation};
  std::string capability;
  Bytes module;
  core::Inputs inputs;
  core::Authorization limits;  ///< Asked; the node may lower them.
  core::ReceiptKind require = core::ReceiptKind::is_signed;
  Bytes grant;          ///< Biscuit; empty for open capabilities.
  bool pinned = false;  ///< The person named this node.
};

/// Seconds that each step took, as the agent saw it.
struct StepTimes {
  double connect = 0;
  double negotiate = 0;
  double run = 0;
};

/// What one run on one node came to.
struct RunOutcome {
  explicit RunOutcome(libp2p::PeerId id) : node(std::move(id)) {}
  libp2p::PeerId node;
  std::string address;  ///< The node's end of the connection: over which transport the run went.
  Bytes evidence;
  Bytes diagnostics;
  std::uint64_t events = 0;
  std::string reason;  ///< Empty if the filter ended well, else a reason of docs/errors.md, told inside the envelope.
  std::string explanation;  ///< The node's words for it.
  std::optional<std::uint64_t> exit_code;
  core::Authorization limits;  ///< Effective, from the signed answer.
  core::Usage used;            ///< From the receipt.
  Bytes receipt;               ///< COSE bytes; empty only if the node could not make one.
  crypto::Digest receipt_id{};
  bool pinned = false;           ///< --node or the trust file vouches for the node.
  std::uint64_t bytes_sent = 0;  ///< gRPC messages of negotiation and run.
  std::uint64_t bytes_received = 0;
  StepTimes seconds;
};

/// Told as things happen, on the network thread.
class RunObserver {
 public:
  virtual ~RunObserver() = default;
  virtual void step(const libp2p::PeerId& /*node*/, std::string_view /*what*/) {}
  /// An event, in order; a watchdog's with its own sequence number. The next one is read when this is over: who takes
  /// his time here holds the guest, and nothing else. The arguments outlive the call.
  virtual async::Awaitable<void> event(const libp2p::PeerId& /*node*/, std::uint64_t /*sequence*/, ByteView /*data*/) {
    co_return;
  }
};

/// A session with one node: its answer is checked, its envelope made. Runs of it repeat the inputs of its intent.
class Session {
 public:
  struct Parts;
  explicit Session(std::unique_ptr<Parts> parts);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();
  [[nodiscard]] const core::Authorization& limits() const;
  [[nodiscard]] const libp2p::PeerId& node() const;
  [[nodiscard]] Parts& parts() { return *parts_; }  ///< For this room.

  bool pinned = false;  ///< What outcomes say of the node.
  StepTimes seconds;    ///< What outcomes begin with.

 private:
  std::unique_ptr<Parts> parts_;
};
using SessionPtr = std::unique_ptr<Session>;

/// A run's outcome, and what to keep of it if there is a receipt.
struct Executed {
  explicit Executed(RunOutcome out) : outcome(std::move(out)) {}
  RunOutcome outcome;
  std::optional<store::RunRecord> record;
};

/// Settles limits and keys with the chosen node over a channel that leads to it or to anyone: an answer counts only if
/// that node has signed it for this intent, for the keys that came with it, and (if given) under `manifest_hash`.
/// References outlive the call, `request` the session.
async::Awaitable<Attempt<SessionPtr>> negotiate_over(rpc::Channel& channel,
                                                     libp2p::PeerId node,
                                                     const libp2p::KeyPair& identity,
                                                     std::optional<crypto::Digest> manifest_hash,
                                                     const RunRequest& request,
                                                     Instant deadline);

/// One run of a session, to its checked receipt: what leaves is sealed to the node that signed the answer, and what
/// comes counts only out of its boxes. A filter that failed is an outcome with a reason. References outlive the call.
async::Awaitable<Attempt<Executed>> execute_over(rpc::Channel& channel,
                                                 Session& session,
                                                 Instant deadline,
                                                 RunObserver& observer);

}  // namespace nmp::client
