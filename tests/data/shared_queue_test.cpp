#include "data/error.hpp"
#include "data/shared_queue.hpp"

#include "tests/data/scratch.hpp"
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

namespace tape {
namespace {

class SharedQueueTest : public test::Scratch {
  protected:
    std::filesystem::path file() const { return directory / "queue"; }
};

TEST_F(SharedQueueTest, EveryItemOnceWhateverTheNumberOfQueues) {
    constexpr std::size_t count = 200;
    for (int const queues : {1, 2, 5}) {
        std::vector<std::atomic<int>> made(count);
        std::vector<std::atomic<bool>> finished(count);
        std::vector<std::jthread> team;
        for (int k = 0; k < queues; ++k)
            team.emplace_back([&] {
                SharedQueue queue{file(), count};
                queue.run([&](std::size_t item) { return finished[item].load(); },
                          [&](std::size_t item) {
                              ++made[item];
                              finished[item] = true;
                          });
                for (std::size_t item = 0; item < count; ++item) EXPECT_TRUE(finished[item]); // all, when any returns
            });
        team.clear();
        for (std::size_t item = 0; item < count; ++item) EXPECT_EQ(made[item], 1) << item;
    }
}

TEST_F(SharedQueueTest, TakesOverWhatADeadProcessHeld) {
    int told[2];
    ASSERT_EQ(::pipe(told), 0);
    pid_t const child = ::fork();
    if (child == 0) {
        SharedQueue queue{file(), 3};
        queue.run([](std::size_t) { return false; },
                  [&](std::size_t) {
                      [[maybe_unused]] auto const written = ::write(told[1], "x", 1);
                      for (;;) ::pause(); // holds item 0
                  });
        ::_exit(0);
    }
    char byte = 0;
    ASSERT_EQ(::read(told[0], &byte, 1), 1);
    std::vector<std::size_t> order;
    std::jthread const killer{[&] {
        std::this_thread::sleep_for(std::chrono::milliseconds{100});
        ::kill(child, SIGKILL);
    }};
    SharedQueue queue{file(), 3};
    queue.run([](std::size_t) { return false; }, [&](std::size_t item) { order.push_back(item); });
    EXPECT_EQ(order, (std::vector<std::size_t>{1, 2, 0}));
    ::waitpid(child, nullptr, 0);
    ::close(told[0]), ::close(told[1]);
}

TEST_F(SharedQueueTest, AnErrorFreesItsItem) {
    SharedQueue queue{file(), 1};
    auto const fail = [&] { queue.run([](std::size_t) { return false; }, [](std::size_t) { throw error{"no"}; }); };
    EXPECT_THROW(fail(), error);
    int made = 0;
    SharedQueue{file(), 1}.run([](std::size_t) { return false; }, [&](std::size_t) { ++made; });
    EXPECT_EQ(made, 1);
}

TEST_F(SharedQueueTest, AFolderThatIsNotThereIsNamed) {
    EXPECT_THROW((SharedQueue{directory / "none" / "queue", 1}), error);
}

TEST(LaunchedRank, ReadsTheLaunchersVariables) {
    EXPECT_EQ(launched_rank().size, 1);
    ::setenv("OMPI_COMM_WORLD_RANK", "2", 1);
    EXPECT_EQ(launched_rank().size, 1); // half a place is none
    ::setenv("OMPI_COMM_WORLD_SIZE", "4", 1);
    EXPECT_EQ(launched_rank().rank, 2);
    EXPECT_EQ(launched_rank().size, 4);
    for (char const* bad : {"4", "-1", "two", ""}) {
        ::setenv("OMPI_COMM_WORLD_RANK", bad, 1);
        EXPECT_THROW(launched_rank(), usage_error) << bad;
    }
    ::unsetenv("OMPI_COMM_WORLD_RANK"), ::unsetenv("OMPI_COMM_WORLD_SIZE");
}

} // namespace
} // namespace tape
