#include "data/cache.hpp"
#include "data/full_disk.hpp"
#include "data/hash.hpp"
#include "data/io.hpp"
#include "data/manifest.hpp"
#include "data/text.hpp"

#include "tests/data/scratch.hpp"
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <random>

namespace tape {
namespace {

/// Text with runs and noise, larger than every buffer inside.
std::string sample_text(std::size_t size) {
    std::mt19937 random{11};
    std::string text;
    while (text.size() < size) {
        if (random() % 4 == 0) text.append(random() % 100, 'A');
        text += static_cast<char>(random());
    }
    return text;
}

class Io : public test::Scratch {
  protected:
    std::string write(std::string const& name, std::string const& content) const {
        write_text(directory / name, content);
        return test::bytes_of(directory / name);
    }
};

class Compressed : public Io, public ::testing::WithParamInterface<char const*> {};

TEST_P(Compressed, RoundTripsByContentNotByName) {
    for (std::size_t const size : {std::size_t{0}, std::size_t{1}, std::size_t{700'000}}) {
        std::string const text = sample_text(size);
        std::string const packed = write(std::string{"x"} + GetParam(), text);
        EXPECT_NE(packed, text);
        EXPECT_EQ(read_text(file("no_ending", packed)), text);
    }
}

TEST_P(Compressed, ConcatenatedMembersAreOneFile) {
    std::string const a = sample_text(300'000), b = "second member\n";
    std::string const packed = write(std::string{"a"} + GetParam(), a) + write(std::string{"b"} + GetParam(), b) +
                               write(std::string{"c"} + GetParam(), "") + write(std::string{"d"} + GetParam(), a);
    EXPECT_EQ(read_text(file("all", packed)), a + b + a);
}

TEST_P(Compressed, EveryCutIsAnErrorThatNamesTheFile) {
    std::string const packed = write(std::string{"x"} + GetParam(), sample_text(400'000));
    // Everywhere near the ends, and in between.
    std::vector<std::size_t> cuts{packed.size() / 4, packed.size() / 2, packed.size() * 3 / 4};
    for (std::size_t i = 1; i <= 16; ++i) cuts.push_back(packed.size() - i);
    for (std::size_t i = 7; i < 40; ++i) cuts.push_back(i);
    for (std::size_t const cut : cuts) {
        auto const path = file("cut", packed.substr(0, cut));
        auto const outcome = test::outcome_of([&path] { read_text(path); });
        ASSERT_EQ(outcome.code, exit_code::bad_data) << "cut at " << cut << " of " << packed.size();
        ASSERT_NE(outcome.message.find(path.string() + ": truncated"), std::string::npos) << outcome.message;
    }
}

TEST_P(Compressed, AFlippedBitIsFound) {
    std::string packed = write(std::string{"x"} + GetParam(), sample_text(50'000));
    packed[packed.size() / 2] = static_cast<char>(packed[packed.size() / 2] ^ 16);
    auto const path = file("flipped", packed);
    auto const outcome = test::outcome_of([&path] { read_text(path); });
    EXPECT_EQ(outcome.code, exit_code::bad_data);
    EXPECT_NE(outcome.message.find(path.string()), std::string::npos) << outcome.message;
}

TEST_P(Compressed, GarbageBehindTheEndIsRefused) {
    std::string const packed = write(std::string{"x"} + GetParam(), "text\n");
    auto const outcome = test::outcome_of([path = file("garbage", packed + "garbage")] { read_text(path); });
    EXPECT_EQ(outcome.code, exit_code::bad_data);
}

TEST_P(Compressed, GetlineThrowsInsteadOfEnding) {
    std::string const packed = write(std::string{"x"} + GetParam(), sample_text(400'000));
    auto const path = file("cut", packed.substr(0, packed.size() - 9));
    auto const outcome = test::outcome_of([&path] {
        auto const in = open_input(path);
        for (std::string line; std::getline(*in, line);) {
        }
    });
    EXPECT_EQ(outcome.code, exit_code::bad_data);
}

INSTANTIATE_TEST_SUITE_P(Formats, Compressed, ::testing::Values(".gz", ".xz", ".zst"),
                         [](auto const& info) { return std::string{info.param}.substr(1); });

TEST_F(Io, ZeroPaddingBehindGzipIsFine) {
    std::string const packed = write("x.gz", "text\n") + std::string(600, '\0');
    EXPECT_EQ(read_text(file("padded", packed)), "text\n");
}

TEST_F(Io, SkippableFramesOfPzstdAreSkipped) {
    std::string const frame{"\x50\x2a\x4d\x18\x03\x00\x00\x00xyz", 11};
    std::string const packed = write("x.zst", "text\n");
    EXPECT_EQ(read_text(file("skippable", frame + packed + frame + packed)), "text\ntext\n");
}

/// A header alone (RFC 8878, 3.1.1.1.2): windows of 1 GiB are taken, one of 2 GiB is refused before memory is.
TEST_F(Io, AZstdWindowOfMoreThanAGibibyteIsRefused) {
    std::string const empty_block{"\x01\x00\x00", 3};
    EXPECT_EQ(read_text(file("large", std::string{"\x28\xb5\x2f\xfd\x00\xa0", 6} + empty_block)), "");
    auto const path = file("huge", std::string{"\x28\xb5\x2f\xfd\x00\xa8", 6} + empty_block);
    auto const outcome = test::outcome_of([&] { read_text(path); });
    EXPECT_EQ(outcome.code, exit_code::bad_data);
    EXPECT_NE(outcome.message.find("(its window needs more than 1 GiB of memory)"), std::string::npos)
        << outcome.message;
}

TEST_F(Io, PlainFilesOfEveryShortLengthAreReadAsTheyAre) {
    std::string const magics = "\x1f\xfd"
                               "7zXZ\x28\xb5\x2f";
    for (std::size_t size = 0; size < 6; ++size) {
        std::string const text =
            magics.substr(0, std::min<std::size_t>(size, 1)) + std::string(size > 1 ? size - 1 : 0, 'x');
        EXPECT_EQ(read_text(file("short", text)), text);
    }
}

TEST_F(Io, MissingFileAndDirectoryAreNamed) {
    auto const missing = test::outcome_of([&] { open_input(directory / "nowhere.fasta"); });
    EXPECT_EQ(missing.message, (directory / "nowhere.fasta").string() + ": cannot open: No such file or directory");
    EXPECT_EQ(missing.code, exit_code::bad_data);
    auto const folder = test::outcome_of([&] { open_input(directory); });
    EXPECT_EQ(folder.message, directory.string() + ": is a directory; expected a file");
}

TEST_F(Io, RefusesMoreThanTheLimit) {
    auto const path = directory / "bomb.gz";
    write_text(path, std::string(1'000'000, 'A'));
    auto const outcome = test::outcome_of([&] { read_text(path, 999'999); });
    EXPECT_EQ(outcome.message, path.string() + ": holds more than 999999 bytes when decompressed; refused");
    EXPECT_EQ(read_text(path, 1'000'000).size(), 1'000'000u);
}

TEST_F(Io, NothingIsLeftWithoutCommit) {
    auto const target = directory / "out.txt";
    EXPECT_THROW(write_atomically(target,
                                  [&](std::ostream& out) {
                                      out << std::string(1'000'000, 'x') << std::flush;
                                      EXPECT_EQ(files_left(), 1u); // the temporary one
                                      throw std::runtime_error{"stop"};
                                  }),
                 std::runtime_error);
    EXPECT_EQ(files_left(), 0u);
    EXPECT_THROW(write_path_atomically(target,
                                       [](std::filesystem::path const& path) {
                                           std::ofstream{path} << "x";
                                           throw std::runtime_error{"stop"};
                                       }),
                 std::runtime_error);
    EXPECT_EQ(files_left(), 0u);
}

TEST_F(Io, WhatAKilledProcessLeftIsRemoved) {
    auto const target = directory / "out.txt";
    pid_t const child = ::fork();
    if (child == 0) {
        AtomicFile out{target};
        out.stream() << "half" << std::flush;
        ::raise(SIGKILL);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    ASSERT_EQ(files_left(), 1u);
    std::string const left = std::filesystem::directory_iterator { directory } -> path().filename().string();
    ASSERT_TRUE(left.starts_with(".out.txt.tmp-")) << left;
    // What is of a living process, of another machine or of the user stays.
    auto const with = [&](std::string name, std::string const& part, std::string const& other) {
        return name.replace(name.find(part), part.size(), other);
    };
    auto const machine = left.substr(std::string{".out.txt"}.size(), std::string{".tmp-01234567-"}.size());
    std::vector<std::string> const others{with(left, std::to_string(child), std::to_string(::getppid())),
                                          with(left, machine, ".tmp-00000000-"), left.substr(1), left + "x"};
    for (auto const& name : others) file(name, "mine");
    write_text(target, "whole");
    EXPECT_FALSE(std::filesystem::exists(directory / left));
    for (auto const& name : others) EXPECT_TRUE(std::filesystem::exists(directory / name)) << name;
    EXPECT_EQ(test::bytes_of(target), "whole");
}

TEST_F(Io, CommitReplacesAndFollowsLinks) {
    auto const target = file("out.txt", "old");
    std::filesystem::create_symlink(target, directory / "link");
    {
        AtomicFile out{directory / "link"};
        out.stream() << "new";
        EXPECT_EQ(test::bytes_of(target), "old");
        out.commit();
    }
    EXPECT_EQ(test::bytes_of(target), "new");
    EXPECT_TRUE(std::filesystem::is_symlink(directory / "link"));
    EXPECT_EQ(files_left(), 2u);
}

TEST_F(Io, WritePathAtomicallyRenames) {
    write_path_atomically(directory / "a", [](std::filesystem::path const& path) { std::ofstream{path} << "content"; });
    EXPECT_EQ(test::bytes_of(directory / "a"), "content");
    EXPECT_EQ(files_left(), 1u);
    auto const outcome = test::outcome_of([&] { write_path_atomically(directory / "b", [](auto const&) {}); });
    EXPECT_EQ(outcome.message, (directory / "b").string() + ": nothing was written");
}

TEST_F(Io, UnwritablePlacesAreNamed) {
    auto const nowhere = test::outcome_of([&] { write_text(directory / "no" / "x", "t"); });
    EXPECT_EQ(nowhere.message, (directory / "no" / "x").string() + ": cannot write: the directory " +
                                   (directory / "no").string() + " does not exist");
    EXPECT_EQ(nowhere.code, exit_code::failed);
    EXPECT_EQ(test::outcome_of([&] { write_text(directory, "t"); }).message,
              directory.string() + ": cannot write: is a directory");
}

TEST_F(Io, AFullDeviceIsAnError) {
    auto const outcome = test::outcome_of([] { write_text("/dev/full", std::string(10, 'x')); });
    EXPECT_EQ(outcome.message, "/dev/full: cannot write: no space left on device; free some and run again");
    EXPECT_EQ(outcome.code, exit_code::failed);
}

TEST_F(Io, AFullDiskIsWaitedForAndOtherErrorsAreNot) {
    int waits = 0;
    auto const path = [&] { return waits < 2 ? std::filesystem::path{"/dev/full"} : directory / "there"; };
    retry_while_full([&] { write_text(path(), "t"); }, [&](full_disk_error const&) { ++waits; });
    EXPECT_EQ(waits, 2);
    EXPECT_EQ(read_text(directory / "there"), "t");
    EXPECT_THROW(retry_while_full([&] { write_text(directory / "no" / "x", "t"); },
                                  [&](full_disk_error const&) { FAIL() << "not a matter of room"; }),
                 error);
}

TEST_F(Io, AFullDiskLeavesNothing) {
    for (std::string const ending : {"", ".gz", ".xz", ".zst"}) {
        auto const target = directory / ("big" + ending);
        pid_t const child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            // Stands in for a full disk: writes beyond the limit fail with EFBIG.
            ::signal(SIGXFSZ, SIG_IGN);
            rlimit const limit{100'000, 100'000};
            ::setrlimit(RLIMIT_FSIZE, &limit);
            auto const outcome = test::outcome_of([&target] { write_text(target, sample_text(2'000'000)); });
            ::_exit(outcome.message.find(target.string() + ": cannot write: the file size limit") == 0 ? 0 : 1);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        EXPECT_EQ(status, 0) << ending;
        EXPECT_EQ(files_left(), 0u) << ending;
    }
}

TEST_F(Io, AnInterruptRemovesTheTemporaryFile) {
    for (int const signal : {SIGINT, SIGTERM}) {
        pid_t const child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            AtomicFile out{directory / "out"};
            out.stream() << "partial" << std::flush;
            if (files_left() != 1) ::_exit(2);
            ::raise(signal);
            ::_exit(3);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signal) << status;
        EXPECT_EQ(files_left(), 0u);
    }
}

TEST_F(Io, MappedFileShowsTheBytes) {
    std::string const text = sample_text(10'000);
    MappedFile map{file("x", text)};
    EXPECT_EQ(map.bytes(), text);
    MappedFile moved{std::move(map)};
    EXPECT_EQ(moved.bytes(), text);
    EXPECT_TRUE(MappedFile{file("empty", "")}.bytes().empty());
}

TEST(Hash, IsXxh3) {
    // XXH3-128 of nothing and of "a", from the reference implementation's own test vectors (xxhsum -H2).
    EXPECT_EQ(content_hash(""), "99aa06d3014798d86001c324468d497f");
    EXPECT_EQ(content_hash("a"), "a96faf705af16834e6c632b61e964e1f");
}

TEST_F(Io, HashOfFileIsHashOfItsBytes) {
    std::string const text = sample_text(100'000);
    EXPECT_EQ(content_hash_of_file(file("x", text)), content_hash(text));
    std::string large(std::size_t{33} << 20, 'x'); // more than is read at once
    for (std::size_t at = 0; at < large.size(); at += 4099) large[at] = static_cast<char>(at >> 12);
    EXPECT_EQ(content_hash_of_file(file("large", large)), content_hash(large));
}

TEST(Text, ShowsValuesSafely) {
    EXPECT_EQ(shown("a\tb\x80", 40), "'a\\x09b\\x80'");
    EXPECT_EQ(shown("abcdef", 3), "'abc...'");
    EXPECT_EQ(joined(std::vector<std::string>{"a", "b", "c"}), "a, b and c");
    EXPECT_EQ(joined(std::vector<std::string>{"a", "b"}, "or"), "a or b");
    EXPECT_EQ(counted(1, "label") + counted(2, "label"), "1 label2 labels");
}

TEST(Manifest, HoldsEveryField) {
    Manifest const manifest{"tape-x", {"tape-x", "a"}, "1", 5, {{"in", "hash"}}, {{"k", "v"}}, utc_now(), 1.5};
    auto const json = to_json(manifest);
    EXPECT_EQ(json.size(), 8u);
    EXPECT_EQ(json["argv"][1], "a");
    EXPECT_EQ(json["inputs"]["in"], "hash");
    std::string started = json["started"];
    for (char& letter : started)
        if (letter >= '0' && letter <= '9') letter = '0';
    EXPECT_EQ(started, "0000-00-00T00:00:00Z");
}

TEST(Cache, FollowsTheVariablesInOrder) {
    auto const with = [](char const* own, char const* cache, char const* home) {
        ::setenv("TAPE_CACHE", own, 1), ::setenv("XDG_CACHE_HOME", cache, 1), ::setenv("HOME", home, 1);
        return cache_directory().string();
    };
    std::string const home = std::getenv("HOME") ? std::getenv("HOME") : "";
    EXPECT_EQ(with("/own", "/cache", "/home"), "/own");
    EXPECT_EQ(with("", "/cache", "/home"), "/cache/tape");
    EXPECT_EQ(with("", "", "/home"), "/home/.cache/tape");
    EXPECT_THROW(with("", "", ""), error);
    ::unsetenv("TAPE_CACHE"), ::unsetenv("XDG_CACHE_HOME"), ::setenv("HOME", home.c_str(), 1);
}

} // namespace
} // namespace tape
