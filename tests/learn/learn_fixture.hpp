#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace tape::test {

/// A directory of its own below the system's temporary directory, removed with its content.
class Folder {
  public:
    Folder();
    ~Folder();
    Folder(Folder const&) = delete;
    Folder& operator=(Folder const&) = delete;
    [[nodiscard]] std::filesystem::path operator/(std::string const& name) const { return path_ / name; }
    [[nodiscard]] std::filesystem::path const& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

std::filesystem::path golden(std::string const& name);
std::string slurp(std::filesystem::path const& file);
void spill(std::filesystem::path const& file, std::string const& bytes);

/// What a program said and how it ended.
struct Outcome {
    int exit_code = -1;
    std::string out, err;
};
/// Runs $TAPE_BIN/PROGRAM. @param kill_when  polled while it runs; the program is killed with SIGKILL once it holds
Outcome run_program(std::string const& program, std::vector<std::string> const& arguments,
                    bool (*kill_when)(void*) = nullptr, void* context = nullptr);

/// Random proteins as FASTA, the same for the same seed.
std::string random_fasta(std::size_t count, std::size_t shortest, std::size_t longest, std::uint64_t seed);

} // namespace tape::test
