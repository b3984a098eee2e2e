#pragma once

#include "align/database.hpp"
#include "data/alphabet.hpp"
#include "data/temporary.hpp"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <filesystem>
#include <random>
#include <string>
#include <vector>

namespace tape::test {

/// Background-distributed residues, now and then an unknown one.
inline std::vector<Residue> random_protein(std::mt19937_64& random, std::size_t length, double unknown = 0.005) {
    std::discrete_distribution<int> residue(background_frequencies.begin(), background_frequencies.end());
    std::bernoulli_distribution is_unknown(unknown);
    std::vector<Residue> protein(length);
    for (auto& code : protein) code = is_unknown(random) ? unknown_code : static_cast<Residue>(residue(random));
    return protein;
}

/// A relative: substitutions, insertions and deletions at the given rate.
inline std::vector<Residue> mutated(std::mt19937_64& random, std::vector<Residue> const& protein, double rate) {
    std::bernoulli_distribution changes(rate);
    std::uniform_int_distribution<int> kind(0, 5), residue(0, amino_acid_count - 1), length(1, 8);
    std::vector<Residue> relative;
    for (std::size_t i = 0; i < protein.size(); ++i) {
        if (!changes(random))
            relative.push_back(protein[i]);
        else if (int const k = kind(random); k == 0)
            i += static_cast<std::size_t>(length(random)) - 1;
        else if (k == 1)
            for (int n = length(random); n > 0; --n) relative.push_back(static_cast<Residue>(residue(random)));
        else
            relative.push_back(static_cast<Residue>(residue(random)));
    }
    if (relative.empty()) relative.push_back(0);
    return relative;
}

/// Writes and opens a database; ids are "s0", "s1", ... in the order given, so that `original` finds them again.
inline Database make_database(std::filesystem::path const& file, std::vector<std::vector<Residue>> const& proteins) {
    DatabaseWriter writer;
    for (std::size_t i = 0; i < proteins.size(); ++i) writer.add("s" + std::to_string(i), "", proteins[i]);
    (void)writer.write(file);
    return Database{file};
}

/// Runs `body` once for every SIMD target this machine can execute, and restores the choice.
template <typename Body> void for_each_simd_target(Body const& body) {
    std::int64_t const supported = hwy::SupportedTargets();
    for (std::int64_t targets = supported; targets != 0; targets &= targets - 1) {
        std::int64_t const target = targets & -targets;
        hwy::SetSupportedTargetsForTest(target);
        hwy::GetChosenTarget().Update(hwy::SupportedTargets());
        SCOPED_TRACE(hwy::TargetName(target));
        body();
    }
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

} // namespace tape::test
