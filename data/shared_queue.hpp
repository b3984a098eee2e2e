#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>

// One list of work items for many processes, on one machine or on many that share a file system.
namespace tape {

/// Place of this process among those that one launcher started.
struct Rank {
    int rank = 0, size = 1;
};

/// From the environment of OpenMPI's mpirun (OMPI_COMM_WORLD_*), of PMI launchers such as MPICH's (PMI_*), of torchrun
/// (RANK, WORLD_SIZE) or of Slurm's srun (SLURM_PROCID, SLURM_STEP_NUM_TASKS), the first that is set; rank 0 of 1
/// otherwise. No MPI library is needed.
/// @throws usage_error if the numbers are no place among ranks
Rank launched_rank();

/// Items [0, count) that processes take in turn. An item is claimed by a byte-range lock on one file (fcntl's
/// open-file-description locks, which work over NFS 4), so the claim of a process that dies is free at once.
class SharedQueue {
  public:
    /// @param file  made if missing, never written to; the same one for all processes, in a folder that exists
    /// @throws error if it cannot be opened or locked
    SharedQueue(std::filesystem::path const& file, std::size_t count);
    ~SharedQueue();
    SharedQueue(SharedQueue const&) = delete;
    SharedQueue& operator=(SharedQueue const&) = delete;

    /// Works until every item is done by someone: first on what nobody holds, in order, then waits for what others
    /// hold and takes over what they left.
    /// @param done  whether an item's results are there; asked while the item is claimed
    /// @param work  makes them
    void run(std::function<bool(std::size_t)> const& done, std::function<void(std::size_t)> const& work);

  private:
    bool claim(std::size_t item, bool wait);
    void release(std::size_t item);

    std::filesystem::path file_;
    std::size_t count_;
    int descriptor_ = -1;
};

} // namespace tape
