#include "libp2p/kad/snapshot.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libp2p/kad/testing.hpp"

namespace nmp::libp2p::kad {
namespace {

TEST(KadSnapshot, RoundTripsWithinItsCeilings) {
  Snapshot snapshot;
  snapshot.saved = 1000;
  for (std::uint64_t i = 0; i < kSnapshotPeersMax + 5; ++i) snapshot.peers.push_back(peer_info(i));
  snapshot.providers.push_back({to_bytes("key"), peer_info(3), 5000});
  snapshot.providers.push_back({Bytes(80, std::byte{7}), PeerInfo{peer(4), {}}, 1});
  auto back = decode_snapshot(encode(snapshot)).value();
  EXPECT_EQ(back.saved, 1000);
  EXPECT_EQ(back.peers.size(), kSnapshotPeersMax);
  EXPECT_EQ(back.peers[0], snapshot.peers[0]);
  ASSERT_EQ(back.providers.size(), 2);
  EXPECT_EQ(back.providers[0].key, to_bytes("key"));
  EXPECT_EQ(back.providers[0].provider, peer_info(3));
  EXPECT_EQ(back.providers[0].expires, 5000);

  Snapshot big;
  for (std::size_t i = 0; i < kProvidersMax + 10; ++i) big.providers.push_back({to_bytes("k"), peer_info(i), 1});
  EXPECT_EQ(decode_snapshot(encode(big)).value().providers.size(), kProvidersMax);
}

TEST(KadSnapshot, WhatIsNoneIsRefused) {
  EXPECT_EQ(decode_snapshot({}).error().code, Errc::unsupported);
  EXPECT_EQ(decode_snapshot(hex("0802")).error().code, Errc::unsupported);
  EXPECT_EQ(decode_snapshot(hex("0801220112")).error().code, Errc::truncated);
  EXPECT_EQ(decode_snapshot(hex("08012001")).error().code, Errc::malformed);
  EXPECT_EQ(decode_snapshot(Bytes(kSnapshotBytesMax + 1)).error().code, Errc::too_large);
  auto whole = encode(Snapshot{1, {peer_info(1)}, {{to_bytes("key"), peer_info(2), 9}}});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto part = decode_snapshot(ByteView(whole).first(size));  // fields may be left out, none may be cut
    EXPECT_TRUE(!part || encode(*part) != whole);
  }
}

}  // namespace
}  // namespace nmp::libp2p::kad
