#pragma once

#include "data/error.hpp"
#include "data/shared_queue.hpp"

#include <chrono>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace tape {

/// Another process of a RankMesh is gone.
class rank_lost : public error {
  public:
    explicit rank_lost(std::string const& message) : error{message} {}
};

/// Processes of one launcher that add up numbers: every pair is connected by TCP.
///
/// They find each other through a small file that rank 0 writes (its address and a random word that every connection
/// must repeat), so they need a folder that all see, and no library. Each rank sums the share of the values that it
/// owns, in order of rank, and sends the sums to the others: what one ring of all-reduce moves, 2 (n - 1) / n of the
/// values a rank, and the same bytes in every rank and every run with as many ranks. A lost rank is noticed as soon as
/// its connections close.
class RankMesh {
  public:
    struct Options {
        std::chrono::seconds meeting{600};  ///< for all ranks to appear
        std::chrono::seconds silence{1800}; ///< between two bytes of a peer that is waited for
    };
    /// Of a single rank, which sums nothing.
    RankMesh();
    /// @param file  in a folder that exists; removed when all have met
    /// @throws error if the others do not appear in time
    RankMesh(Rank place, std::filesystem::path const& file, Options const& options);
    ~RankMesh();
    RankMesh(RankMesh&&) noexcept;
    RankMesh& operator=(RankMesh&&) noexcept;

    [[nodiscard]] int rank() const noexcept;
    [[nodiscard]] int size() const noexcept;
    /// Puts the sum over all ranks in the place of the values. @throws rank_lost naming it
    void sum(std::span<float> values);
    void sum(std::span<double> values);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace tape
