#include "libp2p/peer/errors.hpp"

namespace nmp::libp2p {

std::error_code make_error_code(PeerErrc code) {
  static const EnumCategory<PeerErrc> category("peer", [](PeerErrc value) -> std::string_view {
    switch (value) {
      case PeerErrc::malformed: return "malformed";
      case PeerErrc::not_canonical: return "not_canonical";
      case PeerErrc::unsupported: return "unsupported";
      case PeerErrc::too_large: return "too_large";
      case PeerErrc::invalid_key: return "invalid_key";
      case PeerErrc::invalid_signature: return "invalid_signature";
      case PeerErrc::wrong_signer: return "wrong_signer";
      case PeerErrc::certificate_count: return "certificate_count";
      case PeerErrc::certificate_malformed: return "certificate_malformed";
      case PeerErrc::certificate_expired: return "certificate_expired";
      case PeerErrc::certificate_not_yet_valid: return "certificate_not_yet_valid";
      case PeerErrc::certificate_algorithm: return "certificate_algorithm";
      case PeerErrc::certificate_self_signature: return "certificate_self_signature";
      case PeerErrc::certificate_extension: return "certificate_extension";
      case PeerErrc::certificate_host_signature: return "certificate_host_signature";
      case PeerErrc::key_file_permissions: return "key_file_permissions";
      case PeerErrc::key_file_malformed: return "key_file_malformed";
      case PeerErrc::no_inline_key: return "no_inline_key";
    }
    return "unknown";
  });
  return {static_cast<int>(code), category};
}

}  // namespace nmp::libp2p
