#include "features/search_database.hpp"

#include "data/error.hpp"
#include "data/hash.hpp"
#include "data/temporary.hpp"
#include "data/text.hpp"
#ifdef TAPE_WITH_SEARCH
#include "align/database.hpp"
#endif

#include <iostream>

namespace tape {

#ifdef TAPE_WITH_SEARCH
std::filesystem::path searchable_database(std::filesystem::path const& file, std::filesystem::path const& cache,
                                          bool quiet) {
    if (file.extension() == ".tdb") return file;
    auto const folder = cache / "databases" / content_hash_of_file(file);
    std::string const name = file.filename().string();
    auto const built = folder / (name.substr(0, name.find('.')) + ".tdb");
    if (std::filesystem::exists(built)) return built;
    OutputFolder const output{folder};
    auto const summary = build_database(file, built, {.quiet = quiet});
    if (!quiet)
        std::cerr << "made a database of " << file.string() << " (" << counted(summary.sequences, "sequence")
                  << "): " << built.string() << "; `tape-db build` makes one to keep\n";
    return built;
}
#else
std::filesystem::path searchable_database(std::filesystem::path const& file, std::filesystem::path const&, bool) {
    throw usage_error{"cannot search " + file.string() +
                      ": this build has no database search (TAPE_WITH_SEARCH=OFF); give ready alignments"};
}
#endif

} // namespace tape
