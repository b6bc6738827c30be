#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace nmp::libp2p::kad {

/// Decides which values a key may have, and which of several is the one. Pure: the same arguments, the same answer.
class Validator {
 public:
  virtual ~Validator() = default;
  /// `key` is whole, `/ns/rest`. Asked before a value is stored, sent or believed.
  [[nodiscard]] virtual Result<void> validate(ByteView key, ByteView value, UnixSeconds now) const = 0;
  /// The index of the value to keep, of at least one, all valid; that with the highest sequence number.
  [[nodiscard]] virtual std::size_t select(ByteView key, std::span<const Bytes> values) const = 0;
};

/// Validators by the first part of `/ns/rest`, as go-libp2p-record's NamespacedValidator and js-libp2p have them.
/// Keys outside a registered namespace have no valid value.
class Validators {
 public:
  void add(std::string ns, std::unique_ptr<const Validator> validator);

  /// Errors: unsupported (no such namespace), and the validator's own.
  [[nodiscard]] Result<void> validate(ByteView key, ByteView value, UnixSeconds now) const;
  /// Errors: unsupported; malformed if there is no value, or the validator's index is none of them.
  [[nodiscard]] Result<std::size_t> select(ByteView key, std::span<const Bytes> values) const;

 private:
  [[nodiscard]] const Validator* find(ByteView key) const;
  std::map<std::string, std::unique_ptr<const Validator>, std::less<>> by_namespace_;
};

}  // namespace nmp::libp2p::kad
