#include "data/blast_volume.hpp"

#include "tests/data/scratch.hpp"

namespace tape {
namespace {

std::string const rabbit = "MALLHSARVLSGVASAFHPGLAAAASARASSWWAHVEMGPPDPILGVTEAYKRDTNSKKM";

std::vector<Protein> read(std::filesystem::path const& database) {
    std::vector<Protein> proteins;
    auto const count =
        for_each_blast_sequence(database, [&proteins](Protein&& protein) { proteins.push_back(std::move(protein)); });
    EXPECT_EQ(count, proteins.size());
    return proteins;
}

TEST(BlastVolume, ParsedIdentifiersAreAccessions) {
    // As `blastdbcmd -entry all -outfmt "%a|%t|%s"` prints them.
    std::vector<Protein> const expected{{"P12345", "Aspartate aminotransferase, mitochondrial", rabbit},
                                        {"plain_id", "", "MKVBZXUOJ"},
                                        {"db:tag7", "some title", "ACDEFGHIKLMNPQRSTVWY"}};
    EXPECT_EQ(read(test::golden("parsed")), expected);
    EXPECT_EQ(read(test::golden("parsed.pin")), expected);
}

TEST(BlastVolume, OrdinalNumbersGiveTheOriginalHeader) {
    std::vector<Protein> const expected{{"sp|P12345|AATM_RABIT", "Aspartate aminotransferase, mitochondrial", rabbit},
                                        {"plain_id", "", "MKVBZXUOJ"},
                                        {"gnl|db|tag7", "some title", "ACDEFGHIKLMNPQRSTVWY"}};
    EXPECT_EQ(read(test::golden("ordinal")), expected);
}

TEST(BlastVolume, AnAliasListsItsVolumes) {
    auto const volumes = blast_volumes(test::golden("both"));
    ASSERT_EQ(volumes.size(), 2u);
    EXPECT_EQ(read(test::golden("both.pal")).size(), 6u);
}

class BlastFiles : public test::Scratch {
  protected:
    void copy(std::string const& ending, std::string const& content) const { file("x" + ending, content); }
    void copy_all() const {
        for (std::string const ending : {".pin", ".psq", ".phr"})
            copy(ending, test::bytes_of(test::golden("parsed" + ending)));
    }
    std::string refusal() const {
        auto const outcome = test::outcome_of([this] { for_each_blast_sequence(directory / "x", [](Protein&&) {}); });
        EXPECT_EQ(outcome.code, exit_code::bad_data);
        return outcome.message;
    }
};

TEST_F(BlastFiles, MissingForeignAndCircularFilesAreNamed) {
    EXPECT_EQ(refusal(), (directory / "x").string() + ": no BLAST protein database there (neither .pin nor .pal)");
    copy(".pal", "TITLE x\n");
    EXPECT_NE(refusal().find("x.pal: no DBLIST line"), std::string::npos);
    copy(".pal", "DBLIST x\n");
    EXPECT_NE(refusal().find("in a circle"), std::string::npos);
    copy(".pal", "TITLE x\nGILIST some.gil\nDBLIST y\n");
    EXPECT_NE(refusal().find("x.pal:2: GILIST selects a part"), std::string::npos);
}

TEST_F(BlastFiles, OtherVersionsAndNucleotidesAreRefused) {
    copy_all();
    std::string index = test::bytes_of(test::golden("parsed.pin"));
    index[3] = 5;
    copy(".pin", index);
    EXPECT_NE(refusal().find("version 5; only version 4"), std::string::npos);
    index[3] = 4, index[7] = 0;
    copy(".pin", index);
    EXPECT_NE(refusal().find("a nucleotide database"), std::string::npos);
}

TEST_F(BlastFiles, EveryCutIsFound) {
    for (std::string const ending : {".pin", ".psq", ".phr"}) {
        std::string const whole = test::bytes_of(test::golden("parsed" + ending));
        for (std::size_t cut = 0; cut < whole.size(); ++cut) {
            copy_all();
            copy(ending, whole.substr(0, cut));
            ASSERT_FALSE(refusal().empty()) << ending << " cut at " << cut;
        }
    }
}

TEST_F(BlastFiles, FlippedBytesNeverCrash) {
    for (std::string const ending : {".pin", ".psq", ".phr"}) {
        std::string const whole = test::bytes_of(test::golden("parsed" + ending));
        for (std::size_t at = 0; at < whole.size(); ++at)
            for (int const mask : {0x01, 0x80, 0xff}) {
                copy_all();
                std::string flipped = whole;
                flipped[at] = static_cast<char>(flipped[at] ^ mask);
                copy(ending, flipped);
                auto const outcome =
                    test::outcome_of([this] { for_each_blast_sequence(directory / "x", [](Protein&&) {}); });
                ASSERT_TRUE(outcome.code == exit_code::done || outcome.code == exit_code::bad_data) << outcome.message;
            }
    }
}

} // namespace
} // namespace tape
