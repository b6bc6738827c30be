#include "libp2p/peer/key_file.hpp"

#include "base/secret.hpp"
#include "libp2p/peer/errors.hpp"
#include "libp2p/peer/limits.hpp"
#include "libp2p/peer/private_file.hpp"

namespace nmp::libp2p {

Result<KeyPair> load_key_file(const std::filesystem::path& path) {
  SecretBytes<kKeyFileBytesMax> content;
  NMP_TRY(auto size, read_private_file(path, content.mutable_view()));
  auto key = KeyPair::decode(content.view().first(size));
  if (!key) return fail(PeerErrc::key_file_malformed, path.string() + ": " + key.error().message());
  return key;
}

Result<KeyPair> load_or_create_key_file(const std::filesystem::path& path, Random& random) {
  auto loaded = load_key_file(path);
  if (loaded || loaded.error().code != Errc::not_found) return loaded;
  auto encoded = KeyPair::generate(random).encode();
  NMP_CHECK(create_private_file(path, encoded.view(), random));
  return load_key_file(path);
}

}  // namespace nmp::libp2p
