#include "align/msa.hpp"
#include "data/error.hpp"
#include "data/io.hpp"
#include "data/temporary.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <sstream>

namespace tape {
namespace {

Msa parse(std::string const& text) {
    std::istringstream in{text};
    return read_msa(in, "x.a3m");
}

std::string write(Msa const& msa, MsaFormat format) {
    std::ostringstream out;
    write_msa(out, msa, format);
    return out.str();
}

std::string letters(Msa const& msa, std::size_t row) { return decode_residues(msa.rows.at(row).columns); }

std::string message_of(std::string const& text) {
    try {
        (void)parse(text);
    } catch (data_error const& problem) {
        return problem.what();
    }
    return "no error";
}

// The same four rows in every format: an insertion in 'b', another at the same place in 'c', one at the end of 'd'.
constexpr char const* a3m = ">q the query\nACDEF\n>b\nA-DghEF\n>c E=1e-5\nACDkE-\n>d\n--DEFw\n";
constexpr char const* a2m = ">q the query\nACD..EF.\n>b\nA-DghEF.\n>c E=1e-5\nACDk.E-.\n>d\n--D..EFw\n";
constexpr char const* fasta = ">q the query\nACD--EF-\n>b\nA-DGHEF-\n>c E=1e-5\nACDK-E--\n>d\n--D--EFW\n";
constexpr char const* stockholm = "# STOCKHOLM 1.0\n"
                                  "#=GF ID something\n"
                                  "#=GS q DE the query\n"
                                  "#=GS c DE E=1e-5\n\n"
                                  "q  ACD.\nb  A-Dg\nc ACDk\nd --D.\n#=GC RF xxx.\n\n"
                                  "q  .EF.\nb  hEF.\n c .E-.\nd .EFw\n#=GC RF .xx.\n//\n";

constexpr char const* clustal = "CLUSTAL W (1.83) multiple sequence alignment\n\n"
                                "q  ACD--  3\nb  A-DGH  4\nc  ACDK-\nd  --D--\n     *  \n\n"
                                "q  EF-  5\nb  EF-  6\nc  E--\nd  EFW\n     *  \n";

TEST(Msa, ClustalGivesTheSameAlignment) {
    Msa const msa = parse(clustal), reference = parse(a3m);
    ASSERT_EQ(msa.depth(), 4u);
    for (std::size_t r = 0; r < 4; ++r) {
        EXPECT_EQ(msa.rows[r].id, reference.rows[r].id);
        EXPECT_EQ(msa.rows[r].columns, reference.rows[r].columns);
        EXPECT_EQ(msa.rows[r].insertions, reference.rows[r].insertions);
    }
    EXPECT_EQ(
        message_of("CLUSTAL\n\nq ACD\nb AC\n"),
        "x.a3m:4: record 'b': 2 columns where the query 'q' has 3; the row is damaged or the rows are not aligned");
    EXPECT_EQ(message_of("CLUSTAL\n\nq\n"), "x.a3m:3: expected a name, letters and perhaps a count, saw 'q'");
    EXPECT_EQ(message_of("CLUSTAL\n\n"),
              "x.a3m: no rows; expected an A3M, A2M, aligned FASTA, Stockholm or Clustal alignment");
}

TEST(Msa, ClustalMarksConservation) {
    Msa const msa = parse(">q\nMAIDW\n>b\nMSVDC\n>c\nMTLDG\n>d\nMTL-G\n");
    EXPECT_EQ(write(msa, MsaFormat::clustal), "CLUSTAL multiple sequence alignment\n\n"
                                              "q      MAIDW\nb      MSVDC\nc      MTLDG\nd      MTL-G\n"
                                              "       *::  \n");
}

TEST(Msa, FourFormatsGiveOneAlignment) {
    for (auto const* text : {a3m, a2m, fasta, stockholm}) {
        Msa const msa = parse(text);
        ASSERT_EQ(msa.depth(), 4u) << text;
        EXPECT_EQ(msa.length(), 5u);
        EXPECT_EQ(msa.rows[0].id, "q");
        EXPECT_EQ(msa.rows[0].description, "the query");
        EXPECT_EQ(msa.rows[2].description, "E=1e-5");
        EXPECT_EQ(letters(msa, 0), "ACDEF");
        EXPECT_EQ(letters(msa, 1), "A-DEF");
        EXPECT_EQ(letters(msa, 3), "--DEF");
        EXPECT_EQ(msa.rows[0].insertions, "");
        EXPECT_EQ(msa.rows[1].insertions, "A-DghEF");
        EXPECT_EQ(msa.rows[2].insertions, "ACDkE-");
        EXPECT_EQ(msa.rows[3].insertions, "--DEFw");
    }
}

TEST(Msa, WritersGiveTheTextOfTheFormat) {
    Msa const msa = parse(a3m);
    EXPECT_EQ(write(msa, MsaFormat::a3m), a3m);
    EXPECT_EQ(write(msa, MsaFormat::a2m), a2m);
    EXPECT_EQ(write(msa, MsaFormat::aligned_fasta), fasta);
    EXPECT_EQ(write(msa, MsaFormat::stockholm),
              "# STOCKHOLM 1.0\n"
              "#=GS q       DE the query\n"
              "#=GS c       DE E=1e-5\n"
              "q       ACD..EF.\nb       A-DghEF.\nc       ACDk.E-.\nd       --D..EFw\n"
              "#=GC RF xxx..xx.\n//\n");
}

TEST(Msa, RandomAlignmentsSurviveEveryRoundTrip) {
    std::mt19937 random{7};
    for (int trial = 0; trial < 50; ++trial) {
        std::size_t const length = 1 + random() % 40;
        Msa msa;
        for (std::size_t r = 0; r < 1 + random() % 12; ++r) {
            std::string text;
            for (std::size_t c = 0; c <= length; ++c) {
                for (unsigned extra = r > 0 && random() % 5 == 0 ? random() % 4 : 0; extra > 0; --extra)
                    text.push_back(static_cast<char>(amino_acids[random() % 20] - 'A' + 'a'));
                if (c < length)
                    text.push_back(
                        r > 0 && random() % 4 == 0
                            ? '-'
                            : residue_letter(static_cast<Residue>(random() % 22 == 21 ? unknown_code : random() % 20)));
            }
            MsaRow row{.id = "r" + std::to_string(r),
                       .description = random() % 2 ? "some words" : "",
                       .columns = {},
                       .insertions = {}};
            for (char c : text)
                if (c < 'a') row.columns.push_back(residue_code(c));
            if (row.columns.size() != text.size()) row.insertions = text;
            msa.rows.push_back(row);
        }
        for (auto const format :
             {MsaFormat::a3m, MsaFormat::a2m, MsaFormat::stockholm, MsaFormat::aligned_fasta, MsaFormat::clustal}) {
            Msa const again = parse(write(msa, format));
            ASSERT_EQ(again.depth(), msa.depth());
            for (std::size_t r = 0; r < msa.depth(); ++r) {
                EXPECT_EQ(again.rows[r].id, msa.rows[r].id);
                EXPECT_EQ(again.rows[r].description, format == MsaFormat::clustal ? "" : msa.rows[r].description);
                EXPECT_EQ(again.rows[r].columns, msa.rows[r].columns) << to_string(format);
                EXPECT_EQ(again.rows[r].insertions, msa.rows[r].insertions) << to_string(format);
            }
        }
    }
}

TEST(Msa, ColabFoldHeaderNumbersAndNulBytes) {
    std::string const text =
        std::string{"#5\t1\n>101\nACDEF\n>UniRef100_X\t313\t0.970\nAC-EF\n"} + '\0' + ">101\nACDEF\n" + '\0';
    Msa const msa = parse(text);
    ASSERT_EQ(msa.depth(), 3u);
    EXPECT_EQ(msa.rows[0].id, "101");
    EXPECT_EQ(msa.rows[1].description, "313\t0.970");
    EXPECT_EQ(letters(msa, 1), "AC-EF");
}

TEST(Msa, RowsWithoutANameAreNumbered) {
    Msa const msa = parse(">q\nACDEF\n>\nAC-EF\n>\nACDE-\n");
    ASSERT_EQ(msa.depth(), 3u);
    EXPECT_EQ(msa.rows[1].id, "row-2");
    EXPECT_EQ(msa.rows[2].id, "row-3");
}

TEST(Msa, SequencesOverSeveralLinesAndCarriageReturns) {
    Msa const msa = parse(">q\r\nAC\r\nDEF\r\n\r\n>b\r\nA-D\r\nEF\r\n");
    EXPECT_EQ(letters(msa, 0), "ACDEF");
    EXPECT_EQ(letters(msa, 1), "A-DEF");
}

TEST(Msa, LowerCaseColumnsOfAnAlignedQueryAreColumns) {
    // EVcouplings writes query residues of gap-rich columns in lower case; all rows have one length.
    Msa const msa = parse(">q\nacDEf\n>b\n.cDE-\n");
    EXPECT_EQ(letters(msa, 0), "ACDEF");
    EXPECT_EQ(letters(msa, 1), "-CDE-");
}

TEST(Msa, QueryGapsAndQueryInsertionsOfA3m) {
    // The query lacks the second match column and has an insertion before the last one.
    Msa const msa = parse(">q\nA-CgD\n>b\nAECD\n>c\nA-CwwD\n");
    EXPECT_EQ(letters(msa, 0), "ACGD");
    EXPECT_EQ(letters(msa, 1), "AC-D");
    EXPECT_EQ(msa.rows[1].insertions, "AeC-D");
    EXPECT_EQ(letters(msa, 2), "AC-D");
    EXPECT_EQ(msa.rows[2].insertions.size(), 6u);
}

TEST(Msa, ErrorsNameFileLineAndRecord) {
    EXPECT_EQ(message_of(""), "x.a3m: empty; expected an A3M, A2M, aligned FASTA, Stockholm or Clustal alignment");
    EXPECT_EQ(message_of("\n\n"), "x.a3m: empty; expected an A3M, A2M, aligned FASTA, Stockholm or Clustal alignment");
    EXPECT_EQ(message_of("#5\t1\n"),
              "x.a3m: no rows; expected an A3M, A2M, aligned FASTA, Stockholm or Clustal alignment");
    EXPECT_EQ(message_of("ACDEF\n"),
              "x.a3m:1: text before the first '>': 'ACDEF'; expected an A3M, A2M, aligned FASTA, Stockholm or Clustal "
              "alignment");
    EXPECT_EQ(message_of(">q\nACDEF\n>b\nAC1EF\n"),
              "x.a3m:4: record 'b': '1' at column 3 is neither a residue nor a gap");
    EXPECT_EQ(message_of(">q\nACDEF\n>b\n>c\nACDEF\n"), "x.a3m:3: record 'b': no sequence");
    EXPECT_EQ(message_of(">q\nACDEF\n>b\nACDE\n"), "x.a3m:3: record 'b': 4 match columns (upper-case letters and '-') "
                                                   "where the query 'q' has 5; the row is damaged or "
                                                   "the rows are not aligned");
    EXPECT_EQ(
        message_of(">q\nACD.EF\n>b\nACDgE\n"),
        "x.a3m:3: record 'b': 5 columns where the query 'q' has 6; the row is damaged or the rows are not aligned");
    EXPECT_EQ(message_of(">q\n---\n>b\nACD\n"), "x.a3m:1: record 'q': the first row is the query and has no residues");
    EXPECT_EQ(message_of("# STOCKHOLM 1.0\nq ACD\nb ACD\n"),
              "x.a3m:3: the Stockholm alignment ends without '//'; the file is truncated");
    EXPECT_EQ(message_of("# STOCKHOLM 1.0\nq ACD\n//\n# STOCKHOLM 1.0\nq ACD\n//\n"),
              "x.a3m:4: a second alignment after '//'; split the file: one alignment each");
    EXPECT_EQ(
        message_of("# STOCKHOLM 1.0\nq ACD\nb AC\n//\n"),
        "x.a3m:3: record 'b': 2 columns where the query 'q' has 3; the row is damaged or the rows are not aligned");
}

TEST(Msa, StockholmNamesAreMadeDistinct) {
    Msa const msa = parse(">q\nACD\n>b\nA-D\n>b\nACE\n>b\nACF\n");
    Msa const again = parse(write(msa, MsaFormat::stockholm));
    ASSERT_EQ(again.depth(), 4u);
    EXPECT_EQ(again.rows[2].id, "b/2");
    EXPECT_EQ(again.rows[3].id, "b/3");
    EXPECT_EQ(letters(again, 3), "ACF");
    // A copy's name may itself be taken; a name must not read as a comment or as the end.
    Msa const odd = parse(">q\nACD\n>b\nA-D\n>b/2\nACE\n>b\nACF\n>#c\nACG\n>//\nACH\n");
    for (auto const format : {MsaFormat::stockholm, MsaFormat::clustal}) {
        Msa const read = parse(write(odd, format));
        ASSERT_EQ(read.depth(), 6u);
        EXPECT_EQ(read.rows[3].id, "b/3");
        EXPECT_EQ(read.rows[4].id, "_#c");
        EXPECT_EQ(read.rows[5].id, "_//");
    }
}

TEST(Msa, FormatNames) {
    EXPECT_EQ(msa_format("sto"), MsaFormat::stockholm);
    EXPECT_EQ(to_string(msa_format("a2m")), "a2m");
    EXPECT_THROW((void)msa_format("a4m"), usage_error);
}

TEST(Msa, BundledGfpAlignments) {
    std::filesystem::path const folder = std::filesystem::path{TAPE_SOURCE_DIR} / "data/msa";
    Msa const protein_gym = read_msa(folder / "GFP_AEQVI_proteingym.a2m");
    EXPECT_EQ(protein_gym.depth(), 396u);
    EXPECT_EQ(protein_gym.length(), 238u);
    EXPECT_EQ(protein_gym.source, "GFP_AEQVI_proteingym.a2m");
    Msa const colabfold = read_msa(folder / "colabfold_avgfp_variant.a3m");
    EXPECT_EQ(colabfold.depth(), 773u);
    EXPECT_EQ(colabfold.length(), 238u);
    EXPECT_TRUE(std::ranges::any_of(colabfold.rows, [](auto const& row) { return !row.insertions.empty(); }));
}

TEST(Msa, ReadsCompressedFiles) {
    TemporaryDirectory const folder;
    for (auto const* name : {"x.a3m.gz", "x.a3m.xz", "x.a3m.zst"}) {
        write_text(folder.path() / name, a3m);
        EXPECT_EQ(read_msa(folder.path() / name).depth(), 4u) << name;
    }
}

} // namespace
} // namespace tape
