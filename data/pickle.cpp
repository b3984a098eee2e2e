#include "data/error.hpp"
#include "data/npy.hpp"
#include "data/tape_formats.hpp"
#include "data/text.hpp"

#include <bit>
#include <cstring>
#include <memory>
#include <unordered_map>
#include <utility>
#include <variant>

namespace tape {
namespace {

struct Node;
using Nodes = std::vector<Node*>;

struct None {};
struct Text {
    std::string value;
};
struct Bytes {
    std::string value;
};
struct List {
    Nodes items;
};
struct Tuple {
    Nodes items;
};
struct Dictionary {
    std::vector<std::pair<Node*, Node*>> items;
};
struct Mark {};
/// A name that a pickle may mention. Only these exist; they are tags, never called.
enum class Name { reconstruct, ndarray, dtype, scalar, frombuffer, encode };
struct Dtype {
    std::string descr;
}; ///< "f4" until its state gives the byte order, then "<f4"
struct Values {
    std::vector<double> numbers;
}; ///< a NumPy array

struct Node {
    std::variant<None, bool, long long, double, Text, Bytes, List, Tuple, Dictionary, Mark, Name, Dtype, Values> value;
};

std::vector<double> as_doubles(Array const& array) {
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

/// Python's pickle machine (Lib/pickletools.py describes every opcode), less everything that would run code.
class Unpickler {
  public:
    Unpickler(std::string_view bytes, std::string const& where) : bytes_{bytes}, where_{where} {}

    Node* run() {
        for (;;) {
            auto const code = static_cast<unsigned char>(take(1)[0]);
            if (code == '.') return pop();
            if (!plain(code) && !number(code) && !text(code) && !container(code) && !memory(code) && !object(code))
                fail("opcode " + std::to_string(code) + " is not allowed");
        }
    }

    [[noreturn]] void fail(std::string const& what) const {
        throw data_error{where_ + ": pickle refused at byte " + std::to_string(at_) + ": " + what};
    }

  private:
    std::string_view take(std::uint64_t size) {
        if (size > bytes_.size() - at_) fail("truncated");
        std::string_view const part = bytes_.substr(at_, size);
        at_ += size;
        return part;
    }
    std::uint64_t unsigned_number(int width) {
        std::string_view const part = take(static_cast<std::uint64_t>(width));
        std::uint64_t value = 0;
        for (int i = width - 1; i >= 0; --i)
            value = value << 8 | static_cast<unsigned char>(part[static_cast<std::size_t>(i)]);
        return value;
    }
    std::string_view line() {
        std::size_t const end = bytes_.find('\n', at_);
        if (end == std::string_view::npos) fail("truncated");
        std::string_view const part = bytes_.substr(at_, end - at_);
        at_ = end + 1;
        return part;
    }

    template <typename Value> void push(Value&& value) {
        arena_.push_back(std::make_unique<Node>(Node{std::forward<Value>(value)}));
        stack_.push_back(arena_.back().get());
    }
    Node* pop() {
        if (stack_.empty()) fail("stack is empty");
        Node* const node = stack_.back();
        stack_.pop_back();
        return node;
    }
    Node* top() {
        if (stack_.empty()) fail("stack is empty");
        return stack_.back();
    }
    Nodes pop_to_mark() {
        std::size_t begin = stack_.size();
        while (begin > 0 && !std::holds_alternative<Mark>(stack_[begin - 1]->value)) --begin;
        if (begin == 0) fail("no mark on the stack");
        Nodes items(stack_.begin() + static_cast<std::ptrdiff_t>(begin), stack_.end());
        stack_.resize(begin - 1);
        return items;
    }
    template <typename Value> Value& expect(Node* node, char const* what) {
        if (auto* const value = std::get_if<Value>(&node->value)) return *value;
        fail(std::string{"expected "} + what);
    }

    bool plain(unsigned char code) {
        switch (code) {
        case 0x80: // PROTO
            if (auto const protocol = unsigned_number(1); protocol < 2 || protocol > 5)
                fail("protocol " + std::to_string(protocol) + "; expected 2 to 5");
            return true;
        case 0x95:
            take(8);
            return true; // FRAME: its length is not needed
        case '(':
            push(Mark{});
            return true;
        case '0':
            pop();
            return true;
        case '1':
            pop_to_mark();
            return true;
        case 'N':
            push(None{});
            return true;
        case 0x88:
            push(true);
            return true;
        case 0x89:
            push(false);
            return true;
        default:
            return false;
        }
    }

    bool number(unsigned char code) {
        switch (code) {
        case 'J':
            push(static_cast<long long>(static_cast<std::int32_t>(unsigned_number(4))));
            return true;
        case 'K':
            push(static_cast<long long>(unsigned_number(1)));
            return true;
        case 'M':
            push(static_cast<long long>(unsigned_number(2)));
            return true;
        case 0x8a:
            push(long_number(unsigned_number(1)));
            return true;
        case 0x8b:
            push(long_number(unsigned_number(4)));
            return true;
        case 'G': { // eight bytes, big endian
            std::string_view const part = take(8);
            std::uint64_t bits = 0;
            for (char const byte : part) bits = bits << 8 | static_cast<unsigned char>(byte);
            push(std::bit_cast<double>(bits));
            return true;
        }
        default:
            return false;
        }
    }
    /// Two's complement, little endian, any width.
    long long long_number(std::uint64_t width) {
        std::string_view const part = take(width);
        if (width > 8) fail("a whole number of " + std::to_string(width) + " bytes");
        std::uint64_t value = width > 0 && (part.back() & 0x80) ? ~std::uint64_t{0} : 0;
        for (std::size_t i = part.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(part[i]);
        return static_cast<long long>(value);
    }

    bool text(unsigned char code) {
        switch (code) {
        case 0x8c:
            push(Text{std::string{take(unsigned_number(1))}});
            return true;
        case 'X':
            push(Text{std::string{take(unsigned_number(4))}});
            return true;
        case 0x8d:
            push(Text{std::string{take(unsigned_number(8))}});
            return true;
        case 'U':
            push(Bytes{std::string{take(unsigned_number(1))}});
            return true;
        case 'T':
            push(Bytes{std::string{take(unsigned_number(4))}});
            return true;
        case 'C':
            push(Bytes{std::string{take(unsigned_number(1))}});
            return true;
        case 'B':
            push(Bytes{std::string{take(unsigned_number(4))}});
            return true;
        case 0x8e:
            push(Bytes{std::string{take(unsigned_number(8))}});
            return true;
        case 0x96:
            push(Bytes{std::string{take(unsigned_number(8))}});
            return true;
        default:
            return false;
        }
    }

    bool container(unsigned char code) {
        switch (code) {
        case ']':
            push(List{});
            return true;
        case '}':
            push(Dictionary{});
            return true;
        case ')':
            push(Tuple{});
            return true;
        case 'a':
            append({pop()});
            return true;
        case 'e':
            append(pop_to_mark());
            return true;
        case 'l':
            push(List{pop_to_mark()});
            return true;
        case 't':
            push(Tuple{pop_to_mark()});
            return true;
        case 0x85:
        case 0x86:
        case 0x87:
            tuple(code - 0x84);
            return true;
        case 's': {
            Node* const value = pop();
            Node* const key = pop();
            set_items({key, value});
            return true;
        }
        case 'u':
            set_items(pop_to_mark());
            return true;
        case 'd': {
            Nodes const items = pop_to_mark();
            push(Dictionary{});
            set_items(items);
            return true;
        }
        default:
            return false;
        }
    }
    void append(Nodes const& items) {
        auto& list = expect<List>(top(), "a list").items;
        list.insert(list.end(), items.begin(), items.end());
    }
    void tuple(int size) {
        Tuple made;
        for (int i = 0; i < size; ++i) made.items.insert(made.items.begin(), pop());
        push(std::move(made));
    }
    void set_items(Nodes const& items) {
        if (items.size() % 2 != 0) fail("a dictionary key without a value");
        auto& dictionary = expect<Dictionary>(top(), "a dictionary").items;
        for (std::size_t i = 0; i < items.size(); i += 2) dictionary.emplace_back(items[i], items[i + 1]);
    }

    bool memory(unsigned char code) {
        switch (code) {
        case 'q':
            memo_[unsigned_number(1)] = top();
            return true;
        case 'r':
            memo_[unsigned_number(4)] = top();
            return true;
        case 0x94:
            memo_[memo_.size()] = top();
            return true;
        case 'h':
            recall(unsigned_number(1));
            return true;
        case 'j':
            recall(unsigned_number(4));
            return true;
        default:
            return false;
        }
    }
    void recall(std::uint64_t index) {
        auto const found = memo_.find(index);
        if (found == memo_.end()) fail("memo " + std::to_string(index) + " was never set");
        stack_.push_back(found->second);
    }

    bool object(unsigned char code) {
        switch (code) {
        case 'c': {
            std::string const module{line()};
            push(name(module, std::string{line()}));
            return true;
        }
        case 0x93: {
            std::string const attribute = expect<Text>(pop(), "a name").value;
            push(name(expect<Text>(pop(), "a module").value, attribute));
            return true;
        }
        case 'R':
            reduce();
            return true;
        case 'b':
            build();
            return true;
        default:
            return false;
        }
    }

    Name name(std::string const& module, std::string const& attribute) const {
        bool const core = module == "numpy.core.multiarray" || module == "numpy._core.multiarray";
        bool const numeric = module == "numpy.core.numeric" || module == "numpy._core.numeric";
        if (core && attribute == "_reconstruct") return Name::reconstruct;
        if (core && attribute == "scalar") return Name::scalar;
        if (numeric && attribute == "_frombuffer") return Name::frombuffer;
        if (module == "numpy" && attribute == "ndarray") return Name::ndarray;
        if (module == "numpy" && attribute == "dtype") return Name::dtype;
        if (module == "_codecs" && attribute == "encode") return Name::encode;
        fail("it asks for " + shown(module + "." + attribute, 80) + "; only plain values and NumPy arrays are read");
    }

    void reduce() {
        Nodes const arguments = expect<Tuple>(pop(), "a tuple of arguments").items;
        Name const called = expect<Name>(pop(), "a known name");
        auto const argument = [&](std::size_t i) -> Node* {
            if (i >= arguments.size()) fail("too few arguments");
            return arguments[i];
        };
        switch (called) {
        case Name::reconstruct:
            push(Values{});
            return; // its state follows
        case Name::dtype:
            push(Dtype{expect<Text>(argument(0), "a type name").value});
            return;
        case Name::encode:
            push(Bytes{latin1(expect<Text>(argument(0), "text").value)});
            return;
        case Name::scalar:
            scalar(expect<Dtype>(argument(0), "a type").descr, raw(argument(1)));
            return;
        case Name::frombuffer:
            push(array(expect<Dtype>(argument(1), "a type").descr, shape(argument(2)),
                       expect<Text>(argument(3), "an order").value == "F", raw(argument(0))));
            return;
        case Name::ndarray:
            break;
        }
        fail("a name called that is no function");
    }

    void build() {
        Nodes const state = expect<Tuple>(pop(), "a tuple of state").items;
        Node* const target = top();
        if (auto* const dtype = std::get_if<Dtype>(&target->value)) {
            if (state.size() < 2) fail("state of a type too short");
            std::string const order = expect<Text>(state[1], "a byte order").value;
            if (order == "<" || order == ">" || order == "|") dtype->descr = order + dtype->descr;
            return;
        }
        expect<Values>(target, "an array or a type");
        if (state.size() != 5) fail("state of an array has " + std::to_string(state.size()) + " parts; expected 5");
        target->value = array(expect<Dtype>(state[2], "a type").descr, shape(state[1]),
                              expect<bool>(state[3], "a truth value"), raw(state[4]));
    }

    std::string const& raw(Node* node) { return expect<Bytes>(node, "bytes").value; }

    std::vector<std::size_t> shape(Node* node) {
        std::vector<std::size_t> extents;
        for (Node* const item : expect<Tuple>(node, "a shape").items) {
            long long const extent = expect<long long>(item, "a whole number");
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
        if (spent_ > 4 * bytes_.size() + 4096) fail("it unfolds to more than its own size");
    }

    Values array(std::string const& descr, std::vector<std::size_t> extents, bool fortran_order,
                 std::string const& bytes) {
        spend(bytes.size());
        return {as_doubles(array_from_raw(full_descr(descr), std::move(extents), fortran_order, bytes, where_))};
    }

    void scalar(std::string const& descr, std::string const& bytes) {
        std::size_t const kind = descr.find_first_of("US");
        if (kind == std::string::npos) return push(array(descr, {}, false, bytes));
        std::string letters;
        std::size_t const width = descr[kind] == 'U' ? 4 : 1; // UCS-4, or bytes
        for (std::size_t i = 0; i + width <= bytes.size() && bytes[i] != '\0'; i += width) letters += bytes[i];
        push(Text{letters});
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

    std::string_view bytes_;
    std::string const& where_;
    std::uint64_t at_ = 0, spent_ = 0;
    std::vector<std::unique_ptr<Node>> arena_; ///< owns every node, so that cycles are harmless
    Nodes stack_;
    std::unordered_map<std::uint64_t, Node*> memo_;
};

/// False for anything but numbers, and for more of them than `limit` (a list may hold one list many times over).
bool append_numbers(Node const& node, std::vector<double>& out, std::size_t limit, int depth = 0) {
    if (out.size() > limit) return false;
    if (auto const* const truth = std::get_if<bool>(&node.value)) return out.push_back(*truth), true;
    if (auto const* const whole = std::get_if<long long>(&node.value))
        return out.push_back(static_cast<double>(*whole)), true;
    if (auto const* const real = std::get_if<double>(&node.value)) return out.push_back(*real), true;
    if (auto const* const values = std::get_if<Values>(&node.value))
        return out.insert(out.end(), values->numbers.begin(), values->numbers.end()), true;
    auto const* const list = std::get_if<List>(&node.value);
    auto const* const tuple = std::get_if<Tuple>(&node.value);
    if ((list == nullptr && tuple == nullptr) || depth > 2) return false;
    for (Node const* const item : list ? list->items : tuple->items)
        if (!append_numbers(*item, out, limit, depth + 1)) return false;
    return true;
}

std::string const* text_of(Node const& node) {
    if (auto const* const text = std::get_if<Text>(&node.value)) return &text->value;
    if (auto const* const bytes = std::get_if<Bytes>(&node.value)) return &bytes->value;
    return nullptr;
}

} // namespace

Record read_pickled_record(std::string_view bytes, std::string const& where) {
    Unpickler unpickler{bytes, where};
    auto const* const dictionary = std::get_if<Dictionary>(&unpickler.run()->value);
    if (dictionary == nullptr) throw data_error{where + ": the pickle holds no dictionary"};
    Record record;
    for (auto const& [key, value] : dictionary->items) {
        std::string const* const name = text_of(*key);
        if (name == nullptr) throw data_error{where + ": the pickled dictionary has a key that is no text"};
        if (std::holds_alternative<None>(value->value)) continue;
        RecordField field;
        if (std::string const* const text = text_of(*value))
            field = {true, *text, {}};
        else if (!append_numbers(*value, field.numbers, bytes.size()))
            throw data_error{where + ": pickled field " + shown(*name) + " is neither text nor numbers"};
        record[*name] = std::move(field);
    }
    return record;
}

long long read_pickled_integer(std::string_view bytes, std::string const& where) {
    Unpickler unpickler{bytes, where};
    Node const* const node = unpickler.run();
    if (auto const* const whole = std::get_if<long long>(&node->value)) return *whole;
    if (auto const* const values = std::get_if<Values>(&node->value); values && values->numbers.size() == 1)
        return static_cast<long long>(values->numbers[0]);
    throw data_error{where + ": the pickle holds no whole number"};
}

} // namespace tape
