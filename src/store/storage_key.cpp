#include "store/storage_key.hpp"

#include "libp2p/peer/private_file.hpp"

namespace nmp::store {

Result<SecretBytes<32>> load_or_create_storage_key(const std::filesystem::path& path, Random& random) {
  SecretBytes<33> content;  // one more than there may be
  auto size = libp2p::read_private_file(path, content.mutable_view());
  if (!size && size.error().code == nmp::Errc::not_found) {
    SecretBytes<32> fresh;
    random.fill(fresh.mutable_view());
    NMP_CHECK(libp2p::create_private_file(path, fresh.view(), random));
    size = libp2p::read_private_file(path, content.mutable_view());
  }
  if (!size) return fail(size.error());
  if (*size != SecretBytes<32>::kSize) return fail(nmp::Errc::malformed, path.string() + " is not 32 bytes long");
  return SecretBytes<32>(content.view().first<32>());
}

}  // namespace nmp::store
