#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "core/session_token.hpp"
#include "rpc/server.hpp"
#include "sandbox/engine_protocol.hpp"

/// The three messages that carry sealed boxes to the engine, and what goes back, in one form.
namespace nmp::server {

/// A LogicRequest, WatchEventsRequest or ManageWatchRequest.
struct JobRequest {
  std::optional<core::SessionToken> token;
  std::optional<std::string_view> wrong;  ///< Told only to whoever may use the token.
  Bytes module_hash;                      ///< Empty unless given.
  sandbox::JobFrame job;                  ///< But for its session; its method is that of the call.

  [[nodiscard]] std::size_t bytes() const { return job.inputs.size() + (job.module ? job.module->size() : 0); }
};
/// The message is gone when these return: a run does not hold its request. Nothing if it does not parse.
[[nodiscard]] std::optional<JobRequest> parse_logic_request(Bytes message);
[[nodiscard]] std::optional<JobRequest> parse_watch_events_request(Bytes message);
[[nodiscard]] std::optional<JobRequest> parse_manage_watch_request(Bytes message);

/// Where a run's boxes go.
class JobReply {
 public:
  virtual ~JobReply() = default;
  /// In their order. A box is on its way when this returns.
  virtual async::Awaitable<Result<void>> box(const sandbox::BoxFrame& box) = 0;
  /// After the last.
  virtual async::Awaitable<Result<void>> end() = 0;
};

/// A LogicResponse for each box.
class StreamReply final : public JobReply {
 public:
  explicit StreamReply(rpc::ServerCall& call) : call_(call) {}
  async::Awaitable<Result<void>> box(const sandbox::BoxFrame& box) override;
  async::Awaitable<Result<void>> end() override;

 private:
  rpc::ServerCall& call_;
};

/// All boxes in one ManageWatchResponse: as many as one answer has (kWatchAnswerBytesMax).
class SingleReply final : public JobReply {
 public:
  explicit SingleReply(rpc::ServerCall& call) : call_(call) {}
  async::Awaitable<Result<void>> box(const sandbox::BoxFrame& box) override;
  async::Awaitable<Result<void>> end() override;

 private:
  rpc::ServerCall& call_;
  std::vector<Bytes> boxes_;
};

}  // namespace nmp::server
