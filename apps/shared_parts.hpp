#pragma once

#include "data/shared_queue.hpp"

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>

namespace tape::cli {

/// One output file that the ranks of a launcher make together, part by part, in OUTPUT.parts/.
///
/// A part is named after the key of what it is made from, so that a run that is started again takes up the parts that
/// are there and nothing of other settings. When all are there, one rank joins them; they are removed then. Ranks may
/// come late, end early or die: parts and the joining are claimed as `SharedQueue` has it.
class SharedParts {
  public:
    /// @param key       content hash of all that decides the output
    /// @param complete  whether the output of this key is there already
    SharedParts(std::filesystem::path const& output, std::string const& key, std::size_t count,
                std::function<bool()> complete);

    /// @param make  writes a part to a file
    /// @param join  makes the output of the parts, in order
    void run(std::function<void(std::size_t, std::filesystem::path const&)> const& make,
             std::function<void()> const& join);
    [[nodiscard]] std::filesystem::path file(std::size_t part) const;

  private:
    std::filesystem::path folder_;
    std::string key_;
    std::size_t count_;
    std::function<bool()> complete_;
};

} // namespace tape::cli
