#include "libp2p/sim/mesh.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace nmp::libp2p::sim {
namespace {

using namespace std::chrono_literals;

/// Between two joins at the start, and the rest after the last.
constexpr Duration kJoinEvery = 20ms;
constexpr Duration kRest = 60s;
constexpr Duration kJoinTimeout = 120s;
constexpr Duration kRejoinAfter = 5s;
constexpr Duration kCallTimeout = 60s;
/// Any time will do; values and records have none in them.
constexpr UnixSeconds kUnixStart = 1'800'000'000;

std::uint64_t mix(std::uint64_t state, std::uint64_t value) {
  state = (state ^ value) * 0x9e3779b97f4a7c15U;
  return state ^ state >> 29;
}

double unit(Random& random) { return static_cast<double>(random.u64() >> 11) * 0x1p-53; }

}  // namespace

struct Mesh::Person {
  Person(Seat where, std::uint64_t seed) : seat(std::move(where)), key(kad::Key::of(seat.info.id)), random(seed) {}
  Seat seat;
  kad::Key key;
  SeededRandom random;
  std::unique_ptr<kad::RoutingPolicy> policy;
  std::unique_ptr<kad::Node> node;  ///< nothing before it joins and after it left
  kad::CallId joining{};
  Instant timer = kNever;  ///< of its next timer event that counts
  bool stays = false;
  std::vector<bool> met;  ///< by number: connected

  [[nodiscard]] bool reachable() const {
    return seat.kind == Kind::attacker || (seat.kind == Kind::server && node != nullptr);
  }
  [[nodiscard]] bool knows(std::size_t number) const { return number < met.size() && met[number]; }
  void connect(std::size_t number) {
    if (number >= met.size()) met.resize(number + 1);
    met[number] = true;
  }
};

Mesh::Mesh(MeshOptions options) : options_(std::move(options)), random_(options_.seed) {
  NMP_ASSERT(options_.nodes >= 2 && options_.clients + options_.unreachable + options_.attackers < 1);
  std::vector<Kind> kinds(options_.nodes, Kind::server);
  auto turn = [&, at = kinds.begin() + 1](double share, Kind kind) mutable {
    auto count = static_cast<std::ptrdiff_t>(share * static_cast<double>(options_.nodes));
    at = std::fill_n(at, std::min(count, kinds.end() - at), kind);
  };
  turn(options_.attackers, Kind::attacker);
  turn(options_.clients, Kind::client);
  turn(options_.unreachable, Kind::unreachable);
  for (std::size_t i = kinds.size() - 1; i > 1; --i) std::swap(kinds[i], kinds[1 + random_.below(i)]);
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    auto number = seat_newcomer(kinds[i]);
    schedule(kJoinEvery * i, Event{.what = What::join, .to = number});
  }
  for (std::size_t i = 0; i < options_.attacker_pool; ++i) seat_newcomer(Kind::attacker);
  protect(0);
  run_for(kJoinEvery * options_.nodes + kRest);
}

Mesh::~Mesh() = default;

std::uint32_t Mesh::seat_newcomer(Kind kind) {
  auto number = people_.size();
  return seat(random_seat(number, kind, options_.organisations, options_.attacker_networks, random_));
}

std::uint32_t Mesh::seat(Seat seat) {
  auto number = static_cast<std::uint32_t>(people_.size());
  numbers_.emplace(seat.info.id, number);
  people_.push_back(std::make_unique<Person>(std::move(seat), random_.u64()));
  if (people_.back()->seat.kind == Kind::attacker) {
    std::pair entry(people_.back()->key, number);
    attackers_.insert(std::ranges::upper_bound(attackers_, entry), entry);
  }
  return number;
}

// ---- time

void Mesh::schedule(Duration after, Event event) {
  event.at = now_ + after;
  event.order = ++order_;
  queue_.push(std::move(event));
}

void Mesh::step() {
  auto event = queue_.top();
  queue_.pop();
  now_ = event.at;
  handle(event);
}

void Mesh::run_for(Duration time) {
  auto until = now_ + time;
  while (!queue_.empty() && queue_.top().at <= until) step();
  now_ = until;
}

kad::Now Mesh::both() const {
  return {now_, kUnixStart + std::chrono::duration_cast<std::chrono::seconds>(now_.time_since_epoch()).count()};
}

void Mesh::handle(const Event& event) {
  auto& person = *people_[event.to];
  if (event.what == What::join) return join(person);
  if (person.node == nullptr && event.what != What::request) return;
  switch (event.what) {
    case What::join: return;
    case What::leave: return leave(person);
    case What::timer:
      if (event.at != person.timer) return;  // it was brought forward
      person.timer = kNever;
      person.node->on_timer(both());
      break;
    case What::request: return serve(person, event);
    case What::answer: person.node->on_answer(event.request, *event.message, both()); break;
    case What::sent: person.node->on_sent(event.request, both()); break;
    case What::failure: person.node->on_failure(event.request, both()); break;
  }
  pump(person);
}

// ---- coming and going

void Mesh::join(Person& person) {
  if (person.node == nullptr) {
    auto options = options_.node;
    options.mode = person.seat.kind == Kind::client ? kad::Mode::client : kad::Mode::server;
    if (person.seat.number > 0) {
      auto through = any_server();
      options.bootstrap = {people_[through]->seat.info};
    }
    person.policy = options_.policy ? options_.policy(person.seat) : std::make_unique<kad::RoutingPolicy>();
    auto known = [&seat = person.seat](const PeerId& id) {
      return id == seat.info.id ? std::optional(seat.info) : std::nullopt;
    };
    person.node =
        std::make_unique<kad::Node>(person.seat.info.id, std::move(options), *person.policy, known, person.random);
    if (options_.churn_per_hour > 0 && person.seat.kind != Kind::attacker) {
      auto half_life = std::numbers::ln2 / -std::log1p(-options_.churn_per_hour);  // hours
      auto life = half_life * -std::log2(1 - unit(random_));
      schedule(std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::ratio<3600>>(life)),
               Event{.what = What::leave, .to = static_cast<std::uint32_t>(person.seat.number)});
    }
  }
  person.joining = person.node->bootstrap(now_ + kJoinTimeout, both());
  pump(person);
}

void Mesh::leave(Person& person) {
  if (person.stays) return;
  person.node.reset();
  person.policy.reset();
  person.met = {};
  auto newcomer = seat_newcomer(person.seat.kind);
  schedule(0s, Event{.what = What::join, .to = newcomer});
}

void Mesh::protect(std::size_t number) { people_[number]->stays = true; }

void Mesh::besiege(ByteView key, std::size_t count) {
  auto place = kad::Key::of(key);
  auto at = [&](const PeerId& id) { return kad::distance(place, kad::Key::of(id)); };
  std::optional<kad::Distance> nearest;
  for (const auto& person : people_) {
    if (person->seat.kind == Kind::attacker) continue;
    auto distance = kad::distance(place, person->key);
    if (!nearest || distance < *nearest) nearest = distance;
  }
  for (std::size_t i = 0; i < count; ++i) {
    auto seat_of_one =
        random_seat(people_.size(), Kind::attacker, options_.organisations, options_.attacker_networks, random_);
    while (nearest && !(at(seat_of_one.info.id) < *nearest)) seat_of_one.info.id = random_peer(random_);
    schedule(kJoinEvery * i, Event{.what = What::join, .to = seat(std::move(seat_of_one))});
  }
  run_for(kJoinEvery * count + kRest);
}

// ---- messages

Duration Mesh::travel(const Person& from, const Person& to) {
  auto once = latency(from.seat, to.seat);
  auto time = once + std::chrono::duration_cast<Duration>(once * (0.1 * unit(random_)));
  while (options_.loss > 0 && unit(random_) < options_.loss) time += 2 * once + kProbeExtra;
  return time;
}

Mesh::MessagePtr Mesh::on_wire(kad::Message message) const {
  if (!options_.through_codec) return std::make_shared<const kad::Message>(std::move(message));
  auto bytes = kad::encode(message);
  NMP_ASSERT(bytes.has_value());
  auto decoded = kad::decode(*bytes);
  NMP_ASSERT(decoded.has_value());
  return std::make_shared<const kad::Message>(*std::move(decoded));
}

/// A first contact: a connection, and identify on both sides.
void Mesh::meet(Person& one, Person& other) {
  for (auto [at, to] : {std::pair(&one, &other), std::pair(&other, &one)}) {
    if (at->knows(to->seat.number)) continue;
    at->connect(to->seat.number);
    if (at->node != nullptr && to->seat.kind != Kind::client)
      at->node->on_identified(to->seat.info, /*serves=*/true, both());
  }
}

void Mesh::pump(Person& person) {
  auto number = static_cast<std::uint32_t>(person.seat.number);
  for (auto& request : person.node->take_requests()) transmit(person, std::move(request));
  for (auto& finished : person.node->take_finished()) {
    if (finished.call == person.joining && !finished.outcome && person.seat.number != 0) {
      schedule(kRejoinAfter, Event{.what = What::join, .to = number});
    } else if (watched_call_ && watched_ == number && *watched_call_ == finished.call) {
      report_.ok = finished.outcome.has_value();
      report_.stats = finished.stats;
      if (finished.outcome) {
        report_.providers = std::move(finished.outcome->providers);
        report_.count = finished.outcome->count;
      }
      reported_ = true;
    }
  }
  (void)person.node->take_providers();  // they come again with the end
  if (auto next = person.node->deadline(); next < person.timer) {
    person.timer = std::max(next, now_);
    schedule(person.timer - now_, Event{.what = What::timer, .to = number});
  }
}

void Mesh::transmit(Person& from, kad::Request request) {
  auto number = static_cast<std::uint32_t>(from.seat.number);
  auto found = numbers_.find(request.peer.id);
  NMP_ASSERT(found != numbers_.end());  // nobody in this world invents peers
  auto& to = *people_[found->second];
  ++messages_;
  history_ = mix(history_, static_cast<std::uint64_t>(now_.time_since_epoch().count()));
  history_ = mix(history_, std::uint64_t{number} << 32 | found->second);
  if (watched_call_ && watched_ == number) report_.asked.push_back(found->second);
  if (!to.reachable()) {
    schedule(kad::kDialTimeout, Event{.what = What::failure, .to = number, .request = request.id});
    return;
  }
  auto there = travel(from, to);
  if (!from.knows(found->second)) there += 2 * latency(from.seat, to.seat);
  if (!request.answered) schedule(there, Event{.what = What::sent, .to = number, .request = request.id});
  schedule(there, Event{.what = What::request,
                        .to = found->second,
                        .from = number,
                        .request = request.id,
                        .message = on_wire(std::move(request.message))});
}

void Mesh::serve(Person& person, const Event& event) {
  auto& asker = *people_[event.from];
  if (!person.reachable()) return;  // left meanwhile: the asker's timeout will tell
  meet(asker, person);
  std::optional<kad::Message> reply;
  bool refused = false;
  if (person.seat.kind == Kind::attacker) {
    reply = lie(person, *event.message);
  } else {
    auto answer = person.node->serve(*event.message, asker.seat.info.id, both());
    refused = !answer;
    if (answer) reply = *std::move(answer);
  }
  for (auto* met : {&asker, &person})
    if (met->node != nullptr) pump(*met);
  auto back = travel(person, asker);
  if (refused && event.message->type != kad::MessageType::add_provider) {
    schedule(back, Event{.what = What::failure, .to = event.from, .request = event.request});
  } else if (reply) {
    auto message = on_wire(*std::move(reply));
    schedule(back, Event{.what = What::answer,
                         .to = event.from,
                         .from = event.to,
                         .request = event.request,
                         .message = std::move(message)});
  }
}

/// The identities closest to the key, nothing else. They are sorted, and those close by XOR share a prefix, so they lie
/// around the key's place; a few that are as close and lie elsewhere are not missed by a liar.
std::optional<kad::Message> Mesh::lie(const Person& person, const kad::Message& request) const {
  if (request.type == kad::MessageType::add_provider) return std::nullopt;
  kad::Message reply;
  reply.type = request.type;
  reply.key = request.key;
  auto place = kad::Key::of(request.key);
  auto count = options_.node.lookup.k;
  auto at = std::ranges::lower_bound(attackers_, place, {}, [](const auto& entry) { return entry.first; });
  auto window = static_cast<std::ptrdiff_t>(2 * count);
  auto first = at - std::min(window, at - attackers_.begin());
  auto last = at + std::min(window, attackers_.end() - at);
  std::vector<std::pair<kad::Distance, std::uint32_t>> ranked;
  for (const auto& [key, number] : std::ranges::subrange(first, last))
    if (number != person.seat.number) ranked.emplace_back(kad::distance(place, key), number);
  std::ranges::sort(ranked);
  if (ranked.size() > count) ranked.resize(count);
  for (const auto& [distance, number] : ranked) reply.closer_peers.push_back(people_[number]->seat.info);
  return reply;
}

// ---- calls

Report Mesh::finish(Person& person, kad::CallId call) {
  watched_call_ = call;
  watched_ = static_cast<std::uint32_t>(person.seat.number);
  report_ = {};
  reported_ = false;
  pump(person);
  while (!reported_ && person.node != nullptr && !queue_.empty()) step();
  watched_call_.reset();
  return std::move(report_);
}

Report Mesh::provide(std::size_t number, ByteView key) {
  auto& person = *people_[number];
  NMP_ASSERT(person.node != nullptr);
  return finish(person, person.node->provide(to_bytes(key), now_ + kCallTimeout, both()));
}

Report Mesh::find_providers(std::size_t number, ByteView key, std::size_t count) {
  auto& person = *people_[number];
  NMP_ASSERT(person.node != nullptr);
  return finish(person, person.node->find_providers(to_bytes(key), count, now_ + kCallTimeout, both()));
}

// ---- peers

const Seat& Mesh::seat(std::size_t number) const { return people_[number]->seat; }
bool Mesh::alive(std::size_t number) const { return people_[number]->node != nullptr; }
const kad::Node& Mesh::node(std::size_t number) const {
  NMP_ASSERT(alive(number));
  return *people_[number]->node;
}

std::optional<std::size_t> Mesh::number_of(const PeerId& id) const {
  auto found = numbers_.find(id);
  return found == numbers_.end() ? std::nullopt : std::optional<std::size_t>(found->second);
}

std::size_t Mesh::any_server() {
  while (true) {
    auto number = random_.below(people_.size());
    if (alive(number) && people_[number]->seat.kind == Kind::server) return number;
  }
}

std::size_t Mesh::anyone() {
  while (true) {
    auto number = random_.below(people_.size());
    auto kind = people_[number]->seat.kind;
    if (alive(number) && (kind == Kind::server || kind == Kind::client)) return number;
  }
}

}  // namespace nmp::libp2p::sim
