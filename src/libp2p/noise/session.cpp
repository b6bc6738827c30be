#include "libp2p/noise/session.hpp"

#include "base/codec.hpp"
#include "libp2p/noise/limits.hpp"

namespace nmp::libp2p::noise {

Session::Session(Role role, const KeyPair& identity, Random& random, Options options)
    : role_(role), options_(std::move(options)) {
  auto static_key = crypto::X25519KeyPair::generate(random);
  auto ephemeral_key = crypto::X25519KeyPair::generate(random);
  auto signature = identity.sign(static_key_message(static_key.public_key()));
  payload_ = HandshakePayload{.identity_key = identity.public_key().bytes(),
                              .identity_sig = to_bytes(ByteView(signature)),
                              .stream_muxers = options_.muxers}
                 .encode();
  handshake_.emplace(role, /*prologue=*/ByteView(), std::move(static_key), std::move(ephemeral_key));
}

Result<Session> Session::make(Role role, const KeyPair& identity, Random& random, Options options) {
  std::size_t size = 0;
  for (const auto& muxer : options.muxers) size += muxer.size();
  if (options.muxers.size() > kMuxersMax || size > kHandshakeMessageBytesMax / 2)
    return fail(Errc::bad_payload, "muxers");
  return Session(role, identity, random, std::move(options));
}

Result<Session> Session::dial(const KeyPair& identity, Random& random, Options options) {
  NMP_TRY(auto session, make(Role::initiator, identity, random, std::move(options)));
  // Nobody is known yet: the first message is in clear and has no payload.
  NMP_CHECK(session.write_message({}));
  return session;
}

Result<Session> Session::accept(const KeyPair& identity, Random& random, Options options) {
  return make(Role::responder, identity, random, std::move(options));
}

std::unexpected<Error> Session::give_up(Error error) {
  failure_ = error.code;
  handshake_.reset();
  frames_ = {};
  output_.clear();
  return fail(std::move(error));
}

HandshakeState& Session::handshake() {
  NMP_ASSERT(handshake_);  // it ends with establish() or give_up()
  return *handshake_;
}

FrameReader::Sizes Session::next_sizes() {
  auto least = handshake().next_overhead();
  // The responder's first: the specification lets message 1 carry nothing but the key.
  auto first = role_ == Role::responder && least == sizeof(crypto::X25519PublicKey);
  return {.least = least, .most = first ? least : kHandshakeMessageBytesMax, .error = Errc::bad_message};
}

Result<std::size_t> Session::on_bytes(ByteView input) {
  if (failure_) return fail(failure_);
  auto rest = input;
  while (!transport_) {
    auto frame = frames_.feed(rest, next_sizes());
    if (!frame) return give_up(std::move(frame).error());
    if (!*frame) return input.size();
    if (auto done = on_message(**frame); !done) return give_up(std::move(done).error());
  }
  auto taken = transport_->on_bytes(rest);
  if (!taken) return give_up(std::move(taken).error());
  return input.size() - rest.size() + *taken;
}

Result<void> Session::on_message(ByteView message) {
  NMP_TRY(auto payload, handshake().read_message(message));
  if (role_ == Role::responder && !handshake().complete()) return write_message(payload_);
  NMP_CHECK(on_payload(payload));
  if (role_ == Role::initiator) NMP_CHECK(write_message(payload_));
  establish();
  return {};
}

Result<void> Session::on_payload(ByteView bytes) {
  NMP_TRY(auto payload, HandshakePayload::decode(bytes));
  NMP_TRY(auto key, verify_identity(payload, handshake().remote_static()));
  auto peer = PeerId::of(key);
  if (options_.expected && peer != *options_.expected) return fail(Errc::wrong_peer, peer.to_text());
  auto initiator = role_ == Role::initiator;
  NMP_TRY(muxer_, choose_muxer(initiator ? options_.muxers : payload.stream_muxers,
                               initiator ? payload.stream_muxers : options_.muxers));
  peer_ = peer;
  return {};
}

Result<void> Session::write_message(ByteView payload) {
  Bytes message;
  NMP_CHECK(handshake().write_message(payload, message));
  append(output_, Writer().u16be(static_cast<std::uint16_t>(message.size())).view());
  append(output_, message);
  return {};
}

void Session::establish() {
  auto keys = handshake().split();
  auto initiator = role_ == Role::initiator;
  transport_.emplace(CipherState(initiator ? keys.initiator_to_responder : keys.responder_to_initiator),
                     CipherState(initiator ? keys.responder_to_initiator : keys.initiator_to_responder));
  handshake_.reset();
  frames_ = {};
  payload_ = {};
}

Bytes Session::take_output() {
  auto out = std::exchange(output_, {});
  if (!transport_) return out;
  auto frames = transport_->take_output();
  if (out.empty()) return frames;
  append(out, frames);
  return out;
}

Result<void> Session::on_end() const {
  if (failure_) return fail(failure_);
  if (!transport_) return fail(Errc::truncated, "handshake");
  return transport_->on_end();
}

const PeerId& Session::peer() const {
  NMP_ASSERT(peer_);
  return *peer_;
}

Result<std::size_t> Session::write(ByteView plaintext) {
  if (failure_) return fail(failure_);
  if (!transport_) return fail(Errc::not_established);
  auto taken = transport_->write(plaintext);
  if (!taken) return give_up(std::move(taken).error());
  return taken;
}

void Session::consume(std::size_t size) {
  if (transport_) return transport_->consume(size);
  NMP_ASSERT(size == 0);
}

}  // namespace nmp::libp2p::noise
