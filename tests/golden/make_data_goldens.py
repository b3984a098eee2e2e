"""Writes tests/golden/data: small files made by the programs whose formats data/ reads.

Needs numpy, lmdb and makeblastdb (ncbi-blast+). Run from the repository root: python3 tests/golden/make_data_goldens.py
Every value is a plain function of its index, so the tests can state what they expect.
"""

import json
import pathlib
import pickle
import shutil
import struct
import subprocess
import tempfile

import lmdb
import numpy as np

OUT = pathlib.Path("tests/golden/data")


def arrays():
    ramp = np.arange(24).reshape(2, 3, 4)
    return {
        "f4": ramp.astype("<f4") / 8,
        "f8": ramp.astype("<f8") / 8,
        "f2": np.array([0.0, -0.0, 1.0, -2.5, 65504.0, 6e-8, np.inf, -np.inf], "<f2"),
        "i1": np.array([-128, 127], "i1"),
        "i2": np.array([-32768, 32767], "<i2"),
        "i4": ramp.astype("<i4"),
        "i8": ramp.astype("<i8") - 12,
        "u1": np.array([0, 255], "u1"),
        "u2": np.array([0, 65535], "<u2"),
        "u4": np.array([0, 4294967295], "<u4"),
        "u8": np.array([0, 2**63 - 1], "<u8"),
        "b1": np.array([True, False, True]),
        "fortran": np.asfortranarray(ramp.astype("<f4")),
        "scalar": np.float32(2.5),
        "empty": np.zeros((0, 5), "<f4"),
    }


def write_arrays():
    for name, array in arrays().items():
        np.save(OUT / f"{name}.npy", array)
    np.savez(OUT / "stored.npz", **arrays())
    np.savez_compressed(OUT / "deflated.npz", **arrays())
    np.save(OUT / "big_endian.npy", np.arange(3, dtype=">f4"))
    np.save(OUT / "objects.npy", np.array([{}, None], dtype=object), allow_pickle=True)


def secondary_structure():
    for i, sequence in enumerate(["MKVA", "GHIKL"]):
        n = len(sequence)
        yield {
            "primary": sequence,
            "evolutionary": np.full((n, 30), 0.5, np.float32),
            "ss3": np.arange(n, dtype=np.int64) % 3,
            "ss8": np.arange(n, dtype=np.int64) % 8,
            "valid_mask": np.array([j != 1 for j in range(n)]),
            "rsa": np.linspace(0, 1, n).astype(np.float32),
            "protein_length": n,
            "id": str(i).encode(),
        }


def contact():
    """A straight chain of C-alpha atoms 3.8 angstrom apart, in hundredths of the unit; the second residue unresolved."""
    for i in range(2):
        positions = np.stack([3.8 * np.arange(6), np.full(6, i), np.zeros(6)], axis=1)
        yield {
            "primary": "ACDEFG",
            "tertiary": (positions / 100).astype(np.float32),
            "valid_mask": np.array([1, 0, 1, 1, 1, 1], bool),
            "evolutionary": np.zeros((6, 21), np.float32),
            "protein_length": 6,
            "id": f"chain{i}",
        }


def fluorescence():
    for i in range(3):
        yield {
            "primary": "MSKGEEL"[: 5 + i],
            "log_fluorescence": np.array([1.5 + i], np.float32),
            "num_mutations": np.int64(i),
            "protein_length": 5 + i,
            "id": str(i),
        }


def write_lmdb(name, records, protocol):
    """As TAPE writes it: keys b"0"..., b"num_examples", values pickled dictionaries."""
    records = list(records)
    with tempfile.TemporaryDirectory() as work:
        with lmdb.open(work, map_size=1 << 20) as environment:
            with environment.begin(write=True) as transaction:
                for i, record in enumerate(records):
                    transaction.put(str(i).encode(), pickle.dumps(record, protocol))
                transaction.put(b"num_examples", pickle.dumps(len(records), protocol))
            compact = pathlib.Path(work) / "compact"
            compact.mkdir()
            environment.copy(str(compact), compact=True)
        shutil.copy(compact / "data.mdb", OUT / f"{name}.lmdb")


def write_pickles():
    record = next(secondary_structure())
    for protocol in range(2, 6):
        (OUT / f"protocol{protocol}.pickle").write_bytes(pickle.dumps(record, protocol))
    (OUT / "numpy_scalars.pickle").write_bytes(
        pickle.dumps({"id": np.str_("abc"), "x": np.float64(0.1), "k": np.int32(-7), "t": True, "n": None, "l": [1, 2.5, [3]]}, 4)
    )
    (OUT / "fortran.pickle").write_bytes(pickle.dumps({"x": np.asfortranarray(np.arange(6.0).reshape(2, 3))}, 4))
    # What a hostile file does: call os.system on loading.
    (OUT / "hostile_global.pickle").write_bytes(b"\x80\x02cos\nsystem\nX\x0b\x00\x00\x00touch pwned\x85R.")
    (OUT / "hostile_stack_global.pickle").write_bytes(
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x0btouch pwned\x85R."
    )
    (OUT / "hostile_builtin.pickle").write_bytes(b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.")


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def varint(value):
    value &= (1 << 64) - 1
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def feature(value):
    if isinstance(value, bytes):
        return field(1, field(1, value))
    values = list(value)
    if all(isinstance(v, int) for v in values):
        return field(3, field(1, b"".join(varint(v) for v in values)))
    return field(2, field(1, b"".join(struct.pack("<f", v) for v in values)))


def entry(key, value):
    return field(1, field(1, key.encode()) + field(2, value))


def sequence_example(context, lists):
    """Wire bytes of tf.train.SequenceExample, by hand: context = 1, feature lists = 2."""
    features = b"".join(entry(key, feature(value)) for key, value in context.items())
    rows = b"".join(entry(key, b"".join(field(1, feature(row)) for row in value)) for key, value in lists.items())
    return field(1, features) + (field(2, rows) if lists else b"")


def write_tfrecords(name, records):
    body = b""
    for record in records:
        length = struct.pack("<Q", len(record))
        body += length + masked(length) + record + masked(record)
    (OUT / f"{name}.tfrecord").write_bytes(body)


PFAM = {letter: 4 + i for i, letter in enumerate("ABCDEFGHIKLMNOPQRSTUVWXYZ")}


def tf_fluorescence():
    for i in range(3):
        sequence = "MSKGEEL"[: 5 + i]
        yield sequence_example(
            {"protein_length": [len(sequence)], "log_fluorescence": [1.5 + i], "num_mutations": [i]},
            {"primary": [[PFAM[letter]] for letter in sequence]},
        )


def tf_proteinnet():
    """ProteinNet: three backbone atoms a residue in picometres, mask as floats."""
    codes = [0, 1, 2, 3, -1, 5]
    atoms = []
    for i in range(6):
        atoms += [[380.0 * i - 100, 0.0, 0.0], [380.0 * i, 0.0, 0.0], [380.0 * i + 100, 0.0, 0.0]]
    mask = [[1.0], [1.0], [0.0], [1.0], [1.0], [1.0]]
    yield sequence_example({"id": b"1abc_1_A"}, {"primary": [[c] for c in codes], "tertiary": atoms, "mask": mask})


def plain_example():
    """tf.train.Example: everything in field 1."""
    yield sequence_example({"id": b"plain", "primary": b"ACDE", "stability_score": [0.25], "topology": b"HHH"}, {})


def write_json():
    records = []
    for record in secondary_structure():
        record = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in record.items()}
        record["id"] = record["id"].decode()
        records.append(record)
    (OUT / "secondary_structure.json").write_text(json.dumps(records))


def write_blast():
    fasta = (
        ">sp|P12345|AATM_RABIT Aspartate aminotransferase, mitochondrial\n"
        "MALLHSARVLSGVASAFHPGLAAAASARASSWWAHVEMGPPDPILGVTEAYKRDTNSKKM\n"
        ">plain_id\nMKVBZXUOJ*\n>gnl|db|tag7 some title\nACDEFGHIKLMNPQRSTVWY\n"
    )
    with tempfile.TemporaryDirectory() as work:
        source = pathlib.Path(work) / "in.fasta"
        source.write_text(fasta)
        command = ["makeblastdb", "-dbtype", "prot", "-blastdb_version", "4", "-title", "t", "-in", str(source)]
        for name, extra in [("ordinal", []), ("parsed", ["-parse_seqids"])]:
            subprocess.run([*command, *extra, "-out", f"{work}/{name}"], check=True, stdout=subprocess.DEVNULL)
            for ending in ["pin", "psq", "phr"]:
                shutil.copy(f"{work}/{name}.{ending}", OUT / f"{name}.{ending}")
    (OUT / "both.pal").write_text('# alias\nTITLE both\nDBLIST "ordinal" parsed\n')


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    write_arrays()
    write_pickles()
    write_lmdb("secondary_structure", secondary_structure(), 4)
    write_lmdb("contact", contact(), 2)
    write_lmdb("fluorescence", fluorescence(), 5)
    write_json()
    write_tfrecords("fluorescence", tf_fluorescence())
    write_tfrecords("proteinnet", tf_proteinnet())
    write_tfrecords("plain_example", plain_example())
    write_blast()
