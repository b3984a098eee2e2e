#include "learn/safetensors.hpp"

#include "data/error.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <ostream>
#include <utility>

namespace tape {
namespace {

struct TypeRow {
    TensorType type;
    std::string_view name;
    std::size_t bytes;
};
constexpr std::array<TypeRow, 7> types{{{TensorType::f64, "F64", 8},
                                        {TensorType::f32, "F32", 4},
                                        {TensorType::f16, "F16", 2},
                                        {TensorType::bf16, "BF16", 2},
                                        {TensorType::i64, "I64", 8},
                                        {TensorType::i32, "I32", 4},
                                        {TensorType::u8, "U8", 1}}};

constexpr std::size_t length_bytes = 8;
constexpr std::size_t largest_rank = 8;

/// A tensor as the header describes it.
struct Entry {
    std::optional<TensorType> type;
    std::optional<std::vector<std::int64_t>> shape;
    std::vector<std::uint64_t> offsets;
};

/// Reads the header as a stream of events, so that a hostile one can neither nest deeply nor make a tree larger than
/// itself.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
  public:
    std::map<std::string, Entry> entries;
    std::map<std::string, std::string> metadata;
    std::string problem;

    bool start_object(std::size_t) override {
        ++depth_;
        return depth_ <= 2 && !in_array_ ? true : fail("is nested deeper than a tensor's description");
    }
    bool end_object() override {
        --depth_;
        return true;
    }
    bool key(std::string& name) override {
        if (depth_ == 1) return open_entry(name);
        field_ = name;
        if (in_metadata_) return true;
        if (name != "dtype" && name != "shape" && name != "data_offsets")
            return fail("describes tensor '" + tensor_ + "' with an unknown field '" + name + "'");
        return fields_.insert_or_assign(name, true).second ||
               fail("repeats '" + name + "' of tensor '" + tensor_ + "'");
    }
    bool string(std::string& text) override {
        if (depth_ == 2 && in_metadata_)
            return metadata.emplace(field_, text).second || fail("repeats metadata '" + field_ + "'");
        if (depth_ != 2 || in_array_ || field_ != "dtype") return misplaced();
        auto const row = std::ranges::find(types, text, &TypeRow::name);
        if (row == types.end())
            return fail("gives tensor '" + tensor_ + "' the type '" + text + "', which is not supported");
        entries[tensor_].type = row->type;
        return true;
    }
    bool start_array(std::size_t) override {
        if (depth_ != 2 || in_array_ || in_metadata_ || (field_ != "shape" && field_ != "data_offsets"))
            return misplaced();
        in_array_ = true;
        if (field_ == "shape") entries[tensor_].shape.emplace();
        return true;
    }
    bool end_array() override {
        in_array_ = false;
        return true;
    }
    bool number_unsigned(std::uint64_t value) override {
        if (!in_array_) return misplaced();
        Entry& entry = entries[tensor_];
        if (field_ == "data_offsets") {
            entry.offsets.push_back(value);
            return entry.offsets.size() <= 2 || fail("gives tensor '" + tensor_ + "' more than two offsets");
        }
        if (value > static_cast<std::uint64_t>(INT64_MAX) || entry.shape->size() == largest_rank)
            return fail("gives tensor '" + tensor_ + "' an impossible shape");
        entry.shape->push_back(static_cast<std::int64_t>(value));
        return true;
    }
    bool number_integer(std::int64_t) override { return misplaced(); }
    bool number_float(double, std::string const&) override { return misplaced(); }
    bool boolean(bool) override { return misplaced(); }
    bool null() override { return misplaced(); }
    bool binary(nlohmann::json::binary_t&) override { return misplaced(); }
    bool parse_error(std::size_t position, std::string const&, nlohmann::detail::exception const&) override {
        return fail("is no valid JSON at byte " + std::to_string(position));
    }

  private:
    bool open_entry(std::string const& name) {
        tensor_ = name;
        fields_.clear();
        in_metadata_ = name == "__metadata__";
        bool const fresh = in_metadata_ ? !std::exchange(seen_metadata_, true) : entries.emplace(name, Entry{}).second;
        return fresh || fail("names '" + name + "' twice");
    }
    bool misplaced() { return fail("has an unexpected value in '" + tensor_ + "'"); }
    bool fail(std::string const& what) {
        problem = what;
        return false;
    }

    int depth_ = 0;
    bool in_array_ = false, in_metadata_ = false, seen_metadata_ = false;
    std::string tensor_, field_;
    std::map<std::string, bool> fields_;
};

[[noreturn]] void refuse(std::filesystem::path const& file, std::string const& what) {
    throw data_error{file.string() + ": not a usable safetensors file: " + what};
}

std::uint64_t read_length(std::string_view bytes) {
    std::uint64_t length = 0;
    for (std::size_t i = length_bytes; i-- > 0;) length = length << 8 | static_cast<unsigned char>(bytes[i]);
    return length;
}

/// Bytes that the shape and type need. Empty if the product does not fit.
std::optional<std::uint64_t> needed_bytes(std::vector<std::int64_t> const& shape, TensorType type) {
    std::uint64_t count = bytes_per_element(type);
    bool zero = false;
    for (auto const extent : shape) {
        if (extent == 0)
            zero = true;
        else if (__builtin_mul_overflow(count, static_cast<std::uint64_t>(extent), &count))
            return std::nullopt;
    }
    return zero ? 0 : count;
}

TensorView view_of(std::filesystem::path const& file, std::string const& name, Entry const& entry,
                   std::string_view data) {
    if (!entry.type || !entry.shape || entry.offsets.size() != 2)
        refuse(file, "tensor '" + name + "' lacks its dtype, shape or data_offsets");
    auto const [begin, end] = std::pair{entry.offsets[0], entry.offsets[1]};
    if (begin > end || end > data.size())
        refuse(file, "tensor '" + name + "' spans bytes " + std::to_string(begin) + " to " + std::to_string(end) +
                         " of " + std::to_string(data.size()) + " (is the file truncated?)");
    auto const needed = needed_bytes(*entry.shape, *entry.type);
    if (!needed || *needed != end - begin)
        refuse(file, "tensor '" + name + "' has " + std::to_string(end - begin) +
                         " bytes, which does not match its shape and type");
    auto const span = std::as_bytes(std::span{data.data() + begin, end - begin});
    return {*entry.type, *entry.shape, span};
}

/// Tensors must tile the data exactly: the format forbids overlaps, gaps and a tail.
void check_tiling(std::filesystem::path const& file, std::map<std::string, Entry> const& entries, std::uint64_t size) {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> spans;
    for (auto const& [name, entry] : entries) spans.emplace_back(entry.offsets[0], entry.offsets[1]);
    std::ranges::sort(spans);
    std::uint64_t position = 0;
    for (auto const& [begin, end] : spans) {
        if (begin != position)
            refuse(file, (begin < position ? "tensors overlap at byte " : "no tensor owns the bytes before byte ") +
                             std::to_string(begin));
        position = end;
    }
    if (position != size) refuse(file, std::to_string(size - position) + " bytes after the last tensor belong to none");
}

} // namespace

std::size_t bytes_per_element(TensorType type) noexcept {
    return std::ranges::find(types, type, &TypeRow::type)->bytes;
}
std::string_view name_of(TensorType type) noexcept { return std::ranges::find(types, type, &TypeRow::type)->name; }

SafetensorsFile::SafetensorsFile(std::filesystem::path const& file) : path_{file}, map_{file} {
    std::string_view const bytes = map_.bytes();
    if (bytes.size() < length_bytes) refuse(file, "it has only " + std::to_string(bytes.size()) + " bytes");
    std::uint64_t const length = read_length(bytes);
    if (length > bytes.size() - length_bytes)
        refuse(file, "the header claims " + std::to_string(length) + " bytes of a file of " +
                         std::to_string(bytes.size()) + " (is the file truncated?)");
    std::string_view const header = bytes.substr(length_bytes, length);
    if (header.empty() || header.front() != '{') refuse(file, "the header does not start with '{'");

    HeaderReader reader;
    bool const read = nlohmann::json::sax_parse(header.begin(), header.end(), &reader);
    if (!read) refuse(file, "the header " + reader.problem);
    std::string_view const data = bytes.substr(length_bytes + length);
    for (auto const& [name, entry] : reader.entries) tensors_.emplace(name, view_of(file, name, entry, data));
    check_tiling(file, reader.entries, data.size());
    metadata_ = std::move(reader.metadata);
}

void write_safetensors(std::filesystem::path const& file, std::map<std::string, TensorView> const& tensors,
                       std::map<std::string, std::string> const& metadata) {
    auto header = nlohmann::ordered_json::object();
    if (!metadata.empty()) header["__metadata__"] = metadata;
    std::uint64_t position = 0;
    // Widest types first keeps every tensor aligned to its own element without gaps, which the format forbids.
    std::vector<std::pair<std::string const*, TensorView const*>> order;
    for (auto const& [name, view] : tensors) order.emplace_back(&name, &view);
    std::ranges::stable_sort(order, [](auto const& a, auto const& b) {
        return bytes_per_element(a.second->type) > bytes_per_element(b.second->type);
    });
    for (auto const& [name, view] : order) {
        if (needed_bytes(view->shape, view->type) != view->bytes.size())
            throw error{file.string() + ": tensor '" + *name + "' has a shape that does not match its bytes"};
        header[*name] = {{"dtype", name_of(view->type)},
                         {"shape", view->shape},
                         {"data_offsets", {position, position + view->bytes.size()}}};
        position += view->bytes.size();
    }
    std::string text = header.dump();
    text.append((8 - text.size() % 8) % 8, ' ');
    write_atomically(file, [&](std::ostream& out) {
        std::uint64_t const length = text.size();
        for (std::size_t i = 0; i < length_bytes; ++i) out.put(static_cast<char>(length >> (8 * i) & 0xff));
        out.write(text.data(), static_cast<std::streamsize>(text.size()));
        for (auto const& [name, view] : order)
            out.write(reinterpret_cast<char const*>(view->bytes.data()),
                      static_cast<std::streamsize>(view->bytes.size()));
    });
}

} // namespace tape
