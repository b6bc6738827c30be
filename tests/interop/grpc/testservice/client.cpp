#include "client.hpp"

#include <array>
#include <numeric>

#include <fmt/format.h>

#include "base/async/with_deadline.hpp"
#include "test.pb.h"

namespace nmp::interop {

using async::Awaitable;
using rpc::CallOptions;
using rpc::Channel;
using rpc::ClientCall;
using rpc::Code;
using rpc::Status;
using namespace std::chrono_literals;
namespace gt = grpc::testing;

namespace {

constexpr std::string_view kService = "/grpc.testing.TestService/";
constexpr int kLargeRequest = 271'828;
constexpr int kLargeResponse = 314'159;
constexpr std::array kRequestSizes{27'182, 8, 1'828, 45'904};
constexpr std::array kResponseSizes{31'415, 9, 2'653, 58'979};
constexpr std::string_view kEchoInitial = "x-grpc-test-echo-initial";
constexpr std::string_view kEchoTrailing = "x-grpc-test-echo-trailing-bin";

std::string path(std::string_view method) { return std::string(kService) + std::string(method); }
Bytes bytes_from(const google::protobuf::MessageLite& message) { return to_bytes(message.SerializeAsString()); }
std::string wrong(std::string_view what, const Status& status) {
  return fmt::format("{}: {} \"{}\"", what, rpc::name_of(status.code), status.message);
}
std::string zeros(int size) { return std::string(static_cast<std::size_t>(size), '\0'); }
CallOptions soon() {
  CallOptions options;
  options.deadline = async::system_clock().now() + 20s;
  return options;
}

template <class Message>
bool has_payload(const Bytes& bytes, int size) {
  Message message;
  return message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) &&
         message.payload().body() == zeros(size);
}

Bytes simple_request(int payload, int response) {
  gt::SimpleRequest request;
  request.set_response_size(response);
  request.mutable_payload()->set_body(zeros(payload));
  return bytes_from(request);
}
Bytes input_request(int payload) {
  gt::StreamingInputCallRequest request;
  request.mutable_payload()->set_body(zeros(payload));
  return bytes_from(request);
}
Bytes duplex_request(int payload, int response) {
  gt::StreamingOutputCallRequest request;
  request.add_response_parameters()->set_size(response);
  request.mutable_payload()->set_body(zeros(payload));
  return bytes_from(request);
}

/// The end of a call that has gone well.
Awaitable<std::string> ends_well(ClientCall& call) {
  auto rest = co_await call.read();
  if (!rest || *rest) co_return "a message too many";
  auto status = co_await call.finish();
  if (!status.ok()) co_return wrong("status", status);
  co_return "";
}

Awaitable<std::string> empty_unary(Channel& channel) {
  auto options = soon();
  auto reply = co_await channel.unary_reply(path("EmptyCall"), {}, options);
  if (!reply.status.ok()) co_return wrong("status", reply.status);
  co_return reply.message.empty() ? "" : "the reply is not empty";
}

Awaitable<std::string> large(Channel& channel, bool compress) {
  auto options = soon();
  options.compress = compress;
  auto request = simple_request(kLargeRequest, kLargeResponse);
  auto reply = co_await channel.unary_reply(path("UnaryCall"), std::move(request), options);
  if (!reply.status.ok()) co_return wrong("status", reply.status);
  co_return has_payload<gt::SimpleResponse>(reply.message, kLargeResponse) ? "" : "payload";
}
Awaitable<std::string> large_unary(Channel& channel) { return large(channel, /*compress=*/false); }
Awaitable<std::string> gzip_unary(Channel& channel) { return large(channel, /*compress=*/true); }

Awaitable<std::string> client_streaming(Channel& channel) {
  auto call = channel.call(path("StreamingInputCall"), soon());
  for (int size : kRequestSizes) {
    auto message = input_request(size);
    auto written = co_await call->write(std::move(message));
    if (!written) co_return written.error().message();
  }
  call->writes_done();
  auto answer = co_await call->read();
  if (!answer || !*answer) co_return wrong("no reply", co_await call->finish());
  gt::StreamingInputCallResponse response;
  if (!response.ParseFromArray((*answer)->data(), static_cast<int>((*answer)->size()))) co_return "protobuf";
  if (response.aggregated_payload_size() != std::accumulate(kRequestSizes.begin(), kRequestSizes.end(), 0))
    co_return "sum of sizes";
  co_return co_await ends_well(*call);
}

Awaitable<std::string> server_streaming(Channel& channel) {
  gt::StreamingOutputCallRequest request;
  for (int size : kResponseSizes) request.add_response_parameters()->set_size(size);
  auto call = channel.call(path("StreamingOutputCall"), soon());
  auto message = bytes_from(request);
  auto written = co_await call->write(std::move(message));
  if (!written) co_return written.error().message();
  call->writes_done();
  for (int size : kResponseSizes) {
    auto answer = co_await call->read();
    if (!answer || !*answer) co_return wrong("too few messages", co_await call->finish());
    if (!has_payload<gt::StreamingOutputCallResponse>(**answer, size)) co_return "payload";
  }
  co_return co_await ends_well(*call);
}

Awaitable<std::string> duplex(Channel& channel, bool compress) {
  auto options = soon();
  options.compress = compress;
  auto call = channel.call(path("FullDuplexCall"), options);
  for (std::size_t i = 0; i < kRequestSizes.size(); ++i) {
    auto message = duplex_request(kRequestSizes[i], kResponseSizes[i]);
    auto written = co_await call->write(std::move(message));
    if (!written) co_return written.error().message();
    auto answer = co_await call->read();
    if (!answer || !*answer) co_return wrong("no answer", co_await call->finish());
    if (!has_payload<gt::StreamingOutputCallResponse>(**answer, kResponseSizes[i])) co_return "payload";
  }
  call->writes_done();
  co_return co_await ends_well(*call);
}

Awaitable<std::string> ping_pong(Channel& channel) { return duplex(channel, /*compress=*/false); }
Awaitable<std::string> gzip_ping_pong(Channel& channel) { return duplex(channel, /*compress=*/true); }

Awaitable<std::string> empty_stream(Channel& channel) {
  auto call = channel.call(path("FullDuplexCall"), soon());
  call->writes_done();
  co_return co_await ends_well(*call);
}

Awaitable<std::string> timeout_on_sleeping_server(Channel& channel) {
  CallOptions options;
  options.deadline = async::system_clock().now() + 1ms;
  auto call = channel.call(path("FullDuplexCall"), options);
  gt::StreamingOutputCallRequest request;
  request.mutable_payload()->set_body(zeros(27'182));
  auto message = bytes_from(request);
  (void)co_await call->write(std::move(message));
  auto status = co_await call->finish();
  co_return status.code == Code::deadline_exceeded ? "" : wrong("status", status);
}

Awaitable<std::string> cancel_after_begin(Channel& channel) {
  auto call = channel.call(path("StreamingInputCall"), soon());
  call->cancel();
  auto status = co_await call->finish();
  co_return status.code == Code::cancelled ? "" : wrong("status", status);
}

Awaitable<std::string> cancel_after_first_response(Channel& channel) {
  auto call = channel.call(path("FullDuplexCall"), soon());
  auto message = duplex_request(27'182, 31'415);
  auto written = co_await call->write(std::move(message));
  if (!written) co_return written.error().message();
  auto answer = co_await call->read();
  if (!answer || !*answer) co_return wrong("no answer", co_await call->finish());
  call->cancel();
  auto status = co_await call->finish();
  co_return status.code == Code::cancelled ? "" : wrong("status", status);
}

Awaitable<std::string> echoes_status(Channel& channel, std::string method, Status wanted) {
  gt::EchoStatus echo;
  echo.set_code(static_cast<int>(wanted.code));
  echo.set_message(wanted.message);
  Bytes message;
  if (method == "UnaryCall") {
    gt::SimpleRequest request;
    *request.mutable_response_status() = echo;
    message = bytes_from(request);
  } else {
    gt::StreamingOutputCallRequest request;
    *request.mutable_response_status() = echo;
    message = bytes_from(request);
  }
  auto options = soon();
  auto reply = co_await channel.unary_reply(path(method), std::move(message), options);
  co_return reply.status == wanted ? "" : wrong(method, reply.status);
}

Awaitable<std::string> status_code_and_message(Channel& channel) {
  Status wanted(Code::unknown, "test status message");
  auto unary = co_await echoes_status(channel, "UnaryCall", wanted);
  if (!unary.empty()) co_return unary;
  co_return co_await echoes_status(channel, "FullDuplexCall", wanted);
}

Awaitable<std::string> special_status_message(Channel& channel) {
  Status wanted(Code::unknown,
                "\t\ntest with whitespace\r\nand Unicode BMP \xe2\x98\xba and non-BMP \xf0\x9f\x98\x88\t\n");
  co_return co_await echoes_status(channel, "UnaryCall", wanted);
}

std::string check_echo(const rpc::Metadata& initial, const rpc::Metadata& trailing) {
  if (initial.find(kEchoInitial) != "test_initial_metadata_value") return "initial metadata";
  if (trailing.find(kEchoTrailing) != "\xab\xab\xab") return "trailing metadata";
  return "";
}

Awaitable<std::string> custom_metadata(Channel& channel) {
  auto options = soon();
  options.metadata.add(std::string(kEchoInitial), "test_initial_metadata_value");
  options.metadata.add(std::string(kEchoTrailing), "\xab\xab\xab");
  auto request = simple_request(kLargeRequest, kLargeResponse);
  auto reply = co_await channel.unary_reply(path("UnaryCall"), std::move(request), options);
  if (!reply.status.ok()) co_return wrong("unary", reply.status);
  auto unary = check_echo(reply.initial_metadata, reply.trailing_metadata);
  if (!unary.empty()) co_return "unary: " + unary;

  auto call = channel.call(path("FullDuplexCall"), options);
  auto message = duplex_request(kLargeRequest, kLargeResponse);
  auto written = co_await call->write(std::move(message));
  if (!written) co_return written.error().message();
  call->writes_done();
  auto answer = co_await call->read();
  if (!answer || !*answer) co_return wrong("no answer", co_await call->finish());
  auto end = co_await ends_well(*call);
  if (!end.empty()) co_return end;
  auto initial = co_await call->initial_metadata();
  if (!initial) co_return "no initial metadata";
  co_return check_echo(*initial, call->trailing_metadata());
}

Awaitable<std::string> unimplemented(Channel& channel, std::string method) {
  auto options = soon();
  auto reply = co_await channel.unary_reply(std::move(method), {}, options);
  co_return reply.status.code == Code::unimplemented ? "" : wrong("status", reply.status);
}
Awaitable<std::string> unimplemented_method(Channel& channel) {
  co_return co_await unimplemented(channel, path("UnimplementedCall"));
}
Awaitable<std::string> unimplemented_service(Channel& channel) {
  co_return co_await unimplemented(channel, "/grpc.testing.UnimplementedService/UnimplementedCall");
}

struct Case {
  std::string_view name;
  Awaitable<std::string> (*run)(Channel&);
};
constexpr std::array kCases{Case{"empty_unary", empty_unary},
                            Case{"large_unary", large_unary},
                            Case{"client_streaming", client_streaming},
                            Case{"server_streaming", server_streaming},
                            Case{"ping_pong", ping_pong},
                            Case{"empty_stream", empty_stream},
                            Case{"timeout_on_sleeping_server", timeout_on_sleeping_server},
                            Case{"cancel_after_begin", cancel_after_begin},
                            Case{"cancel_after_first_response", cancel_after_first_response},
                            Case{"status_code_and_message", status_code_and_message},
                            Case{"special_status_message", special_status_message},
                            Case{"custom_metadata", custom_metadata},
                            Case{"unimplemented_method", unimplemented_method},
                            Case{"unimplemented_service", unimplemented_service},
                            Case{"gzip_unary", gzip_unary},
                            Case{"gzip_ping_pong", gzip_ping_pong}};

}  // namespace

Awaitable<std::string> run_case(Channel& channel, std::string name) {
  for (const auto& one : kCases)
    if (one.name == name) co_return co_await one.run(channel);
  co_return "no such case";
}

}  // namespace nmp::interop
