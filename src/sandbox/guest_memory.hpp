#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/bytes.hpp"

namespace nmp::sandbox {

/// An address in a guest's memory: a number until GuestMemory has checked it.
struct GuestPtr {
  std::uint32_t at = 0;
};

/// A guest's linear memory while the guest stands still. The one place where a guest's pointer becomes ours: sums are
/// 64-bit, numbers are little-endian and may be unaligned, as WebAssembly says (Core 2.0, section 4.4.7). Views die
/// when the guest goes on.
class GuestMemory {
 public:
  GuestMemory() = default;
  explicit GuestMemory(std::span<std::byte> memory) : memory_(memory) {}

  [[nodiscard]] std::size_t size() const { return memory_.size(); }
  /// Nothing if any of it lies outside.
  [[nodiscard]] std::optional<std::span<std::byte>> range(GuestPtr pointer, std::uint64_t size) const;
  [[nodiscard]] std::optional<std::uint16_t> read_u16(GuestPtr pointer) const;
  [[nodiscard]] std::optional<std::uint32_t> read_u32(GuestPtr pointer) const;
  [[nodiscard]] std::optional<std::uint64_t> read_u64(GuestPtr pointer) const;
  /// False, and nothing written, if it lies outside.
  [[nodiscard]] bool write(GuestPtr pointer, ByteView bytes) const;
  [[nodiscard]] bool write_u32(GuestPtr pointer, std::uint32_t value) const;
  [[nodiscard]] bool write_u64(GuestPtr pointer, std::uint64_t value) const;

 private:
  std::span<std::byte> memory_;
};

/// A structure of WASI, put together before it is copied to the guest: fields at their offsets, the rest zero.
template <std::size_t N>
class GuestStruct {
 public:
  GuestStruct& u8(std::size_t offset, std::uint8_t value) { return put(offset, value, 1); }
  GuestStruct& u16(std::size_t offset, std::uint16_t value) { return put(offset, value, 2); }
  GuestStruct& u32(std::size_t offset, std::uint32_t value) { return put(offset, value, 4); }
  GuestStruct& u64(std::size_t offset, std::uint64_t value) { return put(offset, value, 8); }
  [[nodiscard]] ByteView view() const { return bytes_; }

 private:
  GuestStruct& put(std::size_t offset, std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) bytes_.at(offset + i) = static_cast<std::byte>(value >> (8 * i));
    return *this;
  }
  ByteArray<N> bytes_{};
};

}  // namespace nmp::sandbox
