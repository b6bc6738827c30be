#include "libp2p/multistream/multistream.hpp"

#include <gtest/gtest.h>

#include "base/encoding.hpp"

namespace nmp::libp2p::multistream {
namespace {

struct Vector {
  const char* text;
  const char* hex;
};
// libp2p.md appendix B.3.
constexpr Vector kVectors[] = {
    {"/multistream/1.0.0", "132f6d756c746973747265616d2f312e302e300a"},
    {"na", "036e610a"},
    {"ls", "036c730a"},
    {"/noise", "072f6e6f6973650a"},
    {"/tls/1.0.0", "0b2f746c732f312e302e300a"},
    {"/yamux/1.0.0", "0d2f79616d75782f312e302e300a"},
    {"/ipfs/id/1.0.0", "0f2f697066732f69642f312e302e300a"},
    {"/ipfs/ping/1.0.0", "112f697066732f70696e672f312e302e300a"},
    {"/perf/1.0.0", "0c2f706572662f312e302e300a"},
    {"/ipfs/kad/1.0.0", "102f697066732f6b61642f312e302e300a"},
};

TEST(Multistream, TokensMatchThePublishedBytes) {
  for (const auto& vector : kVectors) {
    EXPECT_EQ(hex_encode(encode_token(vector.text)), vector.hex);
    auto bytes = *hex_decode(vector.hex);
    TokenReader reader;
    // One byte at a time.
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      auto piece = ByteView(bytes).subspan(i, 1);
      auto token = reader.feed(piece);
      ASSERT_TRUE(token);
      ASSERT_EQ(token->has_value(), i + 1 == bytes.size());
      if (*token) {
        EXPECT_EQ(**token, vector.text);
      }
    }
  }
}

bool knows(std::string_view protocol) { return protocol == "/b" || protocol == "/c"; }

Bytes tokens(std::initializer_list<std::string_view> list) {
  Bytes all;
  for (auto text : list) append(all, encode_token(text));
  return all;
}

TEST(Multistream, DialerAndListenerAgreeOnTheFirstCommonProtocol) {
  Dialer dialer({"/a", "/b", "/c"});
  Listener listener(knows);
  std::optional<std::string> left;
  std::optional<std::string> right;
  for (int round = 0; round < 5 && !(left && right); ++round) {
    auto to_listener = dialer.take_output();
    ByteView in(to_listener);
    if (!right) right = *listener.feed(in);
    auto to_dialer = listener.take_output();
    in = to_dialer;
    if (!left) left = *dialer.feed(in);
  }
  EXPECT_EQ(left, "/b");
  EXPECT_EQ(right, "/b");
}

TEST(Multistream, LazyDataAfterTheProposalStaysInTheInput) {
  Dialer dialer({"/b"});
  auto first = dialer.take_output();
  append(first, bytes_of("hello"));
  Listener listener(knows);
  ByteView in(first);
  auto agreed = listener.feed(in);
  ASSERT_TRUE(agreed && *agreed);
  EXPECT_EQ(text_of(in), "hello");
  auto answer = listener.take_output();
  append(answer, bytes_of("world"));
  in = answer;
  auto echoed = dialer.feed(in);
  ASSERT_TRUE(echoed && *echoed);
  EXPECT_EQ(text_of(in), "world");
}

TEST(Multistream, ARefusedLazyDialerLearnsIt) {
  Dialer dialer({"/x"});
  auto answer = tokens({kHeader, "na"});
  ByteView in(answer);
  auto result = dialer.feed(in);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::no_common_protocol);
}

TEST(Multistream, ListenerAnswersTheHeaderEvenWhenItRefuses) {
  Listener listener(knows);
  auto input = tokens({kHeader, "/x", "ls"});
  ByteView in(input);
  auto result = listener.feed(in);
  ASSERT_TRUE(result);
  EXPECT_FALSE(*result);
  EXPECT_EQ(listener.take_output(), tokens({kHeader, "na", "na"}));
}

TEST(Multistream, GarbageIsRefused) {
  const Bytes cases[] = {
      *hex_decode("00"),        // empty token
      *hex_decode("8108"),      // 1025 bytes
      *hex_decode("808001"),    // a length of three bytes
      *hex_decode("8000"),      // a length in a longer form than needed
      *hex_decode("036e6162"),  // no newline
      tokens({"/multistream/2.0.0"}),
  };
  for (const auto& input : cases) {
    Listener listener(knows);
    ByteView in(input);
    auto result = listener.feed(in);
    ASSERT_FALSE(result) << hex_encode(input);
    EXPECT_EQ(result.error().code, Errc::bad_token);
  }
}

TEST(Multistream, ProposalsAreCounted) {
  Listener listener(knows);
  auto input = tokens({kHeader});
  for (std::size_t i = 0; i <= kProposalsMax; ++i) append(input, encode_token("/x"));
  ByteView in(input);
  auto result = listener.feed(in);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::too_many_proposals);
}

TEST(Multistream, AnAnswerThatWasNotProposedIsRefused) {
  Dialer dialer({"/a", "/b"});
  auto answer = tokens({kHeader, "/b"});
  ByteView in(answer);
  EXPECT_FALSE(dialer.feed(in));
}

}  // namespace
}  // namespace nmp::libp2p::multistream
