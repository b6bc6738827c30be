#pragma once

#include "base/bytes.hpp"
#include "base/result.hpp"

/// The signature algorithms that libp2p.md section 5 accepts, for certificate.cpp only.
namespace nmp::libp2p {

/// Checks that the key in `spki` signed `message`. `algorithm` is a whole DER AlgorithmIdentifier.
/// Errors: PeerErrc::certificate_algorithm (not in the set, or not for this key; RSA outside its bounds),
/// certificate_self_signature.
Result<void> verify_self_signature(ByteView algorithm, ByteView spki, ByteView message, ByteView signature);

}  // namespace nmp::libp2p
