#include "align/database_format.hpp"
#include "data/blast_volume.hpp"
#include "data/error.hpp"
#include "data/fasta.hpp"
#include "data/io.hpp"
#include "data/parallel.hpp"
#include "data/progress.hpp"
#include "data/temporary.hpp"
#include "data/text.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <exception>
#include <fstream>
#include <istream>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <streambuf>
#include <utility>
#include <vector>

namespace tape {
namespace {

constexpr std::size_t block_bytes = 1 << 20;     ///< of text read at once
constexpr std::size_t section_bytes = 1 << 18;   ///< of a run's section read at once
constexpr std::uint64_t marks_at_once = 1 << 21; ///< of ids, 24 bytes each
constexpr int most_workers = 8;                  ///< one thread reads and decompresses for all

bool names_blast_database(std::filesystem::path const& input) {
    auto const with = [&](char const* extension) { return std::filesystem::exists(input.string() + extension); };
    auto const extension = input.extension();
    return extension == ".pin" || extension == ".pal" ||
           (!std::filesystem::exists(input) && (with(".pin") || with(".pal")));
}

class Hash128 {
  public:
    Hash128() { XXH3_128bits_reset(state_.get()); }
    void add(std::string_view bytes) { XXH3_128bits_update(state_.get(), bytes.data(), bytes.size()); }
    [[nodiscard]] XXH128_hash_t value() const { return XXH3_128bits_digest(state_.get()); }

  private:
    struct Free {
        void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
    };
    std::unique_ptr<XXH3_state_t, Free> state_{XXH3_createState()};
};

/// "run-000012-HASH", number and hash of the input behind it. Whoever changes what a run holds changes the name as
/// well.
std::string run_name(std::size_t number, XXH128_hash_t hash) {
    char name[64];
    std::snprintf(name, sizeof name, "run-%06zu-%016llx%016llx", number, static_cast<unsigned long long>(hash.high64),
                  static_cast<unsigned long long>(hash.low64));
    return name;
}

/// The part of a FASTA file that becomes one run: whole records.
struct Piece {
    std::size_t number = 0;
    std::uint64_t lines_before = 0;
    std::deque<std::string> blocks;
    XXH128_hash_t hash{};
};

/// Cuts a FASTA file into pieces of at least `piece_bytes`. Thread-safe.
class PieceReader {
  public:
    PieceReader(std::filesystem::path const& input, std::uint64_t piece_bytes)
        : in_{open_input(input)}, piece_bytes_{std::max<std::uint64_t>(piece_bytes, 1)}, first_{cut()} {}

    /// Whether the first piece is all there is.
    [[nodiscard]] bool is_single() const { return ended_; }
    /// The first piece is there even if the file is empty.
    std::optional<Piece> next() {
        std::lock_guard const lock{mutex_};
        if (first_) return std::exchange(first_, {});
        return ended_ ? std::optional<Piece>{} : cut();
    }

  private:
    Piece cut() {
        Piece piece;
        piece.number = number_++, piece.lines_before = lines_;
        Hash128 hash;
        std::uint64_t size = 0;
        char last = '\n';
        for (std::string block = std::exchange(carried_, {});; block = read()) {
            std::size_t cut = block.size();
            if (size + block.size() >= piece_bytes_ && !ended_) {
                cut = last_record(block, last);
                if (size + cut == 0) cut = block.size(); // the record that the piece itself starts with
            }
            if (cut < block.size()) carried_ = block.substr(cut), block.resize(cut);
            size += block.size();
            hash.add(block);
            lines_ += static_cast<std::uint64_t>(std::count(block.begin(), block.end(), '\n'));
            if (!block.empty()) last = block.back();
            piece.blocks.push_back(std::move(block));
            if (ended_ || !carried_.empty()) break;
        }
        piece.hash = hash.value();
        return piece;
    }
    std::string read() {
        std::string block(std::min<std::uint64_t>(block_bytes, piece_bytes_), '\0');
        ended_ = true; // also if this throws
        in_->read(block.data(), static_cast<std::streamsize>(block.size()));
        block.resize(static_cast<std::size_t>(in_->gcount()));
        ended_ = block.empty();
        return block;
    }
    /// Where the last record that starts in the block does; its size if none does.
    static std::size_t last_record(std::string const& block, char before) {
        if (auto const end = block.rfind("\n>"); end != std::string::npos) return end + 1;
        return before == '\n' && block.starts_with('>') ? 0 : block.size();
    }

    std::mutex mutex_;
    std::unique_ptr<std::istream> in_;
    std::uint64_t piece_bytes_, lines_ = 0;
    std::size_t number_ = 0;
    std::string carried_; ///< text behind the last piece
    bool ended_ = false;
    std::optional<Piece> first_;
};

/// Text in blocks, each freed when it has been read.
class BlockBuffer final : public std::streambuf {
  public:
    explicit BlockBuffer(std::deque<std::string>&& blocks) : blocks_{std::move(blocks)} {}

  protected:
    int_type underflow() override {
        while (!blocks_.empty()) {
            current_ = std::move(blocks_.front());
            blocks_.pop_front();
            setg(current_.data(), current_.data(), current_.data() + current_.size());
            if (!current_.empty()) return traits_type::to_int_type(current_[0]);
        }
        return traits_type::eof();
    }

  private:
    std::deque<std::string> blocks_;
    std::string current_;
};

/// Hash of an id and the line of its record. Equal hashes are taken for equal ids: among 10^9 ids chance does that with
/// a probability of 10^-21.
struct IdMark {
    std::uint64_t high, low, line;
    [[nodiscard]] bool same_id(IdMark const& other) const { return high == other.high && low == other.low; }
    auto operator<=>(IdMark const&) const = default;
};

IdMark mark_of(std::string_view id, std::uint64_t line) {
    auto const hash = XXH3_128bits(id.data(), id.size());
    return {hash.high64, hash.low64, line};
}

/// Numbers or bytes from a place in a file on, front to back. The file is opened for each block of them: there may be
/// more runs than files may be open.
class SectionReader {
  public:
    SectionReader(std::filesystem::path file, std::uint64_t position) : file_{std::move(file)}, position_{position} {}

    void copy(std::uint64_t bytes, auto const& take) {
        while (bytes > 0) {
            if (rest_.empty()) fill();
            auto const piece = rest_.substr(0, bytes);
            take(piece);
            bytes -= piece.size(), rest_.remove_prefix(piece.size());
        }
    }
    template <class Value> Value value() {
        Value result;
        char* to = reinterpret_cast<char*>(&result);
        copy(sizeof result, [&to](std::string_view piece) { to = std::copy(piece.begin(), piece.end(), to); });
        return result;
    }

  private:
    void fill() {
        buffer_.resize(section_bytes);
        std::ifstream in{file_, std::ios::binary};
        in.seekg(static_cast<std::streamoff>(position_));
        in.read(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
        rest_ = std::string_view{buffer_}.substr(0, static_cast<std::size_t>(in.gcount()));
        if (rest_.empty()) throw error{file_.string() + ": cannot read"};
        position_ += rest_.size();
    }

    std::filesystem::path file_;
    std::uint64_t position_;
    std::string buffer_;
    std::string_view rest_;
};

/// The finished runs, in a folder beside the output: NAME.tdb, a database, and for FASTA NAME.ids, the sorted marks of
/// its ids. A build that holds the folder's lock keeps it for the next one; a folder without lock is removed at the
/// end.
class RunFolder {
  public:
    explicit RunFolder(std::filesystem::path const& output) {
        bool const lasting = output != "-" && !is_device(output);
        if (!lasting) {
            folder_ = own_.emplace().path();
            return;
        }
        { TemporaryPath const check{output}; } // complains early where nothing can be written
        folder_ = output.string() + ".unfinished";
        if (lock()) return;
        folder_ += "-" + std::to_string(::getpid());
        made_.emplace(folder_);
    }
    ~RunFolder() {
        if (descriptor_ < 0) remove_runs({});
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    RunFolder(RunFolder const&) = delete;
    RunFolder& operator=(RunFolder const&) = delete;

    [[nodiscard]] std::filesystem::path file(std::string const& run, char const* extension) const {
        return folder_ / (run + extension);
    }
    /// With both files: one may be left where a build was killed while it removed them.
    [[nodiscard]] bool has_marked(std::string const& run) const {
        return has(run) && std::filesystem::exists(file(run, ".ids"));
    }
    [[nodiscard]] bool has(std::string const& run) const { return std::filesystem::exists(file(run, ".tdb")); }
    [[nodiscard]] std::filesystem::path const& path() const { return folder_; }
    /// How many runs the next build can take.
    [[nodiscard]] std::size_t kept() const {
        std::error_code ignored;
        std::size_t count = 0;
        if (descriptor_ >= 0)
            for (auto const& entry : std::filesystem::directory_iterator{folder_, ignored})
                count += is_run(entry.path()) && entry.path().extension() == ".tdb";
        return count;
    }
    /// All but the named ones; with none of them, the folder too if nothing else is in it.
    void remove_runs(std::set<std::string> const& except) const {
        std::error_code ignored;
        std::vector<std::filesystem::path> old;
        for (auto const& entry : std::filesystem::directory_iterator{folder_, ignored})
            if (is_run(entry.path()) && !except.contains(entry.path().stem().string())) old.push_back(entry.path());
        for (auto const& path : old) std::filesystem::remove(path, ignored);
        if (except.empty()) std::filesystem::remove(folder_, ignored);
    }

  private:
    static bool is_device(std::filesystem::path const& output) {
        std::error_code ignored;
        return std::filesystem::is_character_file(output, ignored) || std::filesystem::is_fifo(output, ignored);
    }
    static bool is_run(std::filesystem::path const& path) {
        auto const name = path.filename().string();
        return name.starts_with("run-") || name.starts_with(".run-"); // or what a killed build left of one
    }
    /// False if another process has it. (Where files cannot be locked, nobody does.)
    bool lock() {
        while (true) {
            made_.emplace(folder_);
            descriptor_ = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            if (descriptor_ < 0 && errno == ENOENT) continue; // removed in between by one that has finished
            if (descriptor_ < 0) throw error{folder_.string() + ": cannot open: " + std::strerror(errno)};
            bool const busy = ::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
            struct stat held = {}, named = {};
            bool const same =
                ::fstat(descriptor_, &held) == 0 && ::stat(folder_.c_str(), &named) == 0 && held.st_ino == named.st_ino;
            if (same && !busy) return true;
            ::close(std::exchange(descriptor_, -1));
            if (busy) return false;
        }
    }

    std::filesystem::path folder_;
    std::optional<TemporaryDirectory> own_;
    std::optional<OutputFolder> made_;
    int descriptor_ = -1;
};

/// Makes runs and merges them.
class Build {
  public:
    Build(std::filesystem::path const& input, std::filesystem::path const& output, BuildOptions const& options)
        : input_{input}, name_{input == "-" ? "<stdin>" : input.string()}, output_{output}, options_{options},
          progress_{"reading sequences", 0, "sequences", options.quiet} {}

    BuildSummary run() {
        try {
            return names_blast_database(input_) ? from_blast() : from_fasta();
        } catch (std::exception const&) {
            auto const kept = folder_ ? folder_->kept() : 0;
            if (kept == 0) throw;
            std::throw_with_nested(error{output_.string() + ": not finished; " + counted(kept, "finished run") +
                                         " kept in " + folder_->path().string() +
                                         ", from which the same command goes on (remove it to start anew)"});
        }
    }

  private:
    BuildSummary from_fasta() {
        PieceReader pieces{input_, options_.run_bytes};
        if (pieces.is_single()) {
            DatabaseWriter writer;
            parse(*pieces.next(), {}, [&](Protein const& protein, std::uint64_t) { add(writer, protein); });
            return writer.write(output_);
        }
        folder_.emplace(output_);
        std::mutex mutex;
        std::exception_ptr problem;
        std::size_t bad_piece = std::numeric_limits<std::size_t>::max();
        std::atomic<bool> failed = false;
        auto const workers = std::min(resolve_threads(options_.threads), most_workers);
        // Pieces are handed out in order and every one taken is worked off, so the first problem of the file is found
        // by any number of threads.
        parallel_for(static_cast<std::size_t>(workers), workers, [&](std::size_t, int) {
            while (!failed) {
                std::size_t number = std::numeric_limits<std::size_t>::max() - 1; // reading fails behind all pieces
                try {
                    auto piece = pieces.next();
                    if (!piece) return;
                    number = piece->number;
                    auto const name = run_name(number, piece->hash);
                    {
                        std::lock_guard const lock{mutex};
                        runs_[number] = name;
                    }
                    if (folder_->has_marked(name))
                        ++resumed_;
                    else
                        make_run(std::move(*piece), name);
                } catch (...) {
                    std::lock_guard const lock{mutex};
                    if (number < bad_piece) bad_piece = number, problem = std::current_exception();
                    failed = true;
                }
            }
        });
        if (problem) std::rethrow_exception(problem);
        check_ids();
        return merge();
    }

    BuildSummary from_blast() {
        std::optional<DatabaseWriter> writer{std::in_place};
        std::optional<Hash128> hash{std::in_place};
        std::uint64_t size = 0;
        auto const finish = [&] {
            if (!folder_) folder_.emplace(output_);
            auto const number = runs_.size();
            auto const name = runs_[number] = run_name(number, hash->value());
            if (folder_->has(name))
                ++resumed_;
            else
                (void)writer->write(folder_->file(name, ".tdb"));
            writer.emplace(), hash.emplace(), size = 0;
        };
        for_each_blast_sequence(input_, [&](Protein&& protein) {
            if (size >= options_.run_bytes) finish();
            add(*writer, protein);
            for (std::string_view const part : {protein.id, protein.description, protein.residues})
                hash->add(part), hash->add("\n"), size += part.size() + 1;
            progress_.advance();
        });
        if (!folder_) return writer->write(output_);
        finish();
        return merge();
    }

    static void add(DatabaseWriter& writer, Protein const& protein) {
        writer.add(protein.id, protein.description, encode_residues(protein.residues));
    }

    void parse(Piece&& piece, FastaOptions const& options,
               std::function<void(Protein const&, std::uint64_t)> const& visit) {
        BlockBuffer buffer{std::move(piece.blocks)};
        std::istream in{&buffer};
        std::uint64_t count = 0;
        for_each_fasta(
            in, name_, piece.lines_before,
            [&](Protein&& protein, std::uint64_t line) { ++count, visit(protein, line); }, options);
        progress_.advance(count);
    }

    void make_run(Piece&& piece, std::string const& name) {
        DatabaseWriter writer;
        std::vector<IdMark> marks;
        parse(std::move(piece), {.allow_duplicate_ids = true}, [&](Protein const& protein, std::uint64_t line) {
            add(writer, protein);
            marks.push_back(mark_of(protein.id, line));
        });
        std::ranges::sort(marks);
        write_atomically(folder_->file(name, ".ids"), [&](std::ostream& out) {
            out.write(reinterpret_cast<char const*>(marks.data()),
                      static_cast<std::streamsize>(marks.size() * sizeof(IdMark)));
        });
        (void)writer.write(folder_->file(name, ".tdb")); // last: a run without it is not finished
    }

    /// Equal ids have equal hashes: one part of the hashes after another, of which each run's lie together.
    void check_ids() const {
        struct Cursor {
            SectionReader reader;
            std::uint64_t left;
            IdMark mark;
        };
        std::vector<Cursor> cursors;
        std::uint64_t count = 0;
        for (auto const& [number, run] : runs_) {
            auto const file = folder_->file(run, ".ids");
            auto const marks = std::filesystem::file_size(file) / sizeof(IdMark);
            SectionReader reader{file, 0};
            auto const mark = reader.value<IdMark>();
            cursors.push_back({std::move(reader), marks, mark}), count += marks;
        }
        std::uint64_t const parts = count / marks_at_once + 1, step = std::numeric_limits<std::uint64_t>::max() / parts;
        std::optional<std::pair<IdMark, IdMark>> repeated; // the first of the file
        std::vector<IdMark> marks;
        for (std::uint64_t part = 0; part < parts; ++part) {
            marks.clear();
            for (auto& cursor : cursors)
                while (cursor.left > 0 && (part + 1 == parts || cursor.mark.high < (part + 1) * step)) {
                    marks.push_back(cursor.mark);
                    if (--cursor.left > 0) cursor.mark = cursor.reader.value<IdMark>();
                }
            std::ranges::sort(marks);
            for (std::size_t i = 1; i < marks.size(); ++i)
                if (marks[i].same_id(marks[i - 1]) && (!repeated || marks[i].line < repeated->second.line))
                    repeated = {marks[i - 1], marks[i]};
        }
        if (repeated)
            throw data_error{name_ + ":" + std::to_string(repeated->second.line) + ": duplicate id " +
                             shown(id_of(repeated->first)) + ", first seen on line " +
                             std::to_string(repeated->first.line) + "; ids must be unique"};
    }

    [[nodiscard]] std::string id_of(IdMark const& mark) const {
        for (auto const& [number, run] : runs_) {
            Database const database{folder_->file(run, ".tdb")};
            for (std::size_t i = 0; i < database.size(); ++i)
                if (mark_of(database.id(i), 0).same_id(mark)) return std::string{database.id(i)};
        }
        return {};
    }

    BuildSummary merge() {
        std::set<std::string> names;
        for (auto const& [number, name] : runs_) names.insert(name);
        folder_->remove_runs(names); // those of another input
        /// Sequences of one length in one run: there they lie together.
        struct Group {
            std::uint64_t length;
            std::uint32_t run, count;
        };
        std::vector<Group> groups;
        std::vector<std::filesystem::path> files;
        std::vector<detail::DatabaseHeader> headers;
        detail::DatabaseContent content;
        for (auto const& [number, name] : runs_) {
            auto const run = static_cast<std::uint32_t>(files.size());
            files.push_back(folder_->file(name, ".tdb"));
            Database const database{files.back()};
            headers.push_back(SectionReader{files.back(), 0}.value<detail::DatabaseHeader>());
            content.sequences += headers.back().sequences, content.residues += headers.back().residues;
            content.text_bytes += headers.back().text_bytes;
            for (std::size_t i = 0; i < database.size(); ++i) {
                auto const length = database.residues(i).size();
                if (i == 0 || groups.back().length != length) groups.push_back({length, run, 0});
                ++groups.back().count;
            }
        }
        std::ranges::stable_sort(groups, {}, &Group::length);
        auto const sections = [&](std::uint64_t detail::DatabaseHeader::*at) {
            std::vector<SectionReader> readers;
            for (std::size_t run = 0; run < files.size(); ++run) readers.emplace_back(files[run], headers[run].*at);
            return readers;
        };
        auto const each_line_size = [&](auto const& visit) { // visit(run, size)
            auto offsets = sections(&detail::DatabaseHeader::text_offsets_at);
            std::vector<std::uint64_t> last;
            for (auto& reader : offsets) last.push_back(reader.value<std::uint64_t>());
            for (auto const& group : groups)
                for (std::uint32_t i = 0; i < group.count; ++i) {
                    auto const end = offsets[group.run].value<std::uint64_t>();
                    visit(group.run, end - std::exchange(last[group.run], end));
                }
        };
        content.lengths = [&](auto const& take) {
            for (auto const& group : groups)
                for (std::uint32_t i = 0; i < group.count; ++i) take(group.length);
        };
        content.line_sizes = [&](auto const& take) {
            each_line_size([&](std::uint32_t, std::uint64_t size) { take(size); });
        };
        content.codes = [&](auto const& take) {
            auto codes = sections(&detail::DatabaseHeader::residues_at);
            Progress progress{"writing sequences", content.sequences, "sequences", options_.quiet};
            for (auto const& group : groups)
                codes[group.run].copy(group.count * group.length, take), progress.advance(group.count);
        };
        content.lines = [&](auto const& take) {
            auto lines = sections(&detail::DatabaseHeader::text_at);
            each_line_size([&](std::uint32_t run, std::uint64_t size) { lines[run].copy(size, take); });
        };
        auto summary = detail::write_database(output_, content);
        summary.resumed_runs = resumed_;
        folder_->remove_runs({});
        return summary;
    }

    std::filesystem::path input_;
    std::string name_;
    std::filesystem::path output_;
    BuildOptions options_;
    Progress progress_;
    std::optional<RunFolder> folder_;
    std::map<std::size_t, std::string> runs_; ///< names by number
    std::atomic<std::size_t> resumed_ = 0;
};

} // namespace

BuildSummary build_database(std::filesystem::path const& input, std::filesystem::path const& output,
                            BuildOptions const& options) {
    return Build{input, output, options}.run();
}

} // namespace tape
