#include "data/error.hpp"
#include "data/hash.hpp"
#include "data/io.hpp"
#include "data/temporary.hpp"
#include "features/cache.hpp"
#include "features/feature_store.hpp"
#include "features/onehot.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <fstream>
#include <limits>
#include <random>
#include <thread>

namespace tape {
namespace {

std::string const source_hash(32, 'a');

std::string key_of(int number) { return content_hash("protein " + std::to_string(number)); }

/// A record whose content is decided by its number.
StoredFeatures record(int number, int width) {
    std::mt19937 random{static_cast<unsigned>(number)};
    StoredFeatures features{.key = key_of(number),
                            .length = 1 + static_cast<std::uint32_t>(random() % 30),
                            .depth = static_cast<float>(number),
                            .provenance = "search " + std::to_string(number),
                            .values = {}};
    // Eighths below 64 are exact in half precision.
    for (std::size_t v = 0; v < features.length * static_cast<std::size_t>(width); ++v)
        features.values.push_back(static_cast<float>(random() % 512) / 8);
    return features;
}

void expect_equal(std::optional<StoredFeatures> const& found, StoredFeatures const& expected) {
    ASSERT_TRUE(found.has_value()) << expected.provenance;
    EXPECT_EQ(found->key, expected.key);
    EXPECT_EQ(found->length, expected.length);
    EXPECT_EQ(found->depth, expected.depth);
    EXPECT_EQ(found->provenance, expected.provenance);
    EXPECT_EQ(found->values, expected.values);
}

class Store : public ::testing::Test {
  protected:
    TemporaryDirectory folder_;
    std::filesystem::path file_ = folder_.path() / "deep" / "rows.store";
    static constexpr int width = 3;

    FeatureStore open() { return {file_, FeatureKind::rows, width, source_hash}; }
    void append(int begin, int end) {
        auto store = open();
        std::vector<StoredFeatures> records;
        for (int n = begin; n < end; ++n) records.push_back(record(n, width));
        store.append(records);
    }
    void expect_records(int begin, int end) {
        auto store = open();
        for (int n = begin; n < end; ++n) expect_equal(store.find(key_of(n)), record(n, width));
    }
};

TEST_F(Store, ReadsBackWhatWasAppended) {
    append(0, 20);
    append(20, 25);
    expect_records(0, 25);
    EXPECT_EQ(open().size(), 25u);
    EXPECT_FALSE(open().find(key_of(99)).has_value());
}

TEST_F(Store, DuplicatesAreStoredOnce) {
    append(0, 5);
    auto const size = std::filesystem::file_size(file_);
    append(0, 5);
    EXPECT_EQ(std::filesystem::file_size(file_), size);
    auto store = open();
    std::vector<StoredFeatures> const twice{record(7, width), record(7, width)};
    store.append(twice);
    EXPECT_EQ(store.size(), 6u);
}

TEST_F(Store, ATornTailIsDroppedWhereverItWasTorn) {
    append(0, 3);
    auto const whole = std::filesystem::file_size(file_);
    append(3, 4);
    auto const longer = std::filesystem::file_size(file_);
    std::string const bytes = read_text(file_);
    for (auto cut = whole + 1; cut < longer; ++cut) {
        write_text(file_, bytes.substr(0, cut));
        ASSERT_EQ(open().size(), 3u) << cut;
        ASSERT_EQ(std::filesystem::file_size(file_), whole) << cut;
    }
    append(3, 6);
    expect_records(0, 6);
}

TEST_F(Store, ATornFileHeaderIsWrittenAgain) {
    append(0, 1);
    write_text(file_, read_text(file_).substr(0, 20));
    append(0, 2);
    expect_records(0, 2);
}

TEST_F(Store, ADamagedPayloadIsAbsentAndCanBeAppendedAgain) {
    append(0, 3);
    std::string bytes = read_text(file_);
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    write_text(file_, bytes);
    {
        auto store = open();
        expect_equal(store.find(key_of(1)), record(1, width));
        EXPECT_FALSE(store.find(key_of(2)).has_value());
        EXPECT_FALSE(store.contains(key_of(2)));
        std::vector<StoredFeatures> const again{record(2, width)};
        store.append(again);
        expect_equal(store.find(key_of(2)), record(2, width));
    }
    expect_records(0, 3);
}

TEST_F(Store, AnotherSourceOrWidthIsRefused) {
    append(0, 1);
    EXPECT_THROW(FeatureStore(file_, FeatureKind::rows, width, std::string(32, 'b')), data_error);
    EXPECT_THROW(FeatureStore(file_, FeatureKind::rows, width + 1, source_hash), data_error);
    EXPECT_THROW(FeatureStore(file_, FeatureKind::pairs, width, source_hash), data_error);
}

TEST_F(Store, HalfAndSinglePrecision) {
    StoredFeatures features{
        .key = key_of(1), .length = 1, .depth = 0, .provenance = {}, .values = {0.1f, 1e6f, -1e-9f}};
    auto store = open();
    store.append({&features, 1});
    auto const found = store.find(features.key);
    ASSERT_TRUE(found);
    EXPECT_NEAR(found->values[0], 0.1, 0.1 / 2048);
    EXPECT_EQ(found->values[1], 65504);
    EXPECT_NEAR(found->values[2], 0, 1e-7);
    FeatureStore pooled{folder_.path() / "pooled.store", FeatureKind::pooled, 3, source_hash};
    pooled.append({&features, 1});
    EXPECT_EQ(pooled.find(features.key)->values, features.values);
    features.values[1] = std::numeric_limits<float>::quiet_NaN(), features.key = key_of(2);
    EXPECT_THROW(store.append({&features, 1}), error);
    EXPECT_EQ(store.size(), 1u);
}

TEST_F(Store, SeesWhatAnotherWriterAppended) {
    auto reader = open();
    append(0, 4);
    EXPECT_EQ(reader.size(), 0u);
    reader.refresh();
    expect_equal(reader.find(key_of(3)), record(3, width));
    append(4, 8);
    std::vector<StoredFeatures> const more{record(8, width)};
    reader.append(more); // notices 4 .. 7 on the way
    EXPECT_EQ(reader.size(), 9u);
    expect_records(0, 9);
}

/// Runs `work` in a child process; returns its id.
template <typename Work> pid_t in_child(Work const& work) {
    pid_t const child = fork();
    if (child == 0) {
        int code = 0;
        try {
            work();
        } catch (...) {
            code = 1;
        }
        _exit(code);
    }
    return child;
}

TEST_F(Store, TwoProcessesAppendAtOnce) {
    auto const writer = [&](int first) {
        auto store = open();
        // Both write all of 0 .. 199, in different order and one by one.
        for (int step = 0; step < 200; ++step) {
            std::vector<StoredFeatures> const one{record((first + step * 7) % 200, width)};
            store.append(one);
        }
    };
    pid_t const a = in_child([&] { writer(0); }), b = in_child([&] { writer(101); });
    for (pid_t const child : {a, b}) {
        int status = -1;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
    }
    EXPECT_EQ(open().size(), 200u);
    expect_records(0, 200);
    // Each record stands in the file once.
    std::uintmax_t expected = 56;
    for (int n = 0; n < 200; ++n)
        expected += 56 + record(n, width).provenance.size() + 2 * record(n, width).values.size();
    EXPECT_EQ(std::filesystem::file_size(file_), expected);
}

TEST_F(Store, AKilledWriterLosesAtMostItsLastRecord) {
    for (int round = 0; round < 10; ++round) {
        pid_t const child = in_child([&] {
            auto store = open();
            for (int n = 0;; ++n) {
                std::vector<StoredFeatures> const one{record(n, width)};
                store.append(one);
            }
        });
        usleep(3000 + 1000 * static_cast<unsigned>(round));
        kill(child, SIGKILL);
        waitpid(child, nullptr, 0);
        auto store = open();
        auto const count = static_cast<int>(store.size());
        for (int n = 0; n < count; ++n) expect_equal(store.find(key_of(n)), record(n, width));
    }
    append(0, 100000 / 100);
    expect_records(0, 1000);
}

TEST_F(Store, AFullDiskNamesTheFileAndKeepsWhatWasThere) {
    append(0, 10);
    auto const size = std::filesystem::file_size(file_);
    pid_t const child = in_child([&] {
        signal(SIGXFSZ, SIG_IGN);
        rlimit const limit{size + 100, size + 100};
        setrlimit(RLIMIT_FSIZE, &limit);
        auto store = open();
        std::vector<StoredFeatures> records;
        for (int n = 10; n < 100; ++n) records.push_back(record(n, width));
        try {
            store.append(records);
        } catch (error const& problem) {
            bool const named =
                std::string{problem.what()}.find("rows.store: cannot write the feature cache") != std::string::npos;
            _exit(named ? 42 : 43);
        }
    });
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), 42);
    expect_records(0, 10);
}

// ---- CachedSource
// ----------------------------------------------------------------------------------------------------

/// Counts what it is asked for; the id decides its values, so it is part of the key.
class CountingSource : public FeatureSource {
  public:
    explicit CountingSource(std::atomic<int>& computed) : computed_{computed} {}
    [[nodiscard]] std::string name() const override { return "counting/../source"; }
    [[nodiscard]] std::string description() const override { return "counts"; }
    [[nodiscard]] int residue_width() const override { return 2; }
    [[nodiscard]] int pooled_width() const override { return 3; }
    [[nodiscard]] int pair_width() const override { return 1; }
    [[nodiscard]] std::string content_hash() const override { return tape::content_hash("counting"); }
    [[nodiscard]] std::string key(Protein const& protein) const override {
        return tape::content_hash(protein.id + " " + protein.residues);
    }
    [[nodiscard]] std::vector<ProteinFeatures> compute(std::span<Protein const> proteins,
                                                       FeatureRequest request) override {
        std::vector<ProteinFeatures> result;
        for (auto const& protein : proteins) {
            ++computed_;
            if (protein.id == "throw") throw data_error{"record 'throw' cannot be read"};
            auto const length = static_cast<Eigen::Index>(protein.residues.size());
            float const value = protein.id == "nan" ? std::nanf("") : 0.1f * static_cast<float>(protein.id.size());
            ProteinFeatures features{
                .rows = {}, .pooled = {}, .pairs = {}, .depth = 5, .provenance = "of " + protein.id};
            if (request.rows) features.rows = FeatureMatrix::Constant(length, 2, value);
            if (request.pooled) features.pooled.assign(3, value);
            if (request.pairs) features.pairs.assign(protein.residues.size() * protein.residues.size(), value);
            result.push_back(features);
        }
        return result;
    }

  private:
    std::atomic<int>& computed_;
};

class Cached : public ::testing::Test {
  protected:
    TemporaryDirectory folder_;
    std::atomic<int> computed_{0};
    std::vector<Protein> const proteins_{{.id = "a", .description = {}, .residues = "ACD"},
                                         {.id = "bb", .description = {}, .residues = "ACDE"},
                                         {.id = "a", .description = "again", .residues = "ACD"}};

    CachedSource open() { return {std::make_unique<CountingSource>(computed_), folder_.path()}; }
};

TEST_F(Cached, ColdAndWarmRunsGiveIdenticalValues) {
    std::vector<ProteinFeatures> cold, warm;
    {
        auto source = open();
        cold = source.compute(proteins_, {.rows = true, .pooled = true, .pairs = true});
        EXPECT_EQ(computed_, 2);
    }
    auto source = open();
    warm = source.compute(proteins_, {.rows = true, .pooled = true, .pairs = true});
    EXPECT_EQ(computed_, 2);
    ASSERT_EQ(cold.size(), 3u);
    for (std::size_t p = 0; p < 3; ++p) {
        EXPECT_EQ(cold[p].rows, warm[p].rows);
        EXPECT_EQ(cold[p].pooled, warm[p].pooled);
        EXPECT_EQ(cold[p].pairs, warm[p].pairs);
        EXPECT_EQ(warm[p].depth, 5);
        EXPECT_EQ(warm[p].provenance, "of " + proteins_[p].id);
    }
    EXPECT_NEAR(warm[1].rows(3, 1), 0.2, 1e-3);
    EXPECT_EQ(warm[1].rows.rows(), 4);
    EXPECT_EQ(warm[1].pairs.size(), 16u);
    EXPECT_EQ(warm[1].pooled[0], 0.2f);
}

TEST_F(Cached, OnlyWhatIsMissingIsComputed) {
    auto source = open();
    auto const first = source.prefetch(proteins_, {.pooled = true});
    EXPECT_EQ(first.computed, 2u);
    EXPECT_EQ(first.found, 0u);
    auto const second = source.prefetch(proteins_, {.pooled = true});
    EXPECT_EQ(second.computed, 0u);
    EXPECT_EQ(second.found, 2u);
    EXPECT_EQ(computed_, 2);
    source.prefetch(proteins_, {.rows = true, .pooled = true}); // rows are still missing
    EXPECT_EQ(computed_, 4);
    EXPECT_TRUE(source.read(proteins_[0], {.pooled = true}).rows.size() == 0);
}

TEST_F(Cached, AProteinThatWasNotPrefetchedIsComputedWhenRead) {
    auto source = open();
    EXPECT_EQ(source.rows(proteins_[1]).rows(), 4);
    EXPECT_EQ(source.pairs(proteins_[1]).size(), 16u);
    EXPECT_EQ(source.pooled_matrix(proteins_)(1, 2), 0.2f);
}

TEST_F(Cached, AnErrorKeepsTheChunksBefore) {
    std::vector<Protein> many;
    for (int p = 0; p < 100; ++p)
        many.push_back({.id = "p" + std::to_string(p), .description = {}, .residues = "ACDEF"});
    // The longest comes last: missing features are computed in order of length.
    many.push_back({.id = "throw", .description = {}, .residues = "ACDEFG"});
    auto source = open();
    EXPECT_THROW(source.prefetch(many, {.pooled = true}), data_error);
    EXPECT_GE(open().prefetch(std::span{many}.first(100), {.pooled = true}).found, 16u);
}

TEST_F(Cached, ValuesThatAreNotFiniteNameSourceAndRecord) {
    auto source = open();
    std::vector<Protein> const bad{{.id = "nan", .description = {}, .residues = "AC"}};
    try {
        source.prefetch(bad, {.rows = true});
        FAIL();
    } catch (error const& problem) {
        EXPECT_EQ(std::string{problem.what()},
                  "source 'counting/../source', rows of record 'nan': value 0 is not finite");
    }
}

TEST_F(Cached, StaysInsideItsFolder) {
    auto source = open();
    source.prefetch(proteins_, {.rows = true});
    EXPECT_EQ(source.directory().parent_path(), folder_.path());
    EXPECT_TRUE(std::filesystem::exists(source.directory() / "rows.store"));
}

TEST_F(Cached, ManyThreadsReadAtOnce) {
    std::vector<Protein> many;
    for (int p = 0; p < 200; ++p)
        many.push_back({.id = std::string(static_cast<std::size_t>(1 + p % 50), 'x') + std::to_string(p),
                        .description = {},
                        .residues = "ACDEF"});
    auto source = open();
    source.prefetch(std::span{many}.first(100), {.rows = true});
    std::atomic<int> wrong{0};
    {
        std::vector<std::jthread> team;
        for (int t = 0; t < 4; ++t)
            team.emplace_back([&] {
                for (auto const& protein : many)
                    if (std::abs(source.rows(protein)(4, 1) - 0.1f * static_cast<float>(protein.id.size())) > 0.01f)
                        ++wrong;
            });
    }
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(computed_, 200);
}

TEST_F(Cached, SourcesWithoutPairsAreLeftAlone) {
    CachedSource source{std::make_unique<OneHotSource>(), folder_.path()};
    EXPECT_EQ(source.prefetch(proteins_, {.rows = true, .pairs = true}).computed, 2u);
    EXPECT_TRUE(source.read(proteins_[0], {.rows = true, .pairs = true}).pairs.empty());
}

} // namespace
} // namespace tape
