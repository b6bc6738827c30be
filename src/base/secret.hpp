#pragma once

#include <cstring>

#include "base/bytes.hpp"

namespace nmp {

/// N secret bytes: erased on destruction, moved rather than copied by accident (copy() says so), compared in constant
/// time, and without any way to print them.
template <std::size_t N>
class SecretBytes {
 public:
  static constexpr std::size_t kSize = N;

  SecretBytes() = default;
  explicit SecretBytes(std::span<const std::byte, N> bytes) { std::ranges::copy(bytes, bytes_.begin()); }
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  SecretBytes(SecretBytes&& other) noexcept : bytes_(other.bytes_) { other.erase(); }
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    if (this != &other) {
      bytes_ = other.bytes_;
      other.erase();
    }
    return *this;
  }
  ~SecretBytes() { erase(); }

  [[nodiscard]] SecretBytes copy() const { return SecretBytes(std::span<const std::byte, N>(bytes_)); }
  [[nodiscard]] std::span<const std::byte, N> view() const { return bytes_; }
  [[nodiscard]] std::span<std::byte, N> mutable_view() { return bytes_; }
  [[nodiscard]] const std::uint8_t* data() const { return reinterpret_cast<const std::uint8_t*>(bytes_.data()); }
  [[nodiscard]] std::uint8_t* data() { return reinterpret_cast<std::uint8_t*>(bytes_.data()); }
  void erase() { explicit_bzero(bytes_.data(), N); }

  friend bool operator==(const SecretBytes& a, const SecretBytes& b) { return equal_constant_time(a.bytes_, b.bytes_); }

 private:
  ByteArray<N> bytes_{};
};

/// Erases plaintext that has done its work.
inline void erase(std::span<std::byte> bytes) {
  if (!bytes.empty()) explicit_bzero(bytes.data(), bytes.size());  // no null pointer, not even for nothing
}

}  // namespace nmp
