#include "tests/learn/learn_fixture.hpp"

#include "data/alphabet.hpp"
#include "learn/random.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace tape::test {

Folder::Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tape-learn-XXXXXX").string();
    if (!mkdtemp(pattern.data())) throw std::runtime_error{"cannot make " + pattern};
    path_ = pattern;
}
Folder::~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::filesystem::path golden(std::string const& name) {
    return std::filesystem::path{TAPE_SOURCE_DIR} / "tests" / "learn" / "golden" / name;
}

std::string slurp(std::filesystem::path const& file) {
    std::ifstream in{file, std::ios::binary};
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

void spill(std::filesystem::path const& file, std::string const& bytes) {
    std::ofstream{file, std::ios::binary}.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

Outcome run_program(std::string const& program, std::vector<std::string> const& arguments, bool (*kill_when)(void*),
                    void* context) {
    Folder const said;
    char const* const bin = std::getenv("TAPE_BIN");
    std::string const path = (std::filesystem::path{bin ? bin : "bin"} / program).string();
    std::vector<char*> argv{const_cast<char*>(path.c_str())};
    for (auto const& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    auto const out = (said / "out").string(), err = (said / "err").string();
    pid_t const child = fork();
    if (child == 0) {
        for (auto const& [target, descriptor] : {std::pair{out.c_str(), 1}, std::pair{err.c_str(), 2}})
            dup2(open(target, O_WRONLY | O_CREAT, 0600), descriptor);
        execv(path.c_str(), argv.data());
        _exit(127);
    }
    int status = 0;
    while (waitpid(child, &status, kill_when ? WNOHANG : 0) == 0) {
        if (kill_when(context)) {
            kill(child, SIGKILL);
            kill_when = nullptr;
            continue;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds{2});
    }
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), slurp(said / "out"), slurp(said / "err")};
}

std::string random_fasta(std::size_t count, std::size_t shortest, std::size_t longest, std::uint64_t seed) {
    Random random{seed};
    std::string text;
    for (std::size_t i = 0; i < count; ++i) {
        text += ">p" + std::to_string(i) + "\n";
        std::size_t const length = shortest + random.below(longest - shortest + 1);
        for (std::size_t j = 0; j < length; ++j) text += amino_acids[random.below(amino_acids.size())];
        text += '\n';
    }
    return text;
}

} // namespace tape::test
