#include "server/job_request.hpp"

#include "core/envelope.hpp"
#include "core/watch.hpp"
#include "nmp/v1/nmp.pb.h"

namespace nmp::server {

namespace {

/// What all of them have.
template <class Message>
void fill(JobRequest& out, const Message& message, std::string_view method) {
  if (auto token = core::SessionToken::parse(message.session_token())) out.token = *std::move(token);
  if (message.aes_nonce() != std::string(core::kAesNonceSize, '\0')) out.wrong = "aes_nonce is not the nonce of box 0";
  out.job.run = message.run();
  out.job.method = method;
  out.job.pqc_ciphertext = to_bytes(message.pqc_ciphertext());
  out.job.inputs = to_bytes(message.sealed());
}

template <class Message>
std::optional<Message> parse(Bytes bytes) {
  Message message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return std::nullopt;
  return message;
}

constexpr std::string_view kOpenFields = "what is asked of a watchdog is sealed: fields below 16 stay empty";

}  // namespace

std::optional<JobRequest> parse_logic_request(Bytes bytes) {
  const auto message = parse<nmp::v1::LogicRequest>(std::move(bytes));
  if (!message) return std::nullopt;
  JobRequest out;
  fill(out, *message, core::kExecuteLogicMethod);
  if (message->inputs_size() > 0) out.wrong = "open inputs: this node takes sealed ones only";
  out.module_hash = to_bytes(message->module_sha256());
  if (!message->wasm_binary().empty()) out.job.module = to_bytes(message->wasm_binary());
  return out;
}

std::optional<JobRequest> parse_watch_events_request(Bytes bytes) {
  const auto message = parse<nmp::v1::WatchEventsRequest>(std::move(bytes));
  if (!message) return std::nullopt;
  JobRequest out;
  fill(out, *message, core::kWatchEventsMethod);
  if (!message->watch_id().empty() || !message->proof_of_intent().empty() || message->from_sequence() != 0)
    out.wrong = kOpenFields;
  return out;
}

std::optional<JobRequest> parse_manage_watch_request(Bytes bytes) {
  const auto message = parse<nmp::v1::ManageWatchRequest>(std::move(bytes));
  if (!message) return std::nullopt;
  JobRequest out;
  fill(out, *message, core::kManageWatchMethod);
  if (!message->watch_id().empty() || !message->proof_of_intent().empty() || !message->operation().empty() ||
      message->acknowledged() != 0)
    out.wrong = kOpenFields;
  return out;
}

async::Awaitable<Result<void>> StreamReply::box(const sandbox::BoxFrame& box) {
  nmp::v1::LogicResponse response;
  response.set_sealed(box.sealed.data(), box.sealed.size());
  auto wire = to_bytes(response.SerializeAsString());
  co_return co_await call_.write(std::move(wire));
}

async::Awaitable<Result<void>> StreamReply::end() { co_return Result<void>(); }

async::Awaitable<Result<void>> SingleReply::box(const sandbox::BoxFrame& box) {
  boxes_.push_back(box.sealed);
  co_return Result<void>();
}

async::Awaitable<Result<void>> SingleReply::end() {
  nmp::v1::ManageWatchResponse response;
  for (const auto& box : boxes_) response.add_boxes(box.data(), box.size());
  auto wire = to_bytes(response.SerializeAsString());
  co_return co_await call_.write(std::move(wire));
}

}  // namespace nmp::server
