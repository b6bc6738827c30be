#include "libp2p/tls/certificate_message.hpp"

#include "base/codec.hpp"

namespace nmp::libp2p::tls {
namespace {

/// A length in three bytes, then as much.
Result<ByteView> take_u24(Reader& reader) {
  NMP_TRY(const std::size_t high, reader.u8());
  NMP_TRY(const std::size_t low, reader.u16be());
  return reader.take(high * 0x10000 + low);
}

}  // namespace

Result<std::vector<Bytes>> certificates_of(ByteView message) {
  Reader reader(message);
  NMP_TRY(const auto context, reader.u8());
  NMP_CHECK(reader.take(context));
  NMP_TRY(const auto list, take_u24(reader));
  NMP_CHECK(reader.done());
  std::vector<Bytes> certificates;
  Reader entries(list);
  while (!entries.empty() && certificates.size() < 2) {
    NMP_TRY(const auto certificate, take_u24(entries));
    NMP_TRY(const auto extensions, entries.u16be());
    NMP_CHECK(entries.take(extensions));
    certificates.push_back(to_bytes(certificate));
  }
  return certificates;
}

}  // namespace nmp::libp2p::tls
