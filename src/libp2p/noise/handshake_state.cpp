#include "libp2p/noise/handshake_state.hpp"

#include "base/codec.hpp"

namespace nmp::libp2p::noise {
namespace {

/// 32 bytes: as long as a hash, so it is the first hash itself (section 5.2, InitializeSymmetric).
constexpr std::string_view kProtocolName = "Noise_XX_25519_ChaChaPoly_SHA256";
static_assert(kProtocolName.size() == sizeof(crypto::Digest));

/// The two-output HKDF of section 4.3, which is RFC 5869's with an empty info.
std::pair<SecretBytes<32>, SecretBytes<32>> hkdf(const SecretBytes<32>& chaining_key, ByteView input) {
  auto both = crypto::hkdf_expand<64>(crypto::hkdf_extract(chaining_key.view(), input), {});
  return {SecretBytes<32>(both.view().first<32>()), SecretBytes<32>(both.view().last<32>())};
}

crypto::X25519PublicKey key_of(ByteView bytes) {
  crypto::X25519PublicKey out{};
  std::ranges::copy(bytes, out.begin());
  return out;
}

}  // namespace

SymmetricState::SymmetricState(ByteView prologue) {
  std::ranges::copy(bytes_of(kProtocolName), hash_.begin());
  std::ranges::copy(hash_, chaining_key_.mutable_view().begin());
  mix_hash(prologue);
}

void SymmetricState::mix_hash(ByteView data) { hash_ = crypto::Sha256().update(hash_).update(data).finish(); }

void SymmetricState::mix_key(const SecretBytes<32>& input) {
  auto [chaining_key, key] = hkdf(chaining_key_, input.view());
  chaining_key_ = std::move(chaining_key);
  cipher_.emplace(key);
}

Result<void> SymmetricState::encrypt_and_hash(ByteView plaintext, Bytes& out) {
  auto at = out.size();
  out.resize(at + plaintext.size() + overhead());
  auto sealed = std::span(out).subspan(at);
  if (cipher_) {
    NMP_CHECK(cipher_->seal(hash_, plaintext, sealed));
  } else {
    std::ranges::copy(plaintext, sealed.begin());
  }
  mix_hash(sealed);
  return {};
}

Result<Bytes> SymmetricState::decrypt_and_hash(ByteView ciphertext) {
  if (!cipher_) {
    mix_hash(ciphertext);
    return to_bytes(ciphertext);
  }
  if (ciphertext.size() < kTagSize) return fail(Errc::forged);
  Bytes plaintext(ciphertext.size() - kTagSize);
  NMP_CHECK(cipher_->open(hash_, ciphertext, plaintext));
  mix_hash(ciphertext);
  return plaintext;
}

TransportKeys SymmetricState::split() const {
  auto [first, second] = hkdf(chaining_key_, {});
  return {.initiator_to_responder = std::move(first), .responder_to_initiator = std::move(second)};
}

HandshakeState::HandshakeState(Role role, ByteView prologue, crypto::X25519KeyPair s, crypto::X25519KeyPair e)
    : role_(role), symmetric_(prologue), static_(std::move(s)), ephemeral_(std::move(e)) {}

std::span<const HandshakeState::Token> HandshakeState::tokens(std::size_t message) {
  static constexpr Token kFirst[] = {Token::e};
  static constexpr Token kSecond[] = {Token::e, Token::ee, Token::s, Token::es};
  static constexpr Token kThird[] = {Token::s, Token::se};
  switch (message) {
    case 0: return kFirst;
    case 1: return kSecond;
    default: return kThird;
  }
}

std::size_t HandshakeState::next_overhead() const {
  // Message 1: e. Message 2: e, s and a tag, a tag. Message 3: s and a tag, a tag.
  static constexpr std::size_t kOverhead[] = {32, 32 + 32 + 2 * kTagSize, 32 + 2 * kTagSize};
  NMP_ASSERT(!complete());
  return kOverhead[message_];
}

Result<void> HandshakeState::mix_dh(Token token) {
  // The first letter is the initiator's key, the second the responder's.
  auto initiator = role_ == Role::initiator;
  auto own_static = token == (initiator ? Token::se : Token::es);
  auto remote_static = token == (initiator ? Token::es : Token::se);
  const auto& own = own_static ? static_ : ephemeral_;
  const auto& remote = remote_static ? remote_static_ : remote_ephemeral_;
  NMP_ASSERT(own && remote);
  auto shared = crypto::x25519(*own, *remote);
  if (!shared) return fail(Errc::weak_key);
  symmetric_.mix_key(*shared);
  return {};
}

void HandshakeState::end_message() {
  ++message_;
  // The ephemeral key's last use is `es` or, for the responder, `se`; the static key's is `se` or `es`.
  if (message_ == 2) (role_ == Role::initiator ? ephemeral_ : static_).reset();
  if (message_ == 3) (role_ == Role::initiator ? static_ : ephemeral_).reset();
}

Result<void> HandshakeState::write_message(ByteView payload, Bytes& out) {
  NMP_ASSERT(writes_next());
  for (auto token : tokens(message_)) {
    switch (token) {
      case Token::e:
        NMP_ASSERT(ephemeral_);
        append(out, ephemeral_->public_key());
        symmetric_.mix_hash(ephemeral_->public_key());
        break;
      case Token::s:
        NMP_ASSERT(static_);
        NMP_CHECK(symmetric_.encrypt_and_hash(static_->public_key(), out));
        break;
      case Token::ee:
      case Token::es:
      case Token::se: NMP_CHECK(mix_dh(token)); break;
    }
  }
  NMP_CHECK(symmetric_.encrypt_and_hash(payload, out));
  end_message();
  return {};
}

Result<Bytes> HandshakeState::read_message(ByteView message) {
  NMP_ASSERT(!complete() && !writes_next());
  if (message.size() < next_overhead()) return fail(Errc::bad_message);
  Reader reader(message);
  for (auto token : tokens(message_)) {
    switch (token) {
      case Token::e: {
        NMP_TRY(auto key, reader.take(32));
        symmetric_.mix_hash(key);
        remote_ephemeral_ = key_of(key);
        break;
      }
      case Token::s: {
        NMP_TRY(auto sealed, reader.take(32 + symmetric_.overhead()));
        NMP_TRY(auto key, symmetric_.decrypt_and_hash(sealed));
        remote_static_ = key_of(key);
        break;
      }
      case Token::ee:
      case Token::es:
      case Token::se: NMP_CHECK(mix_dh(token)); break;
    }
  }
  NMP_TRY(auto payload, symmetric_.decrypt_and_hash(reader.rest()));
  end_message();
  return payload;
}

const crypto::X25519PublicKey& HandshakeState::remote_static() const {
  NMP_ASSERT(remote_static_);
  return *remote_static_;
}

TransportKeys HandshakeState::split() const {
  NMP_ASSERT(complete());
  return symmetric_.split();
}

}  // namespace nmp::libp2p::noise
