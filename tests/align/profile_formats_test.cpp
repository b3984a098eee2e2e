#include "align/hhm_format.hpp"
#include "align/hmm_format.hpp"
#include "align/hmm_statistics.hpp"
#include "align/msa.hpp"
#include "align/profile_hmm.hpp"
#include "align/pssm_format.hpp"
#include "data/error.hpp"
#include "data/fasta.hpp"
#include "data/io.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <numbers>
#include <random>
#include <sstream>

// The references in tests/golden/align come from hmmbuild, hhmake, psiblast and hmmsearch (make_align_goldens.sh).
namespace tape {
namespace {

std::filesystem::path golden(std::string const& name) {
    return std::filesystem::path{TAPE_SOURCE_DIR} / "tests/golden/align" / name;
}

Msa small() { return read_msa(golden("small.a3m")); }

double largest_difference(auto const& a, auto const& b) { return static_cast<double>((a - b).cwiseAbs().maxCoeff()); }

template <typename Write> std::string text_of(Write const& write) {
    std::ostringstream out;
    write(out);
    return out.str();
}

std::string hmmer_text(ProfileHmm const& hmm) {
    return text_of([&](std::ostream& out) { write_hmmer(out, hmm); });
}
std::string hhm_text(ProfileHmm const& hmm) {
    return text_of([&](std::ostream& out) { write_hhm(out, hmm); });
}
std::string pssm_text(Pssm const& pssm) {
    return text_of([&](std::ostream& out) { write_pssm(out, pssm); });
}

ProfileHmm hmmer_of(std::string const& text) {
    std::istringstream in{text};
    return read_hmmer(in, "x.hmm");
}
ProfileHmm hhm_of(std::string const& text) {
    std::istringstream in{text};
    return read_hhm(in, "x.hhm");
}
Pssm pssm_of(std::string const& text) {
    std::istringstream in{text};
    return read_pssm(in, "x.pssm");
}

std::string message_of(std::function<void()> const& action) {
    try {
        action();
    } catch (data_error const& problem) {
        return problem.what();
    }
    return "no error";
}

Msa rows_of(std::vector<std::string> const& texts) {
    std::string text;
    for (std::size_t r = 0; r < texts.size(); ++r) text += ">r" + std::to_string(r) + "\n" + texts[r] + "\n";
    std::istringstream in{text};
    return read_msa(in, "x.a3m");
}

// ---- the model -----------------------------------------------------------------------------------------------------

TEST(ProfileHmm, IsTheModelOfHmmbuild) {
    ProfileHmm const theirs = read_hmmer(golden("small.hmm")), ours = estimate_hmm(small());
    ASSERT_EQ(theirs.length(), 50u);
    EXPECT_EQ(ours.sequences, theirs.sequences);
    EXPECT_NEAR(ours.effective_sequences, theirs.effective_sequences, 0.005);
    EXPECT_LT(largest_difference(ours.match, theirs.match), 0.001);
    EXPECT_LT(largest_difference(ours.insert, theirs.insert), 2e-4); // theirs hold the few residues seen as well
    EXPECT_LT(largest_difference(ours.transitions, theirs.transitions), 0.001);
}

TEST(ProfileHmm, StatisticsAreThoseOfHmmbuildWithinTheirSamplingError) {
    // 200 samples at lambda .7 locate mu to 0.13 bits (one standard deviation), tau to about 0.2.
    auto const theirs = read_hmmer(golden("small.hmm")).statistics.value();
    auto const ours = calibrate(estimate_hmm(small()), 42, 2);
    EXPECT_NEAR(ours.lambda, theirs.lambda, 2e-4);
    EXPECT_NEAR(ours.msv_mu, theirs.msv_mu, 0.55);
    EXPECT_NEAR(ours.viterbi_mu, theirs.viterbi_mu, 0.55);
    EXPECT_NEAR(ours.forward_tau, theirs.forward_tau, 0.8);
}

TEST(ProfileHmm, StatisticsDoNotDependOnThreads) {
    ProfileHmm const hmm = estimate_hmm(small());
    auto const one = calibrate(hmm, 7, 1), seven = calibrate(hmm, 7, 7), other = calibrate(hmm, 8, 1);
    EXPECT_EQ(one.msv_mu, seven.msv_mu);
    EXPECT_EQ(one.forward_tau, seven.forward_tau);
    EXPECT_NE(one.viterbi_mu, other.viterbi_mu);
}

TEST(ProfileHmm, ForwardScoresAreThoseOfHmmsearch) {
    // hmmsearch adds in floats with a rounded exponential sum and prints tenths of a bit.
    HmmScorer const scorer{read_hmmer(golden("small.hmm"))};
    std::map<std::string, double> expected;
    std::istringstream scores{read_text(golden("scores.tsv"))};
    for (std::string name; scores >> name;) scores >> expected[name];
    ASSERT_EQ(expected.size(), 3u);
    for (auto const& protein : read_fasta(golden("targets.fasta")))
        EXPECT_NEAR(scorer.forward(encode_residues(protein.residues)), expected.at(protein.id), 0.11) << protein.id;
}

TEST(ProfileHmm, TheBestPathIsNoMoreThanAllPaths) {
    HmmScorer const scorer{estimate_hmm(small())};
    std::mt19937 random{3};
    for (int trial = 0; trial < 20; ++trial) {
        std::vector<Residue> sequence(100);
        for (auto& code : sequence) code = static_cast<Residue>(random() % 20);
        // The filter's 3 nats for the residues around the hit are more than the true length model asks.
        EXPECT_LE(scorer.viterbi(sequence), scorer.forward(sequence) + 1e-9);
        EXPECT_TRUE(std::isfinite(scorer.msv(sequence)));
    }
}

TEST(ProfileHmm, ForwardSumsToTheLengthModel) {
    // Weighted by the null model, match odds average to 1, so the mean over all sequences of a length equals the score
    // of a model whose match states emit the background.
    Msa const msa = rows_of({"MKW", "MR-", "-KW", "MkkKW"});
    ProfileHmm const hmm = estimate_hmm(msa);
    ProfileHmm plain = hmm;
    for (Eigen::Index k = 0; k < plain.match.rows(); ++k)
        for (int a = 0; a < amino_acid_count; ++a) plain.match(k, a) = static_cast<float>(hmmer_background[a]);
    HmmScorer const scorer{hmm}, flat{plain};
    double sum = 0, total = 0;
    for (Residue a = 0; a < 20; ++a)
        for (Residue b = 0; b < 20; ++b) {
            double const weight = hmmer_background[a] * hmmer_background[b];
            sum += weight * std::exp2(scorer.forward(std::vector<Residue>{a, b})), total += weight;
        }
    EXPECT_NEAR(sum / total, std::exp2(flat.forward(std::vector<Residue>{3, 5})), 1e-6);
}

TEST(ProfileHmm, CountsWithoutPriorsAreFrequencies) {
    Msa const msa = rows_of({"MKWL", "MKWL", "M-WL", "MKkkWL"});
    ProfileHmm const hmm = estimate_hmm(msa, {.priors = false, .fragment_threshold = 0.1});
    EXPECT_FLOAT_EQ(hmm.match(0, residue_code('M')), 1.f);
    auto const weights = hmm_weights(msa);
    double const total = weights[0] + weights[1] + weights[2] + weights[3];
    EXPECT_NEAR(hmm.transitions(1, match_delete), weights[2] / total, 1e-6);
    EXPECT_NEAR(hmm.transitions(2, match_insert), weights[3] / (total - weights[2]), 1e-6);
    EXPECT_NEAR(hmm.transitions(2, insert_insert), 0.5, 1e-6);
    EXPECT_FLOAT_EQ(hmm.transitions(2, delete_match), 1.f);
}

TEST(ProfileHmm, AnInsertionBesideADeletionIsAligned) {
    Msa const msa = rows_of({"MKWL", "Mk-WL", "M-kWL"});
    ProfileHmm const hmm = estimate_hmm(msa, {.priors = false, .fragment_threshold = 0.1});
    EXPECT_FLOAT_EQ(hmm.match(1, residue_code('K')), 1.f);
    EXPECT_FLOAT_EQ(hmm.transitions(1, match_match), 1.f);
}

TEST(ProfileHmm, AQueryAloneHasAModel) {
    ProfileHmm const hmm = estimate_hmm(rows_of({"MKXW"}));
    EXPECT_EQ(hmm.effective_sequences, 1.0);
    EXPECT_NEAR(hmm.match.row(2).sum(), 1.f, 1e-5f);
    EXPECT_TRUE(std::isfinite(calibrate(hmm).forward_tau));
    EXPECT_EQ(message_of([] { (void)estimate_hmm(Msa{}); }), "an alignment without columns has no profile HMM");
}

TEST(Gumbel, FitsRecoverTheLaw) {
    std::mt19937_64 random{11};
    std::uniform_real_distribution<double> uniform{1e-12, 1.0};
    std::vector<double> scores(20000);
    for (double& x : scores) x = -5 - std::log(-std::log(uniform(random))) / 0.7;
    EXPECT_NEAR(gumbel_location(scores, 0.7), -5, 0.05);
    auto const fit = fit_gumbel(scores);
    EXPECT_NEAR(fit.mu, -5, 0.05);
    EXPECT_NEAR(fit.lambda, 0.7, 0.02);
    EXPECT_THROW((void)fit_gumbel(std::vector<double>{2, 2, 2}), error);
}

// ---- formats -------------------------------------------------------------------------------------------------------

TEST(HmmerFormat, ReadsBackWhatItWrites) {
    ProfileHmm hmm = estimate_hmm(small());
    hmm.description = "a description", hmm.statistics = calibrate(hmm);
    ProfileHmm const again = hmmer_of(hmmer_text(hmm));
    EXPECT_EQ(again.name, hmm.name);
    EXPECT_EQ(again.description, hmm.description);
    EXPECT_EQ(again.residues, hmm.residues);
    EXPECT_EQ(again.sequences, hmm.sequences);
    EXPECT_NEAR(again.effective_sequences, hmm.effective_sequences, 1e-6);
    EXPECT_LT(largest_difference(again.match, hmm.match), 1e-5);
    EXPECT_LT(largest_difference(again.insert, hmm.insert), 1e-5);
    EXPECT_LT(largest_difference(again.transitions, hmm.transitions), 1e-5);
    EXPECT_NEAR(again.statistics.value().viterbi_mu, hmm.statistics->viterbi_mu, 1e-4);
}

TEST(HmmerFormat, ReadsHmmbuild) {
    ProfileHmm const hmm = read_hmmer(golden("small.hmm"));
    EXPECT_EQ(hmm.name, "query");
    // hmmbuild's RF holds 'x', so the residues are its consensus.
    EXPECT_EQ(hmm.residues.size(), 50u);
    EXPECT_EQ(hmm.residues.find_first_not_of(amino_acids), std::string::npos);
    EXPECT_TRUE(hmm.statistics.has_value());
}

TEST(HmmerFormat, ErrorsNameFileAndLine) {
    std::string const text = read_text(golden("small.hmm"));
    auto const with = [&](std::string const& from, std::string const& to) {
        std::string changed = text;
        changed.replace(changed.find(from), from.size(), to);
        return message_of([&] { (void)hmmer_of(changed); });
    };
    EXPECT_EQ(message_of([] { (void)hmmer_of(""); }),
              "x.hmm:0: ends before the format line 'HMMER3/...'; the file is truncated");
    EXPECT_EQ(with("HMMER3/f", "HMMER2.0"),
              "x.hmm:1: expected a HMMER3 text file ('HMMER3/f ...'), saw 'HMMER2.0 [3.3.2 | Nov 2020]'; convert other "
              "versions with hmmconvert");
    EXPECT_EQ(with("LENG  50", "LENG  0"), "x.hmm:3: expected a model length of 1 or more, saw '0'");
    EXPECT_EQ(with("ALPH  amino", "ALPH  DNA"),
              "x.hmm:4: expected the alphabet amino, saw 'DNA'; only models of proteins are read");
    EXPECT_NE(with("LENG  50", "LENG  51").find("expected node 51, saw '//'"), std::string::npos)
        << with("LENG  50", "LENG  51");
    EXPECT_NE(with("LENG  50", "LENG  49").find("expected '//' after node 49"), std::string::npos);
    EXPECT_NE(with("2.68618", "0.00001").find("sum to"), std::string::npos);
    EXPECT_NE(with("2.68618", "-2.6861").find("which is below 0"), std::string::npos);
    EXPECT_NE(with("2.68618", "nonsens").find("saw 'nonsens'"), std::string::npos);
}

TEST(HhmFormat, ReadsBackWhatItWrites) {
    ProfileHmm const hmm = estimate_hmm(small(), {.priors = false, .fragment_threshold = 1});
    ProfileHmm const again = hhm_of(hhm_text(hmm));
    EXPECT_EQ(again.residues, hmm.residues);
    EXPECT_EQ(again.name, hmm.name);
    EXPECT_LT(largest_difference(again.match, hmm.match), 0.002);
    EXPECT_LT(largest_difference(again.transitions, hmm.transitions), 0.002);
    ASSERT_EQ(again.neff_match.size(), 50u);
    for (std::size_t k = 0; k < 50; ++k) EXPECT_NEAR(again.neff_match[k], hmm.neff_match[k], 6e-4);
    EXPECT_EQ(hhm_text(again).substr(hhm_text(again).find("\nHMM ")),
              hhm_text(hmm).substr(hhm_text(hmm).find("\nHMM ")));
}

TEST(HhmFormat, ReadsHhmakeAndAgreesWithIt) {
    ProfileHmm const theirs = read_hhm(golden("small.hhm")),
                     ours = estimate_hmm(small(), {.priors = false, .fragment_threshold = 1});
    EXPECT_EQ(theirs.residues, ours.residues);
    EXPECT_GT(theirs.effective_sequences, 1.0);
    // HH-suite weights rows by sub-alignments of each column: not the same numbers, the same profile.
    EXPECT_LT(static_cast<double>((theirs.match - ours.match).cwiseAbs().sum()) / 50, 0.45);
    Eigen::Index same = 0;
    for (Eigen::Index k = 0; k < 50; ++k) {
        Eigen::Index a = 0, b = 0;
        theirs.match.row(k).maxCoeff(&a), ours.match.row(k).maxCoeff(&b);
        same += a == b;
    }
    EXPECT_GE(same, 44);
}

TEST(HhmFormat, ErrorsNameFileAndLine) {
    std::string const text = read_text(golden("small.hhm"));
    auto const with = [&](std::string const& from, std::string const& to) {
        std::string changed = text;
        changed.replace(changed.find(from), from.size(), to);
        return message_of([&] { (void)hhm_of(changed); });
    };
    EXPECT_EQ(with("HHsearch", "HHzearch"),
              "x.hhm:1: expected an HH-suite profile ('HHsearch 1.5'), saw 'HHzearch 1.5'");
    EXPECT_NE(with("LENG  50", "LENG  fifty").find("expected a number of match states of 1 or more, saw 'fifty'"),
              std::string::npos);
    EXPECT_NE(with("LENG  50", "LENG  51").find("expected 23 words of the emissions of node 51, saw 1"),
              std::string::npos);
    EXPECT_NE(with("\nV 2 ", "\nV 3 ").find("expected node 2, saw '3'"), std::string::npos);
}

TEST(PssmFormat, ReadsBackWhatItWrites) {
    Msa const msa = small();
    Pssm const pssm = make_pssm(decode_residues(msa.rows[0].columns), make_profile(msa, {.neff_identity = false}));
    Pssm const again = pssm_of(pssm_text(pssm));
    EXPECT_EQ(again.residues, pssm.residues);
    EXPECT_EQ(again.scores, pssm.scores);
    EXPECT_EQ(again.percentages, pssm.percentages);
    for (std::size_t c = 0; c < pssm.length(); ++c) EXPECT_NEAR(again.information[c], pssm.information[c], 0.0051);
    EXPECT_THROW((void)make_pssm("ACD", make_profile(msa, {.neff_identity = false})), error);
}

TEST(PssmFormat, ReadsPsiblastAndAgreesWithIt) {
    Pssm const theirs = read_pssm(golden("small.pssm"));
    Msa const msa = small();
    Pssm const ours = make_pssm(decode_residues(msa.rows[0].columns), make_profile(msa, {.neff_identity = false}));
    ASSERT_EQ(theirs.residues, ours.residues);
    Eigen::ArrayXXd const a = theirs.scores.cast<double>(), b = ours.scores.cast<double>();
    double const covariance = ((a - a.mean()) * (b - b.mean())).mean();
    double const correlation = covariance / std::sqrt((a - a.mean()).square().mean() * (b - b.mean()).square().mean());
    EXPECT_GT(correlation, 0.93);
}

TEST(PssmFormat, ErrorsNameFileAndLine) {
    std::string const text = read_text(golden("small.pssm"));
    auto const with = [&](std::string const& from, std::string const& to) {
        std::string changed = text;
        changed.replace(changed.find(from), from.size(), to);
        return message_of([&] { (void)pssm_of(changed); });
    };
    EXPECT_EQ(message_of([] { (void)pssm_of(">q\nACD\n"); }),
              "x.pssm:1: expected an ASCII PSSM of PSI-BLAST ('Last position-specific scoring matrix ...'), saw '>q'");
    EXPECT_EQ(with("    2 V", "    3 V"), "x.pssm:5: expected position 2, saw '3'");
    EXPECT_EQ(with("    2 V", "    2 -"), "x.pssm:5: expected a residue, saw '-'");
}

// ---- damaged files -------------------------------------------------------------------------------------------------

/// A reader may take a text or refuse it with a data_error that begins with the file's name; nothing else.
void expect_taken_or_refused(std::function<void(std::string const&)> const& read, std::string const& text,
                             std::string const& name) {
    try {
        read(text);
    } catch (data_error const& problem) {
        EXPECT_TRUE(std::string{problem.what()}.starts_with(name)) << problem.what();
    }
}

struct Format {
    std::string name, text;
    std::function<void(std::string const&)> read;
    bool ends_with_a_mark; ///< so that every cut before it is noticed
};

std::vector<Format> formats() {
    Msa const msa = small();
    std::vector<Format> all{
        {"x.hmm", read_text(golden("small.hmm")), [](auto const& text) { (void)hmmer_of(text); }, true},
        {"x.hhm", read_text(golden("small.hhm")), [](auto const& text) { (void)hhm_of(text); }, true},
        {"x.pssm", read_text(golden("small.pssm")), [](auto const& text) { (void)pssm_of(text); }, false}};
    for (auto const format :
         {MsaFormat::a3m, MsaFormat::a2m, MsaFormat::stockholm, MsaFormat::aligned_fasta, MsaFormat::clustal})
        all.push_back({"x.msa", text_of([&](std::ostream& out) { write_msa(out, msa, format); }),
                       [](auto const& text) {
                           std::istringstream in{text};
                           (void)read_msa(in, "x.msa");
                       },
                       format == MsaFormat::stockholm});
    return all;
}

TEST(DamagedFiles, CutAnywhere) {
    for (auto const& format : formats())
        for (std::size_t length = 0; length + 4 < format.text.size(); length += 1 + length / 97) {
            std::string const part = format.text.substr(0, length);
            expect_taken_or_refused(format.read, part, format.name);
            if (format.ends_with_a_mark) {
                EXPECT_NE(message_of([&] { format.read(part); }), "no error") << format.name << " cut at " << length;
            }
        }
}

TEST(DamagedFiles, ChangedBytes) {
    std::mt19937 random{5};
    static constexpr std::string_view odd{"0-*.\t\n >#/9e+\0\xff~A", 18};
    for (auto const& format : formats())
        for (int trial = 0; trial < 300; ++trial) {
            std::string text = format.text;
            for (unsigned changes = 1 + random() % 3; changes > 0; --changes)
                text[random() % std::min<std::size_t>(text.size(), trial % 2 ? 400 : text.size())] =
                    odd[random() % odd.size()];
            expect_taken_or_refused(format.read, text, format.name);
        }
}

TEST(DamagedFiles, AHugeLengthAsksForNoMemory) {
    std::string text = read_text(golden("small.hmm"));
    text.replace(text.find("LENG  50"), 8, "LENG  99999999");
    EXPECT_NE(message_of([&] { (void)hmmer_of(text); }).find("expected node 51"), std::string::npos);
    text.replace(text.find("LENG  99999999"), 14, "LENG  999999999999");
    EXPECT_NE(message_of([&] { (void)hmmer_of(text); }).find("saw '999999999999'"), std::string::npos);
}

} // namespace
} // namespace tape
