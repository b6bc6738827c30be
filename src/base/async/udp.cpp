#include "base/async/udp.hpp"

#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace nmp::async {

namespace asio = boost::asio;

namespace {

/// Datagrams (or GRO bundles) of one recvmmsg call.
constexpr std::size_t kBatch = 16;
/// The kernel bundles at most 64 KiB; without GRO a datagram that is longer than any MTU of ours is cut and dropped by
/// QUIC.
constexpr std::size_t kBundleBytes = 64UZ * 1024;
constexpr std::size_t kDatagramBytes = 2048;
/// UDP_MAX_SEGMENTS of older kernels.
constexpr std::size_t kSegmentsMax = 64;
/// An IPv4 UDP payload.
constexpr std::size_t kSendBytesMax = 65507;

union OsAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

socklen_t to_os(const SocketAddress& from, OsAddress& to) {
  std::memset(&to, 0, sizeof to);
  if (from.is_v6) {
    to.v6.sin6_family = AF_INET6;
    to.v6.sin6_port = htons(from.port);
    to.v6.sin6_scope_id = from.scope_id;
    std::memcpy(&to.v6.sin6_addr, from.ip.data(), 16);
    return sizeof to.v6;
  }
  to.v4.sin_family = AF_INET;
  to.v4.sin_port = htons(from.port);
  std::memcpy(&to.v4.sin_addr, from.ip.data(), 4);
  return sizeof to.v4;
}

SocketAddress from_os(const OsAddress& from) {
  SocketAddress to;
  to.is_v6 = from.any.sa_family == AF_INET6;
  if (to.is_v6) {
    to.port = ntohs(from.v6.sin6_port);
    std::memcpy(to.ip.data(), &from.v6.sin6_addr, 16);
    if (IN6_IS_ADDR_LINKLOCAL(&from.v6.sin6_addr)) to.scope_id = from.v6.sin6_scope_id;
  } else {
    to.port = ntohs(from.v4.sin_port);
    std::memcpy(to.ip.data(), &from.v4.sin_addr, 4);
  }
  return to;
}

std::unexpected<Error> os_error(const char* call) {
  return fail(Errc::io, std::string(call) + ": " + std::strerror(errno));
}

bool set_option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

}  // namespace

class UdpSocket::Impl {
 public:
  explicit Impl(const Executor& executor) : descriptor(executor) {}

  asio::posix::stream_descriptor descriptor;
  SocketAddress local;
  bool wildcard = false;
  bool gso = false;
  bool gro = false;
  std::size_t slot_bytes = kDatagramBytes;
  /// Pages that nothing was received into take no memory.
  std::unique_ptr<std::byte[]> memory;
  std::vector<UdpDatagram> received;

  int fd() { return descriptor.native_handle(); }

  /// What one message's control data tells: the bundle's segment size and the local address.
  void read_control(msghdr& header, std::size_t& segment, SocketAddress& to) const {
    for (auto* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
      if (part->cmsg_level == IPPROTO_UDP && part->cmsg_type == UDP_GRO) {
        int value = 0;
        std::memcpy(&value, CMSG_DATA(part), sizeof value);
        if (value > 0) segment = static_cast<std::size_t>(value);
      } else if (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_PKTINFO) {
        in_pktinfo info{};
        std::memcpy(&info, CMSG_DATA(part), sizeof info);
        std::memcpy(to.ip.data(), &info.ipi_addr, 4);
      } else if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO) {
        in6_pktinfo info{};
        std::memcpy(&info, CMSG_DATA(part), sizeof info);
        std::memcpy(to.ip.data(), &info.ipi6_addr, 16);
        if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) to.scope_id = info.ipi6_ifindex;
      }
    }
  }

  /// One sendmsg. 0: taken (or refused by the network), otherwise errno of "full" or "GSO not possible".
  int send_once(ByteView bytes, std::size_t segment, const SocketAddress& remote, const SocketAddress* source) {
    OsAddress to;
    msghdr header{};
    header.msg_name = &to.any;
    header.msg_namelen = to_os(remote, to);
    iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(std::uint16_t)) + CMSG_SPACE(sizeof(in6_pktinfo))> control{};
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    std::size_t used = 0;
    auto* out = CMSG_FIRSTHDR(&header);
    auto put = [&](int level, int type, const void* data, std::size_t size) {
      out->cmsg_level = level;
      out->cmsg_type = type;
      out->cmsg_len = CMSG_LEN(size);
      std::memcpy(CMSG_DATA(out), data, size);
      used += CMSG_SPACE(size);
      out = CMSG_NXTHDR(&header, out);
    };
    if (bytes.size() > segment) {
      auto value = static_cast<std::uint16_t>(segment);
      put(IPPROTO_UDP, UDP_SEGMENT, &value, sizeof value);
    }
    if (wildcard && source != nullptr && source->is_v6 == local.is_v6 && !source->is_wildcard()) {
      if (source->is_v6) {
        in6_pktinfo info{};
        std::memcpy(&info.ipi6_addr, source->ip.data(), 16);
        info.ipi6_ifindex = source->scope_id;
        put(IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
      } else {
        in_pktinfo info{};
        std::memcpy(&info.ipi_spec_dst, source->ip.data(), 4);
        put(IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
      }
    }
    header.msg_controllen = used;
    if (used == 0) header.msg_control = nullptr;
    for (;;) {
      if (sendmsg(fd(), &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return 0;
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) return EAGAIN;
      if ((errno == EIO || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOPROTOOPT) && bytes.size() > segment)
        return EIO;
      return 0;  // unreachable, refused, too big for the path: as good as lost
    }
  }

  static Awaitable<Result<void>> wait(std::shared_ptr<Impl> self, asio::posix::descriptor_base::wait_type what) {
    auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) co_return fail(Errc::cancelled);
    if (!self->descriptor.is_open()) co_return fail(Errc::closed);
    boost::system::error_code error;
    co_await self->descriptor.async_wait(what, asio::redirect_error(asio::use_awaitable, error));
    auto after = co_await asio::this_coro::cancellation_state;
    if (after.cancelled() != asio::cancellation_type::none) co_return fail(Errc::cancelled);
    if (!self->descriptor.is_open()) co_return fail(Errc::closed);
    if (error) co_return fail(Errc::io, error.message());
    co_return Result<void>();
  }
};

UdpSocket::UdpSocket(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
UdpSocket::~UdpSocket() { close(); }

Result<std::unique_ptr<UdpSocket>> UdpSocket::bind(Executor executor, SocketAddress address, UdpOptions options) {
  auto impl = std::make_shared<Impl>(executor);
  int fd = ::socket(address.is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return os_error("socket");
  boost::system::error_code error;
  impl->descriptor.assign(fd, error);
  if (error) {
    ::close(fd);
    return fail(Errc::io, "assign: " + error.message());
  }
  if (address.is_v6 && !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) return os_error("IPV6_V6ONLY");
  OsAddress os;
  auto size = to_os(address, os);
  if (::bind(fd, &os.any, size) != 0) return os_error("bind");
  size = sizeof os;
  if (getsockname(fd, &os.any, &size) != 0) return os_error("getsockname");
  impl->local = from_os(os);
  impl->wildcard = impl->local.is_wildcard();
  // Best effort: every one of these only makes things faster or the path's MTU knowable.
  if (!set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, options.buffer_bytes))
    (void)set_option(fd, SOL_SOCKET, SO_RCVBUF, options.buffer_bytes);
  if (!set_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, options.buffer_bytes))
    (void)set_option(fd, SOL_SOCKET, SO_SNDBUF, options.buffer_bytes);
  if (address.is_v6) {
    (void)set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
    if (impl->wildcard) (void)set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  } else {
    (void)set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    if (impl->wildcard) (void)set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
  }
  impl->gro = options.gro && set_option(fd, IPPROTO_UDP, UDP_GRO, 1);
  int segment = 0;
  socklen_t segment_size = sizeof segment;
  impl->gso = options.gso && getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, &segment_size) == 0;
  impl->slot_bytes = impl->gro ? kBundleBytes : kDatagramBytes;
  impl->memory = std::make_unique_for_overwrite<std::byte[]>(kBatch * impl->slot_bytes);
  return std::unique_ptr<UdpSocket>(new UdpSocket(std::move(impl)));
}

const SocketAddress& UdpSocket::local() const { return impl_->local; }
bool UdpSocket::gso() const { return impl_->gso; }
bool UdpSocket::gro() const { return impl_->gro; }

void UdpSocket::close() {
  boost::system::error_code ignored;
  if (impl_->descriptor.is_open()) impl_->descriptor.close(ignored);
}

Awaitable<Result<void>> UdpSocket::wait_readable() {
  return Impl::wait(impl_, asio::posix::descriptor_base::wait_read);
}
Awaitable<Result<void>> UdpSocket::wait_writable() {
  return Impl::wait(impl_, asio::posix::descriptor_base::wait_write);
}

Result<std::span<const UdpDatagram>> UdpSocket::receive() {
  auto& self = *impl_;
  if (!self.descriptor.is_open()) return fail(Errc::closed);
  using Control = std::array<char, CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(in6_pktinfo))>;
  std::array<mmsghdr, kBatch> messages{};
  std::array<iovec, kBatch> parts{};
  std::array<OsAddress, kBatch> from{};
  alignas(cmsghdr) std::array<Control, kBatch> controls{};
  const std::span<std::byte> memory(self.memory.get(), kBatch * self.slot_bytes);
  for (std::size_t i = 0; i < kBatch; ++i) {
    parts[i] = {memory.subspan(i * self.slot_bytes).data(), self.slot_bytes};
    auto& header = messages[i].msg_hdr;
    header.msg_name = &from[i];
    header.msg_namelen = sizeof from[i];
    header.msg_iov = &parts[i];
    header.msg_iovlen = 1;
    header.msg_control = controls[i].data();
    header.msg_controllen = controls[i].size();
  }
  self.received.clear();
  int count = -1;
  // An ICMP answer to one of many peers shows up as an error of the shared socket, once each.
  for (int attempt = 0; attempt < 16 && count < 0; ++attempt) {
    count = recvmmsg(self.fd(), messages.data(), kBatch, MSG_DONTWAIT, nullptr);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return std::span<const UdpDatagram>();
    if (count < 0 && (errno == EBADF || errno == ENOTSOCK)) return os_error("recvmmsg");
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(std::max(count, 0)); ++i) {
    auto& header = messages[i].msg_hdr;
    std::size_t size = messages[i].msg_len;
    if ((header.msg_flags & MSG_TRUNC) != 0 || header.msg_namelen == 0) continue;
    std::size_t segment = size;
    auto local = self.local;
    self.read_control(header, segment, local);
    auto bytes = ByteView(memory).subspan(i * self.slot_bytes, size);
    auto remote = from_os(from[i]);
    while (!bytes.empty()) {
      auto piece = bytes.first(std::min(segment, bytes.size()));
      self.received.push_back({piece, remote, local});
      bytes = bytes.subspan(piece.size());
    }
  }
  return std::span<const UdpDatagram>(self.received);
}

std::size_t UdpSocket::send(ByteView bytes,
                            std::size_t segment_bytes,
                            const SocketAddress& remote,
                            const SocketAddress* source) {
  auto& self = *impl_;
  if (!self.descriptor.is_open() || segment_bytes == 0) return bytes.size();
  std::size_t taken = 0;
  while (taken < bytes.size()) {
    std::size_t room = segment_bytes;
    if (self.gso) room *= std::clamp<std::size_t>(kSendBytesMax / segment_bytes, 1, kSegmentsMax);
    auto piece = bytes.subspan(taken).first(std::min(room, bytes.size() - taken));
    int error = self.send_once(piece, segment_bytes, remote, source);
    if (error == EAGAIN) break;
    if (error != 0) {
      self.gso = false;  // this kernel, or the device behind it, cannot
      continue;
    }
    taken += piece.size();
  }
  return taken;
}

std::vector<SocketAddress> interface_addresses(bool v6) {
  std::vector<SocketAddress> found;
  std::vector<SocketAddress> loopback;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return found;
  for (auto* at = list; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr || (at->ifa_flags & IFF_UP) == 0) continue;
    if (at->ifa_addr->sa_family != (v6 ? AF_INET6 : AF_INET)) continue;
    OsAddress os;
    std::memset(&os, 0, sizeof os);
    std::memcpy(&os, at->ifa_addr, v6 ? sizeof os.v6 : sizeof os.v4);
    if (v6 && IN6_IS_ADDR_LINKLOCAL(&os.v6.sin6_addr)) continue;
    auto address = from_os(os);
    address.port = 0;
    (address.is_loopback() ? loopback : found).push_back(address);
  }
  freeifaddrs(list);
  found.insert(found.end(), loopback.begin(), loopback.end());
  return found;
}

}  // namespace nmp::async
