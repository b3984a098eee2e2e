#include "data/parallel.hpp"

#include "data/error.hpp"

#include <sched.h>

#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#ifndef TAPE_THREAD_SANITIZER
#include <omp.h>
#endif

namespace tape {
namespace {

/// Hands out the indices one by one; keeps the first exception and stops after it.
class Handout {
  public:
    Handout(std::size_t count, std::function<void(std::size_t, int)> const& body) : count_{count}, body_{body} {}

    void work(int worker) noexcept {
        for (std::size_t index; !stopped_.load(std::memory_order_relaxed) && (index = next_.fetch_add(1)) < count_;) {
            try {
                body_(index, worker);
            } catch (...) {
                std::lock_guard const lock{mutex_};
                if (!problem_) problem_ = std::current_exception();
                stopped_ = true;
            }
        }
    }
    void rethrow() const {
        if (problem_) std::rethrow_exception(problem_);
    }

  private:
    std::size_t count_;
    std::function<void(std::size_t, int)> const& body_;
    std::atomic<std::size_t> next_{0};
    std::atomic<bool> stopped_{false};
    std::mutex mutex_;
    std::exception_ptr problem_;
};

} // namespace

int resolve_threads(int requested) {
    if (requested < 0) throw usage_error{"--threads: expected 0 or more, saw " + std::to_string(requested)};
    if (requested > 0) return requested;
    cpu_set_t mask;
    CPU_ZERO(&mask);
    if (sched_getaffinity(0, sizeof mask, &mask) == 0) return CPU_COUNT(&mask);
    // The mask does not fit machines with more than 1,024 cores.
    unsigned const cores = std::thread::hardware_concurrency();
    return cores > 0 ? static_cast<int>(cores) : 1;
}

void parallel_for(std::size_t count, int threads, std::function<void(std::size_t, int)> const& body) {
    std::size_t const wanted = static_cast<std::size_t>(resolve_threads(threads));
    int const workers = static_cast<int>(wanted < count ? wanted : count);
    if (workers <= 1) {
        for (std::size_t index = 0; index < count; ++index) body(index, 0);
        return;
    }
    Handout handout{count, body};
#ifdef TAPE_THREAD_SANITIZER
    // libgomp is not instrumented: the sanitizer sees neither its barriers nor its thread hand-over and would report
    // races that do not exist.
    std::vector<std::jthread> team;
    for (int worker = 1; worker < workers; ++worker) team.emplace_back([&handout, worker] { handout.work(worker); });
    handout.work(0);
    team.clear();
#else
#pragma omp parallel num_threads(workers)
    handout.work(omp_get_thread_num());
#endif
    handout.rethrow();
}

} // namespace tape
