#pragma once

#include "align/profile.hpp"

#include <Eigen/Core>

#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

namespace tape {

/// Position-specific scoring matrix with PSI-BLAST's columns (Altschul et al., Nucleic Acids Res 25:3389, 1997).
/// Residue-code order in memory; the file's order is ARNDCQEGHILKMFPSTWYV.
struct Pssm {
    using Integers = Eigen::Matrix<int, Eigen::Dynamic, amino_acid_count, Eigen::RowMajor>;

    std::string residues;               ///< L letters of the query
    Integers scores;                    ///< L x 20, log-odds in units of 1 / 0.3176 nats (about half bits)
    Integers percentages;               ///< L x 20, weighted observed frequencies, rounded down
    std::vector<float> information;     ///< bits of the frequencies with pseudocounts over the background
    std::vector<float> relative_weight; ///< of observations to pseudocounts, times the share of rows without a gap

    [[nodiscard]] std::size_t length() const { return residues.size(); }
};

/// From a profile made with the same options. @throws tape::error if the profile has another length than the query.
Pssm make_pssm(std::string residues, Profile const& profile, ProfileOptions const& options = {});

/// Writes what `psiblast -out_ascii_pssm` writes: a heading, one line a residue, Karlin-Altschul parameters of
/// BLOSUM62.
void write_pssm(std::ostream& out, Pssm const& pssm);

/// Reads that format; the last two columns may be missing (older programs).
/// @throws data_error with file:line for another format, a missing or impossible value, positions out of order, a file
///         that ends before the parameters ("Standard Ungapped" or "PSI Ungapped").
Pssm read_pssm(std::istream& in, std::string const& name);
Pssm read_pssm(std::filesystem::path const& file);

} // namespace tape
