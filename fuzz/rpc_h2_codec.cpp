// fuzz: USES rpc_h2 rpc
#include <cstddef>
#include <cstdint>

#include "rpc/connection.hpp"
#include "rpc/h2/grpc_codec.hpp"
#include "rpc/h2/limits.hpp"

namespace {

using namespace nmp;

void timeouts(std::string_view text) {
  const auto parsed = h2::parse_timeout(text);
  if (!parsed) return;
  NMP_ASSERT(text.size() >= 2 && text.size() <= h2::kTimeoutDigitsMax + 1 && *parsed >= Duration::zero());
  const auto written = h2::format_timeout(*parsed);
  const auto again = h2::parse_timeout(written);
  NMP_ASSERT(again && *again >= *parsed);
  // Rounding up happens once.
  NMP_ASSERT(h2::format_timeout(*again) == written);
}

void percent(std::string_view text) {
  const auto wire = h2::percent_encode(text);
  for (char c : wire) NMP_ASSERT(c >= 0x20 && c <= 0x7e);
  const auto back = h2::percent_decode(wire);
  NMP_ASSERT(text.starts_with(back) && (back.size() == text.size() || text.size() > h2::kStatusMessageBytesMax));
  NMP_ASSERT(back.size() <= h2::kStatusMessageBytesMax);
  const auto decoded = h2::percent_decode(text);
  NMP_ASSERT(decoded.size() <= text.size());
  if (decoded.size() <= h2::kStatusMessageBytesMax)
    NMP_ASSERT(h2::percent_decode(h2::percent_encode(decoded)) == decoded);
}

void binary(std::string_view text) {
  const auto own = h2::decode_binary(h2::encode_binary(text));
  NMP_ASSERT(own && own->size() == 1 && own->front() == text);
  const auto values = h2::decode_binary(text);
  if (!values) return;
  std::string joined;
  for (const auto& value : *values)
    joined += (joined.empty() && &value == values->data() ? "" : ",") + h2::encode_binary(value);
  const auto again = h2::decode_binary(joined);
  NMP_ASSERT(again && *again == *values);
}

/// A status that came from the wire goes there again and back.
void status(const rpc::Status& first) {
  h2::Headers headers;
  rpc::detail::add_status(headers, first);
  const auto second = rpc::detail::parse_status(headers);
  NMP_ASSERT(second && second->code == first.code && second->info == first.info);
  NMP_ASSERT(first.message.starts_with(second->message));
  NMP_ASSERT(second->message.size() == first.message.size() || first.message.size() > h2::kStatusMessageBytesMax);
}

void statuses(ByteView input) {
  const auto text = text_of(input);
  auto info = rpc::decode_details(input);
  if (info && *info) {
    rpc::Status with_info(rpc::Code::aborted, "m", **info);
    const auto again = rpc::decode_details(rpc::encode_details(with_info));
    NMP_ASSERT(again && *again == *info);
    status(with_info);
  }
  // Header values: the code, the message and the details, cut out of the text at its first newlines.
  const auto first = text.find('\n');
  const auto second = first == std::string_view::npos ? first : text.find('\n', first + 1);
  h2::Headers headers{{"grpc-status", std::string(text.substr(0, first))}};
  if (first != std::string_view::npos)
    headers.emplace_back("grpc-message", std::string(text.substr(first + 1, second - first - 1)));
  if (second != std::string_view::npos)
    headers.emplace_back("grpc-status-details-bin", std::string(text.substr(second + 1)));
  const auto parsed = rpc::detail::parse_status(headers);
  NMP_ASSERT(parsed);
  status(*parsed);
}

void metadata(std::string_view text) {
  h2::Headers headers;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    const auto middle = std::min(line.find('='), line.size());
    headers.emplace_back(std::string(line.substr(0, middle)),
                         std::string(line.substr(std::min(middle + 1, line.size()))));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  const auto read = rpc::detail::metadata_of(headers);
  if (!read) return;
  h2::Headers written;
  if (!rpc::detail::add_metadata(written, *read)) return;  // Values that we would not send.
  const auto again = rpc::detail::metadata_of(written);
  NMP_ASSERT(again && again->fields() == read->fields());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = view_of(data, size);
  const auto text = text_of(input);
  timeouts(text);
  percent(text);
  binary(text);
  statuses(input);
  metadata(text);
  (void)h2::accepts_gzip(text);
  (void)h2::grpc_code_of_http_status(text);
  return 0;
}
