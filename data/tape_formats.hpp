#pragma once

#include "data/dataset.hpp"

#include <filesystem>
#include <functional>
#include <iosfwd>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace tape {

/// File formats that a labelled set can come in.
///   csv       the bundled CSV or JSONL layout (data/dataset.hpp)
///   json      TAPE's JSON: a list of objects
///   lmdb      TAPE's LMDB: keys "0", "1", ... and "num_examples", values pickled dictionaries; a folder or a single
///   file tfrecord  TAPE's and ProteinNet's TFRecord: one tf.train.Example or SequenceExample a record, checksums
///   verified fasta     labels in the header: ">id log_fluorescence=3.7 num_mutations=2", or a lone number behind the
///   id
enum class TapeFormat { csv, json, lmdb, tfrecord, fasta };

/// By content. @throws data_error if the file is none of them, or missing.
TapeFormat detect_format(std::filesystem::path const& file);
/// "csv", "json", ... @throws usage_error naming the formats.
TapeFormat format_named(std::string const& name);
/// Whether this build can read it: LMDB and TFRecord need liblmdb and protobuf.
bool format_available(TapeFormat format);

/// Reads any of the formats, as strictly as read_dataset.
///
/// TAPE's fields become ours: `primary` may be text or numbers (TAPE's Pfam vocabulary; ProteinNet's 0-19 for
/// contacts), `mask` is `valid_mask`, `tertiary` holds C-alpha positions (L rows) or N, C-alpha, C (3 L rows) in
/// angstrom or in hundredths or hundredfold of it: the scale is the one that makes the median distance of neighbouring
/// C-alpha atoms 2.8-4.8 angstrom. Records without an id are called record-0, record-1, ... `evolutionary` and other
/// per-residue columns that the task does not use are dropped; single numbers and texts become attributes.
Dataset import_dataset(Task const& task, std::string const& split, std::filesystem::path const& file, TapeFormat format,
                       DatasetOptions const& options = {});

/// TAPE's JSON (a list of objects; labels as lists of numbers, `tertiary` in angstrom).
void write_tape_json(std::ostream& out, Dataset const& dataset);
/// FASTA with the labels in the header; contacts cannot be written so.
void write_labelled_fasta(std::ostream& out, Dataset const& dataset);

/// One field of a foreign record: text, or numbers in C order.
struct RecordField {
    bool is_text = false;
    std::string text;
    std::vector<double> numbers;
};
using Record = std::map<std::string, RecordField>;

/// A pickled dictionary of text, numbers, lists of numbers and NumPy arrays, Python's pickle protocols 2-5.
///
/// Nothing is executed: the few names NumPy's own pickles use (ndarray, dtype, _reconstruct, scalar, _frombuffer, and
/// codecs' encode) are recognised and rebuilt here, every other name is refused. Memory stays proportional to the
/// input.
/// @throws data_error naming `where` and what was refused
Record read_pickled_record(std::string_view bytes, std::string const& where);
/// A pickled whole number, such as TAPE's num_examples.
long long read_pickled_integer(std::string_view bytes, std::string const& where);

/// Calls visit(value, where) for the records of a TAPE LMDB, in order of their number.
void for_each_lmdb_record(std::filesystem::path const& file,
                          std::function<void(std::string_view value, std::string const& where)> const& visit);
/// The same for a TFRecord file.
void for_each_tfrecord(std::filesystem::path const& file,
                       std::function<void(Record&& record, std::string const& where)> const& visit);

} // namespace tape
