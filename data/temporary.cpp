#include "data/temporary.hpp"

#include "data/error.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace tape {
namespace {

/// Names to remove on a signal. A slot is free (0), being filled (1) or live (2); only live slots are read by the
/// handler, which may use nothing but async-signal-safe calls.
struct Slot {
    std::atomic<int> state{0};
    std::array<char, 1024> path{};
};
std::array<Slot, 64> slots;

void remove_and_die(int signal) {
    for (Slot& slot : slots)
        if (slot.state.load() == 2) ::unlink(slot.path.data());
    // The handler was installed with SA_RESETHAND: this ends the process with the signal as its cause.
    std::raise(signal);
}

/// Takes over only where nobody else handles the signal: a program that saves a checkpoint on SIGTERM keeps doing so.
void install_handlers() {
    for (int const signal : {SIGINT, SIGTERM, SIGHUP}) {
        struct sigaction current {};
        if (::sigaction(signal, nullptr, &current) != 0 || current.sa_handler != SIG_DFL) continue;
        struct sigaction ours {};
        ours.sa_handler = remove_and_die;
        ours.sa_flags = static_cast<int>(SA_RESETHAND);
        ::sigaction(signal, &ours, nullptr);
    }
}

int claim_slot(std::string const& path) {
    static std::once_flag once;
    std::call_once(once, install_handlers);
    if (path.size() + 1 > slots[0].path.size()) return -1;
    for (std::size_t i = 0; i < slots.size(); ++i) {
        int free = 0;
        if (!slots[i].state.compare_exchange_strong(free, 1)) continue;
        std::memcpy(slots[i].path.data(), path.c_str(), path.size() + 1);
        slots[i].state = 2;
        return static_cast<int>(i);
    }
    return -1;
}

void release_slot(int slot) {
    if (slot >= 0) slots[static_cast<std::size_t>(slot)].state = 0;
}

} // namespace

TemporaryPath::TemporaryPath(std::filesystem::path const& target) : target_{target} {
    static std::atomic<unsigned> counter{0};
    std::error_code ignored;
    if (std::filesystem::is_symlink(target_, ignored)) target_ = std::filesystem::weakly_canonical(target_, ignored);
    if (target_.filename().empty()) throw error{target.string() + ": cannot write: no file name"};
    if (std::filesystem::is_directory(target_, ignored))
        throw error{target.string() + ": cannot write: is a directory"};
    auto const directory = target_.has_parent_path() ? target_.parent_path() : std::filesystem::path{"."};
    if (!std::filesystem::is_directory(directory, ignored))
        throw error{target.string() + ": cannot write: " +
                    (std::filesystem::exists(directory, ignored)
                         ? directory.string() + " is no directory"
                         : "the directory " + directory.string() + " does not exist")};
    std::string name{"."};
    name += target_.filename().string();
    name += ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(counter.fetch_add(1));
    path_ = directory / name;
    slot_ = claim_slot(path_.string());
}

TemporaryPath::~TemporaryPath() {
    if (!path_.empty()) ::unlink(path_.c_str());
    release_slot(slot_);
}

void TemporaryPath::rename() {
    if (::rename(path_.c_str(), target_.c_str()) != 0)
        throw error{target_.string() + ": cannot rename the finished file into place: " + std::strerror(errno)};
    path_.clear();
    release_slot(slot_);
    slot_ = -1;
}

void TemporaryPath::sync_and_rename() {
    int const descriptor = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) throw error{target_.string() + ": nothing was written"};
    int const problem = ::fsync(descriptor) == 0 ? 0 : errno;
    ::close(descriptor);
    if (problem != 0) throw error{target_.string() + ": cannot write: " + std::strerror(problem)};
    rename();
}

OutputFolder::OutputFolder(std::filesystem::path const& folder) {
    std::error_code problem;
    auto missing = std::filesystem::absolute(folder).lexically_normal();
    if (!missing.has_filename()) missing = missing.parent_path(); // "out/"
    for (; !std::filesystem::exists(missing, problem) && missing.has_relative_path(); missing = missing.parent_path())
        made_.push_back(missing);
    std::filesystem::create_directories(folder, problem);
    if (!problem && !std::filesystem::is_directory(folder)) problem = std::make_error_code(std::errc::not_a_directory);
    if (problem)
        throw error{folder.string() + ": cannot make this folder: " + problem.message() + "; choose another place"};
}

OutputFolder::~OutputFolder() {
    std::error_code problem;
    for (auto const& folder : made_)
        if (!std::filesystem::remove(folder, problem)) return; // not empty: it holds what was asked for
}

TemporaryDirectory::TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tape-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
        throw error{pattern + ": cannot make a temporary directory: " + std::strerror(errno)};
    path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

} // namespace tape
