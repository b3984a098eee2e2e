#include "data/rank_mesh.hpp"

#include "data/io.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace tape {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds patience{5}; // for the answer of a process that is there

std::string last_error() { return std::strerror(errno); }

/// An open socket.
class Socket {
  public:
    Socket() = default;
    explicit Socket(int descriptor) : descriptor_{descriptor} {}
    ~Socket() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    Socket(Socket&& other) noexcept : descriptor_{std::exchange(other.descriptor_, -1)} {}
    Socket& operator=(Socket&& other) noexcept {
        std::swap(descriptor_, other.descriptor_);
        return *this;
    }
    [[nodiscard]] int descriptor() const { return descriptor_; }
    [[nodiscard]] bool open() const { return descriptor_ >= 0; }

  private:
    int descriptor_ = -1;
};

/// How a rank presents itself. Ranks run the same program on machines of one kind, so it travels as it is in memory.
struct Card {
    std::array<char, 40> word{}; ///< of this run, ends in NUL
    std::int32_t rank = 0, port = 0;
    std::array<char, 256> host{};
};

template <std::size_t n> std::array<char, n> letters(std::string const& text) {
    std::array<char, n> result{};
    std::copy_n(text.begin(), std::min(text.size(), n - 1), result.begin());
    return result;
}

std::string host_name() {
    std::array<char, 256> name{};
    ::gethostname(name.data(), name.size() - 1);
    return name.data();
}

std::string random_word() {
    std::random_device source;
    std::string word;
    while (word.size() < 32) word += "0123456789abcdef"[source() % 16];
    return word;
}

int milliseconds_until(Clock::time_point when) {
    auto const left = std::chrono::duration_cast<std::chrono::milliseconds>(when - Clock::now()).count();
    return static_cast<int>(std::clamp<long>(static_cast<long>(left), 0, 1 << 30));
}

/// Whether the socket is ready before the deadline.
bool wait_for(Socket const& socket, short events, Clock::time_point deadline) {
    pollfd entry{socket.descriptor(), events, 0};
    int ready = 0;
    while ((ready = ::poll(&entry, 1, milliseconds_until(deadline))) < 0 && errno == EINTR) {
    }
    return ready > 0;
}

bool receive(Socket const& socket, void* data, std::size_t bytes, Clock::time_point deadline) {
    auto* next = static_cast<char*>(data);
    while (bytes > 0) {
        if (!wait_for(socket, POLLIN, deadline)) return false;
        auto const got = ::recv(socket.descriptor(), next, bytes, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return false;
        if (got > 0) next += got, bytes -= static_cast<std::size_t>(got);
    }
    return true;
}

bool transmit(Socket const& socket, void const* data, std::size_t bytes) {
    auto const* next = static_cast<char const*>(data);
    while (bytes > 0) {
        auto const sent = ::send(socket.descriptor(), next, bytes, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) return false;
        if (sent > 0) next += sent, bytes -= static_cast<std::size_t>(sent);
    }
    return true;
}

Socket connect_to(std::string const& host, int port) {
    addrinfo hints{}, *found = nullptr;
    hints.ai_family = AF_INET, hints.ai_socktype = SOCK_STREAM;
    std::string const name = host == host_name() ? "127.0.0.1" : host;
    if (::getaddrinfo(name.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return {};
    Socket socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    bool const connected = socket.open() && ::connect(socket.descriptor(), found->ai_addr, found->ai_addrlen) == 0;
    ::freeaddrinfo(found);
    return connected ? std::move(socket) : Socket{};
}

/// A socket that listens on a port of the system's choice.
std::pair<Socket, int> listening(int backlog) {
    Socket socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET, address.sin_addr.s_addr = htonl(INADDR_ANY);
    socklen_t length = sizeof address;
    if (!socket.open() || ::bind(socket.descriptor(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
        ::listen(socket.descriptor(), backlog) != 0 ||
        ::getsockname(socket.descriptor(), reinterpret_cast<sockaddr*>(&address), &length) != 0)
        throw error{"ranks cannot listen on a TCP port: " + last_error()};
    return {std::move(socket), ntohs(address.sin_port)};
}

/// Bytes to and from one peer in one exchange.
struct Transfer {
    std::span<std::byte const> out;
    std::span<std::byte> in;
};

} // namespace

struct RankMesh::State {
    Rank place;
    Options options;
    std::vector<Socket> peers; ///< by rank; its own is not open

    [[noreturn]] void lost(std::size_t peer, std::string const& why) const {
        throw rank_lost{"rank " + std::to_string(peer) + " of " + std::to_string(place.size) + " is lost: " + why};
    }
    void meet(std::filesystem::path const& file);
    void gather(std::filesystem::path const& file, Card const& own, Socket const& door, std::vector<Card>& table,
                Clock::time_point deadline);
    void join(std::filesystem::path const& file, Card& own, std::vector<Card>& table, Clock::time_point deadline);
    /// The next connection that shows the word of this run, and its rank.
    std::pair<Socket, Card> accept(Socket const& door, Card const& own, Clock::time_point deadline) const;
    void move(std::size_t peer, Transfer& transfer, short events) const;
    void exchange(std::vector<Transfer> transfers) const;
    template <typename T> void sum(std::span<T> values) const;
};

std::pair<Socket, Card> RankMesh::State::accept(Socket const& door, Card const& own, Clock::time_point deadline) const {
    while (wait_for(door, POLLIN, deadline)) {
        Socket socket{::accept4(door.descriptor(), nullptr, nullptr, SOCK_CLOEXEC)};
        Card card;
        if (socket.open() && receive(socket, &card, sizeof card, Clock::now() + patience) && card.word == own.word &&
            card.rank > place.rank && card.rank < place.size && !peers[static_cast<std::size_t>(card.rank)].open())
            return {std::move(socket), card};
    }
    throw error{"rank " + std::to_string(place.rank) + " of " + std::to_string(place.size) + " has waited " +
                std::to_string(options.meeting.count()) + " s for the others"};
}

/// Rank 0: tells where it is, and everybody where the others are.
void RankMesh::State::gather(std::filesystem::path const& file, Card const& own, Socket const& door,
                             std::vector<Card>& table, Clock::time_point deadline) {
    write_text(file, std::string{own.host.data()} + " " + std::to_string(own.port) + " " + own.word.data() + "\n");
    table[0] = own;
    for (int met = 1; met < place.size; ++met) {
        auto [socket, card] = accept(door, own, deadline);
        if (!transmit(socket, &own, sizeof own)) lost(static_cast<std::size_t>(card.rank), last_error());
        peers[static_cast<std::size_t>(card.rank)] = std::move(socket);
        table[static_cast<std::size_t>(card.rank)] = card;
    }
    std::filesystem::remove(file);
    for (std::size_t peer = 1; peer < peers.size(); ++peer)
        if (!transmit(peers[peer], table.data(), table.size() * sizeof(Card))) lost(peer, last_error());
}

/// The others: the file may be of an earlier run, so they try until somebody answers with its word.
void RankMesh::State::join(std::filesystem::path const& file, Card& own, std::vector<Card>& table,
                           Clock::time_point deadline) {
    for (; Clock::now() < deadline; std::this_thread::sleep_for(std::chrono::milliseconds{50})) {
        std::ifstream in{file};
        std::string host, word;
        int port = 0;
        if (!(in >> host >> port >> word)) continue;
        own.word = letters<sizeof own.word>(word);
        Socket socket = connect_to(host, port);
        Card answer;
        if (!socket.open() || !transmit(socket, &own, sizeof own) ||
            !receive(socket, &answer, sizeof answer, Clock::now() + patience) || answer.word != own.word ||
            answer.rank != 0)
            continue;
        if (!receive(socket, table.data(), table.size() * sizeof(Card), deadline))
            lost(0, "it did not say where the others are");
        peers[0] = std::move(socket);
        return;
    }
    throw error{"rank " + std::to_string(place.rank) + " of " + std::to_string(place.size) +
                " has not found rank 0 in " + std::to_string(options.meeting.count()) + " s by " + file.string() +
                "; ranks need an output folder that all of them see"};
}

void RankMesh::State::meet(std::filesystem::path const& file) {
    auto const deadline = Clock::now() + options.meeting;
    peers.resize(static_cast<std::size_t>(place.size));
    auto const [door, port] = listening(place.size);
    Card own{.word = letters<sizeof Card::word>(random_word()),
             .rank = place.rank,
             .port = port,
             .host = letters<sizeof Card::host>(host_name())};
    std::vector<Card> table(peers.size());
    if (place.rank == 0) {
        gather(file, own, door, table, deadline);
    } else {
        join(file, own, table, deadline);
        for (std::size_t peer = 1; peer < static_cast<std::size_t>(place.rank); ++peer) {
            peers[peer] = connect_to(table[peer].host.data(), table[peer].port);
            if (!peers[peer].open() || !transmit(peers[peer], &own, sizeof own)) lost(peer, last_error());
        }
        for (int peer = place.rank + 1; peer < place.size; ++peer) {
            auto [socket, card] = accept(door, own, deadline);
            peers[static_cast<std::size_t>(card.rank)] = std::move(socket);
        }
    }
    int const yes = 1;
    for (auto const& peer : peers)
        if (peer.open()) ::setsockopt(peer.descriptor(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

/// What can be moved without waiting.
void RankMesh::State::move(std::size_t peer, Transfer& transfer, short events) const {
    int const descriptor = peers[peer].descriptor();
    if ((events & (POLLIN | POLLHUP | POLLERR)) && !transfer.in.empty()) {
        auto const got = ::recv(descriptor, transfer.in.data(), transfer.in.size(), MSG_DONTWAIT);
        if (got == 0) lost(peer, "it closed its connection");
        if (got < 0 && errno != EAGAIN && errno != EINTR) lost(peer, last_error());
        if (got > 0) transfer.in = transfer.in.subspan(static_cast<std::size_t>(got));
    }
    if ((events & POLLOUT) && !transfer.out.empty()) {
        auto const sent = ::send(descriptor, transfer.out.data(), transfer.out.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) lost(peer, last_error());
        if (sent > 0) transfer.out = transfer.out.subspan(static_cast<std::size_t>(sent));
    }
}

/// Sends and receives with all peers at once, so that no order of ranks can make two wait for each other.
void RankMesh::State::exchange(std::vector<Transfer> transfers) const {
    for (;;) {
        std::vector<pollfd> waiting;
        std::vector<std::size_t> who;
        for (std::size_t peer = 0; peer < peers.size(); ++peer) {
            auto const& transfer = transfers[peer];
            auto const events =
                static_cast<short>((transfer.in.empty() ? 0 : POLLIN) | (transfer.out.empty() ? 0 : POLLOUT));
            if (events == 0) continue;
            waiting.push_back({peers[peer].descriptor(), events, 0}), who.push_back(peer);
        }
        if (waiting.empty()) return;
        int const ready = ::poll(waiting.data(), waiting.size(), milliseconds_until(Clock::now() + options.silence));
        if (ready == 0) lost(who.front(), "nothing heard for " + std::to_string(options.silence.count()) + " s");
        if (ready < 0 && errno != EINTR) throw error{"waiting for other ranks: " + last_error()};
        for (std::size_t i = 0; ready > 0 && i < waiting.size(); ++i)
            if (waiting[i].revents) move(who[i], transfers[who[i]], waiting[i].revents);
    }
}

template <typename T> void RankMesh::State::sum(std::span<T> values) const {
    std::size_t const ranks = peers.size(), own = static_cast<std::size_t>(place.rank);
    auto const share = [&](std::size_t rank) {
        std::size_t const begin = values.size() * rank / ranks, end = values.size() * (rank + 1) / ranks;
        return values.subspan(begin, end - begin);
    };
    auto const mine = share(own);
    std::vector<T> received(mine.size() * ranks);
    std::vector<Transfer> transfers(ranks);
    for (std::size_t peer = 0; peer < ranks; ++peer)
        if (peer != own)
            transfers[peer] = {std::as_bytes(share(peer)),
                               std::as_writable_bytes(std::span{received}.subspan(peer * mine.size(), mine.size()))};
    exchange(transfers);
    std::ranges::copy(mine, received.begin() + static_cast<std::ptrdiff_t>(own * mine.size()));
    for (std::size_t i = 0; i < mine.size(); ++i) {
        T total = received[i];
        for (std::size_t rank = 1; rank < ranks; ++rank) total += received[rank * mine.size() + i];
        mine[i] = total;
    }
    for (std::size_t peer = 0; peer < ranks; ++peer)
        if (peer != own) transfers[peer] = {std::as_bytes(mine), std::as_writable_bytes(share(peer))};
    exchange(transfers);
}

RankMesh::RankMesh() : state_{std::make_unique<State>(State{.place = {}, .options = {}, .peers = {}})} {}

RankMesh::RankMesh(Rank place, std::filesystem::path const& file, Options const& options)
    : state_{std::make_unique<State>(State{.place = place, .options = options, .peers = {}})} {
    if (place.size > 1) state_->meet(file);
}

RankMesh::~RankMesh() = default;
RankMesh::RankMesh(RankMesh&&) noexcept = default;
RankMesh& RankMesh::operator=(RankMesh&&) noexcept = default;

int RankMesh::rank() const noexcept { return state_->place.rank; }
int RankMesh::size() const noexcept { return state_->place.size; }

void RankMesh::sum(std::span<float> values) {
    if (size() > 1) state_->sum(values);
}
void RankMesh::sum(std::span<double> values) {
    if (size() > 1) state_->sum(values);
}

} // namespace tape
