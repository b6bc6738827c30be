#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nmp {

using Bytes = std::vector<std::byte>;
/// Borrowed bytes: valid until the call returns, unless the callee says otherwise.
using ByteView = std::span<const std::byte>;
template <std::size_t N>
using ByteArray = std::array<std::byte, N>;

[[nodiscard]] inline ByteView bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
[[nodiscard]] inline std::string_view text_of(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
[[nodiscard]] inline std::string string_of(ByteView bytes) { return std::string(text_of(bytes)); }
[[nodiscard]] inline Bytes to_bytes(ByteView bytes) { return {bytes.begin(), bytes.end()}; }
[[nodiscard]] inline Bytes to_bytes(std::string_view text) { return to_bytes(bytes_of(text)); }

/// For C interfaces that speak `uint8_t*`.
[[nodiscard]] inline const std::uint8_t* u8(ByteView bytes) {
  return reinterpret_cast<const std::uint8_t*>(bytes.data());
}
[[nodiscard]] inline std::uint8_t* u8(std::span<std::byte> bytes) {
  return reinterpret_cast<std::uint8_t*>(bytes.data());
}
[[nodiscard]] inline std::uint8_t* u8(Bytes& bytes) { return u8(std::span<std::byte>(bytes)); }
template <std::size_t N>
[[nodiscard]] std::uint8_t* u8(ByteArray<N>& bytes) {
  return u8(std::span<std::byte>(bytes));
}
[[nodiscard]] inline ByteView view_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const std::byte*>(data), size};
}

[[nodiscard]] inline bool equal(ByteView a, ByteView b) { return std::ranges::equal(a, b); }
inline void append(Bytes& to, ByteView more) { to.insert(to.end(), more.begin(), more.end()); }
[[nodiscard]] Bytes concat(std::initializer_list<ByteView> parts);

/// Time depends on the lengths only.
[[nodiscard]] bool equal_constant_time(ByteView a, ByteView b);

}  // namespace nmp
