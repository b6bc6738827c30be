#include "rpc/reflection.hpp"

#include <set>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include "grpc/health/v1/health.pb.h"
#include "grpc/reflection/v1/reflection.pb.h"
#include "grpc/reflection/v1alpha/reflection.pb.h"

namespace nmp::rpc {

using async::Awaitable;
namespace pb = google::protobuf;
namespace wire = grpc::reflection::v1;

namespace {

/// A symbol or file name, and a health service: names only.
constexpr std::size_t kRequestBytesMax = 4'096;

MethodOptions small() {
  MethodOptions options;
  options.message_bytes_max = kRequestBytesMax;
  return options;
}

void add_file(const pb::FileDescriptor* file,
              wire::FileDescriptorResponse& out,
              std::set<const pb::FileDescriptor*>& seen) {
  if (!seen.insert(file).second) return;
  pb::FileDescriptorProto proto;
  file->CopyTo(&proto);
  out.add_file_descriptor_proto(proto.SerializeAsString());
  for (int i = 0; i < file->dependency_count(); ++i) add_file(file->dependency(i), out, seen);
}

void set_error(wire::ServerReflectionResponse& response, Code code, const std::string& message) {
  response.mutable_error_response()->set_error_code(static_cast<int>(code));
  response.mutable_error_response()->set_error_message(message);
}

wire::ServerReflectionResponse answer(const Server& server, const wire::ServerReflectionRequest& request) {
  const auto* pool = pb::DescriptorPool::generated_pool();
  wire::ServerReflectionResponse response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  const pb::FileDescriptor* file = nullptr;
  switch (request.message_request_case()) {
    case wire::ServerReflectionRequest::kListServices:
      for (const auto& name : server.services())
        response.mutable_list_services_response()->add_service()->set_name(name);
      return response;
    case wire::ServerReflectionRequest::kFileByFilename: file = pool->FindFileByName(request.file_by_filename()); break;
    case wire::ServerReflectionRequest::kFileContainingSymbol:
      file = pool->FindFileContainingSymbol(request.file_containing_symbol());
      break;
    case wire::ServerReflectionRequest::kFileContainingExtension:
    case wire::ServerReflectionRequest::kAllExtensionNumbersOfType:
      set_error(response, Code::not_found, "proto3 services have no extensions");
      return response;
    case wire::ServerReflectionRequest::MESSAGE_REQUEST_NOT_SET:
      set_error(response, Code::invalid_argument, "empty request");
      return response;
  }
  if (file == nullptr) {
    set_error(response, Code::not_found, "not found");
    return response;
  }
  std::set<const pb::FileDescriptor*> seen;
  add_file(file, *response.mutable_file_descriptor_response(), seen);
  return response;
}

// v1 and v1alpha have the same numbers, so one type reads and writes both.
Awaitable<Status> reflect(Server* server, ServerCall& call) {
  for (;;) {
    auto message = co_await call.read();
    if (!message) co_return to_status(message.error());
    if (!*message) co_return Status();
    wire::ServerReflectionRequest request;
    if (!request.ParseFromArray((*message)->data(), static_cast<int>((*message)->size())))
      co_return Status(Code::invalid_argument, "malformed request");
    auto written = co_await call.write(to_bytes(answer(*server, request).SerializeAsString()));
    if (!written) co_return to_status(written.error());
  }
}

bool knows(const Server& server, const std::string& service) {
  auto services = server.services();
  return service.empty() || std::ranges::binary_search(services, service);
}

Bytes health_bytes(grpc::health::v1::HealthCheckResponse::ServingStatus status) {
  grpc::health::v1::HealthCheckResponse response;
  response.set_status(status);
  return to_bytes(response.SerializeAsString());
}

Awaitable<Status> health(Server* server, bool watch, ServerCall& call) {
  using Response = grpc::health::v1::HealthCheckResponse;
  auto message = co_await call.read_only();
  if (!message) co_return to_status(message.error());
  grpc::health::v1::HealthCheckRequest request;
  if (!request.ParseFromArray(message->data(), static_cast<int>(message->size())))
    co_return Status(Code::invalid_argument, "malformed request");
  bool known = knows(*server, request.service());
  if (!known && !watch) co_return Status(Code::not_found, "unknown service");
  auto written = co_await call.write(health_bytes(known ? Response::SERVING : Response::SERVICE_UNKNOWN));
  if (!written) co_return to_status(written.error());
  if (!watch) co_return Status();
  async::Event never(call.executor());
  for (;;) {
    auto waited = co_await never.wait();
    if (!waited) co_return Status(Code::cancelled, "cancelled");
  }
}

}  // namespace

void add_reflection(Server& server) {
  // Naming a type of v1alpha links its file, so that the pool describes that service as well.
  NMP_ASSERT(grpc::reflection::v1alpha::ServerReflectionRequest::descriptor() != nullptr);
  for (auto version : {"v1", "v1alpha"})
    server.handle(
        std::string("/grpc.reflection.") + version + ".ServerReflection/ServerReflectionInfo",
        [s = &server](ServerCall& call) { return reflect(s, call); }, small());
}

void add_health(Server& server) {
  server.handle(
      "/grpc.health.v1.Health/Check", [s = &server](ServerCall& call) { return health(s, false, call); }, small());
  server.handle(
      "/grpc.health.v1.Health/Watch", [s = &server](ServerCall& call) { return health(s, true, call); }, small());
}

}  // namespace nmp::rpc
