#include "grpc/health/v1/health.pb.h"
#include "tests/security/child_node.hpp"
#include "tests/security/quic_agent.hpp"

/// What a node serves, by the way in.
namespace nmp::security {
namespace {

constexpr std::uint8_t kAgent = 1;
constexpr std::uint8_t kNode = 42;

/// "ok", or the name of the status.
Awaitable<std::string> health(std::shared_ptr<rpc::Channel> channel, std::string service) {
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(std::move(service));
  rpc::CallOptions options;
  options.deadline = in(10s);
  auto reply =
      co_await channel->unary_reply("/grpc.health.v1.Health/Check", to_bytes(request.SerializeAsString()), options);
  co_return reply.status.ok() ? "ok" : std::string(rpc::name_of(reply.status.code));
}

Awaitable<std::string> reflection(std::shared_ptr<rpc::Channel> channel, std::string version) {
  rpc::CallOptions options;
  options.deadline = in(10s);
  auto call = channel->call("/grpc.reflection." + version + ".ServerReflection/ServerReflectionInfo", options);
  call->writes_done();
  auto status = co_await call->finish();
  co_return status.ok() ? "ok" : std::string(rpc::name_of(status.code));
}

/// Tools ask the plain listener, which is the owner's own. Peers on libp2p are offered NeuralMesh and nothing else.
TEST(Listeners, ReflectionAndHealthAreOnThePlainOneOnly) {
  TemporaryFolder folder;
  boost::asio::io_context context(1);
  auto node = ChildNode::start(folder.path(), kNode);
  ASSERT_NE(node, nullptr);
  auto body = [](async::Executor executor, ChildNode& child) -> Awaitable<bool> {
    auto plain = co_await dial(executor, child.port());
    EXPECT_AWAIT(co_await health(plain, "nmp.v1.NeuralMesh"), "ok");
    EXPECT_AWAIT(co_await health(plain, ""), "ok");
    EXPECT_AWAIT(co_await reflection(plain, "v1"), "ok");
    EXPECT_AWAIT(co_await reflection(plain, "v1alpha"), "ok");
    QuicAgent agent(executor, kAgent);
    auto mesh = co_await agent.dial(peer_of(kNode), child.quic_port());
    NMP_ASSERT(mesh.has_value());
    EXPECT_AWAIT(co_await health(*mesh, "nmp.v1.NeuralMesh"), "UNIMPLEMENTED");
    EXPECT_AWAIT(co_await health(*mesh, ""), "UNIMPLEMENTED");
    EXPECT_AWAIT(co_await reflection(*mesh, "v1"), "UNIMPLEMENTED");
    EXPECT_AWAIT(co_await reflection(*mesh, "v1alpha"), "UNIMPLEMENTED");
    for (auto& channel : {plain, *mesh}) {
      Draft draft(key_of(kAgent), peer_of(kNode), good_filter());
      EXPECT_AWAIT(co_await run_once(channel, draft), "evidence");
      co_await channel->close();
    }
    co_await agent.close();
    co_return true;
  };
  EXPECT_TRUE(async::run_until_done(context, body(context.get_executor(), *node), 60s));
  EXPECT_TRUE(node->stop());
}

}  // namespace
}  // namespace nmp::security
