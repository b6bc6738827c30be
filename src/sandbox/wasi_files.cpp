// WASI preview 1: descriptors and paths.
#include <algorithm>

#include "sandbox/wasi_reply.hpp"

namespace nmp::sandbox {

using wasi::Errno;

GuestApi::Descriptor* GuestApi::descriptor(std::uint32_t fd) {
  if (fd >= descriptors_.size()) return nullptr;
  auto& slot = descriptors_[fd];
  return slot ? &*slot : nullptr;
}

std::optional<std::uint32_t> GuestApi::free_slot() const {
  for (std::uint32_t fd = 0; fd < descriptors_.size(); ++fd)
    if (!descriptors_[fd]) return fd;
  if (descriptors_.size() >= kDescriptorsMax) return std::nullopt;
  return static_cast<std::uint32_t>(descriptors_.size());
}

std::expected<std::vector<GuestApi::Buffer>, Errno> GuestApi::buffers(GuestMemory memory,
                                                                      GuestPtr at,
                                                                      std::uint32_t count) const {
  if (count > kIovecsMax) return std::unexpected(Errno::inval);
  if (!memory.range(at, std::uint64_t{count} * wasi::kIovecBytes)) return std::unexpected(Errno::fault);
  std::vector<Buffer> out;
  out.reserve(count);
  std::size_t left = kCallBytesMax;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto place = at.at + i * static_cast<std::uint32_t>(wasi::kIovecBytes);
    const Buffer buffer{.at = {memory.read_u32({place}).value_or(0)}, .size = memory.read_u32({place + 4}).value_or(0)};
    if (!memory.range(buffer.at, buffer.size)) return std::unexpected(Errno::fault);
    const auto size = std::min<std::size_t>(buffer.size, left);
    left -= size;
    if (size > 0) out.push_back({buffer.at, static_cast<std::uint32_t>(size)});
  }
  return out;
}

std::expected<const SnapshotEntry*, Errno> GuestApi::lookup(const Descriptor& directory,
                                                            GuestMemory memory,
                                                            GuestPtr path,
                                                            std::uint32_t size) const {
  if (!directory.is_directory()) return std::unexpected(Errno::notdir);
  const auto bytes = memory.range(path, size);
  if (!bytes) return std::unexpected(Errno::fault);
  if (size > kPathBytesMax) return std::unexpected(Errno::nametoolong);
  if (size == 0) return std::unexpected(Errno::noent);
  const auto text = std::string(text_of(*bytes));
  const auto normal = resolve_guest_path(directory.path(), text);
  if (!normal) return std::unexpected(normal.error().code == nmp::Errc::unsupported ? Errno::notcapable : Errno::inval);
  const auto* entry = directory.dataset->find(*normal);
  if (entry == nullptr) return std::unexpected(Errno::noent);
  if (text.ends_with('/') && !entry->directory) return std::unexpected(Errno::notdir);
  return entry;
}

Bytes GuestApi::filestat(const Snapshot* dataset, const SnapshotEntry* entry, wasi::FileType type) {
  GuestStruct<wasi::kFilestatBytes> out;
  if (dataset != nullptr) out.u64(8, entry == nullptr ? 1 : dataset->number(*entry));
  out.u8(16, static_cast<std::uint8_t>(type)).u64(24, 1);
  if (entry != nullptr) out.u64(32, entry->size);
  return to_bytes(out.view());
}

Reply GuestApi::fd_advise(const CallArguments& a, GuestMemory, Instant) {
  const auto* from = descriptor(a.u32(0));
  if (from == nullptr) return reply(Errno::badf);
  return reply(a.u32(3) > 5 ? Errno::inval : Errno::success);  // advice is an enum of six
}

Reply GuestApi::fd_close(const CallArguments& a, GuestMemory, Instant) {
  if (descriptor(a.u32(0)) == nullptr) return reply(Errno::badf);
  descriptors_[a.u32(0)].reset();
  return reply(Errno::success);
}

Reply GuestApi::fd_sync(const CallArguments& a, GuestMemory, Instant) {
  return reply(descriptor(a.u32(0)) == nullptr ? Errno::badf : Errno::success);
}

Reply GuestApi::fd_fdstat_get(const CallArguments& a, GuestMemory memory, Instant) {
  const auto* from = descriptor(a.u32(0));
  if (from == nullptr) return reply(Errno::badf);
  auto type = wasi::FileType::unknown;
  if (from->is_directory()) type = wasi::FileType::directory;
  if (from->is_file()) type = wasi::FileType::regular_file;
  GuestStruct<wasi::kFdstatBytes> out;
  out.u8(0, static_cast<std::uint8_t>(type)).u16(2, from->flags).u64(8, from->rights).u64(16, from->inheriting);
  return reply_written(memory.write(a.pointer(1), out.view()));
}

Reply GuestApi::fd_fdstat_set_flags(const CallArguments& a, GuestMemory, Instant) {
  auto* from = descriptor(a.u32(0));
  if (from == nullptr) return reply(Errno::badf);
  // Appending and synchronous writing mean nothing to what is only read.
  if ((a.u32(1) & ~std::uint32_t{wasi::kFdflagsNonblock}) != 0) return reply(Errno::notsup);
  from->flags = static_cast<std::uint16_t>(a.u32(1));
  return reply(Errno::success);
}

Reply GuestApi::fd_fdstat_set_rights(const CallArguments& a, GuestMemory, Instant) {
  auto* from = descriptor(a.u32(0));
  if (from == nullptr) return reply(Errno::badf);
  if ((a.u64(1) & ~from->rights) != 0 || (a.u64(2) & ~from->inheriting) != 0) return reply(Errno::notcapable);
  from->rights = a.u64(1);
  from->inheriting = a.u64(2);
  return reply(Errno::success);
}

Reply GuestApi::fd_filestat_get(const CallArguments& a, GuestMemory memory, Instant) {
  const auto* from = descriptor(a.u32(0));
  if (from == nullptr) return reply(Errno::badf);
  auto type = wasi::FileType::unknown;
  if (from->is_directory()) type = wasi::FileType::directory;
  if (from->is_file()) type = wasi::FileType::regular_file;
  return reply_written(memory.write(a.pointer(1), filestat(from->dataset.get(), from->entry, type)));
}

std::expected<std::uint32_t, Errno> GuestApi::read_into(Descriptor& from,
                                                        std::uint64_t offset,
                                                        const std::vector<Buffer>& to,
                                                        GuestMemory memory) {
  std::uint32_t total = 0;
  for (const auto& buffer : to) {
    const auto place = memory.range(buffer.at, buffer.size);
    if (!place) return std::unexpected(Errno::fault);
    std::size_t got = 0;
    if (from.is_file()) {
      auto read = Snapshot::read_at(from.file, *from.entry, offset + total, *place);
      if (!read) return std::unexpected(Errno::io);
      got = *read;
    } else {
      const auto value = input("stdin");
      if (offset + total < value.size()) {
        got = std::min<std::size_t>(buffer.size, value.size() - (offset + total));
        std::ranges::copy(value.subspan(offset + total, got), place->begin());
      }
    }
    total += static_cast<std::uint32_t>(got);
    if (got < buffer.size) break;
  }
  return total;
}

Reply GuestApi::fd_read(const CallArguments& a, GuestMemory memory, Instant) {
  auto* from = descriptor(a.u32(0));
  if (from == nullptr) return reply(Errno::badf);
  if (from->is_directory()) return reply(Errno::isdir);
  if (from->stream == Stream::out || from->stream == Stream::err) return reply(Errno::badf);
  if ((from->rights & wasi::kRightFdRead) == 0) return reply(Errno::notcapable);
  auto to = buffers(memory, a.pointer(1), a.u32(2));
  if (!to) return reply(to.error());
  if (!memory.range(a.pointer(3), 4)) return reply(Errno::fault);
  auto got = read_into(*from, from->offset, *to, memory);
  if (!got) return reply(got.error());
  from->offset += *got;
  return reply_written(memory.write_u32(a.pointer(3), *got));
}

Reply GuestApi::fd_pread(const CallArguments& a, GuestMemory memory, Instant) {
  auto* from = descriptor(a.u32(0));
  if (from == nullptr) return reply(Errno::badf);
  if (from->is_directory()) return reply(Errno::isdir);
  if (!from->is_file()) return reply(Errno::spipe);
  if ((from->rights & wasi::kRightFdRead) == 0) return reply(Errno::notcapable);
  if (a.i64(3) < 0) return reply(Errno::inval);
  auto to = buffers(memory, a.pointer(1), a.u32(2));
  if (!to) return reply(to.error());
  if (!memory.range(a.pointer(4), 4)) return reply(Errno::fault);
  auto got = read_into(*from, a.u64(3), *to, memory);
  if (!got) return reply(got.error());
  return reply_written(memory.write_u32(a.pointer(4), *got));
}

Reply GuestApi::fd_seek(const CallArguments& a, GuestMemory memory, Instant) {
  auto* from = descriptor(a.u32(0));
  if (from == nullptr) return reply(Errno::badf);
  if (!from->is_file()) return reply(from->is_directory() ? Errno::isdir : Errno::spipe);
  if ((from->rights & wasi::kRightFdSeek) == 0) return reply(Errno::notcapable);
  std::int64_t base = 0;
  switch (a.u32(2)) {
    case wasi::kWhenceSet: break;
    case wasi::kWhenceCur: base = static_cast<std::int64_t>(from->offset); break;
    case wasi::kWhenceEnd: base = static_cast<std::int64_t>(from->entry->size); break;
    default: return reply(Errno::inval);
  }
  std::int64_t place = 0;
  if (__builtin_add_overflow(base, a.i64(1), &place)) return reply(Errno::overflow);
  if (place < 0) return reply(Errno::inval);
  if (!memory.write_u64(a.pointer(3), static_cast<std::uint64_t>(place))) return reply(Errno::fault);
  from->offset = static_cast<std::uint64_t>(place);
  return reply(Errno::success);
}

Reply GuestApi::fd_tell(const CallArguments& a, GuestMemory memory, Instant) {
  const auto* from = descriptor(a.u32(0));
  if (from == nullptr) return reply(Errno::badf);
  if (!from->is_file()) return reply(from->is_directory() ? Errno::isdir : Errno::spipe);
  if ((from->rights & wasi::kRightFdTell) == 0) return reply(Errno::notcapable);
  return reply_written(memory.write_u64(a.pointer(1), from->offset));
}

Reply GuestApi::fd_renumber(const CallArguments& a, GuestMemory, Instant) {
  const auto from = a.u32(0);
  const auto to = a.u32(1);
  // Only onto an open descriptor: a number is never the guest's to choose.
  if (descriptor(from) == nullptr || descriptor(to) == nullptr) return reply(Errno::badf);
  if (from != to) {
    descriptors_[to] = std::move(descriptors_[from]);
    descriptors_[from].reset();
  }
  return reply(Errno::success);
}

Reply GuestApi::fd_prestat_get(const CallArguments& a, GuestMemory memory, Instant) {
  const auto* from = descriptor(a.u32(0));
  if (from == nullptr || !from->preopen) return reply(Errno::badf);
  const auto size = static_cast<std::uint32_t>(from->dataset->name().size() + std::string_view("/data/").size());
  return reply_written(memory.write(a.pointer(1), GuestStruct<wasi::kPrestatBytes>().u32(4, size).view()));
}

Reply GuestApi::fd_prestat_dir_name(const CallArguments& a, GuestMemory memory, Instant) {
  const auto* from = descriptor(a.u32(0));
  if (from == nullptr || !from->preopen) return reply(Errno::badf);
  const auto name = "/data/" + from->dataset->name();
  if (!memory.range(a.pointer(1), a.u32(2))) return reply(Errno::fault);
  if (a.u32(2) < name.size()) return reply(Errno::nametoolong);
  return reply_written(memory.write(a.pointer(1), bytes_of(name)));
}

Reply GuestApi::fd_readdir(const CallArguments& a, GuestMemory memory, Instant) {
  const auto* from = descriptor(a.u32(0));
  if (from == nullptr) return reply(Errno::badf);
  if (!from->is_directory()) return reply(Errno::notdir);
  if ((from->rights & wasi::kRightFdReaddir) == 0) return reply(Errno::notcapable);
  const auto buffer = memory.range(a.pointer(1), a.u32(2));
  if (!buffer || !memory.range(a.pointer(4), 4)) return reply(Errno::fault);

  std::size_t used = 0;
  std::uint64_t cookie = 0;
  // An entry that does not fit is cut: the guest sees a full buffer and asks again with a larger one.
  auto put = [&](std::string_view name, std::uint64_t number, wasi::FileType type) {
    if (cookie++ < a.u64(3)) return true;
    GuestStruct<wasi::kDirentBytes> head;
    head.u64(0, cookie).u64(8, number).u32(16, static_cast<std::uint32_t>(name.size()));
    head.u8(20, static_cast<std::uint8_t>(type));
    for (const auto part : {head.view(), bytes_of(name)}) {
      const auto size = std::min(part.size(), buffer->size() - used);
      std::ranges::copy(part.first(size), buffer->subspan(used).begin());
      used += size;
    }
    return used < buffer->size();
  };
  const auto self = from->entry == nullptr ? 1 : from->dataset->number(*from->entry);
  bool more = put(".", self, wasi::FileType::directory) && put("..", 1, wasi::FileType::directory);
  if (more) {
    for (const auto* entry : from->dataset->list(from->path())) {
      const auto leaf = std::string_view(entry->path).substr(entry->path.rfind('/') + 1);  // npos + 1 is 0
      const auto type = entry->directory ? wasi::FileType::directory : wasi::FileType::regular_file;
      if (!put(leaf, from->dataset->number(*entry), type)) break;
    }
  }
  return reply_written(memory.write_u32(a.pointer(4), static_cast<std::uint32_t>(used)));
}

Reply GuestApi::fd_write(const CallArguments& a, GuestMemory memory, Instant) {
  const auto* to = descriptor(a.u32(0));
  if (to == nullptr) return reply(Errno::badf);
  if (to->is_file()) return reply(Errno::rofs);
  if (to->is_directory()) return reply(Errno::isdir);
  if (to->stream == Stream::in) return reply(Errno::badf);
  if ((to->rights & wasi::kRightFdWrite) == 0) return reply(Errno::notcapable);
  auto from = buffers(memory, a.pointer(1), a.u32(2));
  if (!from) return reply(from.error());
  if (!memory.range(a.pointer(3), 4)) return reply(Errno::fault);
  return to->stream == Stream::out ? write_out(*from, memory, a.pointer(3)) : write_err(*from, memory, a.pointer(3));
}

Reply GuestApi::write_out(const std::vector<Buffer>& from, GuestMemory memory, GuestPtr written) {
  const auto room = outbox_.room();
  if (room == 0) return wait_until(kNever);
  std::uint32_t total = 0;
  for (const auto& buffer : from) {
    const auto size = std::min<std::size_t>({buffer.size, room - total, kPieceBytesMax});
    const auto bytes = memory.range(buffer.at, size);
    if (!bytes) return reply(Errno::fault);
    if (used_.output_bytes + size > options_.limits.output_bytes)
      return stop(Errc::output_limit, "more evidence than the run may give");
    if (!outbox_.put(OutputKind::evidence, *bytes)) break;
    used_.output_bytes += size;
    total += static_cast<std::uint32_t>(size);
    if (size < buffer.size || total == room) break;
  }
  return reply_written(memory.write_u32(written, total));
}

Reply GuestApi::write_err(const std::vector<Buffer>& from, GuestMemory memory, GuestPtr written) {
  const auto room = outbox_.room();
  if (room == 0) return wait_until(kNever);
  std::uint32_t total = 0;
  for (const auto& buffer : from) {
    auto size = std::min<std::size_t>({buffer.size, room - total, kPieceBytesMax});
    auto bytes = memory.range(buffer.at, size);
    if (!bytes) return reply(Errno::fault);
    const auto allowed = std::min<std::uint64_t>(options_.limits.diagnostic_bytes, kDiagnosticBytesMax);
    const auto kept = static_cast<std::size_t>(std::min<std::uint64_t>(size, allowed - used_.diagnostic_bytes));
    if (kept < size) diagnostics_dropped_ = true;
    if (kept > 0 && !outbox_.put(OutputKind::diagnostics, bytes->first(kept))) break;
    used_.diagnostic_bytes += kept;
    total += static_cast<std::uint32_t>(size);
    if (size < buffer.size || total == room) break;
  }
  return reply_written(memory.write_u32(written, total));
}

Reply GuestApi::path_filestat_get(const CallArguments& a, GuestMemory memory, Instant) {
  const auto* from = descriptor(a.u32(0));
  if (from == nullptr) return reply(Errno::badf);
  if ((from->rights & wasi::kRightPathFilestatGet) == 0)
    return reply(from->is_directory() ? Errno::notcapable : Errno::notdir);
  auto entry = lookup(*from, memory, a.pointer(2), a.u32(3));
  if (!entry) return reply(entry.error());
  const auto type = (*entry)->directory ? wasi::FileType::directory : wasi::FileType::regular_file;
  return reply_written(memory.write(a.pointer(4), filestat(from->dataset.get(), *entry, type)));
}

Reply GuestApi::path_open(const CallArguments& a, GuestMemory memory, Instant) {
  const auto* from = descriptor(a.u32(0));
  if (from == nullptr) return reply(Errno::badf);
  if (!from->is_directory()) return reply(Errno::notdir);
  if ((from->rights & wasi::kRightPathOpen) == 0) return reply(Errno::notcapable);
  const auto oflags = a.u32(4);
  auto entry = lookup(*from, memory, a.pointer(2), a.u32(3));
  const bool creates = (oflags & (wasi::kOflagsCreat | wasi::kOflagsExcl | wasi::kOflagsTrunc)) != 0;
  if (creates && (entry || entry.error() == Errno::noent)) return reply(Errno::rofs);
  if (!entry) return reply(entry.error());
  if ((a.u64(5) & wasi::kRightFdWrite) != 0) return reply(Errno::rofs);
  if ((oflags & wasi::kOflagsDirectory) != 0 && !(*entry)->directory) return reply(Errno::notdir);
  if (!memory.range(a.pointer(8), 4)) return reply(Errno::fault);
  const auto fd = free_slot();
  if (!fd) return reply(Errno::mfile);

  Descriptor opened;
  opened.dataset = from->dataset;
  opened.entry = (*entry)->path.empty() ? nullptr : *entry;
  opened.flags = static_cast<std::uint16_t>(a.u32(7) & wasi::kFdflagsNonblock);
  const auto possible = (*entry)->directory ? wasi::kDirectoryRights : wasi::kFileRights;
  opened.rights = a.u64(5) & possible & from->inheriting;
  opened.inheriting = (*entry)->directory ? a.u64(6) & from->inheriting : 0;
  if (!(*entry)->directory) {
    auto file = from->dataset->open(**entry);
    if (!file) return reply(file.error().code == nmp::Errc::not_found ? Errno::noent : Errno::io);
    opened.file = *std::move(file);
  }
  if (*fd == descriptors_.size()) descriptors_.emplace_back();
  descriptors_[*fd] = std::move(opened);
  return reply_written(memory.write_u32(a.pointer(8), *fd));
}

Reply GuestApi::path_readlink(const CallArguments& a, GuestMemory memory, Instant) {
  const auto* from = descriptor(a.u32(0));
  if (from == nullptr) return reply(Errno::badf);
  if (!memory.range(a.pointer(3), a.u32(4)) || !memory.range(a.pointer(5), 4)) return reply(Errno::fault);
  auto entry = lookup(*from, memory, a.pointer(1), a.u32(2));
  return reply(entry ? Errno::inval : entry.error());
}

Reply GuestApi::write_like(const CallArguments& a, GuestMemory, Instant) {
  return reply(descriptor(a.u32(0)) == nullptr ? Errno::badf : Errno::rofs);
}

Reply GuestApi::path_symlink(const CallArguments& a, GuestMemory, Instant) {
  return reply(descriptor(a.u32(2)) == nullptr ? Errno::badf : Errno::rofs);
}

}  // namespace nmp::sandbox
