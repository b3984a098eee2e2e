#include "learn/curve_page.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>
#include <sstream>
#include <vector>

namespace tape {
namespace {

constexpr double width = 760, height = 360, left = 56, right = 16, top = 16, bottom = 40;
constexpr std::size_t most_points = 800;

struct Point {
    double step, value;
};

std::vector<std::string> cells_of(std::string const& line) {
    std::vector<std::string> cells;
    std::size_t begin = 0;
    for (std::size_t end; (end = line.find('\t', begin)) != std::string::npos; begin = end + 1)
        cells.push_back(line.substr(begin, end - begin));
    cells.push_back(line.substr(begin));
    return cells;
}

std::optional<double> number(std::string const& cell) {
    char* end = nullptr;
    double const value = std::strtod(cell.c_str(), &end);
    if (cell.empty() || *end != '\0' || !std::isfinite(value)) return std::nullopt;
    return value;
}

struct Curve {
    std::vector<Point> training, validation;
    std::vector<std::pair<std::string, std::string>> last; ///< name and value, of the newest line that has one
};

Curve read_curve(std::string_view log) {
    Curve curve;
    std::istringstream in{std::string{log}};
    std::string line;
    std::getline(in, line);
    auto const names = cells_of(line);
    std::map<std::string, std::string> newest;
    while (std::getline(in, line)) {
        auto const cells = cells_of(line);
        std::optional<double> step;
        for (std::size_t i = 0; i < std::min(cells.size(), names.size()); ++i) {
            auto const value = number(cells[i]);
            if (!value) continue;
            newest[names[i]] = cells[i];
            if (names[i] == "step") step = value;
            if (names[i] == "loss" && step) curve.training.push_back({*step, *value});
            if (names[i] == "valid_loss" && step) curve.validation.push_back({*step, *value});
        }
    }
    for (auto const& name : names)
        if (newest.contains(name)) curve.last.emplace_back(name, newest.at(name));
    return curve;
}

/// Means of stretches, so that a long run is drawn with few points.
std::vector<Point> thinned(std::vector<Point> const& points) {
    std::size_t const stretch = (points.size() + most_points - 1) / most_points;
    if (stretch <= 1) return points;
    std::vector<Point> few;
    for (std::size_t begin = 0; begin < points.size(); begin += stretch) {
        std::size_t const end = std::min(points.size(), begin + stretch);
        Point mean{0, 0};
        for (std::size_t i = begin; i < end; ++i) mean.step += points[i].step, mean.value += points[i].value;
        auto const count = static_cast<double>(end - begin);
        few.push_back({mean.step / count, mean.value / count});
    }
    return few;
}

/// 1, 2 or 5 times a power of ten: about four in a range.
double tick_of(double range) {
    double const rough = range / 4, power = std::pow(10, std::floor(std::log10(rough)));
    return power * (rough / power < 2 ? 1 : rough / power < 5 ? 2 : 5);
}

class Drawing {
  public:
    Drawing(std::vector<Point> const& training, std::vector<Point> const& validation) {
        for (auto const* points : {&training, &validation})
            for (auto const& [step, value] : *points) {
                last_ = std::max(last_, step);
                low_ = std::min(low_, value), high_ = std::max(high_, value);
            }
        if (high_ - low_ < 1e-6) low_ -= 0.5, high_ += 0.5;
        axes();
        line(training, "#4477aa", false), line(validation, "#cc6677", true);
    }
    [[nodiscard]] std::string svg() const {
        char head[160];
        std::snprintf(head, sizeof head,
                      "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"loss over steps\">\n", width, height);
        return head + out_ + "</svg>\n";
    }

  private:
    [[nodiscard]] double x(double step) const { return left + (width - left - right) * step / last_; }
    [[nodiscard]] double y(double value) const {
        return top + (height - top - bottom) * (high_ - value) / (high_ - low_);
    }

    void axes() {
        char text[320];
        for (double const tick = tick_of(high_ - low_), first = std::ceil(low_ / tick);
             double const index : {0., 1., 2., 3., 4., 5., 6., 7.}) {
            double const value = (first + index) * tick;
            if (value > high_) break;
            std::snprintf(
                text, sizeof text,
                "<line x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\" class=\"g\"/><text x=\"%.0f\" y=\"%.1f\" "
                "text-anchor=\"end\">%g</text>\n",
                left, width - right, y(value), y(value), left - 6, y(value) + 4, value);
            out_ += text;
        }
        double const tick = std::max(1.0, tick_of(last_));
        for (double step = 0; step <= last_; step += tick) {
            std::snprintf(text, sizeof text, "<text x=\"%.1f\" y=\"%.0f\" text-anchor=\"middle\">%.0f</text>\n",
                          x(step), height - bottom + 18, step);
            out_ += text;
        }
        std::snprintf(text, sizeof text,
                      "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"middle\">steps</text><text x=\"%.0f\" y=\"%.0f\" "
                      "class=\"t\">loss in "
                      "training</text><text x=\"%.0f\" y=\"%.0f\" class=\"v\">on held-out sequences</text>\n",
                      (left + width) / 2, height - 4, width - 330, top + 10, width - 190, top + 10);
        out_ += text;
    }
    void line(std::vector<Point> const& points, char const* colour, bool marked) {
        std::string path;
        char text[96];
        for (auto const& [step, value] : points) {
            std::snprintf(text, sizeof text, "%.1f,%.1f ", x(step), y(value));
            path += text;
        }
        if (!path.empty())
            out_ += "<polyline fill=\"none\" stroke-width=\"1.5\" stroke=\"" + std::string{colour} + "\" points=\"" +
                    path + "\"/>\n";
        if (!marked) return;
        for (auto const& [step, value] : points) {
            std::snprintf(text, sizeof text, "<circle r=\"2.5\" cx=\"%.1f\" cy=\"%.1f\" fill=\"%s\"/>\n", x(step),
                          y(value), colour);
            out_ += text;
        }
    }

    double last_ = 1, low_ = 1e30, high_ = -1e30;
    std::string out_;
};

std::string escaped(std::string const& text) {
    std::string safe;
    for (char const letter : text) {
        if (letter == '<')
            safe += "&lt;";
        else if (letter == '>')
            safe += "&gt;";
        else if (letter == '&')
            safe += "&amp;";
        else
            safe += letter;
    }
    return safe;
}

} // namespace

std::string curve_page(std::string_view log, std::string const& title, bool done) {
    Curve const curve = read_curve(log);
    auto const training = thinned(curve.training), validation = thinned(curve.validation);
    std::string page = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">";
    if (!done) page += "<meta http-equiv=\"refresh\" content=\"30\">";
    page += "<title>" + escaped(title) +
            "</title>\n<style>body{font:15px sans-serif;max-width:800px;margin:1em auto;padding:0 "
            "1em;color:#222}svg{width:100%}"
            "text{font-size:12px;fill:#444}.g{stroke:#ddd}.t{fill:#4477aa}.v{fill:#cc6677}td{padding:1px 12px 1px "
            "0}</style></head>\n<body><h1>" +
            escaped(title) + "</h1>\n";
    if (training.empty() && validation.empty())
        page += "<p>No step has been logged yet.</p>\n";
    else
        page += Drawing{training, validation}.svg();
    page += "<table>\n";
    for (auto const& [name, value] : curve.last)
        page += "<tr><td>" + escaped(name) + "</td><td>" + escaped(value) + "</td></tr>\n";
    return page + "</table></body></html>\n";
}

} // namespace tape
