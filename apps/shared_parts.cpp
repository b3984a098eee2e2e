#include "apps/shared_parts.hpp"

#include <system_error>

namespace tape::cli {

namespace fs = std::filesystem;

SharedParts::SharedParts(fs::path const& output, std::string const& key, std::size_t count,
                         std::function<bool()> complete)
    : folder_{output.string() + ".parts"}, key_{key}, count_{count}, complete_{std::move(complete)} {
    fs::create_directories(folder_);
}

fs::path SharedParts::file(std::size_t part) const { return folder_ / (key_ + "." + std::to_string(part) + ".npz"); }

void SharedParts::run(std::function<void(std::size_t, fs::path const&)> const& make,
                      std::function<void()> const& join) {
    // A late rank may find the parts joined and gone.
    SharedQueue{folder_ / "queue", count_}.run([&](std::size_t part) { return fs::exists(file(part)) || complete_(); },
                                               [&](std::size_t part) { make(part, file(part)); });
    SharedQueue{folder_ / "join", 1}.run([&](std::size_t) { return complete_(); },
                                         [&](std::size_t) {
                                             join();
                                             std::error_code ignored; // the output is there
                                             for (std::size_t part = 0; part < count_; ++part)
                                                 fs::remove(file(part), ignored);
                                         });
}

} // namespace tape::cli
