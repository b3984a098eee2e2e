#include "data/error.hpp"
#include "data/npy.hpp"
#include "data/pickle.hpp"
#include "data/tape_formats.hpp"
#include "data/text.hpp"

#include <array>
#include <optional>

namespace tape {
namespace {

using namespace pickle;

/// What NumPy's own pickles mention, before version 2 and since.
constexpr std::array<std::string_view, 9> numpy_names{"numpy.core.multiarray._reconstruct",
                                                      "numpy._core.multiarray._reconstruct",
                                                      "numpy.core.multiarray.scalar",
                                                      "numpy._core.multiarray.scalar",
                                                      "numpy.core.numeric._frombuffer",
                                                      "numpy._core.numeric._frombuffer",
                                                      "numpy.ndarray",
                                                      "numpy.dtype",
                                                      "_codecs.encode"};
constexpr Dialect dialect{.names = numpy_names, .readable = "plain values and NumPy arrays"};

/// Reads text and numbers out of a pickle, NumPy's arrays and scalars included.
class Reader {
  public:
    Reader(std::size_t size, std::string const& where) : size_{size}, where_{where} {}

    /// Text, bytes or a NumPy string, else nothing.
    std::optional<std::string> text(Node const& node) {
        if (auto const* const plain = text_of(node)) return *plain;
        auto const* const call = node.as<Call>();
        if (call && call->of("_codecs.encode")) return raw(node);
        if (!is_scalar(call)) return std::nullopt;
        std::string const descr = descr_of(argument(*call, 0));
        std::size_t const kind = descr.find_first_of("US");
        if (kind == std::string::npos) return std::nullopt;
        std::string const bytes = raw(argument(*call, 1));
        std::string letters;
        std::size_t const width = descr[kind] == 'U' ? 4 : 1; // UCS-4, or bytes
        for (std::size_t i = 0; i + width <= bytes.size() && bytes[i] != '\0'; i += width) letters += bytes[i];
        return letters;
    }

    /// False for anything but numbers, and for more of them than the pickle has bytes (a list may hold one list many
    /// times over).
    bool append_numbers(Node const& node, std::vector<double>& out, int depth = 0) {
        if (out.size() > size_) return false;
        if (auto const* const truth = node.as<bool>()) return out.push_back(*truth), true;
        if (auto const* const whole = node.as<long long>()) return out.push_back(static_cast<double>(*whole)), true;
        if (auto const* const real = node.as<double>()) return out.push_back(*real), true;
        if (auto const* const call = node.as<Call>()) {
            auto const numbers = values(*call);
            return out.insert(out.end(), numbers.begin(), numbers.end()), true;
        }
        auto const* const list = node.as<List>();
        auto const* const tuple = node.as<Tuple>();
        if ((list == nullptr && tuple == nullptr) || depth > 2) return false;
        for (Node const* const item : list ? list->items : tuple->items)
            if (!append_numbers(*item, out, depth + 1)) return false;
        return true;
    }

  private:
    [[noreturn]] void fail(std::string const& what) const { throw data_error{where_ + ": pickle refused: " + what}; }
    template <typename Value> Value const& expect(Node const& node, char const* what) const {
        if (auto const* const value = node.as<Value>()) return *value;
        fail(std::string{"expected "} + what);
    }
    [[nodiscard]] Node const& argument(Call const& call, std::size_t i) const {
        if (i >= call.arguments->items.size()) fail("too few arguments of " + call.callee->value);
        return *call.arguments->items[i];
    }
    static bool is_scalar(Call const* call) { return call && call->callee->value.ends_with(".scalar"); }

    std::vector<double> values(Call const& call) {
        if (is_scalar(&call)) return array(descr_of(argument(call, 0)), {}, false, raw(argument(call, 1)));
        if (call.callee->value.ends_with("._frombuffer"))
            return array(descr_of(argument(call, 1)), shape(argument(call, 2)),
                         expect<Text>(argument(call, 3), "an order").value == "F", raw(argument(call, 0)));
        if (!call.callee->value.ends_with("._reconstruct")) fail(call.callee->value + " is neither text nor numbers");
        if (call.state == nullptr) return {};
        auto const& state = expect<Tuple>(*call.state, "a tuple of state").items;
        if (state.size() != 5) fail("state of an array has " + std::to_string(state.size()) + " parts; expected 5");
        return array(descr_of(*state[2]), shape(*state[1]), expect<bool>(*state[3], "a truth value"), raw(*state[4]));
    }

    /// "f4", or "<f4" where the type's state gives the byte order.
    std::string descr_of(Node const& node) const {
        auto const& call = expect<Call>(node, "a type");
        if (!call.of("numpy.dtype")) fail("expected a type, found " + call.callee->value);
        std::string const& name = expect<Text>(argument(call, 0), "a type name").value;
        if (call.state == nullptr) return name;
        auto const& state = expect<Tuple>(*call.state, "a tuple of state").items;
        if (state.size() < 2) fail("state of a type too short");
        std::string const& order = expect<Text>(*state[1], "a byte order").value;
        return order == "<" || order == ">" || order == "|" ? order + name : name;
    }

    std::string raw(Node const& node) {
        if (auto const* const call = node.as<Call>(); call && call->of("_codecs.encode"))
            return latin1(expect<Text>(argument(*call, 0), "text").value);
        return expect<Bytes>(node, "bytes").value;
    }

    std::vector<std::size_t> shape(Node const& node) const {
        std::vector<std::size_t> extents;
        for (Node const* const item : expect<Tuple>(node, "a shape").items) {
            long long const extent = expect<long long>(*item, "a whole number");
            if (extent < 0) fail("negative extent " + std::to_string(extent));
            extents.push_back(static_cast<std::size_t>(extent));
        }
        return extents;
    }

    /// One-byte types have no byte order of their own.
    static std::string full_descr(std::string const& descr) {
        if (descr.size() == 2 && (descr[1] == '1')) return "|" + descr;
        return descr.size() == 2 ? "<" + descr : descr;
    }

    /// The same bytes may be asked for again and again. Honest pickles name each once, or twice where protocol 2 wraps
    /// bytes in text; the rest of the allowance is for small shared constants.
    void spend(std::size_t amount) {
        spent_ += amount;
        if (spent_ > 4 * size_ + 4096) fail("it unfolds to more than its own size");
    }

    std::vector<double> array(std::string const& descr, std::vector<std::size_t> extents, bool fortran_order,
                              std::string const& bytes) {
        spend(bytes.size());
        return to_doubles(array_from_raw(full_descr(descr), std::move(extents), fortran_order, bytes, where_));
    }

    /// Python 3 writes bytes under protocol 2 as text of code points below 256.
    std::string latin1(std::string const& utf8) {
        spend(utf8.size());
        std::string bytes;
        for (std::size_t i = 0; i < utf8.size(); ++i) {
            auto const lead = static_cast<unsigned char>(utf8[i]);
            if (lead < 0x80) {
                bytes += utf8[i];
            } else {
                if ((lead & 0xfc) != 0xc0 || i + 1 == utf8.size()) fail("text that is no latin-1");
                bytes += static_cast<char>((lead & 3) << 6 | (utf8[++i] & 0x3f));
            }
        }
        return bytes;
    }

    std::size_t size_, spent_ = 0;
    std::string const& where_;
};

} // namespace

Record read_pickled_record(std::string_view bytes, std::string const& where) {
    Pickle const whole{bytes, where, dialect};
    Reader reader{bytes.size(), where};
    auto const* const dictionary = whole.root().as<Dictionary>();
    if (dictionary == nullptr) throw data_error{where + ": the pickle holds no dictionary"};
    Record record;
    for (auto const& [key, value] : dictionary->items) {
        std::string const* const name = text_of(*key);
        if (name == nullptr) throw data_error{where + ": the pickled dictionary has a key that is no text"};
        if (value->as<None>()) continue;
        RecordField field;
        if (auto text = reader.text(*value))
            field = {true, *std::move(text), {}};
        else if (!reader.append_numbers(*value, field.numbers))
            throw data_error{where + ": pickled field " + shown(*name) + " is neither text nor numbers"};
        record[*name] = std::move(field);
    }
    return record;
}

long long read_pickled_integer(std::string_view bytes, std::string const& where) {
    Pickle const whole{bytes, where, dialect};
    if (auto const* const number = whole.root().as<long long>()) return *number;
    std::vector<double> numbers;
    if (whole.root().as<Call>() && Reader{bytes.size(), where}.append_numbers(whole.root(), numbers) &&
        numbers.size() == 1)
        return static_cast<long long>(numbers[0]);
    throw data_error{where + ": the pickle holds no whole number"};
}

} // namespace tape
