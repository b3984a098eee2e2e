#pragma once

#include "data/alphabet.hpp"
#include "data/record.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace tape {

/// What a database file starts with.
inline constexpr std::string_view database_magic = "TAPE-DB\n";

/// A sequence database in one memory-mapped file (extension .tdb): residues as codes, offsets, headers, sequences
/// sorted by length, a content hash and a version. Little-endian:
///
/// - header (128 bytes): "TAPE-DB\n", version, byte-order mark, counts, file size, section positions, XXH3-64 of these
/// - residue offsets: (N + 1) x u64
/// - text offsets: (N + 1) x u64
/// - residues: one code (0-21) a byte, sequences one after another, shortest first, equal lengths in input order
/// - text: header lines, the id and after one space the description if there is one
/// - trailer (16 bytes): XXH3-128 of all before
///
/// Sections start at multiples of 64. About 1.05 bytes a residue for Swiss-Prot.
class Database {
  public:
    /// Maps the file and checks its header, its size and every offset; O(N). Does not read the residues (see `verify`).
    /// @throws data_error for a missing, truncated or altered header, or a file of another version.
    explicit Database(std::filesystem::path const& file);
    ~Database();
    Database(Database&&) noexcept;
    Database& operator=(Database&&) noexcept;

    [[nodiscard]] std::size_t size() const noexcept;            ///< number of sequences
    [[nodiscard]] std::uint64_t residue_count() const noexcept; ///< of all sequences
    [[nodiscard]] std::span<Residue const> residues(std::size_t index) const noexcept;
    [[nodiscard]] std::string_view id(std::size_t index) const noexcept;
    [[nodiscard]] std::string_view description(std::size_t index) const noexcept;
    [[nodiscard]] std::string const& content_hash() const noexcept;
    [[nodiscard]] std::filesystem::path const& path() const noexcept;
    [[nodiscard]] std::uint64_t file_bytes() const noexcept;

    /// Recomputes the checksum of the whole file. @throws data_error if it differs.
    void verify() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

struct BuildSummary {
    std::size_t sequences = 0;
    std::uint64_t residues = 0, bytes = 0;
    std::size_t resumed_runs = 0; ///< that an earlier build had finished (build_database)
};

/// Collects sequences in memory (one byte a residue, 16 and its header a sequence) and writes them as a database.
class DatabaseWriter {
  public:
    DatabaseWriter();
    ~DatabaseWriter();
    /// @throws data_error for an empty sequence or more than 2^32 - 1 sequences.
    void add(std::string_view id, std::string_view description, std::span<Residue const> residues);
    /// Atomic. @throws data_error if nothing was added.
    [[nodiscard]] BuildSummary write(std::filesystem::path const& output) const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

struct BuildOptions {
    int threads = 0;
    bool quiet = false;
    std::uint64_t run_bytes = std::uint64_t{64} << 20; ///< text of FASTA a run, or codes and headers of BLAST volumes
};

/// Builds a database from FASTA (any compression) or, when `input` names a BLAST v4 protein database (path without
/// .pin, .psq, .phr, or an alias .pal), from its volumes. Atomic. Gaps and stop codons inside a sequence become unknown
/// residues. Same bytes for any number of threads and any size of runs.
///
/// An input beyond one run is sorted on disk: runs (databases of `run_bytes` of input, made by all threads, at most
/// eight) stand in OUTPUT.unfinished until they are merged. That takes once more the disk space
/// of the database, and of memory about 1.3 runs a thread (90 MB), then 0.5 MB a run, whatever the size of the input: 1
/// GB for 100 GB. A build that was stopped in any way goes on from the runs that are there: the input is read again,
/// and each part whose XXH3-128 is that of a finished run is not parsed again, so a changed input is noticed wherever
/// it changed. While another process builds the same output, and for pipes and devices, nothing is kept. BLAST volumes
/// are read by one thread; FASTA ids must be unique.
/// @throws error or data_error nested in one that names the folder if finished runs are kept
BuildSummary build_database(std::filesystem::path const& input, std::filesystem::path const& output,
                            BuildOptions const& options = {});

/// Writes the sequences for which `keep` is true, whenever it is asked, as a database of their own. Holds none of them
/// in memory. @throws data_error if none is.
BuildSummary subset_database(Database const& database, std::function<bool(std::size_t)> const& keep,
                             std::filesystem::path const& output);

} // namespace tape
