#include "align/cluster.hpp"
#include "align/database.hpp"
#include "data/error.hpp"
#include "data/fasta.hpp"
#include "data/io.hpp"

#include "tests/align/random_proteins.hpp"
#include "tests/data/scratch.hpp"
#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <ostream>
#include <thread>

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
    auto const summary = build_database(fasta, file, {.quiet = true});
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
    EXPECT_THROW(build_database(fasta, target, {.quiet = true}), data_error);
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

/// Builds whose runs are so small that there are many, against the writer that holds everything in memory.
class DatabaseRuns : public test::Scratch {
  protected:
    DatabaseRuns() {
        std::mt19937_64 random{4};
        std::uniform_int_distribution<int> length(1, 60), width(1, 70), style(0, 9);
        for (int i = 0; i < 2000; ++i) {
            auto const residues = decode_residues(test::random_protein(random, length(random)));
            text += ">id" + std::to_string(i) + (i % 3 ? " of > one, two" : "");
            for (std::size_t at = 0; at < residues.size();) {
                auto const line = residues.substr(at, static_cast<std::size_t>(width(random)));
                text += (style(random) == 0 ? "\r\n" : "\n") + line, at += line.size();
            }
            text += style(random) == 0 ? "\n\n" : "\n";
        }
        write_bytes(fasta, text);
        DatabaseWriter writer;
        for (auto const& protein : read_fasta(fasta))
            writer.add(protein.id, protein.description, encode_residues(protein.residues));
        (void)writer.write(directory / "memory.tdb");
        expected = bytes_of(directory / "memory.tdb");
    }

    BuildSummary build(std::uint64_t run_bytes, int threads) const {
        return build_database(fasta, file, {.threads = threads, .quiet = true, .run_bytes = run_bytes});
    }
    /// What the build says, with all that caused it.
    std::string problem_of_build(std::uint64_t run_bytes, int threads) const {
        try {
            (void)build(run_bytes, threads);
        } catch (error const& problem) {
            return describe(problem) + (exit_code_of(problem) == exit_code::bad_data ? " (bad data)" : "");
        }
        return "no error";
    }
    /// Runs `body` in a process of its own, which is killed after the time, and says how that ended.
    template <class Body> static int in_child(Body const& body, std::chrono::microseconds until_killed) {
        pid_t const child = ::fork();
        if (child == 0) {
            try {
                body();
            } catch (std::exception const& problem) {
                std::cerr << describe(problem) << std::endl;
                ::_exit(1);
            }
            ::_exit(0);
        }
        std::this_thread::sleep_for(until_killed);
        if (until_killed.count() > 0) ::kill(child, SIGKILL);
        int status = 0;
        ::waitpid(child, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    void expect_whole() const {
        EXPECT_TRUE(bytes_of(file) == expected);
        EXPECT_FALSE(std::filesystem::exists(unfinished));
    }

    std::filesystem::path fasta = directory / "in.fasta", file = directory / "out.tdb",
                          unfinished = directory / "out.tdb.unfinished";
    std::string text, expected;
};

TEST_F(DatabaseRuns, AnySizeOfRunsAndNumberOfThreadsGivesTheSameBytes) {
    for (int const threads : {1, 2, 7})
        for (std::uint64_t const run_bytes : {500, 1499, 10000, 50000, 1 << 20}) {
            SCOPED_TRACE(std::to_string(run_bytes) + " bytes, " + std::to_string(threads) + " threads");
            auto const summary = build(run_bytes, threads);
            EXPECT_EQ(summary.sequences, 2000U);
            EXPECT_EQ(summary.bytes, expected.size());
            EXPECT_EQ(summary.resumed_runs, 0U);
            expect_whole();
        }
    // Every place of a cut: between records, lines and letters of what is compared.
    text.resize(text.find(">id14 ")), write_bytes(fasta, text);
    (void)build(1 << 20, 1);
    expected = bytes_of(file);
    for (std::uint64_t run_bytes = 1; run_bytes <= text.size() + 2; run_bytes += run_bytes < 100 ? 1 : 7) {
        (void)build(run_bytes, 1);
        ASSERT_TRUE(bytes_of(file) == expected) << run_bytes;
    }
}

TEST_F(DatabaseRuns, AKilledBuildGoesOnFromItsRuns) {
    std::mt19937_64 random{9};
    auto const begin = std::chrono::steady_clock::now();
    (void)build(4000, 1);
    auto const whole = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
    std::uniform_int_distribution<std::int64_t> moment(whole.count() / 10, whole.count());
    std::size_t killed = 0, resumed = 0;
    for (int const threads : {1, 2, 7, 1, 2, 7}) {
        std::filesystem::remove(file);
        for (int attempt = 0; attempt < 2; ++attempt) // with one thread: OpenMP does not survive a fork
            killed += in_child([&] { (void)build(4000, 1); }, std::chrono::microseconds{moment(random)}) != 0;
        resumed += build(4000, threads).resumed_runs;
        expect_whole();
    }
    EXPECT_GT(killed, 0U);
    EXPECT_GT(resumed, 0U);
}

TEST_F(DatabaseRuns, OnlyRunsOfTheSameInputAreTaken) {
    // The last record is bad: all runs but its own are kept.
    auto const good = text;
    write_bytes(fasta, text + ">bad\nMK7\n");
    auto const message = file.string() + ": not finished; ";
    auto const lines = std::to_string(std::ranges::count(text, '\n') + 2);
    for (int const threads : {1, 2, 7}) {
        auto const problem = problem_of_build(5000, threads);
        EXPECT_TRUE(problem.starts_with(message)) << problem;
        EXPECT_NE(problem.find(" finished runs kept in " + unfinished.string() +
                               ", from which the same command goes on (remove it to start anew)\n  caused by: " +
                               fasta.string() + ":" + lines +
                               ": '7' at position 3 of record 'bad' is no residue "
                               "letter (bad data)"),
                  std::string::npos)
            << problem;
    }
    auto const is_run = [](auto const& entry) { return entry.path().extension() == ".tdb"; };
    auto const kept =
        static_cast<std::size_t>(std::ranges::count_if(std::filesystem::directory_iterator{unfinished}, is_run));
    EXPECT_GT(kept, 10U);
    // One letter changes in the middle.
    std::size_t place = text.size() / 2;
    while (text[place] < 'A' || text[place] > 'Z' || text.rfind('>', place) > text.rfind('\n', place)) --place;
    text[place] = text[place] == 'A' ? 'C' : 'A';
    write_bytes(fasta, text);
    EXPECT_EQ(build(5000, 2).resumed_runs, kept - 1);
    EXPECT_FALSE(bytes_of(file) == expected);
    EXPECT_FALSE(std::filesystem::exists(unfinished));
    write_bytes(fasta, good);
    EXPECT_EQ(build(5000, 2).resumed_runs, 0U);
    expect_whole();
}

TEST_F(DatabaseRuns, ACutInputIsNeverAnEnd) {
    auto const packed = directory / "in.fasta.gz";
    write_atomically(packed, [&](std::ostream& out) { out << text; });
    std::filesystem::resize_file(packed, std::filesystem::file_size(packed) * 3 / 4);
    fasta = packed;
    auto const first = problem_of_build(3000, 1);
    EXPECT_NE(first.find("\n  caused by: " + packed.string() + ": "), std::string::npos) << first;
    EXPECT_NE(first.find("truncated"), std::string::npos) << first;
    EXPECT_TRUE(first.ends_with("(bad data)")) << first;
    for (int const threads : {2, 7}) EXPECT_EQ(problem_of_build(3000, threads), first);
    EXPECT_FALSE(std::filesystem::exists(file));
}

TEST_F(DatabaseRuns, EqualIdsOfDifferentRunsAreFound) {
    write_bytes(fasta, text + ">id1700\nMKV\n>id12 again\nMKV\n");
    auto const line_of = [&](std::size_t place) {
        return std::to_string(std::ranges::count(std::string_view{text}.substr(0, place), '\n') + 1);
    };
    auto const expected_message = "caused by: " + fasta.string() + ":" + line_of(text.size()) +
                                  ": duplicate id 'id1700', first seen on line " + line_of(text.find(">id1700 ")) +
                                  "; ids must be unique (bad data)";
    for (int const threads : {1, 7}) {
        auto const problem = problem_of_build(3000, threads);
        EXPECT_NE(problem.find(expected_message), std::string::npos) << problem << "\n" << expected_message;
    }
}

TEST_F(DatabaseRuns, AFullDiskNamesTheFolderThatIsLeft) {
    auto const said = directory / "said";
    auto const build_within = [&](rlim_t bytes) {
        return in_child(
            [&] {
                std::signal(SIGXFSZ, SIG_IGN);
                rlimit const limit{bytes, bytes};
                ::setrlimit(RLIMIT_FSIZE, &limit);
                write_bytes(said, problem_of_build(20000, 1));
            },
            {});
    };
    EXPECT_EQ(build_within(expected.size() / 2), 0); // enough for a run
    EXPECT_TRUE(bytes_of(said).starts_with(file.string() + ": not finished; ")) << bytes_of(said);
    EXPECT_NE(bytes_of(said).find(" finished runs kept in " + unfinished.string()), std::string::npos)
        << bytes_of(said);
    EXPECT_NE(bytes_of(said).find("caused by: " + file.string() + ": cannot write: the file size limit is reached"),
              std::string::npos)
        << bytes_of(said);
    EXPECT_FALSE(std::filesystem::exists(file));
    EXPECT_GT(build(20000, 1).resumed_runs, 2U);
    expect_whole();
    std::filesystem::remove(file);
    EXPECT_EQ(build_within(1000), 0); // for none
    EXPECT_EQ(bytes_of(said).find("kept"), std::string::npos) << bytes_of(said);
    EXPECT_NE(bytes_of(said).find("cannot write: the file size limit is reached"), std::string::npos) << bytes_of(said);
    EXPECT_FALSE(std::filesystem::exists(unfinished));
    for (auto const& entry : std::filesystem::directory_iterator{directory})
        EXPECT_FALSE(entry.path().filename().string().starts_with('.')) << entry.path();
}

TEST_F(DatabaseRuns, WhatAnotherProcessBuildsIsLeftAlone) {
    std::filesystem::create_directory(unfinished);
    int const other = ::open(unfinished.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ASSERT_EQ(::flock(other, LOCK_EX | LOCK_NB), 0);
    write_bytes(unfinished / "run-000000-0.tdb", "the other's");
    (void)build(5000, 2);
    EXPECT_TRUE(bytes_of(file) == expected);
    EXPECT_EQ(bytes_of(unfinished / "run-000000-0.tdb"), "the other's");
    ::close(other);
    write_bytes(unfinished / "mine.txt", "keep");
    (void)build(5000, 2);
    EXPECT_FALSE(std::filesystem::exists(unfinished / "run-000000-0.tdb"));
    EXPECT_EQ(bytes_of(unfinished / "mine.txt"), "keep");
    auto const others = std::filesystem::directory_iterator{directory};
    EXPECT_EQ(std::ranges::count_if(others, [](auto const& entry) { return entry.is_directory(); }), 1);
}

TEST_F(DatabaseRuns, BlastVolumesComeInRunsToo) {
    auto const volumes = test::golden("both");
    (void)build_database(volumes, file, {.quiet = true});
    auto const whole = bytes_of(file);
    EXPECT_EQ(Database{file}.size(), 6U);
    for (std::uint64_t const run_bytes : {1, 50, 100}) {
        (void)build_database(volumes, file, {.quiet = true, .run_bytes = run_bytes});
        EXPECT_TRUE(bytes_of(file) == whole);
        EXPECT_FALSE(std::filesystem::exists(unfinished));
    }
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
