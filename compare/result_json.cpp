#include "compare/result_json.hpp"

#include <limits>

namespace tape {

void JsonPlace::complain(std::string const& expected) const {
    std::string found = value_.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    if (found.size() > 40) found = found.substr(0, 37) + "...";
    throw data_error{(path_.empty() ? "top level" : path_) + ": expected " + expected + ", found " + found};
}

JsonPlace JsonPlace::key(std::string const& name) const {
    if (!value_.is_object()) complain("an object");
    auto const found = value_.find(name);
    if (found == value_.end()) throw data_error{(path_.empty() ? "top level" : path_) + ": missing key '" + name + "'"};
    return {*found, path_.empty() ? name : path_ + "." + name};
}

std::vector<JsonPlace> JsonPlace::items() const {
    if (!value_.is_array()) complain("an array");
    std::vector<JsonPlace> places;
    places.reserve(value_.size());
    for (std::size_t i = 0; i < value_.size(); ++i)
        places.emplace_back(value_[i], path_ + "[" + std::to_string(i) + "]");
    return places;
}

std::vector<std::pair<std::string, JsonPlace>> JsonPlace::members() const {
    if (!value_.is_object()) complain("an object");
    std::vector<std::pair<std::string, JsonPlace>> places;
    for (auto const& [name, value] : value_.items()) places.emplace_back(name, JsonPlace{value, path_ + "." + name});
    return places;
}

std::string JsonPlace::text() const {
    if (!value_.is_string()) complain("a text");
    return value_.get<std::string>();
}

double JsonPlace::number() const {
    if (value_.is_null()) return std::numeric_limits<double>::quiet_NaN();
    if (!value_.is_number()) complain("a number or null");
    return value_.get<double>();
}

std::int64_t JsonPlace::integer(std::int64_t minimum, std::int64_t maximum) const {
    bool const fits = value_.is_number_integer() &&
                      (!value_.is_number_unsigned() || value_.get<std::uint64_t>() <= std::uint64_t{INT64_MAX});
    if (!fits || value_.get<std::int64_t>() < minimum || value_.get<std::int64_t>() > maximum)
        complain("an integer from " + std::to_string(minimum) + " to " + std::to_string(maximum));
    return value_.get<std::int64_t>();
}

std::uint64_t JsonPlace::natural() const {
    if (!value_.is_number_unsigned() && !(value_.is_number_integer() && value_.get<std::int64_t>() >= 0))
        complain("a non-negative integer");
    return value_.get<std::uint64_t>();
}

// The array readers below walk the values themselves and build a path only to complain: these arrays hold most of a
// file.
std::vector<std::string> JsonPlace::texts() const {
    if (!value_.is_array()) complain("an array of texts");
    std::vector<std::string> result;
    result.reserve(value_.size());
    for (std::size_t i = 0; i < value_.size(); ++i) {
        if (!value_[i].is_string()) JsonPlace{value_[i], path_ + "[" + std::to_string(i) + "]"}.complain("a text");
        result.push_back(value_[i].get_ref<std::string const&>());
    }
    return result;
}

std::vector<double> JsonPlace::numbers() const {
    if (!value_.is_array()) complain("an array of numbers");
    std::vector<double> result;
    result.reserve(value_.size());
    for (std::size_t i = 0; i < value_.size(); ++i) {
        auto const& item = value_[i];
        if (!item.is_number() && !item.is_null())
            JsonPlace{item, path_ + "[" + std::to_string(i) + "]"}.complain("a number or null");
        result.push_back(item.is_null() ? std::numeric_limits<double>::quiet_NaN() : item.get<double>());
    }
    return result;
}

std::vector<int> JsonPlace::integers(int minimum, int maximum) const {
    if (!value_.is_array()) complain("an array of integers");
    std::vector<int> result;
    result.reserve(value_.size());
    for (std::size_t i = 0; i < value_.size(); ++i) {
        auto const& item = value_[i];
        bool const fits =
            item.is_number_integer() && item.get<std::int64_t>() >= minimum && item.get<std::int64_t>() <= maximum;
        if (!fits)
            JsonPlace{item, path_ + "[" + std::to_string(i) + "]"}.complain(
                "an integer from " + std::to_string(minimum) + " to " + std::to_string(maximum));
        result.push_back(item.get<int>());
    }
    return result;
}

} // namespace tape
