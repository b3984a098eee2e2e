#include "data/shared_queue.hpp"

#include "data/error.hpp"
#include "data/text.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace tape {
namespace {

int number_of(char const* variable) {
    std::string_view const text = std::getenv(variable);
    int value = 0;
    auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (problem != std::errc{} || end != text.data() + text.size())
        throw usage_error{std::string{variable} + " is " + shown(text) + "; expected a whole number"};
    return value;
}

struct flock range(std::size_t item, int type) {
    struct flock lock {};
    lock.l_type = static_cast<short>(type), lock.l_whence = SEEK_SET;
    lock.l_start = static_cast<off_t>(item), lock.l_len = 1;
    return lock;
}

} // namespace

Rank launched_rank() {
    static constexpr std::array<std::array<char const*, 2>, 4> launchers{
        {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
         {"PMI_RANK", "PMI_SIZE"},
         {"RANK", "WORLD_SIZE"},
         {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS"}}};
    for (auto const& [rank, size] : launchers) {
        if (std::getenv(rank) == nullptr || std::getenv(size) == nullptr) continue;
        Rank const found{number_of(rank), number_of(size)};
        if (found.size < 1 || found.rank < 0 || found.rank >= found.size)
            throw usage_error{std::string{rank} + "=" + std::to_string(found.rank) + " and " + size + "=" +
                              std::to_string(found.size) + " name no place among ranks"};
        return found;
    }
    return {};
}

SharedQueue::SharedQueue(std::filesystem::path const& file, std::size_t count)
    : file_{file}, count_{count}, descriptor_{::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)} {
    if (descriptor_ < 0) throw error{file.string() + ": cannot open: " + std::strerror(errno)};
}

SharedQueue::~SharedQueue() { ::close(descriptor_); }

bool SharedQueue::claim(std::size_t item, bool wait) {
    struct flock lock = range(item, F_WRLCK);
    while (::fcntl(descriptor_, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock) != 0) {
        if (!wait && (errno == EAGAIN || errno == EACCES)) return false;
        if (errno != EINTR)
            throw error{file_.string() + ": cannot lock: " + std::strerror(errno) +
                        "; several ranks need a file system with locks"};
    }
    return true;
}

void SharedQueue::release(std::size_t item) {
    struct flock lock = range(item, F_UNLCK);
    ::fcntl(descriptor_, F_OFD_SETLK, &lock);
}

void SharedQueue::run(std::function<bool(std::size_t)> const& done, std::function<void(std::size_t)> const& work) {
    std::vector<std::size_t> held_by_others;
    auto const take = [&](std::size_t item) {
        try {
            if (!done(item)) work(item);
        } catch (...) {
            release(item);
            throw;
        }
        release(item);
    };
    for (std::size_t item = 0; item < count_; ++item)
        if (claim(item, false))
            take(item);
        else
            held_by_others.push_back(item);
    for (std::size_t const item : held_by_others) {
        claim(item, true);
        take(item);
    }
}

} // namespace tape
