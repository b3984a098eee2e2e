#pragma once

#include <cstddef>
#include <functional>

namespace tape {

/// 0 means every core this process may use (its affinity mask), otherwise the number itself.
/// @throws usage_error if negative.
int resolve_threads(int requested);

/// Calls body(index, worker) for every index in [0, count) on `threads` OpenMP workers, in dynamic order; worker is in
/// [0, threads). The first exception stops the hand-out of further indices and is rethrown. Results must be written to
/// places owned by the index, so that they do not depend on the number of threads.
void parallel_for(std::size_t count, int threads, std::function<void(std::size_t index, int worker)> const& body);

} // namespace tape
