#include "base/async/resolver.hpp"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/async/event.hpp"
#include "base/async/task_group.hpp"
#include "base/async/testing.hpp"
#include "base/async/udp.hpp"
#include "base/codec.hpp"

namespace nmp::async {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;

constexpr std::uint16_t kA = 1;
constexpr std::uint16_t kTxt = 16;
constexpr std::uint16_t kAaaa = 28;

/// A name server (RFC 1035) on loopback that knows a few names, and answers others as it is told.
class NameServer {
 public:
  explicit NameServer(const Executor& executor) : tasks_(executor) {
    SocketAddress loopback;
    loopback.ip = {std::byte{127}, std::byte{0}, std::byte{0}, std::byte{1}};
    socket_ = UdpSocket::bind(executor, loopback).value();
    tasks_.spawn(serve());
  }
  NameServer(const NameServer&) = delete;
  NameServer& operator=(const NameServer&) = delete;
  ~NameServer() = default;
  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(socket_->local().port); }
  Awaitable<void> close() { return tasks_.close(); }

  std::map<std::pair<std::string, std::uint16_t>, std::vector<Bytes>> records;
  bool silent = false;
  std::optional<Bytes> instead;  ///< of every answer, after the question's id
  std::size_t questions = 0;

 private:
  Awaitable<void> serve() {
    while (co_await socket_->wait_readable()) {
      auto datagrams = socket_->receive();
      if (!datagrams) co_return;
      for (const auto& datagram : *datagrams) {
        ++questions;
        if (silent) continue;
        const auto reply = answer(datagram.bytes);
        socket_->send(reply, reply.size(), datagram.remote, nullptr);
      }
    }
  }
  [[nodiscard]] Bytes answer(ByteView question) const {
    if (instead) return concat({question.first(2), *instead});
    Reader reader(question.subspan(12));
    std::string name;
    for (auto size = reader.u8().value(); size > 0; size = reader.u8().value())
      name += (name.empty() ? "" : ".") + string_of(reader.take(size).value());
    const auto type = reader.u16be().value();
    reader.u16be().value();
    const auto asked = question.subspan(12, question.size() - 12 - reader.size());
    const auto found = records.find({name, type});
    const auto known = records.lower_bound({name, 0});
    const bool exists = known != records.end() && known->first.first == name;
    const std::size_t count = found == records.end() ? 0 : found->second.size();
    Writer out;
    out.bytes(question.first(2)).u16be(exists ? 0x8180 : 0x8183).u16be(1).u16be(static_cast<std::uint16_t>(count));
    out.u16be(0).u16be(0).bytes(asked);
    for (std::size_t i = 0; i < count; ++i) {
      const auto& data = found->second[i];
      out.u16be(0xc00c).u16be(type).u16be(1).u32be(60).u16be(static_cast<std::uint16_t>(data.size())).bytes(data);
    }
    return out.take();
  }

  std::unique_ptr<UdpSocket> socket_;
  TaskGroup tasks_;
};

Instant in(Duration time) { return system_clock().now() + time; }
Bytes bytes(std::initializer_list<int> values) {
  Bytes out;
  for (const int value : values) out.push_back(static_cast<std::byte>(value));
  return out;
}
std::vector<int> ip_of(const SocketAddress& address) {
  std::vector<int> out;
  for (const auto byte : address.ip_bytes()) out.push_back(std::to_integer<int>(byte));
  return out;
}

/// Runs `body(server, resolver)`.
template <class Body>
void with_server(Body body) {
  boost::asio::io_context context;
  NameServer server(context.get_executor());
  auto resolver = system_resolver(context.get_executor(), server.address());
  auto run = [](NameServer& at, Resolver& asks, Body act) -> Awaitable<bool> {
    co_await act(at, asks);
    co_await at.close();
    co_return true;
  };
  EXPECT_TRUE(run_until_done(context, run(server, *resolver, body)));
}

TEST(Resolver, AddressesOfBothFamilies) {
  with_server([](NameServer& server, Resolver& resolver) -> Awaitable<void> {
    server.records[{"a.example", kA}] = {bytes({1, 2, 3, 4}), bytes({5, 6, 7, 8})};
    server.records[{"a.example", kAaaa}] = {bytes({0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})};
    auto four = co_await resolver.addresses("a.example", /*is_v6=*/false, in(seconds(10)));
    EXPECT_TRUE(four);
    if (!four) co_return;
    EXPECT_EQ(four->size(), 2U);
    EXPECT_THAT(ip_of(four->at(0)), ElementsAre(1, 2, 3, 4));
    EXPECT_THAT(ip_of(four->at(1)), ElementsAre(5, 6, 7, 8));
    auto six = co_await resolver.addresses("a.example", /*is_v6=*/true, in(seconds(10)));
    EXPECT_TRUE(six);
    if (!six) co_return;
    EXPECT_EQ(six->size(), 1U);
    EXPECT_TRUE(six->at(0).is_v6);
    EXPECT_EQ(ip_of(six->at(0)).back(), 1);
    const auto asked = server.questions;
    auto literal = co_await resolver.addresses("127.0.0.9", /*is_v6=*/false, in(seconds(10)));
    EXPECT_TRUE(literal && literal->size() == 1);
    EXPECT_EQ(server.questions, asked);
  });
}

TEST(Resolver, TextsWithTheirStringsJoined) {
  with_server([](NameServer& server, Resolver& resolver) -> Awaitable<void> {
    server.records[{"_dnsaddr.example", kTxt}] = {concat({bytes({3}), bytes_of("one"), bytes({4}), bytes_of(" two")}),
                                                  concat({bytes({5}), bytes_of("three")}), bytes({0})};
    auto texts = co_await resolver.texts("_dnsaddr.example", in(seconds(10)));
    EXPECT_TRUE(texts);
    if (texts) {
      EXPECT_THAT(*texts, ElementsAre("one two", "three", ""));
    }
  });
}

TEST(Resolver, WhatIsNotThereIsNotFound) {
  with_server([](NameServer& server, Resolver& resolver) -> Awaitable<void> {
    server.records[{"a.example", kA}] = {bytes({1, 2, 3, 4})};
    for (const auto* name : {"b.example", "a.example", "", ".."}) {
      auto texts = co_await resolver.texts(name, in(seconds(10)));
      EXPECT_FALSE(texts) << name;
      if (!texts) {
        EXPECT_TRUE(texts.error().code == Errc::not_found || std::string_view(name).size() < 3) << name;
      }
    }
    std::string lengthy(300, 'x');
    EXPECT_FALSE(co_await resolver.addresses(lengthy, /*is_v6=*/false, in(seconds(10))));
    auto six = co_await resolver.addresses("a.example", /*is_v6=*/true, in(seconds(10)));
    EXPECT_FALSE(six);
    if (!six) {
      EXPECT_EQ(six.error().code, Errc::not_found);
    }
  });
}

TEST(Resolver, SilenceEndsAtTheDeadline) {
  with_server([](NameServer& server, Resolver& resolver) -> Awaitable<void> {
    server.silent = true;
    const auto begin = system_clock().now();
    auto texts = co_await resolver.texts("a.example", in(milliseconds(200)));
    EXPECT_FALSE(texts);
    if (!texts) {
      EXPECT_EQ(texts.error().code, Errc::deadline_exceeded);
    }
    EXPECT_LT(system_clock().now() - begin, seconds(1));
    EXPECT_EQ(server.questions, 1U);
    // After two tries it gives up by itself.
    auto more = co_await resolver.texts("a.example", in(seconds(30)));
    EXPECT_FALSE(more);
    if (!more) {
      EXPECT_EQ(more.error().code, Errc::io);
    }
    EXPECT_EQ(server.questions, 3U);
  });
}

TEST(Resolver, RubbishIsNoAnswer) {
  with_server([](NameServer& server, Resolver& resolver) -> Awaitable<void> {
    // A header that promises a question and an answer, then nothing; a pointer to itself as the answer's name; no more
    // than an id.
    const auto header = bytes({0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0});
    for (const auto& reply :
         {header, concat({header, bytes({0xc0, 12, 0, 16, 0, 1, 0xc0, 18, 0, 16, 0, 1})}), Bytes()}) {
      server.instead = reply;
      EXPECT_FALSE(co_await resolver.texts("a.example", in(milliseconds(300))));
      EXPECT_FALSE(co_await resolver.addresses("a.example", /*is_v6=*/false, in(milliseconds(300))));
    }
  });
}

TEST(Resolver, QuestionsCanBeStopped) {
  with_server([](NameServer& server, Resolver& resolver) -> Awaitable<void> {
    server.silent = true;
    auto executor = co_await boost::asio::this_coro::executor;
    TaskGroup tasks(executor);
    std::size_t cancelled = 0;
    auto ask = [](Resolver& from, std::size_t& count) -> Awaitable<void> {
      auto texts = co_await from.texts("a.example", kNever);
      if (!texts && texts.error().code == Errc::cancelled) ++count;
    };
    for (int i = 0; i < 20; ++i) tasks.spawn(ask(resolver, cancelled));
    while (server.questions < 20) (void)co_await sleep_until(in(milliseconds(1)));
    co_await tasks.close();
    EXPECT_EQ(cancelled, 20U);
    server.silent = false;
    server.records[{"a.example", kTxt}] = {concat({bytes({1}), bytes_of("x")})};
    EXPECT_TRUE(co_await resolver.texts("a.example", in(seconds(10))));
  });
}

}  // namespace
}  // namespace nmp::async
