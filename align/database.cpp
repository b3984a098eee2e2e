#include "align/database.hpp"

#include "align/database_format.hpp"
#include "data/error.hpp"
#include "data/io.hpp"
#include "data/text.hpp"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <limits>
#include <numeric>
#include <ostream>
#include <vector>

namespace tape {
namespace {

using detail::database_layout;
using detail::DatabaseHeader;

static_assert(std::endian::native == std::endian::little, "the file layout is little-endian");

constexpr std::uint32_t format_version = 1;
constexpr std::uint32_t byte_order_mark = 0x01020304;
constexpr std::uint64_t section_alignment = 64;
constexpr std::uint64_t trailer_bytes = sizeof(XXH128_canonical_t);

std::uint64_t checksum_of(DatabaseHeader const& header) {
    return XXH3_64bits(&header, offsetof(DatabaseHeader, checksum));
}

std::uint64_t aligned(std::uint64_t position) {
    return (position + section_alignment - 1) / section_alignment * section_alignment;
}

std::string hexadecimal(XXH128_canonical_t const& hash) {
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (unsigned char const byte : hash.digest) (text += digits[byte >> 4]) += digits[byte & 15];
    return text;
}

DatabaseHeader read_header(std::string_view bytes, std::string const& name) {
    auto const refuse = [&](std::string const& what) -> data_error { return data_error{name + ": " + what}; };
    if (bytes.size() < sizeof(DatabaseHeader) + trailer_bytes || !bytes.starts_with(database_magic)) {
        if (bytes.starts_with(database_magic))
            throw refuse("truncated database: " + std::to_string(bytes.size()) + " bytes; build it again");
        throw refuse("not a tape database (it starts with " + shown(bytes.substr(0, database_magic.size())) +
                     "); make one with `tape-db build`");
    }
    DatabaseHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.version != format_version)
        throw refuse("database format version " + std::to_string(header.version) + ", this program reads version " +
                     std::to_string(format_version) + "; build it again");
    if (header.byte_order != byte_order_mark)
        throw refuse("database of a machine with another byte order; build it again");
    if (header.checksum != checksum_of(header))
        throw refuse("altered header: its checksum differs; build the database again");
    constexpr auto most = std::numeric_limits<std::uint32_t>::max();
    DatabaseHeader const expected = header.sequences < most && header.residues < (std::uint64_t{1} << 56) &&
                                            header.text_bytes < (std::uint64_t{1} << 56)
                                        ? database_layout(header.sequences, header.residues, header.text_bytes)
                                        : DatabaseHeader{};
    if (std::memcmp(&expected, &header, sizeof header) != 0)
        throw refuse("inconsistent header; build the database again");
    if (header.file_bytes != bytes.size())
        throw refuse("truncated or extended database: " + std::to_string(bytes.size()) +
                     " bytes where its header says " + std::to_string(header.file_bytes) + "; build it again");
    return header;
}

std::span<std::uint64_t const> offsets_at(std::string_view bytes, std::uint64_t position, std::uint64_t count) {
    return {reinterpret_cast<std::uint64_t const*>(bytes.data() + position), count};
}

void check_offsets(std::span<std::uint64_t const> offsets, std::uint64_t total, std::string const& name,
                   char const* what) {
    if (offsets.front() != 0 || offsets.back() != total || !std::is_sorted(offsets.begin(), offsets.end()))
        throw data_error{name + ": altered " + what + " offsets; build the database again"};
}

/// Writes and hashes at once.
class HashingWriter {
  public:
    explicit HashingWriter(std::ostream& out) : out_{out} { XXH3_128bits_reset(state_.get()); }

    void write(void const* data, std::size_t bytes) {
        out_.write(static_cast<char const*>(data), static_cast<std::streamsize>(bytes));
        XXH3_128bits_update(state_.get(), data, bytes);
        position_ += bytes;
    }
    void pad() {
        static constexpr std::array<char, section_alignment> zeros{};
        write(zeros.data(), aligned(position_) - position_);
    }
    void write_trailer() {
        XXH128_canonical_t canonical;
        XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state_.get()));
        out_.write(reinterpret_cast<char const*>(canonical.digest), sizeof canonical.digest);
    }

  private:
    struct Free {
        void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
    };
    std::ostream& out_;
    std::unique_ptr<XXH3_state_t, Free> state_{XXH3_createState()};
    std::uint64_t position_ = 0;
};

} // namespace

detail::DatabaseHeader detail::database_layout(std::uint64_t sequences, std::uint64_t residues,
                                               std::uint64_t text_bytes) {
    DatabaseHeader header{};
    std::copy(database_magic.begin(), database_magic.end(), header.magic.begin());
    header.version = format_version;
    header.byte_order = byte_order_mark;
    header.sequences = sequences, header.residues = residues, header.text_bytes = text_bytes;
    header.residue_offsets_at = sizeof(DatabaseHeader);
    header.text_offsets_at = aligned(header.residue_offsets_at + (sequences + 1) * sizeof(std::uint64_t));
    header.residues_at = aligned(header.text_offsets_at + (sequences + 1) * sizeof(std::uint64_t));
    header.text_at = aligned(header.residues_at + residues);
    header.file_bytes = aligned(header.text_at + text_bytes) + trailer_bytes;
    header.checksum = checksum_of(header);
    return header;
}

BuildSummary detail::write_database(std::filesystem::path const& output, DatabaseContent const& content) {
    if (content.sequences == 0) throw data_error{output.string() + ": no sequences to write"};
    if (content.sequences >= std::numeric_limits<std::uint32_t>::max())
        throw data_error{output.string() + ": more than 4,294,967,294 sequences; split the database"};
    auto const header = database_layout(content.sequences, content.residues, content.text_bytes);
    write_atomically(output, [&](std::ostream& stream) {
        HashingWriter out{stream};
        out.write(&header, sizeof header);
        auto const write_offsets = [&out](auto const& sizes) {
            std::uint64_t offset = 0;
            out.write(&offset, sizeof offset);
            sizes([&](std::uint64_t size) { offset += size, out.write(&offset, sizeof offset); });
            out.pad();
        };
        auto const write_bytes = [&out](auto const& pieces) {
            pieces([&](std::string_view piece) { out.write(piece.data(), piece.size()); });
            out.pad();
        };
        write_offsets(content.lengths), write_offsets(content.line_sizes);
        write_bytes(content.codes), write_bytes(content.lines);
        out.write_trailer();
    });
    return {content.sequences, header.residues, header.file_bytes};
}

struct Database::State {
    explicit State(std::filesystem::path const& file) : path{file}, map{file} {}

    std::filesystem::path path;
    MappedFile map;
    DatabaseHeader header{};
    std::span<std::uint64_t const> residue_offsets, text_offsets;
    Residue const* residues = nullptr;
    char const* text = nullptr;
    std::string hash;

    [[nodiscard]] std::string_view line(std::size_t index) const {
        return {text + text_offsets[index], text_offsets[index + 1] - text_offsets[index]};
    }
};

Database::Database(std::filesystem::path const& file) : state_{std::make_unique<State>(file)} {
    auto& state = *state_;
    auto const bytes = state.map.bytes();
    auto const name = file.string();
    state.header = read_header(bytes, name);
    auto const count = state.header.sequences + 1;
    state.residue_offsets = offsets_at(bytes, state.header.residue_offsets_at, count);
    state.text_offsets = offsets_at(bytes, state.header.text_offsets_at, count);
    check_offsets(state.residue_offsets, state.header.residues, name, "residue");
    check_offsets(state.text_offsets, state.header.text_bytes, name, "text");
    state.residues = reinterpret_cast<Residue const*>(bytes.data() + state.header.residues_at);
    state.text = bytes.data() + state.header.text_at;
    XXH128_canonical_t canonical;
    std::memcpy(canonical.digest, bytes.data() + bytes.size() - trailer_bytes, sizeof canonical.digest);
    state.hash = hexadecimal(canonical);
}

Database::~Database() = default;
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;

std::size_t Database::size() const noexcept { return state_->header.sequences; }
std::uint64_t Database::residue_count() const noexcept { return state_->header.residues; }
std::uint64_t Database::file_bytes() const noexcept { return state_->header.file_bytes; }
std::string const& Database::content_hash() const noexcept { return state_->hash; }
std::filesystem::path const& Database::path() const noexcept { return state_->path; }

std::span<Residue const> Database::residues(std::size_t index) const noexcept {
    auto const& offsets = state_->residue_offsets;
    return {state_->residues + offsets[index], offsets[index + 1] - offsets[index]};
}

std::string_view Database::id(std::size_t index) const noexcept {
    auto const line = state_->line(index);
    return line.substr(0, line.find(' '));
}

std::string_view Database::description(std::size_t index) const noexcept {
    auto const line = state_->line(index);
    auto const space = line.find(' ');
    return space == std::string_view::npos ? std::string_view{} : line.substr(space + 1);
}

void Database::verify() const {
    auto const bytes = state_->map.bytes();
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size() - trailer_bytes));
    if (auto const found = hexadecimal(canonical); found != state_->hash)
        throw data_error{state_->path.string() + ": altered database: content hash " + found + " where the file says " +
                         state_->hash + "; build it again"};
    auto const residues = std::span{state_->residues, state_->header.residues};
    auto const bad = std::find_if(residues.begin(), residues.end(), [](Residue code) { return code > unknown_code; });
    if (bad != residues.end())
        throw data_error{state_->path.string() + ": residue code " + std::to_string(*bad) + " at residue " +
                         std::to_string(bad - residues.begin()) + ", expected 0 to 21; build the database again"};
}

namespace {

/// Bytes added one after another. Unlike in a vector, what is there never moves: memory grows by a block, not by half
/// of all.
class Blocks {
  public:
    void append(std::string_view bytes) {
        while (!bytes.empty()) {
            if (size_ == blocks_.size() * block_bytes)
                blocks_.push_back(std::make_unique_for_overwrite<char[]>(block_bytes));
            auto const piece = bytes.substr(0, block_bytes - size_ % block_bytes);
            std::memcpy(blocks_.back().get() + size_ % block_bytes, piece.data(), piece.size());
            bytes.remove_prefix(piece.size()), size_ += piece.size();
        }
    }
    void visit(std::uint64_t begin, std::uint64_t end, detail::DatabaseContent::Bytes const& take) const {
        while (begin < end) {
            auto const piece = std::min(end - begin, block_bytes - begin % block_bytes);
            take({blocks_[begin / block_bytes].get() + begin % block_bytes, piece}), begin += piece;
        }
    }
    [[nodiscard]] std::uint64_t size() const { return size_; }

  private:
    static constexpr std::uint64_t block_bytes = 1 << 22;
    std::vector<std::unique_ptr<char[]>> blocks_;
    std::uint64_t size_ = 0;
};

} // namespace

struct DatabaseWriter::State {
    Blocks residues, text;
    std::vector<std::uint64_t> residue_offsets{0}, text_offsets{0};

    [[nodiscard]] std::uint64_t length(std::size_t i) const { return residue_offsets[i + 1] - residue_offsets[i]; }
};

DatabaseWriter::DatabaseWriter() : state_{std::make_unique<State>()} {}
DatabaseWriter::~DatabaseWriter() = default;

void DatabaseWriter::add(std::string_view id, std::string_view description, std::span<Residue const> residues) {
    auto& state = *state_;
    if (residues.empty()) throw data_error{"record " + shown(id) + ": no residues; remove the record"};
    if (state.residue_offsets.size() >= std::numeric_limits<std::uint32_t>::max())
        throw data_error{"record " + shown(id) + ": more than 4,294,967,294 sequences; split the database"};
    std::string codes(residues.size(), '\0');
    std::ranges::transform(residues, codes.begin(), [](Residue code) {
        return static_cast<char>(code < amino_acid_count ? code : unknown_code);
    });
    state.residues.append(codes);
    state.text.append(id);
    if (!description.empty()) state.text.append(" "), state.text.append(description);
    state.residue_offsets.push_back(state.residues.size());
    state.text_offsets.push_back(state.text.size());
}

BuildSummary DatabaseWriter::write(std::filesystem::path const& output) const {
    auto const& state = *state_;
    std::vector<std::uint32_t> order(state.residue_offsets.size() - 1);
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return state.length(a) < state.length(b); });
    auto const sizes = [&order](std::vector<std::uint64_t> const& offsets) {
        return [&order, &offsets](auto const& take) {
            for (auto const i : order) take(offsets[i + 1] - offsets[i]);
        };
    };
    auto const bytes = [&order](Blocks const& blocks, std::vector<std::uint64_t> const& offsets) {
        return [&order, &blocks, &offsets](auto const& take) {
            for (auto const i : order) blocks.visit(offsets[i], offsets[i + 1], take);
        };
    };
    return detail::write_database(output, {.sequences = order.size(),
                                           .residues = state.residues.size(),
                                           .text_bytes = state.text.size(),
                                           .lengths = sizes(state.residue_offsets),
                                           .line_sizes = sizes(state.text_offsets),
                                           .codes = bytes(state.residues, state.residue_offsets),
                                           .lines = bytes(state.text, state.text_offsets)});
}

BuildSummary subset_database(Database const& database, std::function<bool(std::size_t)> const& keep,
                             std::filesystem::path const& output) {
    // A database is sorted by length, and so is what is kept of it: nothing is collected.
    auto const each = [&](auto const& visit) {
        for (std::size_t i = 0; i < database.size(); ++i)
            if (keep(i)) visit(i);
    };
    auto const line_size = [&](std::size_t i) {
        auto const description = database.description(i).size();
        return database.id(i).size() + (description > 0 ? 1 + description : 0);
    };
    detail::DatabaseContent content;
    each([&](std::size_t i) {
        ++content.sequences, content.residues += database.residues(i).size(), content.text_bytes += line_size(i);
    });
    content.lengths = [&](auto const& take) { each([&](std::size_t i) { take(database.residues(i).size()); }); };
    content.line_sizes = [&](auto const& take) { each([&](std::size_t i) { take(line_size(i)); }); };
    content.codes = [&](auto const& take) {
        each([&](std::size_t i) {
            auto const residues = database.residues(i);
            take({reinterpret_cast<char const*>(residues.data()), residues.size()});
        });
    };
    content.lines = [&](auto const& take) {
        each([&](std::size_t i) {
            take(database.id(i));
            if (auto const description = database.description(i); !description.empty()) take(" "), take(description);
        });
    };
    return detail::write_database(output, content);
}

} // namespace tape
