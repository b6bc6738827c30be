#include "libp2p/quic/endpoint.hpp"

#include <array>

#include <ngtcp2/ngtcp2_crypto.h>

#include "libp2p/quic/ngtcp2_types.hpp"

namespace nmp::libp2p::quic {

namespace {

/// RFC 9000 section 10.3: an endpoint's reset is shorter than what caused it, so that two of them do not answer each
/// other for ever, and at least 21 bytes; 41 look like an ordinary short packet. A keep-alive of ngtcp2's has 38.
constexpr std::size_t kResetBytesMax = 41;
constexpr std::size_t kResetBytesMin = 21;
constexpr std::size_t kCidBytes = 16;
constexpr std::size_t kReplyBytesMax = 512;
/// libp2p's "resource limit exceeded".
constexpr std::uint64_t kResourceLimitCode = 0x1001;

Bytes written(std::span<const std::uint8_t> buffer, ngtcp2_ssize size) {
  if (size <= 0) return {};
  return to_bytes(view_of(buffer.data(), static_cast<std::size_t>(size)));
}

}  // namespace

struct Endpoint::Entry final : Router {
  Entry(Endpoint& endpoint, ConnectionId number) : owner(endpoint), id(number) {}
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  Endpoint& owner;
  ConnectionId id;
  std::optional<AddressBlock> counted_ip;
  bool counted_proven = false;
  bool counted_unvalidated = false;
  bool dirty = false;
  Instant deadline = kNever;
  std::unique_ptr<Connection> connection;  // last: its destructor calls the router

  // A CID that another connection holds stays with it: the peer chooses its first one, and the reset tokens.
  void add(const Cid& cid) override { owner.by_cid_.try_emplace(cid, id); }
  void add(const ResetToken& token) override { owner.by_token_.try_emplace(token, id); }
  void remove(const Cid& cid) override { drop(owner.by_cid_, cid); }
  void remove(const ResetToken& token) override { drop(owner.by_token_, token); }

 private:
  template <class Map, class Key>
  void drop(Map& map, const Key& key) {
    if (auto it = map.find(key); it != map.end() && it->second == id) map.erase(it);
  }
};

Endpoint::Endpoint(tls::Context& tls, Random& random, Secrets secrets, EndpointLimits limits)
    : tls_(tls), random_(random), secrets_(std::move(secrets)), limits_(limits) {}
Endpoint::~Endpoint() = default;

bool Endpoint::Budget::take(Instant now, std::size_t per_second_max) {
  if (now - since >= std::chrono::seconds(1)) {
    since = now;
    used = 0;
  }
  if (used >= per_second_max) return false;
  ++used;
  return true;
}

bool Endpoint::may_reply(Instant now) {
  return replies_.size() < kStatelessQueueMax && reply_budget_.take(now, kStatelessPerSecondMax);
}

std::size_t Endpoint::unproven(Instant now) {
  while (!strays_.empty() && strays_.front() <= now) strays_.pop_front();
  return unvalidated_ + strays_.size();
}

bool Endpoint::make_room() {
  if (!over_.empty() && (entries_.size() >= limits_.connections_max || over_.size() >= kLingeringMax))
    forget(*over_.begin());
  return entries_.size() < limits_.connections_max;
}

Result<ConnectionId> Endpoint::dial(Connection::Path path, std::optional<PeerId> expected, Instant now) {
  if (!make_room()) return fail(Errc::refused, "connections_max");
  auto id = ConnectionId{++last_id_};
  auto entry = std::make_unique<Entry>(*this, id);
  NMP_TRY(entry->connection, Connection::dial(common(), *entry, path, std::move(expected), now));
  entries_.emplace(id, std::move(entry));
  touch(id);
  return id;
}

void Endpoint::on_datagram(const Connection::Path& path, ByteView datagram, Instant now) {
  ++stats_.datagrams_received;
  ngtcp2_version_cid header;
  int code = ngtcp2_pkt_decode_version_cid(&header, u8(datagram), datagram.size(), kCidBytes);
  if (code != 0 && code != NGTCP2_ERR_VERSION_NEGOTIATION) {
    ++stats_.datagrams_dropped;
    return;
  }
  auto dcid = view_of(header.dcid, header.dcidlen);
  Connection* connection = nullptr;
  ConnectionId id{};
  if (dcid.size() <= sizeof(Cid::bytes)) {
    Cid key;
    key.size = static_cast<std::uint8_t>(dcid.size());
    std::ranges::copy(dcid, key.bytes.begin());
    if (auto it = by_cid_.find(key); it != by_cid_.end()) id = it->second;
    connection = find(id);
  }
  if (connection == nullptr && header.version == 0 && datagram.size() >= kResetBytesMin) {
    ResetToken token;
    std::ranges::copy(datagram.last(token.size()), token.begin());
    if (auto it = by_token_.find(token); it != by_token_.end()) id = it->second;
    connection = find(id);
  }
  if (connection != nullptr) {
    connection->on_datagram(datagram, path.remote, now);
    touch(id);
    return;
  }
  if (code == NGTCP2_ERR_VERSION_NEGOTIATION) {
    if (accepting_ && datagram.size() >= kInitialDatagramMin)
      send_version_negotiation(path, dcid, view_of(header.scid, header.scidlen), now);
    return;
  }
  if (header.version == 0) return send_stateless_reset(path, datagram, dcid, now);
  if (accepting_) return on_stranger(path, datagram, now);
  ++stats_.datagrams_dropped;
}

void Endpoint::on_stranger(const Connection::Path& path, ByteView datagram, Instant now) {
  ngtcp2_pkt_hd header;
  if (datagram.size() < kInitialDatagramMin || ngtcp2_accept(&header, u8(datagram), datagram.size()) != 0 ||
      header.version != NGTCP2_PROTO_VER_V1) {
    ++stats_.datagrams_dropped;
    return;
  }
  Connection::Incoming incoming;
  incoming.version = header.version;
  incoming.dcid = incoming.original_dcid = to_cid(header.dcid);
  incoming.scid = to_cid(header.scid);
  incoming.restriction = limits_.restriction;
  if (header.tokenlen > 0 && header.token[0] == NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY) {
    OsAddress from(path.remote);
    ngtcp2_cid original;
    if (ngtcp2_crypto_verify_retry_token(&original, header.token, header.tokenlen, secrets_.token.data(), 32,
                                         header.version, from.get(), from.size(), &header.dcid,
                                         to_duration(kRetryTokenLifetime), to_timestamp(now)) != 0) {
      return refuse(path, incoming, NGTCP2_INVALID_TOKEN, now);
    }
    incoming.original_dcid = to_cid(original);
    incoming.retried = true;
    incoming.token = to_bytes(view_of(header.token, header.tokenlen));
  }
  const bool counts_ip = !path.remote.is_loopback();
  auto prefix = block_of(path.remote);
  PerIp there;
  if (auto it = per_ip_.find(prefix); counts_ip && it != per_ip_.end()) there = it->second;
  if (there.proven >= limits_.connections_per_ip_max && counts_ip)
    return refuse(path, incoming, NGTCP2_CONNECTION_REFUSED, now);
  const auto verdict = gate_ == nullptr ? Gate::Verdict::accept : gate_->ask(path.remote, incoming.retried, now);
  if (verdict == Gate::Verdict::refuse) return refuse(path, incoming, NGTCP2_CONNECTION_REFUSED, now);
  if (!incoming.retried && (unproven(now) >= limits_.retry_threshold || verdict == Gate::Verdict::prove ||
                            (counts_ip && there.all >= limits_.connections_per_ip_max)))
    return send_retry(path, incoming, now);
  if (limits_.handshakes_max == 0 || !make_room()) return refuse(path, incoming, NGTCP2_CONNECTION_REFUSED, now);
  if (handshakes_.size() >= limits_.handshakes_max) {
    auto oldest = *handshakes_.begin();
    find(oldest)->close(kResourceLimitCode, now);
    touch(oldest);
  }
  auto id = ConnectionId{++last_id_};
  auto made = std::make_unique<Entry>(*this, id);
  auto accepted = Connection::accept(common(), *made, path, incoming, now);
  if (!accepted) {
    ++stats_.datagrams_dropped;
    return;
  }
  auto& entry = *entries_.emplace(id, std::move(made)).first->second;
  entry.connection = *std::move(accepted);
  handshakes_.insert(id);
  if (counts_ip) {
    entry.counted_ip = prefix;
    ++per_ip_[prefix].all;
  }
  if (incoming.retried) {
    prove(entry);
  } else {
    entry.counted_unvalidated = true;
    ++unvalidated_;
  }
  entry.connection->on_datagram(datagram, path.remote, now);
  // A proven address keeps the place of what it spoilt: its token is good for no other.
  if (entry.connection->stillborn() && !incoming.retried) {
    bool wants_retry = entry.connection->wants_retry();
    forget(id);
    strays_.push_back(now + kStrayTime);
    if (wants_retry) return send_retry(path, incoming, now);
    ++stats_.datagrams_dropped;
    return;
  }
  ++stats_.connections_accepted;
  if (gate_ != nullptr) gate_->accepted(id, path.remote, incoming.retried, now);
  touch(id);
}

void Endpoint::send_version_negotiation(const Connection::Path& path, ByteView dcid, ByteView scid, Instant now) {
  if (!may_reply(now)) return;
  std::array<std::uint8_t, kReplyBytesMax + 64> packet;
  // The reserved version keeps peers honest about versions that they do not know (RFC 9000 section 6.3).
  std::array<std::uint32_t, 2> versions{NGTCP2_PROTO_VER_V1, NGTCP2_RESERVED_VERSION_MASK};
  auto chance = static_cast<std::uint8_t>(random_.below(256));
  auto size = ngtcp2_pkt_write_version_negotiation(packet.data(), packet.size(), chance, u8(scid), scid.size(),
                                                   u8(dcid), dcid.size(), versions.data(), versions.size());
  if (size <= 0) return;
  ++stats_.version_negotiations_sent;
  replies_.push_back({path, written(packet, size)});
}

void Endpoint::send_stateless_reset(const Connection::Path& path, ByteView datagram, ByteView dcid, Instant now) {
  if (datagram.size() <= kResetBytesMin || dcid.size() != kCidBytes || !may_reply(now)) {
    ++stats_.datagrams_dropped;
    return;
  }
  ngtcp2_cid cid;
  ngtcp2_cid_init(&cid, u8(dcid), dcid.size());
  std::array<std::uint8_t, NGTCP2_STATELESS_RESET_TOKENLEN> token;
  if (ngtcp2_crypto_generate_stateless_reset_token(token.data(), secrets_.reset.data(), 32, &cid) != 0) return;
  auto noise = random_.bytes<kResetBytesMax - NGTCP2_STATELESS_RESET_TOKENLEN>();
  auto noise_size = std::min(kResetBytesMax, datagram.size() - 1) - NGTCP2_STATELESS_RESET_TOKENLEN;
  std::array<std::uint8_t, kResetBytesMax> packet;
  auto size =
      ngtcp2_pkt_write_stateless_reset(packet.data(), packet.size(), token.data(), u8(ByteView(noise)), noise_size);
  if (size <= 0) return;
  ++stats_.stateless_resets_sent;
  replies_.push_back({path, written(packet, size)});
}

void Endpoint::send_retry(const Connection::Path& path, const Connection::Incoming& incoming, Instant now) {
  if (replies_.size() >= kRetryQueueMax || !retry_budget_.take(now, kRetriesPerSecondMax)) {
    ++stats_.datagrams_dropped;
    return;
  }
  Cid fresh;
  fresh.size = kCidBytes;
  random_.fill(std::span(fresh.bytes).first(kCidBytes));
  auto scid = from_cid(fresh);
  auto peer = from_cid(incoming.scid);
  auto original = from_cid(incoming.dcid);
  OsAddress to(path.remote);
  std::array<std::uint8_t, NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN> token;
  auto token_size = ngtcp2_crypto_generate_retry_token(token.data(), secrets_.token.data(), 32, incoming.version,
                                                       to.get(), to.size(), &scid, &original, to_timestamp(now));
  if (token_size < 0) return;
  std::array<std::uint8_t, kReplyBytesMax> packet;
  auto size = ngtcp2_crypto_write_retry(packet.data(), packet.size(), incoming.version, &peer, &scid, &original,
                                        token.data(), static_cast<std::size_t>(token_size));
  if (size <= 0) return;
  ++stats_.retries_sent;
  replies_.push_back({path, written(packet, size)});
}

void Endpoint::refuse(const Connection::Path& path,
                      const Connection::Incoming& incoming,
                      std::uint64_t code,
                      Instant now) {
  ++stats_.connections_refused;
  if (!may_reply(now)) return;
  auto peer = from_cid(incoming.scid);
  auto own = from_cid(incoming.dcid);
  std::array<std::uint8_t, kReplyBytesMax> packet;
  auto size = ngtcp2_crypto_write_connection_close(packet.data(), packet.size(), incoming.version, &peer, &own, code,
                                                   nullptr, 0);
  if (size > 0) replies_.push_back({path, written(packet, size)});
}

Connection* Endpoint::find(ConnectionId id) {
  auto it = entries_.find(id);
  return it == entries_.end() ? nullptr : it->second->connection.get();
}

void Endpoint::touch(ConnectionId id) {
  auto it = entries_.find(id);
  if (it == entries_.end()) return;
  collect(*it->second);
  if (it->second->dirty) return;
  it->second->dirty = true;
  dirty_.push_back(id);
}

void Endpoint::collect(Entry& entry) {
  auto& connection = *entry.connection;
  if (connection.established()) {
    prove(entry);
    // Several of one address may have been under way. Time is clamped to the connection's own.
    if (entry.counted_ip && per_ip_[*entry.counted_ip].proven > limits_.connections_per_ip_max)
      connection.close(kResourceLimitCode, Instant());
  }
  for (auto& event : connection.take_events()) events_.push_back({entry.id, event});
  if (connection.established() || connection.closed()) handshakes_.erase(entry.id);
  if (connection.closed()) uncount(entry);
}

void Endpoint::prove(Entry& entry) {
  if (std::exchange(entry.counted_unvalidated, false)) --unvalidated_;
  if (entry.counted_ip && !std::exchange(entry.counted_proven, true)) ++per_ip_[*entry.counted_ip].proven;
}

void Endpoint::uncount(Entry& entry) {
  if (!entry.counted_ip) return;
  auto it = per_ip_.find(*entry.counted_ip);
  if (entry.counted_proven) --it->second.proven;
  if (--it->second.all == 0) per_ip_.erase(it);
  entry.counted_ip.reset();
}

void Endpoint::forget(ConnectionId id) {
  auto it = entries_.find(id);
  auto& entry = *it->second;
  uncount(entry);
  if (entry.counted_unvalidated) --unvalidated_;
  handshakes_.erase(id);
  over_.erase(id);
  deadlines_.erase({entry.deadline, id});
  entries_.erase(it);
}

std::optional<Batch> Endpoint::next_batch(std::span<std::byte> buffer, Instant now) {
  if (!replies_.empty()) {
    auto reply = std::move(replies_.front());
    replies_.pop_front();
    std::ranges::copy(reply.bytes, buffer.begin());
    return Batch{reply.bytes.size(), reply.bytes.size(), reply.path.socket, reply.path.local, reply.path.remote};
  }
  while (!dirty_.empty()) {
    auto id = dirty_.front();
    dirty_.pop_front();
    auto it = entries_.find(id);
    if (it == entries_.end()) continue;
    auto& entry = *it->second;
    auto batch = entry.connection->next_batch(buffer, now);
    collect(entry);
    if (batch) {
      dirty_.push_back(id);
      return batch;
    }
    entry.dirty = false;
    auto deadline = entry.connection->deadline();
    if (deadline != entry.deadline) {
      deadlines_.erase({entry.deadline, id});
      entry.deadline = deadline;
      if (deadline != kNever) deadlines_.insert({deadline, id});
    }
  }
  return std::nullopt;
}

Instant Endpoint::deadline() const { return deadlines_.empty() ? kNever : deadlines_.begin()->first; }

void Endpoint::on_deadline(Instant now) {
  std::vector<ConnectionId> due;
  for (auto it = deadlines_.begin(); it != deadlines_.end() && it->first <= now; ++it) due.push_back(it->second);
  for (auto id : due) {
    auto it = entries_.find(id);
    if (it == entries_.end()) continue;
    auto& entry = *it->second;
    deadlines_.erase({entry.deadline, id});
    entry.deadline = kNever;
    entry.connection->on_deadline(now);
    collect(entry);
    if (entry.connection->forgettable(now)) {
      forget(id);
    } else {
      touch(id);
    }
  }
}

std::vector<Endpoint::EndpointEvent> Endpoint::take_events() {
  for (const auto& [id, event] : events_) {
    if (event.kind == Event::Kind::closed && entries_.contains(id)) over_.insert(id);
  }
  return std::exchange(events_, {});
}

void Endpoint::close_all(std::uint64_t code, Instant now) {
  for (auto& [id, entry] : entries_) {
    entry->connection->close(code, now);
    touch(id);
  }
}

}  // namespace nmp::libp2p::quic
