#include "data/parallel.hpp"
#include "data/progress.hpp"

#include "tests/data/scratch.hpp"
#include <sched.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <numeric>
#include <set>
#include <thread>
#include <vector>

namespace tape {
namespace {

TEST(Parallel, EveryIndexOnceWhateverTheThreads) {
    for (int const threads : {0, 1, 2, 3, 16})
        for (std::size_t const count : {0, 1, 2, 1000}) {
            std::vector<std::atomic<int>> visits(count);
            std::vector<std::size_t> squares(count);
            parallel_for(count, threads, [&](std::size_t index, int worker) {
                ++visits[index];
                squares[index] = index * index;
                ASSERT_GE(worker, 0);
                ASSERT_LT(worker, resolve_threads(threads));
            });
            for (std::size_t i = 0; i < count; ++i) ASSERT_TRUE(visits[i] == 1 && squares[i] == i * i) << i;
        }
}

TEST(Parallel, WorkersNeverShareANumberAtOneTime) {
    std::vector<std::atomic<int>> busy(4);
    std::atomic<bool> shared{false};
    parallel_for(2000, 4, [&](std::size_t, int worker) {
        if (busy[static_cast<std::size_t>(worker)].fetch_add(1) != 0) shared = true;
        busy[static_cast<std::size_t>(worker)].fetch_sub(1);
    });
    EXPECT_FALSE(shared);
}

TEST(Parallel, TheFirstExceptionStopsTheRest) {
    for (int const threads : {1, 2, 4}) {
        std::atomic<int> visits{0};
        auto const outcome = test::outcome_of([&] {
            parallel_for(1'000'000, threads, [&](std::size_t index, int) {
                ++visits;
                if (index == 10) throw data_error{"record 10"};
                // The worker that throws may be set aside for a while: the rest must not be through by then.
                if (index > 10) std::this_thread::sleep_for(std::chrono::microseconds{100});
            });
        });
        EXPECT_EQ(outcome.message, "record 10");
        EXPECT_EQ(outcome.code, exit_code::bad_data);
        EXPECT_LT(visits, 1'000'000);
    }
}

TEST(Parallel, CallsMayNest) {
    std::atomic<int> sum{0};
    parallel_for(8, 2, [&](std::size_t, int) {
        parallel_for(8, 2, [&](std::size_t index, int) { sum += static_cast<int>(index); });
    });
    EXPECT_EQ(sum, 8 * 28);
}

TEST(Parallel, ThreadsFollowTheAffinityMask) {
    cpu_set_t before;
    ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
    EXPECT_EQ(resolve_threads(0), CPU_COUNT(&before));
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &before)) {
            CPU_SET(cpu, &one);
            break;
        }
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT_EQ(resolve_threads(0), 1);
    sched_setaffinity(0, sizeof before, &before);
    EXPECT_EQ(resolve_threads(7), 7);
    auto const outcome = test::outcome_of([] { resolve_threads(-1); });
    EXPECT_EQ(outcome.message, "--threads: expected 0 or more, saw -1");
    EXPECT_EQ(outcome.code, exit_code::usage);
}

TEST(Progress, IsSilentWhereStderrIsNoTerminal) {
    ::testing::internal::CaptureStderr();
    {
        Progress progress{"reading", 10, "records"};
        parallel_for(10, 2, [&progress](std::size_t, int) { progress.advance(); });
    }
    EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

} // namespace
} // namespace tape
