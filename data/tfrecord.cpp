#include "data/error.hpp"
#include "data/io.hpp"
#include "data/tape_formats.hpp"
#include "data/text.hpp"

#include "tfexample.pb.h"

#include <array>
#include <cstring>

namespace tape {
namespace {

/// CRC-32C (Castagnoli, IEEE Trans Commun 41:883, 1993), reflected polynomial 0x82f63b78.
constexpr std::array<std::uint32_t, 256> make_table() {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        std::uint32_t value = i;
        for (int bit = 0; bit < 8; ++bit) value = value & 1 ? value >> 1 ^ 0x82f63b78u : value >> 1;
        table[i] = value;
    }
    return table;
}
constexpr std::array<std::uint32_t, 256> crc_table = make_table();

/// TFRecord's masked form, so that a checksum of checksums is no fixed point.
std::uint32_t masked_crc32c(std::string_view bytes) {
    std::uint32_t value = 0xffffffffu;
    for (char const byte : bytes) value = value >> 8 ^ crc_table[(value ^ static_cast<unsigned char>(byte)) & 255];
    value = ~value;
    return (value >> 15 | value << 17) + 0xa282ead8u;
}

template <typename Number> Number number_at(std::string_view bytes, std::size_t offset) {
    Number value{};
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

void append(wire::Feature const& feature, RecordField& field) {
    if (feature.has_bytes_list()) {
        field.is_text = true;
        for (auto const& value : feature.bytes_list().value()) field.text += value;
    }
    for (float const value : feature.float_list().value()) field.numbers.push_back(value);
    for (auto const value : feature.int64_list().value()) field.numbers.push_back(static_cast<double>(value));
}

Record to_record(wire::SequenceExample const& example) {
    Record record;
    for (auto const& [name, feature] : example.context().feature()) append(feature, record[name]);
    for (auto const& [name, list] : example.feature_lists().feature_list())
        for (auto const& feature : list.feature()) append(feature, record[name]);
    return record;
}

} // namespace

void for_each_tfrecord(std::filesystem::path const& file,
                       std::function<void(Record&& record, std::string const& where)> const& visit) {
    std::string const bytes = read_text(file), name = file == "-" ? "<stdin>" : file.string();
    std::string_view rest = bytes;
    for (std::size_t index = 0; !rest.empty(); ++index) {
        std::string const where = name + ", record " + std::to_string(index);
        if (rest.size() < 12)
            throw data_error{where + ": truncated TFRecord: " + counted(rest.size(), "byte") +
                             " where a record's length should be"};
        auto const length = number_at<std::uint64_t>(rest, 0);
        if (masked_crc32c(rest.substr(0, 8)) != number_at<std::uint32_t>(rest, 8))
            throw data_error{where + ": the checksum of its length does not match; no TFRecord, or a damaged one"};
        rest.remove_prefix(12);
        if (rest.size() < 4 || rest.size() - 4 < length)
            throw data_error{where + ": truncated TFRecord: the record has " + std::to_string(length) +
                             " bytes, the file " + std::to_string(rest.size()) + " more"};
        std::string_view const value = rest.substr(0, length);
        if (masked_crc32c(value) != number_at<std::uint32_t>(rest, length))
            throw data_error{where + ": its checksum does not match; copy or download the file again"};
        rest.remove_prefix(length + 4);
        wire::SequenceExample example;
        if (length > 0x7fffffff || !example.ParseFromArray(value.data(), static_cast<int>(length)))
            throw data_error{where + ": no tf.train.Example or SequenceExample"};
        visit(to_record(example), where);
    }
}

} // namespace tape
