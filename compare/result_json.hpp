#pragma once

#include "data/error.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

// Reading JSON strictly: every complaint names the place, as in "tasks[0].runs[2].seed".
namespace tape {

/// A JSON value and the path by which it was reached.
class JsonPlace {
  public:
    JsonPlace(nlohmann::json const& value, std::string path) : value_{value}, path_{std::move(path)} {}

    [[nodiscard]] JsonPlace key(std::string const& name) const; ///< @throws data_error if missing
    [[nodiscard]] bool has(std::string const& name) const { return value_.is_object() && value_.contains(name); }
    [[nodiscard]] std::vector<JsonPlace> items() const;                           ///< of an array
    [[nodiscard]] std::vector<std::pair<std::string, JsonPlace>> members() const; ///< of an object

    [[nodiscard]] std::string text() const;
    [[nodiscard]] double number() const; ///< null is NaN
    [[nodiscard]] std::int64_t integer(std::int64_t minimum, std::int64_t maximum) const;
    [[nodiscard]] std::uint64_t natural() const; ///< any 64-bit unsigned number
    [[nodiscard]] std::vector<std::string> texts() const;
    [[nodiscard]] std::vector<double> numbers() const;
    [[nodiscard]] std::vector<int> integers(int minimum, int maximum) const;

    [[nodiscard]] nlohmann::json const& value() const { return value_; }
    [[nodiscard]] std::string const& path() const { return path_; }
    [[noreturn]] void complain(std::string const& expected) const; ///< "PATH: expected EXPECTED, found VALUE"

  private:
    nlohmann::json const& value_;
    std::string path_;
};

} // namespace tape
