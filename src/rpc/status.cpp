#include "rpc/status.hpp"

#include <array>

#include "base/codec.hpp"
#include "base/encoding.hpp"

namespace nmp::rpc {

namespace {
constexpr std::array<std::string_view, 17> kNames{
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};
constexpr std::string_view kErrorInfoUrl = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr std::size_t kDetailsMax = 32;

const std::error_category& rpc_category() {
  static const EnumCategory<Code> category("rpc", [](Code value) { return name_of(value); });
  return category;
}

Result<ErrorInfo> decode_info(ByteView message) {
  ErrorInfo info;
  info.domain.clear();
  ProtobufReader reader(message);
  for (;;) {
    NMP_TRY(auto field, reader.next());
    if (!field) return info;
    if (field->wire_type != 2) continue;
    if (field->number == 1) info.reason = string_of(field->bytes);
    if (field->number == 2) info.domain = string_of(field->bytes);
    if (field->number != 3) continue;
    std::pair<std::string, std::string> entry;
    ProtobufReader pair(field->bytes);
    for (;;) {
      NMP_TRY(auto part, pair.next());
      if (!part) break;
      if (part->number == 1) entry.first = string_of(part->bytes);
      if (part->number == 2) entry.second = string_of(part->bytes);
    }
    info.metadata.push_back(std::move(entry));
  }
}
}  // namespace

std::error_code make_error_code(Code code) { return {static_cast<int>(code), rpc_category()}; }
std::string_view name_of(Code code) { return kNames.at(static_cast<std::size_t>(code)); }
Code code_of(std::uint64_t number) { return number < kNames.size() ? static_cast<Code>(number) : Code::unknown; }

Status Status::because(Code code, std::string reason, std::string message) {
  ErrorInfo info;
  info.reason = std::move(reason);
  return {code, std::move(message), std::move(info)};
}

std::string_view Status::reason() const { return info && info->domain == "nmp" ? info->reason : std::string_view(); }

Bytes encode_details(const Status& status) {
  if (!status.info) return {};
  ProtobufWriter info;
  info.text(1, status.info->reason).text(2, status.info->domain);
  for (const auto& [key, value] : status.info->metadata)
    info.bytes(3, ProtobufWriter().text(1, key).text(2, value).view());
  ProtobufWriter any;
  any.text(1, kErrorInfoUrl).bytes(2, info.view());
  ProtobufWriter out;
  out.varint(1, static_cast<std::uint64_t>(status.code)).text(2, status.message).bytes(3, any.view());
  return out.take();
}

Result<std::optional<ErrorInfo>> decode_details(ByteView details) {
  std::optional<ErrorInfo> found;
  std::size_t count = 0;
  ProtobufReader reader(details);
  for (;;) {
    NMP_TRY(auto field, reader.next());
    if (!field) return found;
    if (field->number != 3 || field->wire_type != 2) continue;
    if (++count > kDetailsMax) return fail(Errc::too_large, "details");
    std::string_view url;
    ByteView value;
    ProtobufReader any(field->bytes);
    for (;;) {
      NMP_TRY(auto part, any.next());
      if (!part) break;
      if (part->number == 1) url = text_of(part->bytes);
      if (part->number == 2) value = part->bytes;
    }
    if (found || url != kErrorInfoUrl) continue;
    NMP_TRY(found, decode_info(value));
  }
}

Error to_error(const Status& status) {
  auto context = status.info ? "[" + status.info->reason + "] " + status.message : status.message;
  return {make_error_code(status.code), std::move(context)};
}

Status to_status(const Error& error) {
  if (error.code.category() == rpc_category()) {
    Status status(code_of(static_cast<std::uint64_t>(error.code.value())), error.context);
    if (auto end = error.context.find("] "); error.context.starts_with('[') && end != std::string::npos)
      return Status::because(status.code, error.context.substr(1, end - 1), error.context.substr(end + 2));
    return status;
  }
  struct Row {
    Errc from;
    Code to;
  };
  static constexpr std::array kTable{Row{Errc::cancelled, Code::cancelled},
                                     Row{Errc::deadline_exceeded, Code::deadline_exceeded},
                                     Row{Errc::truncated, Code::invalid_argument},
                                     Row{Errc::malformed, Code::invalid_argument},
                                     Row{Errc::too_large, Code::resource_exhausted},
                                     Row{Errc::unsupported, Code::unimplemented},
                                     Row{Errc::io, Code::internal},
                                     Row{Errc::closed, Code::unavailable},
                                     Row{Errc::not_found, Code::not_found},
                                     Row{Errc::already_exists, Code::already_exists},
                                     Row{Errc::exhausted, Code::resource_exhausted},
                                     Row{Errc::unavailable, Code::unavailable}};
  for (const auto& row : kTable)
    if (error.code == row.from) return {row.to, error.code.message()};
  return {Code::unknown, "unknown error"};
}

}  // namespace nmp::rpc
