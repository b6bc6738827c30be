#pragma once

#include <openssl/ssl.h>

#include "crypto/random.hpp"
#include "libp2p/peer/testing.hpp"
#include "libp2p/tls/session.hpp"

/// For tests of this room: our own ends, and a peer made of another TLS library, which says whatever it is told to.
namespace nmp::libp2p::tls {

class FixedClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return {}; }
  [[nodiscard]] UnixSeconds unix_now() const override { return unix_time; }
  UnixSeconds unix_time = 1'800'000'000;
};

/// A host with a context of its own.
struct Host {
  explicit Host(int byte, const Clock& clock, KeyLog key_log = {})
      : identity(KeyPair::from_seed(seed(byte))), id(PeerId::of(identity.public_key())) {
    SeededRandom random(static_cast<std::uint64_t>(byte));
    auto certificate = make_certificate(identity, clock.unix_now(), random);
    NMP_ASSERT(certificate);
    auto made = Context::make(id, *certificate, clock, std::move(key_log));
    NMP_ASSERT(made);
    context = *std::move(made);
  }
  static SecretBytes<32> seed(int byte) {
    SecretBytes<32> out;
    std::ranges::fill(out.mutable_view(), static_cast<std::byte>(byte));
    return out;
  }
  KeyPair identity;
  PeerId id;
  std::unique_ptr<Context> context;
};

/// OpenSSL's TLS between two buffers. It verifies nothing.
class RawPeer {
 public:
  struct Settings {
    std::vector<Bytes> chain;                         ///< DER; the first one's key is `key`. Empty: no certificate
    EVP_PKEY* key = nullptr;                          ///< borrowed
    std::vector<std::string> protocols = {"libp2p"};  ///< ALPN; a listener takes its first that is offered
    int version = TLS1_3_VERSION;
    const char* groups = nullptr;
    const char* ciphers = nullptr;
    std::string server_name;
  };
  RawPeer(bool inbound, Settings settings) : settings_(std::move(settings)), context_(SSL_CTX_new(TLS_method())) {
    auto* context = context_.get();
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, settings_.version);
    SSL_CTX_set_max_proto_version(context, settings_.version);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_cert_verify_callback(context, [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
    if (settings_.groups != nullptr) SSL_CTX_set1_groups_list(context, settings_.groups);
    if (settings_.ciphers != nullptr) SSL_CTX_set_ciphersuites(context, settings_.ciphers);
    for (std::size_t i = 0; i < settings_.chain.size(); ++i) {
      const auto* at = u8(ByteView(settings_.chain[i]));
      Owned<X509, &X509_free> certificate(d2i_X509(nullptr, &at, static_cast<long>(settings_.chain[i].size())));
      NMP_ASSERT(certificate != nullptr);
      if (i == 0) {
        NMP_ASSERT(SSL_CTX_use_certificate(context, certificate.get()) == 1);
        NMP_ASSERT(SSL_CTX_use_PrivateKey(context, settings_.key) == 1);
      } else {
        NMP_ASSERT(SSL_CTX_add1_chain_cert(context, certificate.get()) == 1);
      }
    }
    if (inbound) SSL_CTX_set_alpn_select_cb(context, &RawPeer::select, this);
    ssl_.reset(SSL_new(context));
    auto* ssl = ssl_.get();
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, in_, out_);
    if (inbound) {
      SSL_set_accept_state(ssl);
    } else {
      Bytes list;
      for (const auto& protocol : settings_.protocols)
        append(list, Writer().u8(static_cast<std::uint8_t>(protocol.size())).text(protocol).view());
      if (!list.empty()) SSL_set_alpn_protos(ssl, u8(ByteView(list)), static_cast<unsigned>(list.size()));
      if (!settings_.server_name.empty()) SSL_set_tlsext_host_name(ssl, settings_.server_name.c_str());
      SSL_set_connect_state(ssl);
    }
    step();
  }
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;
  ~RawPeer() = default;

  void feed(ByteView bytes) {
    BIO_write(in_, bytes.data(), static_cast<int>(bytes.size()));
    step();
  }
  Bytes take_output() {
    Bytes bytes(BIO_ctrl_pending(out_));
    if (!bytes.empty()) BIO_read(out_, bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
  }
  void write(ByteView plaintext) {
    EXPECT_EQ(SSL_write(ssl_.get(), plaintext.data(), static_cast<int>(plaintext.size())),
              static_cast<int>(plaintext.size()));
  }
  void finish() { SSL_shutdown(ssl_.get()); }
  void update_key() { EXPECT_EQ(SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_REQUESTED), 1); }
  [[nodiscard]] SSL* ssl() { return ssl_.get(); }
  [[nodiscard]] bool established() const { return SSL_is_init_finished(ssl_.get()) == 1; }
  [[nodiscard]] std::string protocol() const {
    const unsigned char* data = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &data, &size);
    return {reinterpret_cast<const char*>(data), size};
  }
  std::string received;
  bool ended = false;

 private:
  static int select(
      SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned in_size, void* self) {
    for (const auto& protocol : static_cast<RawPeer*>(self)->settings_.protocols) {
      for (unsigned at = 0; at < in_size; at += 1U + in[at]) {
        if (text_of(view_of(in + at + 1, in[at])) != protocol) continue;
        *out = in + at + 1;
        *out_size = in[at];
        return SSL_TLSEXT_ERR_OK;
      }
    }
    return SSL_TLSEXT_ERR_NOACK;
  }
  void step() {
    if (!established() && SSL_do_handshake(ssl_.get()) != 1) return;
    std::array<char, 4096> piece;
    for (;;) {
      const auto size = SSL_read(ssl_.get(), piece.data(), static_cast<int>(piece.size()));
      if (size <= 0) {
        ended = SSL_get_error(ssl_.get(), size) == SSL_ERROR_ZERO_RETURN;
        return;
      }
      received.append(piece.data(), static_cast<std::size_t>(size));
    }
  }

  Settings settings_;
  Owned<SSL_CTX, &SSL_CTX_free> context_;
  Owned<SSL, &SSL_free> ssl_;
  BIO* in_ = nullptr;  ///< the session's
  BIO* out_ = nullptr;
};

}  // namespace nmp::libp2p::tls
