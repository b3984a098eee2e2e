#include "apps/output.hpp"

#include "data/error.hpp"
#include "data/io.hpp"

#include <nlohmann/json.hpp>

#include <utility>

namespace tape::cli {
namespace {

std::filesystem::path manifest_of(std::filesystem::path const& file) { return file.string() + ".manifest.json"; }

/// Null if there is none that can be read.
nlohmann::json read_manifest(std::filesystem::path const& file) {
    std::error_code ignored;
    if (!std::filesystem::is_regular_file(manifest_of(file), ignored)) return {};
    auto manifest = nlohmann::json::parse(read_text(manifest_of(file)), nullptr, false);
    return manifest.is_object() ? manifest : nlohmann::json{};
}

bool made_by(std::string const& program, std::filesystem::path const& file) {
    auto const manifest = read_manifest(file);
    return manifest.is_object() && manifest.value("program", nlohmann::json{}) == program;
}

} // namespace

void check_overwrite(Arguments const& arguments, std::filesystem::path const& file) {
    std::error_code ignored;
    bool const in_the_way =
        file != "-" && std::filesystem::is_regular_file(file, ignored) && std::filesystem::file_size(file, ignored) > 0;
    if (in_the_way && !arguments.flag("force"))
        throw usage_error{file.string() + ": exists; use --force to overwrite it"};
}

OutputFile::OutputFile(Program const& program, Arguments const& arguments, std::filesystem::path file)
    : file_{std::move(file)} {
    if (!made_by(program.name, file_)) check_overwrite(arguments, file_);
    manifest_.program = program.name, manifest_.argv = arguments.argv(), manifest_.version = TAPE_VERSION;
    manifest_.seed = static_cast<std::uint64_t>(arguments.integer("seed")), manifest_.started = utc_now();
}

void OutputFile::write_manifest(std::map<std::string, std::string> details) {
    std::error_code ignored;
    if (is_stdout() || !std::filesystem::is_regular_file(file_, ignored)) return;
    manifest_.details = std::move(details);
    manifest_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    write_text(manifest_of(file_), to_json(manifest_).dump(2) + "\n");
}

bool OutputFile::tells(std::string const& detail, std::string const& value) const {
    std::error_code ignored;
    auto const manifest = read_manifest(file_);
    return std::filesystem::is_regular_file(file_, ignored) && manifest.is_object() && manifest.contains("details") &&
           manifest.at("details").value(detail, nlohmann::json{}) == value;
}

} // namespace tape::cli
