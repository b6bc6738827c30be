#pragma once

#include "tests/security/raw_agent.hpp"

/// What stands between agent and node on a plain stream: it forwards gRPC calls and changes what it likes. It holds
/// keys of its own, and neither the agent's nor the node's.
namespace nmp::security {

class LyingHop {
 public:
  LyingHop(World& world, std::shared_ptr<rpc::Channel> to_node)
      : world_(world), to_node_(std::move(to_node)), server_(world.executor, rpc::ServerLimits()) {
    server_.handle(std::string(kNegotiate), [this](rpc::ServerCall& call) { return negotiate(call); });
    server_.handle(std::string(core::kExecuteLogicMethod), [this](rpc::ServerCall& call) { return execute(call); });
  }
  /// The agent's end.
  std::shared_ptr<rpc::Channel> connect() { return world_.connect_to(server_); }
  Awaitable<void> close() { return server_.close(); }

  std::function<void(nmp::v1::IntentRequest&)> change_request;
  std::function<void(nmp::v1::IntentResponse&)> change_answer;
  std::function<void(nmp::v1::LogicRequest&)> change_job;
  std::function<void(std::vector<Bytes>&)> change_boxes;  ///< LogicResponses, all of a run.
  std::optional<rpc::Status> instead_of_answer;
  std::optional<rpc::Status> instead_of_trailers;

  std::vector<Bytes> seen;  ///< What the agent has sent.
  std::size_t intents = 0;
  std::size_t jobs = 0;

 private:
  Awaitable<rpc::Status> negotiate(rpc::ServerCall& call) {
    ++intents;
    auto message = co_await call.read_only();
    if (!message) co_return rpc::to_status(message.error());
    seen.push_back(*message);
    if (instead_of_answer) co_return *instead_of_answer;
    nmp::v1::IntentRequest request;
    NMP_ASSERT(request.ParseFromArray(message->data(), static_cast<int>(message->size())));
    if (change_request) change_request(request);
    auto reply = co_await ask(to_node_, to_bytes(request.SerializeAsString()));
    if (!reply.status.ok()) co_return reply.status;
    nmp::v1::IntentResponse response;
    NMP_ASSERT(response.ParseFromArray(reply.message.data(), static_cast<int>(reply.message.size())));
    if (change_answer) change_answer(response);
    auto written = co_await call.write(to_bytes(response.SerializeAsString()));
    co_return written ? rpc::Status() : rpc::to_status(written.error());
  }

  Awaitable<rpc::Status> execute(rpc::ServerCall& call) {
    ++jobs;
    auto message = co_await call.read_only();
    if (!message) co_return rpc::to_status(message.error());
    seen.push_back(*message);
    nmp::v1::LogicRequest request;
    NMP_ASSERT(request.ParseFromArray(message->data(), static_cast<int>(message->size())));
    if (change_job) change_job(request);
    auto ran = co_await security::execute(to_node_, to_bytes(request.SerializeAsString()));
    if (change_boxes) change_boxes(ran.messages);
    for (auto& box : ran.messages) {
      auto written = co_await call.write(std::move(box));
      if (!written) co_return rpc::to_status(written.error());
    }
    co_return instead_of_trailers.value_or(ran.status);
  }

  World& world_;
  std::shared_ptr<rpc::Channel> to_node_;
  rpc::Server server_;
};

}  // namespace nmp::security
