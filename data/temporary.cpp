#include "data/temporary.hpp"

#include "data/error.hpp"
#include "data/hash.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

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

/// ".tmp-MACHINE-": process numbers mean nothing on another machine that shares the folder.
std::string const& temporary_mark() {
    static std::string const mark = [] {
        std::array<char, 256> name{};
        ::gethostname(name.data(), name.size() - 1);
        return ".tmp-" + content_hash(name.data()).substr(0, 8) + "-";
    }();
    return mark;
}

/// Whether the name is a temporary one whose process has ended.
bool is_stale(std::string_view name) {
    auto const at = name.rfind(temporary_mark());
    if (!name.starts_with('.') || at == std::string_view::npos || at == 0) return false;
    char const* const end = name.data() + name.size();
    pid_t process = 0;
    unsigned number = 0;
    auto const [dash, no_process] = std::from_chars(name.data() + at + temporary_mark().size(), end, process);
    if (no_process != std::errc{} || process <= 0 || dash == end || *dash != '-') return false;
    auto const [rest, no_number] = std::from_chars(dash + 1, end, number);
    return no_number == std::errc{} && rest == end && ::kill(process, 0) != 0 && errno == ESRCH;
}

/// Once a process for each folder, which may hold many files.
void remove_stale(std::filesystem::path const& directory) {
    static std::mutex mutex;
    static std::set<std::filesystem::path> seen;
    std::error_code ignored;
    std::lock_guard const lock{mutex};
    if (!seen.insert(std::filesystem::weakly_canonical(directory, ignored)).second) return;
    for (std::filesystem::directory_iterator entry{directory, ignored}, end; entry != end; entry.increment(ignored))
        if (is_stale(entry->path().filename().string()) && !entry->is_symlink(ignored) &&
            entry->is_regular_file(ignored))
            ::unlink(entry->path().c_str());
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
    remove_stale(directory);
    std::string name{"."};
    name += target_.filename().string();
    name += temporary_mark() + std::to_string(::getpid()) + "-" + std::to_string(counter.fetch_add(1));
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
