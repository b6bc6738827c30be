#include "libp2p/peer/certificate.hpp"

#include <set>

#include "libp2p/peer/certificate_algorithm.hpp"
#include "libp2p/peer/der.hpp"
#include "libp2p/peer/errors.hpp"
#include "libp2p/peer/key_handle.hpp"
#include "libp2p/peer/limits.hpp"
#include "libp2p/peer/tls_extension.hpp"

namespace nmp::libp2p {
namespace {

/// RFC 5280 section 4.1.2: context tags of TBSCertificate.
constexpr std::uint8_t kVersionTag = 0xa0;
constexpr std::uint8_t kExtensionsTag = 0xa3;

struct Parsed {
  ByteView tbs;
  ByteView algorithm;  ///< AlgorithmIdentifier, whole
  ByteView signature;
  UnixSeconds not_before = 0;
  UnixSeconds not_after = 0;
  ByteView spki;
  std::optional<ByteView> extension;  ///< libp2p's extnValue
};

std::unexpected<Error> malformed(const char* what) { return fail(PeerErrc::certificate_malformed, what); }

Result<ByteView> read_bit_string(Reader& reader) {
  NMP_TRY(auto bits, der::read(reader, der::kBitString));
  if (bits.empty() || bits[0] != std::byte{0}) return malformed("bit string of whole bytes is due");
  return bits.subspan(1);
}

/// RFC 5280 section 4.2. Duplicates and every critical extension but libp2p's are refused.
Result<std::optional<ByteView>> read_extensions(ByteView list) {
  std::optional<ByteView> found;
  std::set<std::string> seen;
  Reader reader(list);
  while (!reader.empty()) {
    NMP_TRY(auto body, der::read(reader, der::kSequence));
    Reader extension(body);
    NMP_TRY(auto oid, der::read(extension, der::kObjectId));
    NMP_TRY(auto next, der::read(extension));
    bool critical = next.tag == der::kBoolean;
    if (critical) {
      // FALSE is the default, which DER leaves out (X.690 section 11.5).
      if (next.value[0] != std::byte{0xff}) return malformed("default value is written out");
      NMP_TRY(next, der::read(extension));
    }
    if (next.tag != der::kOctetString || !extension.empty()) return malformed("extension");
    if (!seen.insert(string_of(oid)).second) return malformed("extension twice");
    if (equal(oid, tls_extension_oid())) {
      found = next.value;
    } else if (critical) {
      return malformed("unknown critical extension");
    }
  }
  if (seen.empty()) return malformed("empty list of extensions");
  return found;
}

Result<Parsed> parse(ByteView bytes) {
  NMP_CHECK(der::check(bytes));
  Parsed out;
  Reader outer(bytes);
  NMP_TRY(auto body, der::read(outer, der::kSequence));
  if (!outer.empty()) return malformed("trailing bytes");
  Reader certificate(body);
  NMP_TRY(auto tbs, der::read(certificate));
  NMP_TRY(auto algorithm, der::read(certificate));
  NMP_TRY(out.signature, read_bit_string(certificate));
  if (tbs.tag != der::kSequence || algorithm.tag != der::kSequence || !certificate.empty())
    return malformed("certificate");
  out.tbs = tbs.whole;
  out.algorithm = algorithm.whole;

  Reader reader(tbs.value);
  NMP_TRY(auto version, der::read(reader, kVersionTag));
  static constexpr ByteArray<3> kVersion3 = {std::byte{der::kInteger}, std::byte{1}, std::byte{2}};
  if (!equal(version, kVersion3)) return malformed("version is not 3");
  NMP_CHECK(der::read(reader, der::kInteger));  // serial number
  NMP_TRY(auto inner_algorithm, der::read(reader));
  if (!equal(inner_algorithm.whole, out.algorithm)) return malformed("two signature algorithms");
  NMP_CHECK(der::read(reader, der::kSequence));  // issuer
  NMP_TRY(auto validity_body, der::read(reader, der::kSequence));
  Reader validity(validity_body);
  NMP_TRY(out.not_before, der::read_time(validity));
  NMP_TRY(out.not_after, der::read_time(validity));
  if (!validity.empty()) return malformed("validity");
  NMP_CHECK(der::read(reader, der::kSequence));  // subject
  NMP_TRY(auto spki, der::read(reader));
  if (spki.tag != der::kSequence) return malformed("public key");
  out.spki = spki.whole;
  if (!reader.empty()) {
    // The unique IDs, tags [1] and [2], would stand here: not this tag, so they are refused.
    NMP_TRY(auto explicit_list, der::read(reader, kExtensionsTag));
    Reader wrapper(explicit_list);
    NMP_TRY(auto list, der::read(wrapper, der::kSequence));
    if (!wrapper.empty() || !reader.empty()) return malformed("extensions");
    NMP_TRY(out.extension, read_extensions(list));
  }
  return out;
}

}  // namespace

Result<PeerId> verify_certificate(std::span<const Bytes> chain, UnixSeconds now) {
  if (chain.size() != 1) return fail(PeerErrc::certificate_count);
  if (chain[0].size() > kCertificateBytesMax) return fail(PeerErrc::too_large, "certificate");
  NMP_TRY(auto certificate, parse(chain[0]));
  if (now < certificate.not_before) return fail(PeerErrc::certificate_not_yet_valid);
  if (now > certificate.not_after) return fail(PeerErrc::certificate_expired);
  NMP_CHECK(verify_self_signature(certificate.algorithm, certificate.spki, certificate.tbs, certificate.signature));
  if (!certificate.extension) return fail(PeerErrc::certificate_extension, "missing");
  NMP_TRY(auto extension, TlsExtension::decode(*certificate.extension));
  if (!extension.host_key.verify(tls_extension_message(certificate.spki), extension.signature)) {
    return fail(PeerErrc::certificate_host_signature);
  }
  return PeerId::of(extension.host_key);
}

}  // namespace nmp::libp2p
