#pragma once

#include <string_view>

#include "base/bytes.hpp"
#include "base/random.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace nmp::sandbox {

/// A key for what rests on the node's disk: AES-256-GCM, each record under a key of its own (HKDF-SHA-256 of this key
/// and 32 random bytes that stand before the record), so that no (key, nonce) pair repeats, not even after a crash or a
/// database that was put back (security.md, case S6).
class AtRestKey {
 public:
  static AtRestKey generate(Random& random);
  /// Of the node's storage key, by the use's name (security.md, "Encoding and keys": `nmp/v1/at-rest`).
  static AtRestKey derive(const SecretBytes<32>& storage_key, std::string_view use);

  /// A record is longer than its plaintext by kAtRestOverhead. `what` and `id` say whose record of which kind it is: it
  /// opens as nothing else.
  [[nodiscard]] Bytes seal(std::string_view what, ByteView id, ByteView plaintext, Random& random) const;
  /// Errors: crypto's forged, for whatever reason.
  Result<Bytes> open(std::string_view what, ByteView id, ByteView record) const;

  /// This key, sealed under `by`.
  [[nodiscard]] Bytes wrap(const AtRestKey& by, ByteView id, Random& random) const;
  static Result<AtRestKey> unwrap(const AtRestKey& by, ByteView id, ByteView wrapped);

 private:
  explicit AtRestKey(SecretBytes<32> key) : key_(std::move(key)) {}
  SecretBytes<32> key_;
};

/// Salt and tag of a record.
inline constexpr std::size_t kAtRestOverhead = 32 + 16;

}  // namespace nmp::sandbox
