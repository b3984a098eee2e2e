#include "compare/svg.hpp"

#include <cmath>
#include <cstdio>

namespace tape {

std::string escape(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    for (char const c : text) {
        switch (c) {
        case '&':
            result += "&amp;";
            break;
        case '<':
            result += "&lt;";
            break;
        case '>':
            result += "&gt;";
            break;
        case '"':
            result += "&quot;";
            break;
        case '\'':
            result += "&#39;";
            break;
        default:
            if (static_cast<unsigned char>(c) >= 0x20 || c == '\t' || c == '\n') result += c;
        }
    }
    return result;
}

std::string fixed_number(double value, int digits) {
    if (std::isnan(value)) return "n/a";
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    // A rounded zero has no sign.
    std::string_view const view{text};
    if (view.front() == '-' && view.find_first_not_of("-0.") == std::string_view::npos) return text + 1;
    return text;
}

std::string signed_number(double value, int digits) {
    std::string const text = fixed_number(value, digits);
    if (std::isnan(value)) return text;
    if (text.front() == '-') return "\xE2\x88\x92" + text.substr(1);
    return text.find_first_not_of("0.") == std::string::npos ? text : "+" + text;
}

std::string signed_interval(double value, double low, double high) {
    return signed_number(value) + " [" + signed_number(low) + ", " + signed_number(high) + "]";
}

std::string compact_number(double value, int digits) {
    std::string text = fixed_number(value, digits);
    if (text.find('.') == std::string::npos) return text;
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
    return text;
}

std::string data_uri(std::string_view mime, std::string_view content) {
    static constexpr char hex[] = "0123456789ABCDEF";
    static constexpr std::string_view plain = "-_.~!*(),;=@/+$ ";
    std::string uri = "data:" + std::string{mime} + ";charset=utf-8,";
    uri.reserve(uri.size() + content.size() + content.size() / 4);
    for (char const c : content) {
        auto const byte = static_cast<unsigned char>(c);
        bool const letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (letter || plain.find(c) != std::string_view::npos)
            uri += c;
        else {
            uri += '%';
            uri += hex[byte >> 4];
            uri += hex[byte & 15];
        }
    }
    return uri;
}

std::vector<double> ticks(double low, double high, int count) {
    double const rough = (high - low) / count;
    if (!(rough > 0)) return {low};
    double const power = std::pow(10.0, std::floor(std::log10(rough)));
    double const lead = rough / power;
    double const step = power * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
    std::vector<double> result;
    for (double k = std::ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; ++k) result.push_back(k * step);
    return result;
}

Svg::Svg(double width, double height, std::string title, std::string description)
    : width_{width}, height_{height}, title_{std::move(title)}, description_{std::move(description)} {}

namespace {

std::string attribute(char const* name, double value) {
    return std::string{" "} + name + "=\"" + compact_number(value) + "\"";
}

std::string class_attribute(std::string_view classes) {
    return classes.empty() ? std::string{} : " class=\"" + std::string{classes} + "\"";
}

std::string close_shape(char const* name, std::string_view tip) {
    return tip.empty() ? "/>" : "><title>" + escape(tip) + "</title></" + name + ">";
}

} // namespace

void Svg::line(double x1, double y1, double x2, double y2, std::string_view classes) {
    body_ += "<line" + attribute("x1", x1) + attribute("y1", y1) + attribute("x2", x2) + attribute("y2", y2) +
             class_attribute(classes) + "/>";
}

void Svg::circle(double x, double y, double radius, std::string_view classes, std::string_view tip) {
    body_ += "<circle" + attribute("cx", x) + attribute("cy", y) + attribute("r", radius) + class_attribute(classes) +
             close_shape("circle", tip);
}

void Svg::diamond(double x, double y, double radius, std::string_view classes, std::string_view tip) {
    std::string const r = compact_number(radius), back = compact_number(-radius);
    body_ += "<path d=\"M" + compact_number(x) + " " + compact_number(y - radius) + "l" + r + " " + r + "l" + back +
             " " + r + "l" + back + " " + back + "z\"" + class_attribute(classes) + close_shape("path", tip);
}

void Svg::rect(double x, double y, double width, double height, std::string_view classes) {
    body_ += "<rect" + attribute("x", x) + attribute("y", y) + attribute("width", width) + attribute("height", height) +
             class_attribute(classes) + "/>";
}

void Svg::path(std::string_view data, std::string_view classes) {
    if (!data.empty()) body_ += "<path d=\"" + std::string{data} + "\"" + class_attribute(classes) + "/>";
}

void Svg::text(double x, double y, std::string_view content, std::string_view classes, std::string_view anchor) {
    body_ += "<text" + attribute("x", x) + attribute("y", y) + class_attribute(classes);
    if (anchor != "start") body_ += " text-anchor=\"" + std::string{anchor} + "\"";
    body_ += ">" + escape(content) + "</text>";
}

void Svg::letters(std::vector<double> const& x, double y, std::string_view content, std::string_view classes) {
    std::string positions;
    for (double const value : x) positions += (positions.empty() ? "" : " ") + compact_number(value);
    body_ += "<text x=\"" + positions + "\"" + attribute("y", y) + class_attribute(classes) + ">" + escape(content) +
             "</text>";
}

void Svg::open_group(std::string_view transform) { body_ += "<g transform=\"" + std::string{transform} + "\">"; }
void Svg::close_group() { body_ += "</g>"; }

std::string Svg::markup(std::string_view id) const {
    std::string const name{id};
    return "<svg viewBox=\"0 0 " + compact_number(width_) + " " + compact_number(height_) + "\"" +
           attribute("width", width_) + attribute("height", height_) + " role=\"img\" aria-labelledby=\"" + name +
           "-t " + name + "-d\"><title id=\"" + name + "-t\">" + escape(title_) + "</title><desc id=\"" + name +
           "-d\">" + escape(description_) + "</desc>" + body_ + "</svg>";
}

std::string Svg::file() const {
    return "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + compact_number(width_) + " " +
           compact_number(height_) + "\"" + attribute("width", width_) + attribute("height", height_) + "><title>" +
           escape(title_) + "</title><style>" + figure_style() + "svg{background:var(--paper)}</style>" + body_ +
           "</svg>";
}

} // namespace tape
