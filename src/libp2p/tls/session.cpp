#include "libp2p/tls/session.hpp"

#include <algorithm>
#include <cerrno>

#include "libp2p/tls/context_impl.hpp"

namespace nmp::libp2p::tls {

namespace {
/// The peer's.
bool is_alert(int code) { return code == GNUTLS_E_FATAL_ALERT_RECEIVED || code == GNUTLS_E_WARNING_ALERT_RECEIVED; }
}  // namespace

class Session::Impl {
 public:
  Impl(Context& context, Options options) : options_(std::move(options)) {
    verification_.context = &context.impl();
    verification_.expected = options_.expected;
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Result<void> start(bool inbound);
  Result<std::size_t> on_bytes(ByteView input);
  Result<void> on_end() const;
  Result<std::size_t> write(ByteView plaintext);
  void finish();
  void consume(std::size_t size);

  Verification verification_;
  Bytes output_;
  Bytes inbox_;
  std::size_t inbox_at_ = 0;
  std::optional<std::string> muxer_;
  std::error_code failure_;
  bool established_ = false;
  bool ended_ = false;

 private:
  static Impl& of(void* pointer) { return *static_cast<Impl*>(pointer); }
  static Verification& verification_of(gnutls_session_t session) {
    return of(gnutls_session_get_ptr(session)).verification_;
  }
  ssize_t pull(std::span<std::byte> to);
  /// Goes on with the handshake until the input is used up or it is over.
  Result<void> shake();
  /// Opens records until the input is used up or enough is unread.
  Result<void> open();
  std::unexpected<Error> give_up(Error error, int code);
  [[nodiscard]] Error error_of(int code) const;

  Options options_;
  SessionHandle session_;
  ByteView input_;  ///< during on_bytes() only
  std::size_t handshake_bytes_ = 0;
  std::uint64_t records_ = 0;  ///< sealed under the present key
  bool finished_ = false;
};

Result<void> Session::Impl::start(bool inbound) {
  auto protocols = options_.muxers;
  protocols.emplace_back(kAlpn);
  auto* at = &session_;
  if (gnutls_init(out(*at), session_flags(inbound) | GNUTLS_NONBLOCK) != GNUTLS_E_SUCCESS)
    return fail(Errc::setup, "gnutls_init");
  auto* session = session_.get();
  if (gnutls_priority_set(session, verification_.context->for_streams.get()) != GNUTLS_E_SUCCESS)
    return fail(Errc::setup, "priorities");
  gnutls_session_set_ptr(session, this);
  static const auto callbacks = hooks<verification_of>();
  NMP_CHECK(configure(session, *verification_.context, inbound, protocols, callbacks));
  gnutls_transport_set_ptr(session, this);
  gnutls_transport_set_push_function(session, [](void* self, const void* data, std::size_t size) noexcept -> ssize_t {
    append(of(self).output_, view_of(static_cast<const unsigned char*>(data), size));
    return static_cast<ssize_t>(size);
  });
  gnutls_transport_set_pull_function(session, [](void* self, void* data, std::size_t size) noexcept -> ssize_t {
    return of(self).pull({static_cast<std::byte*>(data), size});
  });
  gnutls_transport_set_pull_timeout_function(
      session, [](void* self, unsigned) noexcept -> int { return of(self).input_.empty() ? 0 : 1; });
  return inbound ? Result<void>() : shake();
}

ssize_t Session::Impl::pull(std::span<std::byte> to) {
  if (!established_ && handshake_bytes_ > kHandshakeBytesMax) {
    gnutls_transport_set_errno(session_.get(), EMSGSIZE);
    return -1;
  }
  if (input_.empty()) {
    gnutls_transport_set_errno(session_.get(), EAGAIN);
    return -1;
  }
  const auto size = std::min(to.size(), input_.size());
  std::ranges::copy(input_.first(size), to.begin());
  input_ = input_.subspan(size);
  if (!established_) handshake_bytes_ += size;
  return static_cast<ssize_t>(size);
}

Error Session::Impl::error_of(int code) const {
  if (verification_.failure) return *verification_.failure;
  if (code == GNUTLS_E_NO_CERTIFICATE_FOUND || code == GNUTLS_E_CERTIFICATE_REQUIRED)
    return {make_error_code(Errc::certificate), "there is none"};
  std::string text = gnutls_strerror(code);
  if (is_alert(code)) {
    const auto* name = gnutls_alert_get_name(gnutls_alert_get(session_.get()));
    if (name != nullptr) text += std::string(" ") + name;
  }
  return {make_error_code(established_ ? Errc::record : Errc::handshake), text};
}

std::unexpected<Error> Session::Impl::give_up(Error error, int code) {
  failure_ = error.code;
  if (!is_alert(code)) (void)gnutls_alert_send_appropriate(session_.get(), code);
  return fail(std::move(error));
}

Result<void> Session::Impl::shake() {
  for (;;) {
    const auto before = input_.size();
    const auto code = gnutls_handshake(session_.get());
    if (code == GNUTLS_E_SUCCESS) break;
    const bool waits = code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED;
    if (waits && input_.empty()) return {};
    // A warning, or anything else that GnuTLS would go on after, has no place in a handshake.
    if (!waits || input_.size() == before) return give_up(error_of(code), code);
  }
  const auto protocol = agreed_protocol(session_.get());
  if (!protocol || !verification_.peer) {
    return give_up({make_error_code(Errc::handshake), "no protocol or no peer"}, GNUTLS_E_NO_APPLICATION_PROTOCOL);
  }
  if (*protocol != kAlpn) muxer_ = *protocol;
  established_ = true;
  return {};
}

Result<void> Session::Impl::open() {
  while (!ended_ && inbox_.size() - inbox_at_ < kUnreadBytesMax) {
    const auto before = input_.size();
    gnutls_packet_t packet = nullptr;
    const auto size = gnutls_record_recv_packet(session_.get(), &packet);
    if (packet != nullptr) {
      gnutls_datum_t data{};
      gnutls_packet_get(packet, &data, nullptr);
      if (inbox_at_ >= kUnreadBytesMax) {
        inbox_.erase(inbox_.begin(), inbox_.begin() + static_cast<std::ptrdiff_t>(inbox_at_));
        inbox_at_ = 0;
      }
      append(inbox_, view_of(data.data, data.size));
      gnutls_packet_deinit(packet);
    } else if (size == 0) {
      ended_ = true;
    } else if (size == GNUTLS_E_AGAIN || size == GNUTLS_E_INTERRUPTED) {
      if (input_.size() == before) return {};
    } else {
      const auto code = static_cast<int>(size);
      return give_up(error_of(code), code);
    }
  }
  if (ended_) input_ = {};
  return {};
}

Result<std::size_t> Session::Impl::on_bytes(ByteView input) {
  if (failure_) return fail(failure_);
  input_ = input;
  Result<void> done;
  if (!established_) done = shake();
  if (done && established_) done = open();
  const auto taken = input.size() - input_.size();
  input_ = {};
  if (!done) return std::unexpected(std::move(done).error());
  return taken;
}

Result<void> Session::Impl::on_end() const {
  if (failure_) return fail(failure_);
  if (!ended_) return fail(Errc::truncated, established_ ? "no goodbye" : "handshake");
  return {};
}

Result<std::size_t> Session::Impl::write(ByteView plaintext) {
  if (failure_) return fail(failure_);
  if (!established_) return fail(Errc::not_established);
  if (finished_) return fail(Errc::record, "after the goodbye");
  std::size_t taken = 0;
  while (taken < plaintext.size() && output_.size() < kUnsentBytesMax) {
    if (records_ == options_.records_per_key) {
      if (const auto code = gnutls_session_key_update(session_.get(), 0); code < 0)
        return give_up(error_of(code), code);
      records_ = 0;
    }
    const auto piece = plaintext.subspan(taken, std::min(plaintext.size() - taken, kRecordBytesMax));
    const auto size = gnutls_record_send(session_.get(), piece.data(), piece.size());
    if (size < 0) {
      const auto code = static_cast<int>(size);
      return give_up(error_of(code), code);
    }
    ++records_;
    taken += static_cast<std::size_t>(size);
  }
  return taken;
}

void Session::Impl::finish() {
  if (finished_ || !established_ || failure_) return;
  finished_ = true;
  (void)gnutls_bye(session_.get(), GNUTLS_SHUT_WR);
}

void Session::Impl::consume(std::size_t size) {
  NMP_ASSERT(size <= inbox_.size() - inbox_at_);
  inbox_at_ += size;
  if (inbox_at_ < inbox_.size()) return;
  inbox_.clear();
  inbox_at_ = 0;
  // An idle connection holds little.
  if (inbox_.capacity() > 2 * kRecordBytesMax) Bytes().swap(inbox_);
}

// --- the public face

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&& other) noexcept = default;
Session& Session::operator=(Session&& other) noexcept = default;
Session::~Session() = default;

Result<Session> Session::make(Context& context, bool inbound, Options options) {
  const bool fits = options.muxers.size() <= kMuxersMax && std::ranges::all_of(options.muxers, [](const auto& muxer) {
                      return !muxer.empty() && muxer.size() <= kMuxerBytesMax;
                    });
  if (!fits) return fail(Errc::setup, "muxers");
  auto impl = std::make_unique<Impl>(context, std::move(options));
  NMP_CHECK(impl->start(inbound));
  return Session(std::move(impl));
}

Result<Session> Session::dial(Context& context, Options options) {
  return make(context, /*inbound=*/false, std::move(options));
}
Result<Session> Session::accept(Context& context, Options options) {
  return make(context, /*inbound=*/true, std::move(options));
}

Result<std::size_t> Session::on_bytes(ByteView input) { return impl_->on_bytes(input); }
Bytes Session::take_output() { return std::exchange(impl_->output_, {}); }
Result<void> Session::on_end() const { return impl_->on_end(); }
bool Session::established() const { return impl_->established_; }
const PeerId& Session::peer() const {
  const auto& peer = impl_->verification_.peer;
  NMP_ASSERT(impl_->established_ && peer);
  return *peer;
}
const std::optional<std::string>& Session::muxer() const { return impl_->muxer_; }
bool Session::ended() const { return impl_->ended_; }
Result<std::size_t> Session::write(ByteView plaintext) { return impl_->write(plaintext); }
void Session::finish() { impl_->finish(); }
ByteView Session::unread() const { return ByteView(impl_->inbox_).subspan(impl_->inbox_at_); }
void Session::consume(std::size_t size) { impl_->consume(size); }
std::size_t Session::read(std::span<std::byte> to) {
  const auto size = std::min(to.size(), unread().size());
  std::ranges::copy(unread().first(size), to.begin());
  consume(size);
  return size;
}

}  // namespace nmp::libp2p::tls
