#include "align/cluster.hpp"
#include "align/database.hpp"
#include "data/error.hpp"
#include "data/fasta.hpp"
#include "data/io.hpp"

#include "tests/align/random_proteins.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <ostream>

namespace tape {
namespace {

std::string bytes_of(std::filesystem::path const& file) {
    std::ifstream in{file, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
}

void write_bytes(std::filesystem::path const& file, std::string_view bytes) {
    std::ofstream{file, std::ios::binary} << bytes;
}

std::string message_of(auto const& action) {
    try {
        action();
    } catch (data_error const& problem) {
        return problem.what();
    }
    return "no data_error";
}

class DatabaseFile : public testing::Test {
  protected:
    DatabaseFile() {
        std::mt19937_64 random{21};
        for (int i = 0; i < 40; ++i) proteins.push_back(test::random_protein(random, 5 + (i * 37) % 60));
        DatabaseWriter writer;
        for (std::size_t i = 0; i < proteins.size(); ++i)
            writer.add("id" + std::to_string(i), i % 2 ? "kinase, putative (EC 2.7)" : "", proteins[i]);
        summary = writer.write(file);
    }

    TemporaryDirectory scratch;
    std::filesystem::path file = scratch.path() / "some.tdb";
    std::vector<std::vector<Residue>> proteins;
    BuildSummary summary;
};

TEST_F(DatabaseFile, GivesBackWhatWasWritten) {
    Database const database{file};
    database.verify();
    ASSERT_EQ(database.size(), proteins.size());
    EXPECT_EQ(summary.sequences, proteins.size());
    EXPECT_EQ(summary.bytes, std::filesystem::file_size(file));
    std::uint64_t residues = 0;
    for (std::size_t i = 0; i < database.size(); ++i) {
        auto const original = static_cast<std::size_t>(std::stoi(std::string{database.id(i).substr(2)}));
        EXPECT_TRUE(std::ranges::equal(database.residues(i), proteins[original]));
        EXPECT_EQ(database.description(i), original % 2 ? "kinase, putative (EC 2.7)" : "");
        if (i > 0) {
            EXPECT_LE(database.residues(i - 1).size(), database.residues(i).size());
        }
        residues += database.residues(i).size();
    }
    EXPECT_EQ(database.residue_count(), residues);
    EXPECT_EQ(database.content_hash().size(), 32U);
}

TEST_F(DatabaseFile, SameInputSameBytes) {
    DatabaseWriter writer;
    for (std::size_t i = 0; i < proteins.size(); ++i)
        writer.add("id" + std::to_string(i), i % 2 ? "kinase, putative (EC 2.7)" : "", proteins[i]);
    (void)writer.write(scratch.path() / "again.tdb");
    EXPECT_EQ(bytes_of(file), bytes_of(scratch.path() / "again.tdb"));
}

TEST_F(DatabaseFile, TruncatedAnywhereIsRefused) {
    std::string const whole = bytes_of(file);
    auto const cut = scratch.path() / "cut.tdb";
    for (std::size_t size = 0; size < whole.size(); size += size < 200 ? 1 : 61) {
        write_bytes(cut, std::string_view{whole}.substr(0, size));
        EXPECT_THROW(Database{cut}, data_error) << size << " bytes of " << whole.size();
    }
    write_bytes(cut, whole + "x");
    EXPECT_THROW(Database{cut}, data_error);
}

TEST_F(DatabaseFile, AnyAlteredByteIsFound) {
    std::string const whole = bytes_of(file);
    auto const altered = scratch.path() / "altered.tdb";
    for (std::size_t at = 0; at < whole.size(); at += 7) {
        std::string bytes = whole;
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << at % 8));
        write_bytes(altered, bytes);
        EXPECT_THROW(Database{altered}.verify(), data_error) << "byte " << at;
        if (at < 128) {
            EXPECT_THROW(Database{altered}, data_error) << "header byte " << at;
        }
    }
}

TEST_F(DatabaseFile, SaysWhatIsWrong) {
    std::string bytes = bytes_of(file);
    bytes[8] = 9;
    write_bytes(file, bytes);
    EXPECT_EQ(message_of([&] { Database{file}; }),
              file.string() + ": database format version 9, this program reads version 1; build it again");
    write_bytes(file, ">P1\nMKV\n");
    EXPECT_EQ(message_of([&] { Database{file}; }),
              file.string() +
                  ": not a tape database (it starts with '>P1\\x0aMKV\\x0a'); make one with `tape-db build`");
    EXPECT_THROW(Database{scratch.path() / "absent.tdb"}, data_error);
}

TEST_F(DatabaseFile, BuildsFromFasta) {
    auto const fasta = scratch.path() / "in.fasta.gz";
    write_atomically(fasta, [](std::ostream& out) { out << ">long one two\nMKVLAAGIVGLCAKACE\nHH\n>short\nmkx*\n"; });
    auto const summary = build_database(fasta, file, true);
    EXPECT_EQ(summary.sequences, 2U);
    EXPECT_EQ(summary.residues, 22U);
    Database const database{file};
    database.verify();
    EXPECT_EQ(database.id(0), "short");
    EXPECT_EQ(decode_residues({database.residues(0).begin(), database.residues(0).end()}), "MKX");
    EXPECT_EQ(database.id(1), "long");
    EXPECT_EQ(database.description(1), "one two");
}

TEST_F(DatabaseFile, FailedBuildLeavesNothing) {
    auto const fasta = scratch.path() / "bad.fasta", target = scratch.path() / "never.tdb";
    write_text(fasta, ">a\nMKV\n>b\nMK7V\n");
    EXPECT_THROW(build_database(fasta, target, true), data_error);
    EXPECT_FALSE(std::filesystem::exists(target));
    EXPECT_THROW((void)DatabaseWriter{}.write(target), data_error);
    EXPECT_FALSE(std::filesystem::exists(target));
}

TEST_F(DatabaseFile, SubsetKeepsWhatIsAsked) {
    Database const database{file};
    auto const kept = scratch.path() / "kept.tdb";
    subset_database(
        database, [](std::size_t i) { return i % 4 == 0; }, kept);
    Database const subset{kept};
    ASSERT_EQ(subset.size(), 10U);
    for (std::size_t i = 0; i < subset.size(); ++i) {
        EXPECT_EQ(subset.id(i), database.id(4 * i));
        EXPECT_TRUE(std::ranges::equal(subset.residues(i), database.residues(4 * i)));
    }
    EXPECT_THROW(subset_database(
                     database, [](std::size_t) { return false; }, scratch.path() / "none.tdb"),
                 data_error);
}

TEST(Clustering, GroupsFamiliesAndOnlyThem) {
    TemporaryDirectory const scratch;
    std::mt19937_64 random{33};
    std::vector<std::vector<Residue>> proteins;
    std::vector<int> family;
    for (int f = 0; f < 30; ++f) {
        auto const ancestor = test::random_protein(random, 150 + 5 * f, 0);
        for (int member = 0; member < 6; ++member) {
            proteins.push_back(member == 0 ? ancestor : test::mutated(random, ancestor, 0.15));
            family.push_back(f);
        }
    }
    auto const database = test::make_database(scratch.path() / "c.tdb", proteins);
    auto const family_of = [&](std::size_t i) { return family[std::stoul(std::string{database.id(i).substr(1)})]; };
    auto const clustering = cluster_database(database, {.identity = 0.5, .coverage = 0.7});
    std::map<std::uint32_t, int> sizes;
    for (std::size_t i = 0; i < database.size(); ++i) {
        auto const representative = clustering.representative[i];
        EXPECT_EQ(family_of(i), family_of(representative));
        EXPECT_EQ(clustering.representative[representative], representative);
        EXPECT_GE(clustering.identity[i], 0.5F);
        ++sizes[representative];
    }
    // 30 families of 6, a third of whose changes are insertions and deletions: shared 9-mers join most members, not
    // all.
    EXPECT_LE(sizes.size(), 60U);
    auto const threaded = cluster_database(database, {.identity = 0.5, .coverage = 0.7, .threads = 3});
    EXPECT_EQ(threaded.representative, clustering.representative);
    EXPECT_EQ(threaded.identity, clustering.identity);
    auto const strict = cluster_database(database, {.identity = 1.0, .coverage = 1.0});
    EXPECT_EQ(std::ranges::count_if(strict.identity, [](float i) { return i < 1; }), 0);
}

} // namespace
} // namespace tape
