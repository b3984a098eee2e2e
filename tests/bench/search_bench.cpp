// Speed of the search kernels: search_bench DB.tdb [LENGTH ...]
// For every SIMD target of the machine and queries taken from the database: the threshold scan, the exact scan and the
// gapped scores of what passed, in CPU seconds of one thread and 10^9 cell updates a second (query length x residues).
#include "align/gapped.hpp"
#include "align/scan.hpp"
#include "align/statistics.hpp"

#include <hwy/targets.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>

namespace {

double cpu_seconds() {
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

template <typename Work> double timed(Work const& work) {
    double const start = cpu_seconds();
    work();
    return cpu_seconds() - start;
}

void measure(tape::Database const& database, std::size_t length) {
    std::size_t chosen = 0;
    while (chosen + 1 < database.size() && database.residues(chosen).size() < length) ++chosen;
    auto const query = database.residues(chosen);
    auto const query_length = static_cast<double>(query.size());
    auto const scores = tape::sequence_scores(query);
    std::vector<std::uint32_t> passed;
    double const threshold = timed([&] {
        passed = tape::scan_above(
            scores, database, [&](double n) { return tape::ungapped_threshold(query_length, n, 0.02); }, 1);
    });
    std::size_t highest = 0;
    double const exact = timed([&] {
        for (auto const score : tape::ungapped_scores(tape::round_scores(scores), database, 1))
            highest = std::max<std::size_t>(highest, score);
    });
    tape::GappedAligner const aligner{tape::round_scores(scores, 4)};
    tape::GappedAligner::Workspace workspace;
    double residues = 0;
    double const gapped = timed([&] {
        for (auto const target : passed) {
            if (aligner.score(database.residues(target), workspace) < 0) std::abort();
            residues += static_cast<double>(database.residues(target).size());
        }
    });
    double const cells = query_length * static_cast<double>(database.residue_count()) / 1e9;
    std::printf("%s\t%zu\t%.3f\t%.1f\t%.3f\t%.1f\t%zu\t%.3f\t%.1f\n", tape::simd_target().c_str(), query.size(),
                threshold, cells / threshold, exact, cells / exact, passed.size(), gapped,
                query_length * residues / 1e9 / gapped);
    std::fflush(stdout);
}

void run(int argc, char** argv) {
    tape::Database const database{argv[1]};
    std::vector<std::size_t> lengths;
    for (int a = 2; a < argc; ++a) lengths.push_back(std::strtoul(argv[a], nullptr, 10));
    if (lengths.empty()) lengths = {64, 128, 190, 300, 500, 1000};
    std::printf("target\tquery\tscan s\tGCUPS\texact s\tGCUPS\tpassed\tgapped s\tGCUPS\n");
    for (std::int64_t targets = hwy::SupportedTargets(); targets != 0; targets &= targets - 1) {
        std::int64_t const target = targets & -targets;
        hwy::SetSupportedTargetsForTest(target);
        hwy::GetChosenTarget().Update(hwy::SupportedTargets());
        if (tape::simd_target() == "SCALAR" || tape::simd_target() == "EMU128") continue;
        for (auto const length : lengths) measure(database, length);
    }
}

} // namespace

int main(int argc, char** argv) {
    if (argc < 2) return std::fprintf(stderr, "usage: search_bench DB.tdb [LENGTH ...]\n"), 2;
    try {
        run(argc, argv);
    } catch (std::exception const& problem) {
        return std::fprintf(stderr, "search_bench: %s\n", problem.what()), 1;
    }
}
