#include "tests/cli/cli_fixture.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

namespace tape::test {

namespace {

std::string slurp(std::filesystem::path const& file) {
    std::ifstream in{file, std::ios::binary};
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

void redirect(std::filesystem::path const& file, int flags, int descriptor) {
    int const opened = ::open(file.c_str(), flags, 0600);
    if (opened < 0) _exit(126);
    ::dup2(opened, descriptor);
}

double seconds_of(timeval const& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

} // namespace

void CliTest::SetUp() {
    std::string name = (std::filesystem::temp_directory_path() / "tape-cli-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
}

void CliTest::TearDown() { std::filesystem::remove_all(directory_); }

int CliTest::start(std::string const& program, std::vector<std::string> const& arguments,
                   unsigned long file_limit) const {
    char const* const bin = std::getenv("TAPE_BIN");
    std::string const executable = std::string{bin ? bin : "."} + "/" + program;
    pid_t const child = ::fork();
    if (child == 0) {
        redirect("/dev/null", O_RDONLY, 0);
        redirect(path(".cli.out"), O_WRONLY | O_CREAT | O_TRUNC, 1);
        redirect(path(".cli.err"), O_WRONLY | O_CREAT | O_TRUNC, 2);
        if (::chdir(directory_.c_str()) != 0) _exit(126);
        if (!std::getenv("TAPE_CACHE")) ::setenv("TAPE_CACHE", path("cache").c_str(), 1);
        if (file_limit != 0) {
            ::signal(SIGXFSZ, SIG_IGN);
            rlimit const limit{file_limit, file_limit};
            ::setrlimit(RLIMIT_FSIZE, &limit);
#ifdef TAPE_THREAD_SANITIZER
            ::setenv("TMPDIR", "/nonexistent", 1); // else its runtime maps a file there, cut off by the same limit
#endif
        }
        std::vector<char*> argv{const_cast<char*>(program.c_str())};
        for (auto const& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
        argv.push_back(nullptr);
        ::execv(executable.c_str(), argv.data());
        _exit(127);
    }
    return child;
}

Outcome CliTest::outcome_of(int child) const {
    int status = 0;
    rusage usage{};
    ::wait4(child, &status, 0, &usage);
    Outcome outcome;
    outcome.peak_kilobytes = usage.ru_maxrss;
    outcome.cpu_seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
    outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    outcome.out = slurp(path(".cli.out"));
    outcome.err = slurp(path(".cli.err"));
    return outcome;
}

Outcome CliTest::run(std::string const& program, std::vector<std::string> const& arguments, unsigned long file_limit) {
    return outcome_of(start(program, arguments, file_limit));
}

Outcome CliTest::run_until(std::string const& program, std::vector<std::string> const& arguments,
                           std::function<bool()> const& moment) {
    int const child = start(program, arguments, 0);
    siginfo_t ended{};
    // WNOWAIT leaves the status for outcome_of.
    while (::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid == 0) {
        if (moment()) {
            ::kill(child, SIGKILL);
            break;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds{2});
    }
    return outcome_of(child);
}

std::string CliTest::inventory() const {
    std::vector<std::string> lines;
    for (auto const& entry : std::filesystem::recursive_directory_iterator{directory_}) {
        std::string const name = entry.path().lexically_relative(directory_).string();
        if (name.starts_with(".cli") || name == "cache" || name.starts_with("cache/")) continue;
        lines.push_back(name + (entry.is_regular_file() ? ": " + std::to_string(entry.file_size()) : "/") + "\n");
    }
    std::ranges::sort(lines);
    std::string text;
    for (auto const& line : lines) text += line;
    return text;
}

void CliTest::expect_error(std::string const& program, std::vector<std::string> const& arguments, int exit_code,
                           std::vector<std::string> const& parts, unsigned long file_limit) {
    std::string const before = inventory();
    Outcome const outcome = run(program, arguments, file_limit);
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.err;
    EXPECT_NE(("\n" + outcome.err).find("\n" + program + ": "), std::string::npos) << outcome.err;
    for (auto const& part : parts)
        EXPECT_NE(outcome.err.find(part), std::string::npos) << part << " not in:\n" << outcome.err;
    EXPECT_EQ(inventory(), before);
}

void CliTest::write(std::string const& name, std::string const& text) const {
    std::filesystem::create_directories(path(name).parent_path());
    std::ofstream{path(name), std::ios::binary} << text;
}

std::string CliTest::read(std::string const& name) const { return slurp(path(name)); }

std::vector<std::string> CliTest::files() const {
    std::vector<std::string> names;
    for (auto const& entry : std::filesystem::recursive_directory_iterator{directory_}) {
        std::string const name = entry.path().lexically_relative(directory_).string();
        if (entry.is_regular_file() && !name.starts_with(".cli") && !name.starts_with("cache/")) names.push_back(name);
    }
    std::ranges::sort(names);
    return names;
}

} // namespace tape::test
