#pragma once

#include <ATen/Parallel.h>

#ifndef INTRA_OP_PARALLEL
#error "without OpenMP at::parallel_for runs on one thread and says nothing: see tape_uses_torch"
#endif

namespace tape {

/// LibTorch's number of threads for a scope; restored at its end. Not nested across threads: LibTorch keeps one number
/// a process.
class TorchThreads {
  public:
    explicit TorchThreads(int threads) : before_{at::get_num_threads()} { at::set_num_threads(threads); }
    ~TorchThreads() { at::set_num_threads(before_); }
    TorchThreads(TorchThreads const&) = delete;
    TorchThreads& operator=(TorchThreads const&) = delete;

  private:
    int before_;
};

} // namespace tape
