// How well do variant scores of an alignment rank measured variants, without training?
// variant_scores_bench ALIGNMENT VARIANTS.csv[.xz]: columns `primary` and a last one with the measurement, such as
// data/tape/fluorescence_test.csv.xz. Prints Spearman's rho of each score, and CPU seconds.
#include "align/msa.hpp"
#include "data/error.hpp"
#include "data/io.hpp"
#include "features/variant_scores.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <numeric>
#include <sstream>

namespace {

/// Ranks from 0, ties averaged.
std::vector<double> ranks(std::vector<double> const& values) {
    std::vector<std::size_t> order(values.size());
    std::iota(order.begin(), order.end(), 0);
    std::ranges::sort(order, {}, [&](std::size_t k) { return values[k]; });
    std::vector<double> result(values.size());
    for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
        while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
        for (std::size_t k = begin; k < end; ++k) result[order[k]] = static_cast<double>(begin + end - 1) / 2;
    }
    return result;
}

double spearman(std::vector<double> const& a, std::vector<double> const& b) {
    auto const x = ranks(a), y = ranks(b);
    double const mean = (static_cast<double>(x.size()) - 1) / 2;
    double xy = 0, xx = 0, yy = 0;
    for (std::size_t k = 0; k < x.size(); ++k)
        xy += (x[k] - mean) * (y[k] - mean), xx += (x[k] - mean) * (x[k] - mean), yy += (y[k] - mean) * (y[k] - mean);
    return xy / std::sqrt(xx * yy);
}

void run(std::string const& alignment, std::string const& variants) {
    tape::VariantScorer const scorer{tape::read_msa(alignment)};
    double const fitted = static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
    std::istringstream lines{tape::read_text(variants)};
    std::string line;
    std::getline(lines, line);
    std::vector<double> entropy, log_odds, potts, count, measured;
    while (std::getline(lines, line)) {
        auto const comma = line.find(','), next = line.find(',', comma + 1);
        auto const residues = tape::encode_residues(line.substr(comma + 1, next - comma - 1));
        auto const mutations = tape::mutations_of(residues, scorer.query());
        auto const scores = scorer.score(mutations);
        entropy.push_back(scores.entropy), log_odds.push_back(scores.log_odds), potts.push_back(scores.potts);
        count.push_back(-static_cast<double>(mutations.size()));
        measured.push_back(std::stod(line.substr(line.rfind(',') + 1)));
    }
    std::printf("%zu variants: Spearman's rho of -mutations %.3f, entropy %.3f, log-odds %.3f, Potts %.3f; CPU seconds "
                "%.2f to build, %.2f to score\n",
                measured.size(), spearman(count, measured), spearman(entropy, measured), spearman(log_odds, measured),
                spearman(potts, measured), fitted, static_cast<double>(std::clock()) / CLOCKS_PER_SEC - fitted);
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::cerr << "usage: variant_scores_bench ALIGNMENT VARIANTS.csv[.xz]\n";
        return 2;
    }
    try {
        run(argv[1], argv[2]);
    } catch (std::exception const& problem) {
        std::cerr << tape::describe(problem) << '\n';
        return static_cast<int>(tape::exit_code_of(problem));
    }
}
