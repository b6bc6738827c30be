#include "sandbox/guest_memory.hpp"

namespace nmp::sandbox {

namespace {
std::uint64_t little_endian(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | std::to_integer<std::uint64_t>(bytes[i]);
  return value;
}
}  // namespace

std::optional<std::span<std::byte>> GuestMemory::range(GuestPtr pointer, std::uint64_t size) const {
  const std::uint64_t begin = pointer.at;
  if (size > memory_.size() || begin > memory_.size() - size) return std::nullopt;
  return memory_.subspan(begin, size);
}

std::optional<std::uint16_t> GuestMemory::read_u16(GuestPtr pointer) const {
  auto bytes = range(pointer, 2);
  if (!bytes) return std::nullopt;
  return static_cast<std::uint16_t>(little_endian(*bytes));
}

std::optional<std::uint32_t> GuestMemory::read_u32(GuestPtr pointer) const {
  auto bytes = range(pointer, 4);
  if (!bytes) return std::nullopt;
  return static_cast<std::uint32_t>(little_endian(*bytes));
}

std::optional<std::uint64_t> GuestMemory::read_u64(GuestPtr pointer) const {
  auto bytes = range(pointer, 8);
  if (!bytes) return std::nullopt;
  return little_endian(*bytes);
}

bool GuestMemory::write(GuestPtr pointer, ByteView bytes) const {
  auto to = range(pointer, bytes.size());
  if (!to) return false;
  std::ranges::copy(bytes, to->begin());
  return true;
}

bool GuestMemory::write_u32(GuestPtr pointer, std::uint32_t value) const {
  return write(pointer, GuestStruct<4>().u32(0, value).view());
}

bool GuestMemory::write_u64(GuestPtr pointer, std::uint64_t value) const {
  return write(pointer, GuestStruct<8>().u64(0, value).view());
}

}  // namespace nmp::sandbox
