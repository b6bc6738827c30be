// fuzz: USES libp2p_identify
#include <cstdlib>

#include "libp2p/identify/message.hpp"

using namespace nmp;
using namespace nmp::libp2p;

/// Input: the bytes of an identify stream; the first one says how they are cut. Whatever is read can be written, fits
/// the ceilings, and reads the same however it was cut.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = view_of(data, size);
  if (input.empty()) return 0;
  auto piece = 1 + std::to_integer<std::size_t>(input[0]);
  input = input.subspan(1);

  identify::Decoder whole;
  auto fed = whole.feed(input);
  auto message = fed ? whole.finish() : Result<identify::Message>(fail(fed.error()));

  identify::Decoder cut;
  Result<void> cut_fed;
  for (std::size_t at = 0; at < input.size() && cut_fed; at += piece)
    cut_fed = cut.feed(input.subspan(at, std::min(piece, input.size() - at)));
  auto again = cut_fed ? cut.finish() : Result<identify::Message>(fail(cut_fed.error()));
  if (message.has_value() != again.has_value()) std::abort();
  if (!message) return 0;
  if (*message != *again) std::abort();
  if (message->protocols.size() > identify::kProtocolsMax || message->listen_addresses.size() > identify::kAddressesMax)
    std::abort();

  auto bytes = identify::encode(*message);
  if (!bytes) return 0;  // a key or record over what we send
  identify::Decoder back;
  if (!back.feed(*bytes)) std::abort();
  auto read = back.finish();
  if (!read || read->public_key != message->public_key || read->signed_peer_record != message->signed_peer_record ||
      read->observed_address != message->observed_address || read->agent_version != message->agent_version)
    std::abort();
  return 0;
}
