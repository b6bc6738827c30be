#include "libp2p/quic/connection.hpp"

#include <array>
#include <deque>
#include <map>
#include <set>

#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include "base/encoding.hpp"
#include "libp2p/quic/buffers.hpp"
#include "libp2p/quic/ngtcp2_types.hpp"
#include "libp2p/tls/context_impl.hpp"

namespace nmp::libp2p::quic {

namespace {

constexpr std::size_t kCidBytes = 16;
/// RFC 9000 section 7.2 asks for at least 8 unpredictable bytes.
constexpr std::size_t kFirstDcidBytes = 18;
/// RFC 9000 section 20.1, and libp2p's "rate limited".
constexpr std::uint64_t kRateLimitedCode = 0x1002;
constexpr std::size_t kVectorsMax = 16;

struct StreamState {
  explicit StreamState(StreamId number) : id(number) {}
  StreamId id;
  SendBuffer send;
  ReceiveBuffer received;
  bool finish_wanted = false;
  bool finish_sent = false;
  bool write_over = false;  ///< reset, stopped, or all done
  bool end_received = false;
  bool broken = false;    ///< reading is over without an end
  bool gone = false;      ///< ngtcp2 has closed it
  bool released = false;  ///< the owner has
  bool reset_by_us = false;
  bool queued = false;
  bool blocked = false;  ///< by the peer's stream window
  bool writer_waits = false;
  std::optional<std::uint64_t> peer_code;

  [[nodiscard]] bool wants_to_send() const {
    return !gone && !write_over && (send.unsent() > 0 || (finish_wanted && !finish_sent));
  }
};

/// Of what the certificate or the agreed protocol was wrong with.
Errc errc_of(const std::error_code& code) {
  if (code == tls::Errc::certificate) return Errc::certificate;
  if (code == tls::Errc::wrong_peer) return Errc::wrong_peer;
  if (code == tls::Errc::self_dial) return Errc::self_dial;
  return Errc::tls;
}

}  // namespace

struct Connection::Impl {
  Impl(const Common& shared, Router& routes, Path where, Instant now)
      : common(shared), router(routes), path(where), last(to_timestamp(now)) {
    verification.context = &common.tls.impl();
    reference = {[](ngtcp2_crypto_conn_ref* ref) { return of(ref->user_data).conn.get(); }, this};
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    for (const auto& cid : cids) router.remove(cid);
    for (const auto& token : tokens) router.remove(token);
  }

  Common common;
  Router& router;
  Path path;
  ngtcp2_tstamp last;
  bool inbound = false;
  bool up = false;
  bool validated = false;
  tls::Verification verification;
  ngtcp2_crypto_conn_ref reference{};
  tls::SessionHandle session;
  Owned<ngtcp2_conn, &ngtcp2_conn_del> conn;
  std::set<Cid> cids;
  std::set<ResetToken> tokens;
  std::map<StreamId, StreamState> streams;
  std::deque<StreamId> send_queue;
  std::size_t send_held = 0;      ///< over all streams
  std::size_t received_held = 0;  ///< likewise
  std::vector<Event> events;
  std::optional<Restriction> restriction;
  std::uint64_t withheld = 0;  ///< credit kept back while restricted
  bool was_reset = false;
  bool retry_wanted = false;
  bool stillborn = false;
  ngtcp2_tstamp resets_since = 0;
  std::size_t resets = 0;
  std::size_t streams_alive = 0;

  std::optional<CloseReason> reason;
  Bytes close_packet;
  bool close_packet_due = false;
  std::uint64_t closing_datagrams = 0;
  Instant linger_until{};

  /// A packet that did not fit the last batch: larger than its segments, or for another address.
  Bytes spill;
  SocketAddress spill_remote;

  static Impl& of(void* user_data) { return *static_cast<Impl*>(user_data); }

  ngtcp2_tstamp clamp(Instant now) { return last = std::max(last, to_timestamp(now)); }
  void post(Event::Kind kind, StreamId stream = {}) { events.push_back({kind, stream}); }

  StreamState* find(StreamId id) {
    auto it = streams.find(id);
    return it == streams.end() ? nullptr : &it->second;
  }
  static std::int64_t raw(StreamId id) { return static_cast<std::int64_t>(id); }

  // --- set up -------------------------------------------------------------------------------------------------------

  Cid new_cid(std::size_t size) {
    Cid cid;
    cid.size = static_cast<std::uint8_t>(size);
    common.random.fill(std::span(cid.bytes).first(size));
    return cid;
  }
  void own(const Cid& cid) {
    if (cids.insert(cid).second) router.add(cid);
  }
  Result<void> reset_token(std::uint8_t* to, const ngtcp2_cid& cid) const {
    if (ngtcp2_crypto_generate_stateless_reset_token(to, common.reset_secret.data(), 32, &cid) != 0)
      return fail(Errc::internal, "stateless reset token");
    return {};
  }

  static const ngtcp2_callbacks& callbacks();
  Result<void> start(const Incoming* incoming, std::optional<PeerId> expected);
  Result<void> start_tls();

  // --- what ngtcp2 reports ------------------------------------------------------------------------------------------

  int on_new_cid(ngtcp2_cid* cid, std::uint8_t* token, std::size_t size) {
    auto fresh = new_cid(size);
    *cid = from_cid(fresh);
    if (!reset_token(token, *cid)) return NGTCP2_ERR_CALLBACK_FAILURE;
    own(fresh);
    return 0;
  }
  void on_peer_cid(ngtcp2_connection_id_status_type type, const std::uint8_t* bytes) {
    if (bytes == nullptr) return;
    ResetToken token;
    std::memcpy(token.data(), bytes, token.size());
    if (type == NGTCP2_CONNECTION_ID_STATUS_TYPE_ACTIVATE) {
      if (tokens.insert(token).second) router.add(token);
    } else if (tokens.erase(token) > 0) {
      router.remove(token);
    }
  }
  int on_handshake_completed() {
    if (tls::agreed_protocol(session.get()) != tls::kAlpn || !verification.peer) {
      verification.failure = Error{make_error_code(tls::Errc::handshake), "no ALPN or no peer"};
      return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    up = validated = true;
    // RFC 9000 section 10.1: the smaller of both idle timeouts holds. Two keep-alives may get lost before it ends.
    auto idle = to_duration(kIdleTimeout);
    if (const auto* theirs = ngtcp2_conn_get_remote_transport_params(conn.get());
        theirs != nullptr && theirs->max_idle_timeout > 0)
      idle = std::min(idle, theirs->max_idle_timeout);
    ngtcp2_conn_set_keep_alive_timeout(conn.get(), std::max<ngtcp2_duration>(idle * 2 / 5, NGTCP2_MILLISECONDS));
    post(Event::Kind::handshake_completed);
    return 0;
  }
  StreamState& add_stream(std::int64_t number) {
    StreamId id{number};
    ++streams_alive;
    return streams.try_emplace(id, id).first->second;
  }
  void on_stream_open(std::int64_t number) {
    add_stream(number);
    post(Event::Kind::stream_opened, StreamId{number});
  }
  void credit(std::size_t size) {
    if (size == 0) return;
    if (restriction) {
      withheld += size;
    } else {
      ngtcp2_conn_extend_max_offset(conn.get(), size);
    }
  }
  void on_stream_data(std::int64_t number, ByteView data, bool end) {
    auto* stream = find(StreamId{number});
    if (stream == nullptr || stream->released || stream->broken) return credit(data.size());
    stream->received.append(data);
    received_held += data.size();
    stream->end_received = stream->end_received || end;
    post(Event::Kind::readable, stream->id);
  }
  void on_acknowledged(std::int64_t number, std::uint64_t offset) {
    auto* stream = find(StreamId{number});
    if (stream == nullptr) return;
    auto before = stream->send.held();
    stream->send.acknowledge(offset);
    send_held -= before - stream->send.held();
    wake_writer(*stream);
    // A writer that waited for the connection's share wants to know as well.
    if (send_held < kConnectionSendBufferMax && writers_wait_for_share) {
      writers_wait_for_share = false;
      for (auto& [id, other] : streams) wake_writer(other);
    }
  }
  bool writers_wait_for_share = false;
  void wake_writer(StreamState& stream) {
    if (!stream.writer_waits || (!stream.write_over && room(stream) == 0)) return;
    stream.writer_waits = false;
    post(Event::Kind::writable, stream.id);
  }
  void on_window(std::int64_t number) {
    auto* stream = find(StreamId{number});
    if (stream == nullptr || !stream->blocked) return;
    stream->blocked = false;
    enqueue(*stream);
  }
  void drop_received(StreamState& stream) {
    credit(stream.received.size());
    received_held -= stream.received.size();
    stream.received.clear();
  }
  void end_writing(StreamState& stream) {
    stream.write_over = true;
    send_held -= stream.send.held();
    stream.send.clear();
    wake_writer(stream);
  }
  int on_stream_reset(std::int64_t number, std::uint64_t code) {
    if (auto* stream = find(StreamId{number}); stream != nullptr) {
      stream->peer_code = code;
      stream->broken = true;
      drop_received(*stream);
      post(Event::Kind::readable, stream->id);
    }
    if (last - resets_since > NGTCP2_SECONDS) {
      resets_since = last;
      resets = 0;
    }
    if (++resets > kResetsPerSecondMax) rate_limited = true;
    return 0;
  }
  bool rate_limited = false;
  /// ngtcp2 answers STOP_SENDING by itself and says so only when more is offered: writers that wait are offered again
  /// after input.
  void probe_waiting_writers() {
    if (!probe_due) return;
    probe_due = false;
    for (auto& [id, stream] : streams) {
      if (!stream.blocked) continue;
      stream.blocked = false;
      enqueue(stream);
    }
  }
  bool probe_due = false;
  void on_stream_close(std::int64_t number, std::optional<std::uint64_t> code) {
    auto* stream = find(StreamId{number});
    if (stream == nullptr) return;
    // The code is the first that either side used.
    if (code && !stream->peer_code && !stream->reset_by_us) stream->peer_code = code;
    stream->gone = true;
    if (!stream->end_received) stream->broken = true;
    end_writing(*stream);
    post(Event::Kind::readable, stream->id);
    if (stream->released) forget(*stream);
  }
  /// Both ngtcp2 and the owner are done.
  void forget(StreamState& stream) {
    auto id = stream.id;
    drop_received(stream);
    --streams_alive;
    streams.erase(id);
    if (conn && !ngtcp2_conn_is_local_stream(conn.get(), raw(id))) ngtcp2_conn_extend_max_streams_bidi(conn.get(), 1);
  }

  // --- sending ------------------------------------------------------------------------------------------------------

  void enqueue(StreamState& stream) {
    if (stream.queued || stream.blocked || !stream.wants_to_send()) return;
    stream.queued = true;
    send_queue.push_back(stream.id);
  }
  std::size_t room(const StreamState& stream) const {
    ngtcp2_conn_info info;
    ngtcp2_conn_get_conn_info(conn.get(), &info);
    auto cap = std::clamp<std::size_t>(static_cast<std::size_t>(std::min<std::uint64_t>(info.cwnd * 2, kSendBufferMax)),
                                       kSendBufferMin, kSendBufferMax);
    auto held = stream.send.held();
    auto own = cap > held ? cap - held : 0;
    auto shared = kConnectionSendBufferMax > send_held ? kConnectionSendBufferMax - send_held : 0;
    auto floor = kSendBufferFloor > held ? kSendBufferFloor - held : 0;
    return std::max(std::min(own, shared), std::min(own, floor));
  }
  StreamState* next_sender() {
    while (!send_queue.empty()) {
      auto* stream = find(send_queue.front());
      if (stream != nullptr && stream->wants_to_send() && !stream->blocked) return stream;
      if (stream != nullptr) stream->queued = false;
      send_queue.pop_front();
    }
    return nullptr;
  }
  std::optional<Batch> write_batch(std::span<std::byte> buffer, ngtcp2_tstamp ts);
  Batch batch_to(const SocketAddress& remote, std::size_t size, std::size_t segment) const {
    return {size, segment, path.socket, path.local, remote};
  }

  // --- ending -------------------------------------------------------------------------------------------------------

  void end(CloseReason why, bool send_close, const ngtcp2_ccerr* error) {
    if (reason) return;
    reason = std::move(why);
    up = false;
    auto pto = std::clamp<ngtcp2_duration>(ngtcp2_conn_get_pto(conn.get()), NGTCP2_MILLISECONDS, NGTCP2_SECONDS);
    linger_until = to_instant(last + 3 * pto);
    if (send_close) {
      std::array<std::uint8_t, 1500> packet;
      ngtcp2_path_storage storage;
      ngtcp2_path_storage_zero(&storage);
      auto size = ngtcp2_conn_write_connection_close(conn.get(), &storage.path, nullptr, packet.data(),
                                                     kInitialDatagramMin, error, last);
      if (size > 0) {
        close_packet = to_bytes(view_of(packet.data(), static_cast<std::size_t>(size)));
        close_packet_due = true;
      }
    }
    for (auto& [id, stream] : streams) {
      stream.gone = true;
      stream.write_over = true;
      stream.send.clear();
      if (!stream.end_received) stream.broken = true;
    }
    send_held = 0;
    send_queue.clear();
    spill.clear();
    post(Event::Kind::closed);
  }
  CloseReason reason_of_peer() const {
    const auto* error = ngtcp2_conn_get_ccerr(conn.get());
    CloseReason why{Errc::peer_close, false, 0, {}};
    if (error == nullptr) return why;
    why.application = error->type == NGTCP2_CCERR_TYPE_APPLICATION;
    why.code = error->error_code;
    why.text = escape_text(text_of(view_of(error->reason, error->reasonlen)), 128);
    return why;
  }
  /// What an ngtcp2 call returned.
  void failed(int code) {
    if (reason) return;
    switch (code) {
      case NGTCP2_ERR_DRAINING:
        if (was_reset) return end({Errc::stateless_reset, false, 0, {}}, false, nullptr);
        return end(reason_of_peer(), false, nullptr);
      case NGTCP2_ERR_IDLE_CLOSE: return end({Errc::idle_timeout, false, 0, {}}, false, nullptr);
      case NGTCP2_ERR_HANDSHAKE_TIMEOUT: return end({Errc::handshake_timeout, false, 0, {}}, false, nullptr);
      case NGTCP2_ERR_RECV_VERSION_NEGOTIATION: return end({Errc::version, false, 0, {}}, false, nullptr);
      case NGTCP2_ERR_RETRY: retry_wanted = true; [[fallthrough]];
      case NGTCP2_ERR_DROP_CONN:
        stillborn = true;
        return end({Errc::protocol_violation, false, 0, ngtcp2_strerror(code)}, false, nullptr);
      default: break;
    }
    ngtcp2_ccerr error;
    CloseReason why{Errc::protocol_violation, false, 0, ngtcp2_strerror(code)};
    if (code == NGTCP2_ERR_CRYPTO || verification.failure) {
      auto alert = ngtcp2_conn_get_tls_alert(conn.get());
      ngtcp2_ccerr_set_tls_alert(&error, alert, nullptr, 0);
      why.error = Errc::tls;
      if (verification.failure) {
        why.error = errc_of(verification.failure->code);
        why.text = verification.failure->context;
      }
    } else {
      ngtcp2_ccerr_set_liberr(&error, code, nullptr, 0);
      if (ngtcp2_err_is_fatal(code)) why.error = Errc::internal;
    }
    why.code = error.error_code;
    end(std::move(why), true, &error);
  }
  void close_application(std::uint64_t code, Errc error_code) {
    if (reason) return;
    ngtcp2_ccerr error;
    ngtcp2_ccerr_set_application_error(&error, code, nullptr, 0);
    end({error_code, true, code, {}}, true, &error);
  }
  void after_input() {
    if (rate_limited) close_application(kRateLimitedCode, Errc::protocol_violation);
  }
};

namespace {

tls::Verification& verification_of(gnutls_session_t session) {
  auto* reference = static_cast<ngtcp2_crypto_conn_ref*>(gnutls_session_get_ptr(session));
  return static_cast<Connection::Impl*>(reference->user_data)->verification;
}

}  // namespace

const ngtcp2_callbacks& Connection::Impl::callbacks() {
  static const ngtcp2_callbacks table = [] {
    ngtcp2_callbacks to{};
    to.client_initial = ngtcp2_crypto_client_initial_cb;
    to.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb;
    to.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb;
    to.encrypt = ngtcp2_crypto_encrypt_cb;
    to.decrypt = ngtcp2_crypto_decrypt_cb;
    to.hp_mask = ngtcp2_crypto_hp_mask_cb;
    to.recv_retry = ngtcp2_crypto_recv_retry_cb;
    to.update_key = ngtcp2_crypto_update_key_cb;
    to.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
    to.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
    to.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb;
    to.version_negotiation = ngtcp2_crypto_version_negotiation_cb;
    to.rand = [](std::uint8_t* bytes, std::size_t size, const ngtcp2_rand_ctx* context) noexcept {
      static_cast<Random*>(context->native_handle)->fill({reinterpret_cast<std::byte*>(bytes), size});
    };
    to.get_new_connection_id = [](ngtcp2_conn*, ngtcp2_cid* cid, std::uint8_t* token, std::size_t size,
                                  void* user) noexcept { return of(user).on_new_cid(cid, token, size); };
    to.remove_connection_id = [](ngtcp2_conn*, const ngtcp2_cid* cid, void* user) noexcept {
      auto key = to_cid(*cid);
      if (of(user).cids.erase(key) > 0) of(user).router.remove(key);
      return 0;
    };
    to.dcid_status = [](ngtcp2_conn*, ngtcp2_connection_id_status_type type, std::uint64_t, const ngtcp2_cid*,
                        const std::uint8_t* token, void* user) noexcept {
      of(user).on_peer_cid(type, token);
      return 0;
    };
    to.handshake_completed = [](ngtcp2_conn*, void* user) noexcept { return of(user).on_handshake_completed(); };
    to.recv_stateless_reset = [](ngtcp2_conn*, const ngtcp2_pkt_stateless_reset*, void* user) noexcept {
      of(user).was_reset = true;
      return 0;
    };
    to.stream_open = [](ngtcp2_conn*, std::int64_t id, void* user) noexcept {
      of(user).on_stream_open(id);
      return 0;
    };
    to.recv_stream_data = [](ngtcp2_conn*, std::uint32_t flags, std::int64_t id, std::uint64_t,
                             const std::uint8_t* data, std::size_t size, void* user, void*) noexcept {
      of(user).on_stream_data(id, view_of(data, size), (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0);
      return 0;
    };
    to.acked_stream_data_offset = [](ngtcp2_conn*, std::int64_t id, std::uint64_t offset, std::uint64_t size,
                                     void* user, void*) noexcept {
      of(user).on_acknowledged(id, offset + size);
      return 0;
    };
    to.extend_max_stream_data = [](ngtcp2_conn*, std::int64_t id, std::uint64_t, void* user, void*) noexcept {
      of(user).on_window(id);
      return 0;
    };
    to.extend_max_local_streams_bidi = [](ngtcp2_conn*, std::uint64_t, void* user) noexcept {
      of(user).post(Event::Kind::streams_available);
      return 0;
    };
    to.stream_reset = [](ngtcp2_conn*, std::int64_t id, std::uint64_t, std::uint64_t code, void* user, void*) noexcept {
      return of(user).on_stream_reset(id, code);
    };
    to.stream_close = [](ngtcp2_conn*, std::uint32_t flags, std::int64_t id, std::uint64_t code, void* user,
                         void*) noexcept {
      bool coded = (flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET) != 0;
      of(user).on_stream_close(id, coded ? std::optional(code) : std::nullopt);
      return 0;
    };
    return to;
  }();
  return table;
}

Result<void> Connection::Impl::start_tls() {
  if (gnutls_init(out(session), tls::session_flags(inbound)) != 0) return fail(Errc::internal, "gnutls_init");
  auto& context = common.tls.impl();
  auto* raw_session = session.get();
  if (gnutls_priority_set(raw_session, context.for_quic.get()) != 0) return fail(Errc::internal, "priorities");
  auto configured = inbound ? ngtcp2_crypto_gnutls_configure_server_session(raw_session)
                            : ngtcp2_crypto_gnutls_configure_client_session(raw_session);
  if (configured != 0) return fail(Errc::internal, "configure session");
  gnutls_session_set_ptr(raw_session, &reference);
  const std::array protocols = {std::string(tls::kAlpn)};
  static const auto callbacks_of_tls = tls::hooks<verification_of>();
  if (auto done = tls::configure(raw_session, context, inbound, protocols, callbacks_of_tls); !done)
    return fail(Errc::internal, done.error().message());
  ngtcp2_conn_set_tls_native_handle(conn.get(), raw_session);
  return {};
}

Result<void> Connection::Impl::start(const Incoming* incoming, std::optional<PeerId> expected) {
  inbound = incoming != nullptr;
  verification.expected = std::move(expected);
  ngtcp2_settings settings;
  ngtcp2_settings_default(&settings);
  settings.initial_ts = last;
  settings.rand_ctx.native_handle = &common.random;
  settings.handshake_timeout = to_duration(kHandshakeTimeout);
  settings.max_stream_window = kStreamWindowMax;
  settings.max_window = kConnectionWindowMax;
  ngtcp2_transport_params params;
  ngtcp2_transport_params_default(&params);
  params.initial_max_stream_data_bidi_local = params.initial_max_stream_data_bidi_remote = kStreamWindowInitial;
  params.initial_max_data = kConnectionWindowInitial;
  params.initial_max_streams_bidi = kPeerStreamsMax;
  params.initial_max_streams_uni = 0;
  params.max_idle_timeout = to_duration(kIdleTimeout);
  params.active_connection_id_limit = kActiveConnectionIds;
  params.disable_active_migration = 1;
  if (inbound && incoming->restriction) {
    restriction = incoming->restriction;
    params.initial_max_streams_bidi = restriction->streams_max;
    params.initial_max_data = restriction->bytes_max;
    params.initial_max_stream_data_bidi_local = params.initial_max_stream_data_bidi_remote = restriction->bytes_max;
  }
  auto scid = new_cid(kCidBytes);
  auto raw_scid = from_cid(scid);
  OsAddress local(path.local);
  OsAddress remote(path.remote);
  ngtcp2_path raw_path{local.view(), remote.view(), nullptr};
  ngtcp2_conn* made = nullptr;
  int code = 0;
  if (inbound) {
    params.original_dcid = from_cid(incoming->original_dcid);
    params.original_dcid_present = 1;
    auto dcid = from_cid(incoming->dcid);
    auto peer_cid = from_cid(incoming->scid);
    if (incoming->retried) {
      params.retry_scid = dcid;
      params.retry_scid_present = 1;
      settings.token = u8(ByteView(incoming->token));
      settings.tokenlen = incoming->token.size();
      settings.token_type = NGTCP2_TOKEN_TYPE_RETRY;
      validated = true;
    }
    params.stateless_reset_token_present = 1;
    NMP_CHECK(reset_token(params.stateless_reset_token, raw_scid));
    code = ngtcp2_conn_server_new(&made, &peer_cid, &raw_scid, &raw_path, incoming->version, &callbacks(), &settings,
                                  &params, nullptr, this);
  } else {
    auto dcid = from_cid(new_cid(kFirstDcidBytes));
    code = ngtcp2_conn_client_new(&made, &dcid, &raw_scid, &raw_path, NGTCP2_PROTO_VER_V1, &callbacks(), &settings,
                                  &params, nullptr, this);
  }
  if (code != 0) return fail(Errc::internal, ngtcp2_strerror(code));
  conn.reset(made);
  NMP_CHECK(start_tls());
  own(scid);
  if (inbound) own(incoming->dcid);
  return {};
}

std::optional<Batch> Connection::Impl::write_batch(std::span<std::byte> buffer, ngtcp2_tstamp ts) {
  if (!spill.empty()) {
    auto size = spill.size();
    std::ranges::copy(spill, buffer.begin());
    spill.clear();
    return batch_to(spill_remote, size, size);
  }
  probe_waiting_writers();
  auto* c = conn.get();
  auto payload_max = ngtcp2_conn_get_max_tx_udp_payload_size(c);
  auto limit = std::clamp<std::size_t>(ngtcp2_conn_get_send_quantum(c), payload_max,
                                       std::min<std::size_t>(buffer.size(), 65000));
  std::size_t used = 0;
  std::size_t segment = 0;
  SocketAddress to;
  ngtcp2_path_storage where;
  ngtcp2_path_storage_zero(&where);
  while (used == 0 || (used + segment <= limit && used + payload_max <= buffer.size())) {
    auto* stream = next_sender();
    // The connection's own window has no "unblocked" event: the stream keeps its place in the queue.
    if (stream != nullptr && stream->send.unsent() > 0 && ngtcp2_conn_get_max_data_left(c) == 0) stream = nullptr;
    std::array<ngtcp2_vec, kVectorsMax> vectors;
    std::size_t count = 0;
    std::size_t offered = 0;
    bool finish = false;
    if (stream != nullptr) {
      stream->send.unsent_pieces([&](ByteView piece) {
        vectors[count++] = {const_cast<std::uint8_t*>(u8(piece)), piece.size()};
        offered += piece.size();
        return count < vectors.size() && offered < 65536;
      });
      finish = stream->finish_wanted && offered == stream->send.unsent();
    }
    ngtcp2_ssize taken = -1;
    std::uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_MORE | (finish ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0U);
    auto written =
        ngtcp2_conn_writev_stream(c, &where.path, nullptr, u8(buffer.subspan(used)), payload_max, &taken, flags,
                                  stream != nullptr ? raw(stream->id) : -1, vectors.data(), count, ts);
    // The call may have closed streams.
    if (stream != nullptr && taken >= 0) {
      stream->send.mark_sent(static_cast<std::size_t>(taken));
      if (finish && static_cast<std::size_t>(taken) == offered) stream->finish_sent = true;
    }
    if (written < 0) {
      auto code = static_cast<int>(written);
      if (code == NGTCP2_ERR_WRITE_MORE) continue;
      if (code == NGTCP2_ERR_STREAM_DATA_BLOCKED && stream != nullptr) {
        stream->blocked = true;
        continue;
      }
      if ((code == NGTCP2_ERR_STREAM_SHUT_WR || code == NGTCP2_ERR_STREAM_NOT_FOUND) && stream != nullptr) {
        end_writing(*stream);
        continue;
      }
      failed(code);
      break;
    }
    if (written == 0) break;
    if (stream != nullptr && send_queue.size() > 1 && send_queue.front() == stream->id) {
      send_queue.push_back(send_queue.front());
      send_queue.pop_front();
    }
    auto size = static_cast<std::size_t>(written);
    auto remote = from_os(where.path.remote);
    if (used == 0) {
      segment = size;
      to = remote;
    } else if (size > segment || remote != to) {
      spill = to_bytes(ByteView(buffer).subspan(used, size));
      spill_remote = remote;
      break;
    }
    used += size;
    if (size < segment) break;
  }
  ngtcp2_conn_update_pkt_tx_time(c, ts);
  if (used == 0) return std::nullopt;
  return batch_to(to, used, segment);
}

Connection::Connection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Connection::~Connection() = default;

Result<std::unique_ptr<Connection>> Connection::dial(
    const Common& common, Router& router, Path path, std::optional<PeerId> expected, Instant now) {
  auto impl = std::make_unique<Impl>(common, router, path, now);
  NMP_CHECK(impl->start(nullptr, std::move(expected)));
  return std::unique_ptr<Connection>(new Connection(std::move(impl)));
}

Result<std::unique_ptr<Connection>> Connection::accept(
    const Common& common, Router& router, Path path, const Incoming& incoming, Instant now) {
  auto impl = std::make_unique<Impl>(common, router, path, now);
  NMP_CHECK(impl->start(&incoming, std::nullopt));
  return std::unique_ptr<Connection>(new Connection(std::move(impl)));
}

void Connection::on_datagram(ByteView datagram, const SocketAddress& remote, Instant now) {
  auto& self = *impl_;
  auto ts = self.clamp(now);
  if (self.reason) {
    // RFC 9000 section 10.2.1: repeat the close ever more rarely; section 8.1: to an address that may be another's,
    // three bytes for each of its own.
    auto count = ++self.closing_datagrams;
    bool paid = self.validated || self.close_packet.size() <= 3 * datagram.size();
    if (!self.close_packet.empty() && (count & (count - 1)) == 0 && paid) self.close_packet_due = true;
    return;
  }
  OsAddress local(self.path.local);
  OsAddress from(remote);
  ngtcp2_path path{local.view(), from.view(), nullptr};
  int code = ngtcp2_conn_read_pkt(self.conn.get(), &path, nullptr, u8(datagram), datagram.size(), ts);
  if (code != 0) self.failed(code);
  self.probe_due = true;
  self.after_input();
}

void Connection::on_deadline(Instant now) {
  auto& self = *impl_;
  auto ts = self.clamp(now);
  if (self.reason) return;
  if (ngtcp2_conn_get_expiry(self.conn.get()) > ts) return;
  if (int code = ngtcp2_conn_handle_expiry(self.conn.get(), ts); code != 0) self.failed(code);
}

Instant Connection::deadline() const {
  if (impl_->reason) return impl_->linger_until;
  return to_instant(ngtcp2_conn_get_expiry(impl_->conn.get()));
}

std::optional<Batch> Connection::next_batch(std::span<std::byte> buffer, Instant now) {
  auto& self = *impl_;
  auto ts = self.clamp(now);
  NMP_ASSERT(buffer.size() >= 65536);
  if (!self.reason) {
    if (auto batch = self.write_batch(buffer, ts)) return batch;
  }
  if (self.close_packet_due) {
    self.close_packet_due = false;
    std::ranges::copy(self.close_packet, buffer.begin());
    return self.batch_to(remote(), self.close_packet.size(), self.close_packet.size());
  }
  return std::nullopt;
}

std::vector<Event> Connection::take_events() { return std::exchange(impl_->events, {}); }

bool Connection::inbound() const { return impl_->inbound; }
bool Connection::established() const { return impl_->up; }
const std::optional<PeerId>& Connection::peer() const { return impl_->verification.peer; }
SocketAddress Connection::remote() const { return from_os(ngtcp2_conn_get_path(impl_->conn.get())->remote); }
Duration Connection::smoothed_rtt() const {
  ngtcp2_conn_info info;
  ngtcp2_conn_get_conn_info(impl_->conn.get(), &info);
  return std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(info.smoothed_rtt));
}
std::size_t Connection::streams() const { return impl_->streams_alive; }
std::size_t Connection::held_bytes() const { return impl_->received_held + impl_->send_held; }
bool Connection::closed() const { return impl_->reason.has_value(); }
bool Connection::forgettable(Instant now) const {
  return impl_->reason && !impl_->close_packet_due && now >= impl_->linger_until;
}
bool Connection::wants_retry() const { return impl_->retry_wanted; }
bool Connection::stillborn() const { return impl_->stillborn; }
const std::optional<CloseReason>& Connection::close_reason() const { return impl_->reason; }

void Connection::close(std::uint64_t code, Instant now) {
  impl_->clamp(now);
  impl_->close_application(code, Errc::local_close);
}

Result<StreamId> Connection::open_stream() {
  auto& self = *impl_;
  if (self.reason) return fail(Errc::local_close);
  std::int64_t id = -1;
  int code = ngtcp2_conn_open_bidi_stream(self.conn.get(), &id, nullptr);
  if (code == NGTCP2_ERR_STREAM_ID_BLOCKED) return fail(Errc::stream_limit);
  if (code != 0) return fail(Errc::internal, ngtcp2_strerror(code));
  self.add_stream(id);
  return StreamId{id};
}

std::size_t Connection::write(StreamId id, ByteView data) {
  auto& self = *impl_;
  auto* stream = self.find(id);
  if (stream == nullptr || stream->write_over || stream->finish_wanted || self.reason) return 0;
  auto size = std::min(data.size(), self.room(*stream));
  if (size < data.size()) {
    stream->writer_waits = true;
    self.writers_wait_for_share = true;
  }
  stream->send.append(data.first(size));
  self.send_held += size;
  self.enqueue(*stream);
  return size;
}

bool Connection::can_write(StreamId id) const {
  auto* stream = impl_->find(id);
  return stream != nullptr && !stream->write_over && !stream->finish_wanted && !impl_->reason;
}

void Connection::finish(StreamId id) {
  auto* stream = impl_->find(id);
  if (stream == nullptr || stream->write_over || stream->finish_wanted || impl_->reason) return;
  stream->finish_wanted = true;
  impl_->enqueue(*stream);
}

ReadResult Connection::read(StreamId id, std::span<std::byte> buffer) {
  auto& self = *impl_;
  auto* stream = self.find(id);
  if (stream == nullptr || stream->released) return {.broken = true};
  // After an orderly end what has arrived is still there to read; a reset has dropped it.
  ReadResult result;
  result.size = stream->received.take(buffer);
  self.received_held -= result.size;
  if (result.size > 0 && !self.reason) {
    self.credit(result.size);
    if (!stream->end_received && !stream->gone && !self.restriction)
      ngtcp2_conn_extend_max_stream_offset(self.conn.get(), Impl::raw(id), result.size);
  }
  if (result.size == 0) {
    result.end = stream->end_received && !stream->broken;
    result.broken = stream->broken;
  }
  return result;
}

void Connection::reset(StreamId id, std::uint64_t code) {
  auto& self = *impl_;
  auto* stream = self.find(id);
  if (stream == nullptr) return;
  if (!self.reason && !stream->gone) (void)ngtcp2_conn_shutdown_stream(self.conn.get(), 0, Impl::raw(id), code);
  self.drop_received(*stream);
  stream->broken = true;
  stream->reset_by_us = true;
  self.end_writing(*stream);
}

void Connection::stop_reading(StreamId id, std::uint64_t code) {
  auto& self = *impl_;
  auto* stream = self.find(id);
  if (stream == nullptr) return;
  if (!self.reason && !stream->gone && !stream->end_received)
    (void)ngtcp2_conn_shutdown_stream_read(self.conn.get(), 0, Impl::raw(id), code);
  self.drop_received(*stream);
  stream->broken = true;
  stream->reset_by_us = true;
}

void Connection::release(StreamId id, std::uint64_t code) {
  auto& self = *impl_;
  auto* stream = self.find(id);
  if (stream == nullptr || stream->released) return;
  bool write_done = stream->write_over || stream->finish_wanted;
  bool read_done = stream->end_received || stream->broken;
  if (!write_done) {
    reset(id, code);
  } else if (!read_done) {
    stop_reading(id, code);
  }
  stream->released = true;
  self.drop_received(*stream);
  if (stream->gone || self.reason) self.forget(*stream);
}

std::optional<std::uint64_t> Connection::peer_code(StreamId id) const {
  auto* stream = impl_->find(id);
  return stream == nullptr ? std::nullopt : stream->peer_code;
}

void Connection::lift_restriction() {
  auto& self = *impl_;
  if (!self.restriction || self.reason) return;
  auto old = *self.restriction;
  self.restriction.reset();
  auto* c = self.conn.get();
  if (kPeerStreamsMax > old.streams_max) ngtcp2_conn_extend_max_streams_bidi(c, kPeerStreamsMax - old.streams_max);
  if (kConnectionWindowInitial > old.bytes_max) self.withheld += kConnectionWindowInitial - old.bytes_max;
  ngtcp2_conn_extend_max_offset(c, std::exchange(self.withheld, 0));
  // A stream's window stays what the handshake said until its data is read: small for new streams, then tuned.
  for (auto& [id, stream] : self.streams) {
    if (!stream.gone && !stream.end_received && !stream.broken)
      ngtcp2_conn_extend_max_stream_offset(c, Impl::raw(id), kStreamWindowInitial);
  }
}

bool Connection::restricted() const { return impl_->restriction.has_value(); }

}  // namespace nmp::libp2p::quic
