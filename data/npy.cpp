#include "data/npy.hpp"

#include "data/error.hpp"
#include "data/io.hpp"
#include "data/text.hpp"
#include "data/zip.hpp"

#include <bit>
#include <cctype>
#include <cstring>
#include <limits>
#include <optional>
#include <ostream>

static_assert(std::endian::native == std::endian::little, "arrays are read and written as the machine stores them");

namespace tape {
namespace {

template <typename T> constexpr Array::Type type_of();
template <> constexpr Array::Type type_of<float>() { return Array::Type::float32; }
template <> constexpr Array::Type type_of<double>() { return Array::Type::float64; }
template <> constexpr Array::Type type_of<std::int32_t>() { return Array::Type::int32; }
template <> constexpr Array::Type type_of<std::int64_t>() { return Array::Type::int64; }
template <> constexpr Array::Type type_of<std::uint8_t>() { return Array::Type::uint8; }

std::size_t width_of(Array::Type type) {
    switch (type) {
    case Array::Type::float32:
    case Array::Type::int32:
        return 4;
    case Array::Type::float64:
    case Array::Type::int64:
        return 8;
    case Array::Type::uint8:
        return 1;
    }
    throw error{"array of unknown type"};
}

char const* descr_of(Array::Type type) {
    switch (type) {
    case Array::Type::float32:
        return "<f4";
    case Array::Type::float64:
        return "<f8";
    case Array::Type::int32:
        return "<i4";
    case Array::Type::int64:
        return "<i8";
    case Array::Type::uint8:
        return "|u1";
    }
    throw error{"array of unknown type"};
}

/// IEEE 754 binary16 -> binary32, exact.
float widen_half(std::uint16_t half) {
    std::uint32_t const sign = std::uint32_t{half & 0x8000u} << 16;
    std::uint32_t const exponent = half >> 10 & 31, fraction = half & 1023;
    if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
    if (exponent > 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
    float const subnormal = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -subnormal : subnormal;
}

template <typename From, typename To, typename Convert>
std::vector<std::byte> converted(std::string_view bytes, Convert convert) {
    std::size_t const count = bytes.size() / sizeof(From);
    std::vector<std::byte> out(count * sizeof(To));
    for (std::size_t i = 0; i < count; ++i) {
        From value;
        std::memcpy(&value, bytes.data() + i * sizeof(From), sizeof(From));
        To const wide = convert(value);
        std::memcpy(out.data() + i * sizeof(To), &wide, sizeof(To));
    }
    return out;
}

template <typename From, typename To> std::vector<std::byte> widened(std::string_view bytes) {
    return converted<From, To>(bytes, [](From value) { return static_cast<To>(value); });
}

std::vector<std::byte> plain(std::string_view bytes) {
    auto const* const begin = reinterpret_cast<std::byte const*>(bytes.data());
    return {begin, begin + bytes.size()};
}

/// What a NumPy type becomes here. `read` turns its bytes into ours.
struct Conversion {
    std::string_view descr;
    std::size_t width;
    Array::Type type;
    std::vector<std::byte> (*read)(std::string_view);
};

std::vector<std::byte> read_half(std::string_view bytes) { return converted<std::uint16_t, float>(bytes, widen_half); }
std::vector<std::byte> read_large(std::string_view bytes) {
    return converted<std::uint64_t, std::int64_t>(bytes, [](std::uint64_t value) {
        if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
            throw data_error{"unsigned value " + std::to_string(value) + " does not fit 64 signed bits"};
        return static_cast<std::int64_t>(value);
    });
}

constexpr Conversion conversions[] = {
    {"<f4", 4, Array::Type::float32, plain},
    {"<f8", 8, Array::Type::float64, plain},
    {"<f2", 2, Array::Type::float32, read_half},
    {"<i4", 4, Array::Type::int32, plain},
    {"<i8", 8, Array::Type::int64, plain},
    {"<i2", 2, Array::Type::int32, widened<std::int16_t, std::int32_t>},
    {"|i1", 1, Array::Type::int32, widened<std::int8_t, std::int32_t>},
    {"|u1", 1, Array::Type::uint8, plain},
    {"|b1", 1, Array::Type::uint8, plain},
    {"<u2", 2, Array::Type::int32, widened<std::uint16_t, std::int32_t>},
    {"<u4", 4, Array::Type::int64, widened<std::uint32_t, std::int64_t>},
    {"<u8", 8, Array::Type::int64, read_large},
};

Conversion const& conversion_of(std::string const& descr, std::string const& where) {
    for (Conversion const& conversion : conversions)
        if (conversion.descr == descr) return conversion;
    std::string const problem = where + ": array of type " + shown(descr) + " ";
    if (descr.starts_with('>')) throw data_error{problem + "is big endian; save it as little endian ('<')"};
    if (descr.find('O') != std::string::npos)
        throw data_error{problem + "holds Python objects, which are never executed here; save plain numbers"};
    throw data_error{problem + "cannot be read; expected one of f2, f4, f8, i1-i8, u1-u8, b1"};
}

/// Fortran order -> C order: element (i0, i1, ...) lies at sum i_k * (n_0 ... n_{k-1}).
std::string transposed(std::string_view bytes, std::vector<std::size_t> const& shape, std::size_t width) {
    std::string out(bytes.size(), '\0');
    std::vector<std::size_t> index(shape.size(), 0), stride(shape.size(), 1);
    for (std::size_t k = 1; k < shape.size(); ++k) stride[k] = stride[k - 1] * shape[k - 1];
    std::size_t source = 0;
    for (std::size_t target = 0; target < bytes.size() / width; ++target) {
        std::memcpy(out.data() + target * width, bytes.data() + source * width, width);
        for (std::size_t k = shape.size(); k-- > 0;) {
            source += stride[k];
            if (++index[k] < shape[k]) break;
            source -= stride[k] * shape[k];
            index[k] = 0;
        }
    }
    return out;
}

std::optional<std::size_t> product(std::vector<std::size_t> const& shape, std::size_t width) {
    std::size_t total = width;
    for (std::size_t const extent : shape)
        if (__builtin_mul_overflow(total, extent, &total)) return std::nullopt;
    return total;
}

/// The header's Python dictionary: exactly the three keys of NEP 1, a literal each.
class HeaderParser {
  public:
    HeaderParser(std::string_view text, std::string const& where) : text_{text}, where_{where} {}

    std::string descr;
    bool fortran_order = false;
    std::vector<std::size_t> shape;

    void parse() {
        expect('{');
        int seen = 0;
        while (!accept('}')) {
            std::string const key = string();
            expect(':');
            if (key == "descr")
                descr = peek() == '\'' || peek() == '"' ? string() : fail(), seen |= 1;
            else if (key == "fortran_order")
                fortran_order = boolean(), seen |= 2;
            else if (key == "shape")
                shape = tuple(), seen |= 4;
            else
                fail();
            if (!accept(',') && peek() != '}') fail();
        }
        if (seen != 7) fail();
    }

  private:
    std::string fail() const {
        throw data_error{where_ + ": malformed .npy header " +
                         shown(text_.substr(0, text_.find_last_not_of(" \n") + 1), 120) + " at byte " +
                         std::to_string(at_) + "; expected descr, fortran_order and shape"};
    }
    char peek() {
        while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
        return at_ < text_.size() ? text_[at_] : '\0';
    }
    bool accept(char letter) { return peek() == letter ? (++at_, true) : false; }
    void expect(char letter) {
        if (!accept(letter)) fail();
    }
    std::string string() {
        char const quote = peek();
        if (quote != '\'' && quote != '"') fail();
        std::size_t const end = text_.find(quote, at_ + 1);
        if (end == std::string_view::npos) fail();
        std::string const value{text_.substr(at_ + 1, end - at_ - 1)};
        at_ = end + 1;
        return value;
    }
    bool boolean() {
        static_cast<void>(peek());
        for (bool const value : {true, false}) {
            std::string_view const word = value ? "True" : "False";
            if (!text_.substr(at_).starts_with(word)) continue;
            at_ += word.size();
            return value;
        }
        fail();
        return false;
    }
    std::vector<std::size_t> tuple() {
        std::vector<std::size_t> extents;
        expect('(');
        while (!accept(')')) {
            if (std::isdigit(static_cast<unsigned char>(peek())) == 0 || extents.size() == 32) fail();
            std::size_t value = 0;
            for (; at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_])); ++at_)
                if (__builtin_mul_overflow(value, std::size_t{10}, &value) ||
                    __builtin_add_overflow(value, static_cast<std::size_t>(text_[at_] - '0'), &value))
                    fail();
            extents.push_back(value);
            if (!accept(',') && peek() != ')') fail();
        }
        return extents;
    }

    std::string_view text_;
    std::string const& where_;
    std::size_t at_ = 0;
};

/// Magic, version 1.0 and the padded dictionary, as numpy.save writes them.
std::string npy_header(Array const& array) {
    std::string shape;
    for (std::size_t const extent : array.shape)
        shape += std::to_string(extent) + (array.shape.size() == 1 ? "," : ", ");
    if (array.shape.size() > 1) shape.resize(shape.size() - 2);
    std::string text =
        std::string{"{'descr': '"} + descr_of(array.type) + "', 'fortran_order': False, 'shape': (" + shape + "), }";
    text.append(63 - (text.size() + 10) % 64, ' '); // the data start at a multiple of 64 bytes
    text += '\n';
    return std::string{"\x93NUMPY\x01\x00", 8} + static_cast<char>(text.size() & 255) +
           static_cast<char>(text.size() >> 8) + text;
}

std::string_view body_of(Array const& array) {
    if (array.bytes.size() != product(array.shape, width_of(array.type)))
        throw error{"array holds " + std::to_string(array.bytes.size()) + " bytes, which its shape does not ask for"};
    return {reinterpret_cast<char const*>(array.bytes.data()), array.bytes.size()};
}

} // namespace

std::size_t Array::size() const { return bytes.size() / width_of(type); }

template <typename T> std::span<T const> Array::as() const {
    if (type != type_of<T>())
        throw error{std::string{"array of type "} + descr_of(type) + " asked for as " + descr_of(type_of<T>())};
    return {reinterpret_cast<T const*>(bytes.data()), bytes.size() / sizeof(T)};
}

template <typename T> Array Array::from(std::span<T const> values, std::vector<std::size_t> shape) {
    Array array;
    array.type = type_of<T>();
    array.shape = std::move(shape);
    auto const raw = std::as_bytes(values);
    array.bytes.assign(raw.begin(), raw.end());
    static_cast<void>(body_of(array));
    return array;
}

template std::span<float const> Array::as<float>() const;
template std::span<double const> Array::as<double>() const;
template std::span<std::int32_t const> Array::as<std::int32_t>() const;
template std::span<std::int64_t const> Array::as<std::int64_t>() const;
template std::span<std::uint8_t const> Array::as<std::uint8_t>() const;
template Array Array::from<float>(std::span<float const>, std::vector<std::size_t>);
template Array Array::from<double>(std::span<double const>, std::vector<std::size_t>);
template Array Array::from<std::int32_t>(std::span<std::int32_t const>, std::vector<std::size_t>);
template Array Array::from<std::int64_t>(std::span<std::int64_t const>, std::vector<std::size_t>);
template Array Array::from<std::uint8_t>(std::span<std::uint8_t const>, std::vector<std::size_t>);

Array array_from_raw(std::string const& descr, std::vector<std::size_t> shape, bool fortran_order,
                     std::string_view bytes, std::string const& where) {
    Conversion const& conversion = conversion_of(descr, where);
    auto const wanted = product(shape, conversion.width);
    if (!wanted || *wanted != bytes.size())
        throw data_error{where + ": array claims " + (wanted ? std::to_string(*wanted) : "more than 2^64") +
                         " bytes of values but holds " + std::to_string(bytes.size()) +
                         "; the file is damaged or truncated"};
    Array array;
    array.type = conversion.type;
    if (fortran_order && shape.size() > 1)
        array.bytes = conversion.read(transposed(bytes, shape, conversion.width));
    else
        array.bytes = conversion.read(bytes);
    array.shape = std::move(shape);
    return array;
}

Array parse_npy(std::string_view bytes, std::string const& where) {
    if (!bytes.starts_with("\x93NUMPY"))
        throw data_error{where + ": no .npy file (it does not start with '\\x93NUMPY')"};
    if (bytes.size() < 12) throw data_error{where + ": truncated .npy header"};
    int const version = static_cast<unsigned char>(bytes[6]);
    if (version < 1 || version > 3)
        throw data_error{where + ": .npy version " + std::to_string(version) + "; expected 1 to 3"};
    std::size_t length = 0;
    int const digits = version == 1 ? 2 : 4;
    for (int i = digits - 1; i >= 0; --i) length = length << 8 | static_cast<unsigned char>(bytes[8 + i]);
    std::size_t const begin = 8 + digits;
    if (bytes.size() - begin < length) throw data_error{where + ": truncated .npy header"};
    HeaderParser header{bytes.substr(begin, length), where};
    header.parse();
    return array_from_raw(header.descr, std::move(header.shape), header.fortran_order, bytes.substr(begin + length),
                          where);
}

std::vector<double> to_doubles(Array const& array) {
    auto const copy = [](auto const span) { return std::vector<double>(span.begin(), span.end()); };
    switch (array.type) {
    case Array::Type::float32:
        return copy(array.as<float>());
    case Array::Type::float64:
        return copy(array.as<double>());
    case Array::Type::int32:
        return copy(array.as<std::int32_t>());
    case Array::Type::int64:
        return copy(array.as<std::int64_t>());
    case Array::Type::uint8:
        return copy(array.as<std::uint8_t>());
    }
    return {};
}

Array read_npy(std::filesystem::path const& file) { return parse_npy(MappedFile{file}.bytes(), file.string()); }

std::map<std::string, Array> read_npz(std::filesystem::path const& file) {
    ZipReader const archive{file};
    std::map<std::string, Array> arrays;
    for (ZipReader::Member const& member : archive.members()) {
        std::string name = member.name;
        if (name.ends_with(".npy")) name.resize(name.size() - 4);
        Array array = parse_npy(archive.read(member), file.string() + ", array " + shown(name));
        if (!arrays.emplace(name, std::move(array)).second)
            throw data_error{file.string() + ": array " + shown(name) + " stands twice in the archive"};
    }
    return arrays;
}

void write_npy(std::filesystem::path const& file, Array const& array) {
    write_atomically(file, [&array](std::ostream& out) { out << npy_header(array) << body_of(array); });
}

struct NpzWriter::State {
    explicit State(std::filesystem::path const& path) : file{path}, zip{file.stream()} {}
    AtomicFile file;
    ZipWriter zip;
};

NpzWriter::NpzWriter(std::filesystem::path file) : state_{std::make_unique<State>(file)} {}
NpzWriter::~NpzWriter() = default;

void NpzWriter::add(std::string const& name, Array const& array) {
    state_->zip.add(name + ".npy", npy_header(array), body_of(array));
}

void NpzWriter::close() {
    state_->zip.finish();
    state_->file.commit();
}

} // namespace tape
