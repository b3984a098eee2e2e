#include "data/error.hpp"
#include "data/rank_mesh.hpp"

#include "tests/data/scratch.hpp"
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace tape {
namespace {

class RankMeshTest : public test::Scratch {
  protected:
    std::filesystem::path file() const { return directory / "meeting"; }
    /// One thread a rank; what each of them makes of a sum.
    template <typename T> std::vector<std::vector<T>> sums(int ranks, std::size_t count, auto const& value) {
        std::vector<std::vector<T>> results(static_cast<std::size_t>(ranks));
        std::vector<std::jthread> team;
        for (int rank = 0; rank < ranks; ++rank)
            team.emplace_back([&, rank] {
                RankMesh mesh{{rank, ranks}, file(), {}};
                auto& values = results[static_cast<std::size_t>(rank)];
                for (std::size_t i = 0; i < count; ++i) values.push_back(static_cast<T>(value(rank, i)));
                mesh.sum(std::span{values});
                mesh.sum(std::span{values}); // of the sums
            });
        team.clear();
        return results;
    }
};

TEST_F(RankMeshTest, EveryRankGetsTheSum) {
    auto const value = [](int rank, std::size_t i) { return static_cast<double>(i % 1000) + rank; };
    for (int const ranks : {1, 2, 3, 4, 7})
        for (std::size_t const count : {0, 1, 5, 400000}) {
            auto const all = sums<double>(ranks, count, value);
            double const between = ranks * (ranks - 1) / 2.0;
            for (auto const& values : all)
                for (std::size_t i = 0; i < count; ++i)
                    ASSERT_EQ(values[i],
                              ranks > 1 ? ranks * (ranks * static_cast<double>(i % 1000) + between) : value(0, i))
                        << ranks << " " << count;
        }
}

TEST_F(RankMeshTest, SumsAreTheSameBytesInEveryRankAndRun) {
    auto const value = [](int rank, std::size_t i) { return 1.0 / (1.0 + static_cast<double>(i) + 0.37 * rank); };
    auto const once = sums<float>(4, 1001, value), again = sums<float>(4, 1001, value);
    for (auto const& values : once) EXPECT_EQ(values, once.front());
    EXPECT_EQ(once, again);
}

TEST_F(RankMeshTest, TheFileOfAnEarlierRunIsNoHindrance) {
    std::ofstream{file()} << "nowhere.invalid 1 0123456789abcdef0123456789abcdef\n";
    std::jthread second{[&] {
        RankMesh mesh{{1, 2}, file(), {}};
        std::vector<double> values{2};
        mesh.sum(std::span{values});
        EXPECT_EQ(values[0], 3);
    }};
    std::this_thread::sleep_for(std::chrono::milliseconds{200}); // it reads the old file first
    RankMesh mesh{{0, 2}, file(), {}};
    std::vector<double> values{1};
    mesh.sum(std::span{values});
    EXPECT_EQ(values[0], 3);
    EXPECT_FALSE(std::filesystem::exists(file()));
}

TEST_F(RankMeshTest, ALostRankIsNamed) {
    pid_t const child = ::fork();
    if (child == 0) {
        RankMesh mesh{{2, 3}, file(), {}};
        std::vector<float> values(10, 1);
        mesh.sum(std::span{values});
        ::kill(::getpid(), SIGKILL);
    }
    auto const outlive = [&](int rank) {
        RankMesh mesh{{rank, 3}, file(), {}};
        std::vector<float> values(10, 1);
        mesh.sum(std::span{values});
        EXPECT_EQ(values[9], 3);
        try {
            mesh.sum(std::span{values});
            ADD_FAILURE() << "the sum of a dead rank";
        } catch (rank_lost const& problem) {
            EXPECT_NE(std::string{problem.what()}.find(" of 3 is lost: "), std::string::npos) << problem.what();
        }
    };
    std::jthread other{outlive, 1};
    outlive(0);
    other.join();
    ::waitpid(child, nullptr, 0);
}

TEST_F(RankMeshTest, WaitsNoLongerThanItIsTold) {
    EXPECT_THROW((RankMesh{{0, 2}, file(), {.meeting = std::chrono::seconds{1}}}), error);
    std::filesystem::remove(file());
    EXPECT_THROW((RankMesh{{1, 2}, file(), {.meeting = std::chrono::seconds{1}}}), error);
}

} // namespace
} // namespace tape
