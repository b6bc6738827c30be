#include "service.hpp"

#include "base/async/with_deadline.hpp"
#include "test.pb.h"

namespace nmp::interop {

using async::Awaitable;
using rpc::Code;
using rpc::ServerCall;
using rpc::Status;
namespace gt = grpc::testing;

namespace {

template <class Message>
Result<Message> parse(const Bytes& bytes) {
  Message message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return fail(Code::invalid_argument, "protobuf");
  return message;
}

void echo_metadata(ServerCall& call) {
  for (const auto& [name, value] : call.context().metadata.fields()) {
    if (name == "x-grpc-test-echo-initial") call.add_initial_metadata(name, value);
    if (name == "x-grpc-test-echo-trailing-bin") call.add_trailing_metadata(name, value);
  }
}

/// What a caller may ask for. Above what the cases use, below what a stranger's request should cost.
constexpr int kResponseBytesMax = 16 << 20;
bool size_ok(int size) { return size >= 0 && size <= kResponseBytesMax; }

template <class Request>
std::optional<Status> wanted(const Request& request) {
  if (!request.has_response_status()) return std::nullopt;
  auto code = rpc::code_of(static_cast<std::uint64_t>(request.response_status().code()));
  if (code == Code::ok) return std::nullopt;
  return Status(code, request.response_status().message());
}

Awaitable<Status> empty_call(ServerCall& call) {
  auto message = co_await call.read_only();
  if (!message) co_return rpc::to_status(message.error());
  echo_metadata(call);
  Bytes empty;
  auto written = co_await call.write(empty);
  co_return written ? Status() : rpc::to_status(written.error());
}

Awaitable<Status> unary_call(ServerCall& call) {
  auto message = co_await call.read_only();
  if (!message) co_return rpc::to_status(message.error());
  auto request = parse<gt::SimpleRequest>(*message);
  if (!request) co_return rpc::to_status(request.error());
  echo_metadata(call);
  if (auto reason = call.context().metadata.find("x-nmp-test-reason"))
    co_return Status::because(Code::failed_precondition, std::string(*reason), "with \xc3\xa9 details");
  if (auto status = wanted(*request)) co_return *std::move(status);
  if (!size_ok(request->response_size())) co_return Status(Code::invalid_argument, "response_size");
  gt::SimpleResponse response;
  response.mutable_payload()->mutable_body()->assign(static_cast<std::size_t>(request->response_size()), '\0');
  call.compress(request->response_compressed().value());
  auto bytes = to_bytes(response.SerializeAsString());
  auto written = co_await call.write(std::move(bytes));
  co_return written ? Status() : rpc::to_status(written.error());
}

Awaitable<Status> respond_all(ServerCall& call, gt::StreamingOutputCallRequest request) {
  for (const auto& parameters : request.response_parameters()) {
    if (parameters.interval_us() > 0) {
      auto at = async::system_clock().now() + std::chrono::microseconds(parameters.interval_us());
      auto slept = co_await async::sleep_until(at);
      if (!slept) co_return Status(Code::cancelled, "cancelled");
    }
    if (!size_ok(parameters.size())) co_return Status(Code::invalid_argument, "size");
    gt::StreamingOutputCallResponse response;
    response.mutable_payload()->mutable_body()->assign(static_cast<std::size_t>(parameters.size()), '\0');
    auto bytes = to_bytes(response.SerializeAsString());
    auto written = co_await call.write(std::move(bytes));
    if (!written) co_return rpc::to_status(written.error());
  }
  if (auto status = wanted(request)) co_return *std::move(status);
  co_return Status();
}

Awaitable<Status> streaming_output(ServerCall& call) {
  auto message = co_await call.read_only();
  if (!message) co_return rpc::to_status(message.error());
  auto request = parse<gt::StreamingOutputCallRequest>(*message);
  if (!request) co_return rpc::to_status(request.error());
  co_return co_await respond_all(call, *std::move(request));
}

Awaitable<Status> full_duplex(ServerCall& call) {
  echo_metadata(call);
  for (;;) {
    auto message = co_await call.read();
    if (!message) co_return rpc::to_status(message.error());
    if (!*message) co_return Status();
    auto request = parse<gt::StreamingOutputCallRequest>(**message);
    if (!request) co_return rpc::to_status(request.error());
    auto status = co_await respond_all(call, *std::move(request));
    if (!status.ok()) co_return status;
  }
}

Awaitable<Status> streaming_input(ServerCall& call) {
  std::size_t total = 0;
  for (;;) {
    auto message = co_await call.read();
    if (!message) co_return rpc::to_status(message.error());
    if (!*message) break;
    auto request = parse<gt::StreamingInputCallRequest>(**message);
    if (!request) co_return rpc::to_status(request.error());
    total += request->payload().body().size();
  }
  gt::StreamingInputCallResponse response;
  response.set_aggregated_payload_size(static_cast<int>(total));
  auto bytes = to_bytes(response.SerializeAsString());
  auto written = co_await call.write(std::move(bytes));
  co_return written ? Status() : rpc::to_status(written.error());
}

}  // namespace

void add_test_service(rpc::Server& server) {
  server.handle("/grpc.testing.TestService/EmptyCall", empty_call);
  server.handle("/grpc.testing.TestService/UnaryCall", unary_call);
  server.handle("/grpc.testing.TestService/StreamingOutputCall", streaming_output);
  server.handle("/grpc.testing.TestService/StreamingInputCall", streaming_input);
  server.handle("/grpc.testing.TestService/FullDuplexCall", full_duplex);
}

}  // namespace nmp::interop
