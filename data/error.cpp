#include "data/error.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

namespace tape {

std::string describe(std::exception const& problem) {
    std::string text = problem.what();
    try {
        std::rethrow_if_nested(problem);
    } catch (std::exception const& inner) {
        text += "\n  caused by: " + describe(inner);
    } catch (...) {
        text += "\n  caused by: an exception of unknown type";
    }
    return text;
}

exit_code exit_code_of(std::exception const& problem) {
    exit_code code = exit_code::failed;
    if (auto const* own = dynamic_cast<error const*>(&problem)) code = own->code();
    try {
        std::rethrow_if_nested(problem);
    } catch (error const& inner) {
        return exit_code_of(inner);
    } catch (std::exception const& inner) {
        // A foreign exception inside ours keeps our code unless one of ours is nested deeper still.
        exit_code const deeper = exit_code_of(inner);
        return deeper == exit_code::failed ? code : deeper;
    } catch (...) {
        return code;
    }
    return code;
}

std::size_t edit_distance(std::string const& a, std::string const& b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i + 1;
        for (std::size_t j = 0; j < b.size(); ++j) {
            std::size_t const substituted = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, substituted});
        }
    }
    return row.back();
}

} // namespace tape
