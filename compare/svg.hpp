#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tape {

/// Text for HTML and SVG content and attributes: & < > " ' as entities; control characters other than tab and newline
/// dropped.
std::string escape(std::string_view text);

/// A number with at most `digits` decimals, trailing zeros cut; never in exponential form.
std::string compact_number(double value, int digits = 2);
/// With exactly `digits` decimals; "n/a" for NaN.
std::string fixed_number(double value, int digits = 3);
/// The same with its sign, a true minus.
std::string signed_number(double value, int digits = 3);
/// "+0.120 [+0.100, +0.140]"
std::string signed_interval(double value, double low, double high);

/// "data:MIME;charset=utf-8,..." with everything percent-encoded that an attribute or a data URI cannot hold.
std::string data_uri(std::string_view mime, std::string_view content);

/// Round numbers that divide [low, high] into about `count` parts.
std::vector<double> ticks(double low, double high, int count);

/// A drawing in user units, one unit a CSS pixel. Colours come from CSS classes (figure_style), so that one drawing
/// serves light and dark pages; shapes of one class are cheapest as one path.
class Svg {
  public:
    Svg(double width, double height, std::string title, std::string description);

    void line(double x1, double y1, double x2, double y2, std::string_view classes);
    void circle(double x, double y, double radius, std::string_view classes, std::string_view tip = {});
    void diamond(double x, double y, double radius, std::string_view classes, std::string_view tip = {});
    void rect(double x, double y, double width, double height, std::string_view classes);
    void path(std::string_view data, std::string_view classes);
    /// anchor: start, middle or end
    void text(double x, double y, std::string_view content, std::string_view classes,
              std::string_view anchor = "start");
    /// One letter at each x, sharing a baseline.
    void letters(std::vector<double> const& x, double y, std::string_view content, std::string_view classes);
    void open_group(std::string_view transform);
    void close_group();

    [[nodiscard]] double width() const { return width_; }
    [[nodiscard]] std::string const& title() const { return title_; }
    /// Inline element; `id` makes the references of its title and description unique in the page.
    [[nodiscard]] std::string markup(std::string_view id) const;
    /// A file of its own, with the style inside.
    [[nodiscard]] std::string file() const;

  private:
    double width_, height_;
    std::string title_, description_, body_;
};

/// CSS of the drawings: variables for light and dark, then one rule a class. Used by the page and by saved drawings.
std::string const& figure_style();

} // namespace tape
