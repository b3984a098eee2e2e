#include "align/search.hpp"
#include "data/error.hpp"

#include "tests/align/random_proteins.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <map>
#include <numeric>
#include <set>
#include <sstream>

namespace tape {
namespace {

/// A family of 25 around each of four ancestors, among 1,500 random sequences.
class Search : public testing::Test {
  protected:
    Search() {
        std::vector<std::vector<Residue>> proteins;
        for (int f = 0; f < 4; ++f) {
            ancestors.push_back(test::random_protein(random, 120 + 60 * f, 0));
            for (int member = 0; member < 25; ++member)
                proteins.push_back(test::mutated(random, ancestors.back(), 0.2 + 0.02 * member));
        }
        std::uniform_int_distribution<std::size_t> length(20, 500);
        for (int i = 0; i < 1500; ++i) proteins.push_back(test::random_protein(random, length(random)));
        database.emplace(test::make_database(scratch.path() / "s.tdb", proteins));
        for (int f = 0; f < 4; ++f) queries.push_back({"q" + std::to_string(f), "", decode_residues(ancestors[f])});
    }

    [[nodiscard]] int original(Hit const& hit) const {
        return std::stoi(std::string{database->id(hit.target).substr(1)});
    }

    [[nodiscard]] std::vector<SearchResult> results(std::span<Protein const> wanted,
                                                    SearchOptions const& options) const {
        std::vector<SearchResult> all;
        search(*database, wanted, options, [&](std::size_t q, SearchResult&& result) {
            EXPECT_EQ(q, all.size()) << "delivered in query order";
            all.push_back(std::move(result));
        });
        EXPECT_EQ(all.size(), wanted.size());
        return all;
    }

    /// Everything of the results as text, for comparisons byte by byte.
    [[nodiscard]] std::string text(std::vector<SearchResult> const& all) const {
        std::ostringstream out;
        out << std::hexfloat;
        for (auto const& result : all) {
            for (auto const& h : result.hits)
                out << h.target << ' ' << h.bits << ' ' << h.evalue << ' ' << h.round << ' ' << h.identity << ' '
                    << h.query_begin << ' ' << h.query_end << ' ' << h.target_begin << ' ' << h.target_end << '\n';
            write_msa(out, result.msa, MsaFormat::a3m);
            for (auto const& round : result.rounds)
                out << round.included << ' ' << round.added << ' ' << round.lost << ' ' << round.query_bits << '\n';
            out << result.converged << '\n';
        }
        return out.str();
    }

    TemporaryDirectory scratch;
    std::mt19937_64 random{77};
    std::vector<std::vector<Residue>> ancestors;
    std::optional<Database> database;
    std::vector<Protein> queries;
};

TEST_F(Search, FindsTheFamilyAndNothingElse) {
    auto const all = results(queries, {.rounds = 2});
    for (int f = 0; f < 4; ++f) {
        EXPECT_GE(all[f].hits.size(), 18U);
        for (auto const& hit : all[f].hits) EXPECT_EQ(original(hit) / 25, f);
        EXPECT_EQ(all[f].msa.depth(), all[f].hits.size() + 1);
        EXPECT_EQ(all[f].msa.rows.front().columns, ancestors[f]);
    }
}

TEST_F(Search, ClustersHideNoFamily) {
    // Each family around its first member; the random sequences alone. The table is in no order.
    std::map<int, std::uint32_t> index_of;
    for (std::uint32_t i = 0; i < database->size(); ++i)
        index_of[std::stoi(std::string{database->id(i).substr(1)})] = i;
    auto const representative_of = [&](int protein) {
        return index_of.at(protein < 100 ? protein / 25 * 25 : protein);
    };
    auto const table = scratch.path() / "clusters.tsv";
    {
        std::ofstream out{table};
        out << "# representative\tmember\tidentity\n";
        for (auto const& [protein, index] : index_of)
            out << database->id(representative_of(protein)) << '\t' << database->id(index) << "\t0.9\n";
    }
    auto const clusters = std::make_shared<ScanClusters>(*database, table);
    ASSERT_EQ(clusters->representatives().size(), 1504U);
    std::size_t members = 0;
    for (std::size_t k = 0; k < 1504; ++k) {
        auto const of = clusters->representatives()[k];
        EXPECT_TRUE(std::ranges::is_sorted(clusters->members(k)));
        for (auto const member : clusters->members(k))
            EXPECT_EQ(representative_of(std::stoi(std::string{database->id(member).substr(1)})), of);
        members += clusters->members(k).size();
    }
    EXPECT_EQ(members, database->size());

    SearchOptions const everything{.rounds = 2}, clustered{.rounds = 2, .clusters = clusters};
    EXPECT_NE(search_hash(*database, everything), search_hash(*database, clustered));
    EXPECT_EQ(text(results(queries, clustered)), text(results(queries, everything)));
    SearchOptions threaded = clustered;
    threaded.threads = 3;
    EXPECT_EQ(text(results(queries, threaded)), text(results(queries, clustered)));
}

TEST_F(Search, ClusterTablesOfAnotherDatabaseAreRefused) {
    auto const table = scratch.path() / "clusters.tsv";
    auto const expect_refused = [&](std::string const& rows, std::string const& why) {
        std::ofstream{table} << rows;
        try {
            ScanClusters const clusters{*database, table};
            ADD_FAILURE() << "accepted: " << rows;
        } catch (data_error const& refused) {
            EXPECT_NE(std::string{refused.what()}.find(why), std::string::npos) << refused.what();
        }
    };
    std::string const a{database->id(0)}, b{database->id(1)};
    expect_refused("# none\n" + a + "\n", "clusters.tsv:2: expected a representative's id");
    expect_refused(a + "\tnobody\n", "clusters.tsv:1: 'nobody' is not in");
    expect_refused(a + '\t' + a + '\n' + b + '\t' + a + '\n', "clusters.tsv:2: '" + a + "' was listed");
    expect_refused(a + '\t' + a + '\n', "is in no cluster");
    std::string rows = a + '\t' + b + '\n' + b + '\t' + a + '\n';
    for (std::size_t i = 2; i < database->size(); ++i)
        rows += std::string{database->id(i)} + '\t' + std::string{database->id(i)} + '\n';
    expect_refused(rows, "is itself in another cluster");
}

TEST_F(Search, AProfileReachesFurther) {
    std::size_t one = 0, three = 0;
    for (auto const& result : results(queries, {.rounds = 1})) one += result.hits.size();
    for (auto const& result : results(queries, {.rounds = 3})) three += result.hits.size();
    EXPECT_GT(three, one);
}

TEST_F(Search, RoundsSayWhatTheyChanged) {
    for (auto const& result : results(queries, {.rounds = 4, .evalue = 2e-3})) {
        auto const& rounds = result.rounds;
        ASSERT_GE(rounds.size(), 2U);
        EXPECT_EQ(rounds.front().added, rounds.front().included);
        EXPECT_EQ(rounds.front().lost, 0U);
        for (std::size_t r = 1; r < rounds.size(); ++r) {
            EXPECT_EQ(rounds[r].included, rounds[r - 1].included + rounds[r].added - rounds[r].lost);
            // Distant members blur the profile: the query itself scores less, but is still recognised.
            EXPECT_LT(rounds[r].query_bits, rounds.front().query_bits);
            EXPECT_GT(rounds[r].query_bits, 30);
        }
        EXPECT_EQ(rounds.back().included, result.hits.size());
        EXPECT_EQ(result.converged, rounds.back().added == 0 && rounds.back().lost == 0);
    }
}

TEST_F(Search, RoundsCountTheIncludedWhateverIsReported) {
    auto const counts = [&](SearchOptions const& options) {
        std::vector<std::array<std::size_t, 3>> all;
        for (auto const& result : results(queries, options))
            for (auto const& round : result.rounds) all.push_back({round.included, round.added, round.lost});
        return all;
    };
    SearchOptions options{.rounds = 2, .inclusion_evalue = 1};
    auto const expected = counts(options); // reports up to .001
    for (double const evalue : {1e-30, 1.0, 100.0}) {
        options.evalue = evalue;
        EXPECT_EQ(counts(options), expected) << "reported up to " << evalue;
    }
    options.evalue = 1e-30;
    for (auto const& result : results(queries, options))
        for (auto const& hit : result.hits) EXPECT_LE(hit.evalue, 1e-30);
}

TEST_F(Search, RowsAreTheAlignments) {
    for (auto const& result : results(queries, {.rounds = 1})) {
        for (std::size_t r = 0; r < result.hits.size(); ++r) {
            auto const& hit = result.hits[r];
            auto const& row = result.msa.rows[r + 1];
            EXPECT_EQ(row.id, database->id(hit.target));
            ASSERT_EQ(row.columns.size(), result.msa.length());
            // Residues of the row, insertions included, are the target's between its ends.
            std::string letters = row.insertions.empty() ? decode_residues(row.columns) : row.insertions;
            std::erase(letters, '-');
            std::ranges::transform(letters, letters.begin(), [](char c) { return static_cast<char>(std::toupper(c)); });
            auto const residues =
                database->residues(hit.target).subspan(hit.target_begin, hit.target_end - hit.target_begin);
            EXPECT_EQ(letters, decode_residues({residues.begin(), residues.end()}));
            for (int i = 0; i < static_cast<int>(row.columns.size()); ++i)
                if (i < hit.query_begin || i >= hit.query_end) {
                    EXPECT_EQ(row.columns[i], gap_code);
                }
            EXPECT_NE(row.columns[hit.query_begin], gap_code);
            EXPECT_NE(row.columns[hit.query_end - 1], gap_code);
        }
    }
}

TEST_F(Search, SameBytesForAnyThreadsAndBatch) {
    SearchOptions options{.rounds = 3, .evalue = 10};
    auto const expected = text(results(queries, options));
    for (int const threads : {2, 3, 7}) {
        options.threads = threads;
        EXPECT_EQ(text(results(queries, options)), expected) << threads << " threads";
        std::string one_by_one;
        for (auto const& query : queries) one_by_one += text(results(std::span{&query, 1}, options));
        EXPECT_EQ(one_by_one, expected);
    }
    auto const two = std::span{queries}.first(2);
    auto const expected_of_two = text(results(two, options));
    test::for_each_simd_target([&] { EXPECT_EQ(text(results(two, options)), expected_of_two); });
}

TEST_F(Search, HitsAreSortedAndLimited) {
    auto const all = results(queries, {.rounds = 1, .evalue = 100});
    for (auto const& result : all) {
        EXPECT_TRUE(std::ranges::is_sorted(result.hits, {}, &Hit::evalue));
        EXPECT_LE(result.hits.back().evalue, 100);
    }
    auto const few = results(queries, {.rounds = 1, .evalue = 100, .max_hits = 5});
    for (std::size_t q = 0; q < few.size(); ++q) {
        ASSERT_EQ(few[q].hits.size(), 5U);
        for (std::size_t h = 0; h < 5; ++h) EXPECT_EQ(few[q].hits[h].target, all[q].hits[h].target);
    }
}

TEST_F(Search, CoverageDropsShortRows) {
    for (auto const& result : results(queries, {.rounds = 2, .evalue = 100, .min_coverage = 0.7}))
        for (std::size_t r = 1; r < result.msa.depth(); ++r) {
            auto const gaps = std::ranges::count(result.msa.rows[r].columns, gap_code);
            EXPECT_LE(static_cast<double>(gaps), 0.3 * static_cast<double>(result.msa.length()) + 1e-9);
        }
}

TEST_F(Search, WithoutAlignmentsTheSameHits) {
    auto const full = results(queries, {.rounds = 2, .evalue = 10}),
               bare = results(queries, {.rounds = 2, .evalue = 10, .alignments = false});
    for (std::size_t q = 0; q < full.size(); ++q) {
        EXPECT_EQ(bare[q].msa.depth(), 1U);
        ASSERT_EQ(bare[q].hits.size(), full[q].hits.size());
        for (std::size_t h = 0; h < full[q].hits.size(); ++h) EXPECT_EQ(bare[q].hits[h].evalue, full[q].hits[h].evalue);
    }
}

TEST_F(Search, OddQueries) {
    std::string lower = queries[0].residues;
    std::ranges::transform(lower, lower.begin(), [](char c) { return static_cast<char>(std::tolower(c)); });
    std::vector<Protein> const odd{{"empty", "", ""},
                                   {"unknown", "", std::string(80, 'X')},
                                   {"one", "", "M"},
                                   {"lower", "", lower},
                                   {"long", "", decode_residues(test::random_protein(random, 40000))}};
    auto const all = results(odd, {.rounds = 2});
    EXPECT_EQ(all[0].msa.length(), 0U);
    EXPECT_TRUE(all[0].hits.empty() && all[1].hits.empty() && all[2].hits.empty());
    EXPECT_EQ(all[1].msa.length(), 80U);
    EXPECT_GE(all[3].hits.size(), 15U);
    EXPECT_LE(all[4].hits.size(), 1U);
    std::vector<Protein> const wrong{{"bad", "", "MK7"}};
    EXPECT_THROW(results(wrong, {}), error);
    EXPECT_THROW(results(queries, {.rounds = 0}), usage_error);
}

TEST_F(Search, HashKnowsWhatDecidesAResult) {
    SearchOptions const options;
    std::set<std::string> hashes{search_hash(*database, options)};
    hashes.insert(search_hash(*database, {.rounds = 2}));
    hashes.insert(search_hash(*database, {.evalue = 1}));
    hashes.insert(search_hash(*database, {.inclusion_evalue = 1e-4}));
    hashes.insert(search_hash(*database, {.min_coverage = 0.5}));
    hashes.insert(search_hash(*database, {.max_hits = 10}));
    EXPECT_EQ(hashes.size(), 6U);
    EXPECT_EQ(search_hash(*database, {.threads = 5, .quiet = false}), search_hash(*database, options));
}

/// Unrelated queries get hits at E <= 1 about once each: the E-value means what it says. 150 queries against 1,600
/// sequences; the count's standard deviation is about 12, the bounds are the factor of two the E-value is held to.
TEST_F(Search, EvaluesOfUnrelatedQueriesAreCalibrated) {
    std::vector<Protein> unrelated;
    std::uniform_int_distribution<std::size_t> length(80, 400);
    for (int q = 0; q < 150; ++q)
        unrelated.push_back(
            {"u" + std::to_string(q), "", decode_residues(test::random_protein(random, length(random), 0))});
    std::size_t hits = 0, strong = 0;
    for (auto const& result : results(unrelated, {.rounds = 1, .evalue = 1}))
        for (auto const& hit : result.hits) ++hits, strong += hit.evalue <= 0.01;
    EXPECT_GE(hits, 75U);
    EXPECT_LE(hits, 300U);
    EXPECT_LE(strong, 8U);
}

} // namespace
} // namespace tape
