#include "align/database.hpp"
#include "align/search.hpp"
#include "data/temporary.hpp"

#include <fstream>

bool uses_search() {
    tape::TemporaryDirectory const folder;
    std::string const residues = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKVKALPDAQFEVV";
    std::ofstream{folder.path() / "db.fasta"} << ">known\n" << residues << "\n>other\nGSHMASMTGGQQMGRGS\n";
    tape::build_database(folder.path() / "db.fasta", folder.path() / "db.tdb", {.quiet = true});
    tape::Database const database{folder.path() / "db.tdb"};
    std::vector<tape::Protein> const queries{{"query", "", residues}};
    bool found = false;
    tape::search(database, queries, {.rounds = 1, .threads = 1, .quiet = true},
                 [&](std::size_t, tape::SearchResult&& result) {
                     found = !result.hits.empty() && database.id(result.hits.front().target) == "known";
                 });
    return found;
}
