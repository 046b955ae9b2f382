"""Makes the Parquet files beside it, by another hand than the reader's: PyArrow 26.0.1.

    pip install pyarrow==26.0.1 && python make.py
"""

import base64
import datetime as dt
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

UTC = dt.timezone.utc


def at(microsecond, tz=None):
    return dt.datetime(2026, 11, 25, 16, 39, 45, microsecond, tz)


def column(values, kind):
    return pa.array(values, kind)


types = pa.table({
    "name": column(["Ana", None, "Åsa \"x\", y\n"], pa.string()),
    "zip": column(["007", "1", "2"], pa.large_string()),
    "kind": column(["a", "b", "a"], pa.string()).dictionary_encode(),
    "id": column([1, 2, 9223372036854775807], pa.int64()),
    "tiny": column([-128, None, 127], pa.int8()),
    "count": column([0, 1, 4294967295], pa.uint32()),
    "large": column([0, 1, 18446744073709551615], pa.uint64()),
    "ratio": column([0.1, -2.5, None], pa.float32()),
    "half": column([1.5, None, -0.25], pa.float16()),
    "amount": column([0.1, 1e300, float("nan")], pa.float64()),
    "paid": column([True, False, None], pa.bool_()),
    "day": column([dt.date(2026, 11, 25), dt.date(1969, 12, 31), None], pa.date32()),
    "ms_utc": column([at(120000, UTC), None, at(0, UTC)], pa.timestamp("ms", "UTC")),
    "us_local": column([at(123456), None, at(0)], pa.timestamp("us")),
    "ns_utc": pa.array([1795624785123456789, None, -1], pa.timestamp("ns", "UTC")),
    "clock": column([dt.time(9, 5), dt.time(23, 59, 59, 250000), None], pa.time64("us")),
    "price": column([Decimal("12.30"), Decimal("-0.05"), None], pa.decimal128(10, 2)),
    "wide": column([Decimal("1.5"), None, Decimal("-3")], pa.decimal128(38, 10)),
    "exact": column([Decimal("12345678901234567890"), Decimal("1"), None], pa.decimal128(20, 0)),
    "raw": column([b"text", b"\x00\xff", None], pa.binary()),
    "key": pa.array([UUID("12345678-1234-5678-1234-567812345678").bytes, None, bytes(16)], pa.uuid()),
    "nothing": column([None, None, None], pa.null()),
})
pq.write_table(types, "types.parquet", compression="snappy")

spark = pa.table({"at": column([at(123456), None, dt.datetime(1969, 12, 31, 23)], pa.timestamp("ns"))})
pq.write_table(spark, "int96.parquet", use_deprecated_int96_timestamps=True)

ROWS = 5000
many = pa.table({
    "id": column([n * 7 - 3 for n in range(ROWS)], pa.int64()),
    "text": column([f"customer-{n:05}@example.com" for n in range(ROWS)], pa.string()),
    "note": column([None if n % 3 else "x" * (n % 50) for n in range(ROWS)], pa.string()),
    "real": column([n / 8 for n in range(ROWS)], pa.float64()),
})
pq.write_table(many, "delta.zstd.parquet", compression="zstd", data_page_version="2.0",
               use_dictionary=False, row_group_size=2000, data_page_size=4096,
               column_encoding={"id": "DELTA_BINARY_PACKED", "text": "DELTA_BYTE_ARRAY",
                                "note": "DELTA_LENGTH_BYTE_ARRAY", "real": "BYTE_STREAM_SPLIT"})
pq.write_table(many.slice(0, 1200), "plain.gzip.parquet", compression="gzip", row_group_size=500)
pq.write_table(many.slice(0, 3), "lz4.parquet", compression="lz4")
pq.write_table(many.slice(0, 0), "empty.parquet")

nested = pa.table({
    "id": column([1, 2, 3], pa.int64()),
    "tags": column([["a", "b\""], [], None], pa.list_(pa.string())),
    "times": column([[at(5), None], None, []], pa.list_(pa.timestamp("us"))),
    "place": column([{"city": "Oslo", "at": at(5)}, None, {"city": None, "at": None}],
                    pa.struct([("city", pa.string()), ("at", pa.timestamp("us"))])),
    "prices": column([[("x", Decimal("1.50"))], None, []], pa.map_(pa.string(), pa.decimal128(9, 2))),
})
pq.write_table(nested, "nested.parquet")


class Kms(pe.KmsClient):
    def __init__(self, _):
        super().__init__()

    def wrap_key(self, key, _):
        return base64.b64encode(key)

    def unwrap_key(self, key, _):
        return base64.b64decode(key)


for name, plain in [("encrypted.parquet", False), ("encrypted-columns.parquet", True)]:
    config = pe.EncryptionConfiguration(footer_key="footer", column_keys={"column": ["text"]},
                                        plaintext_footer=plain)
    properties = pe.CryptoFactory(Kms).file_encryption_properties(pe.KmsConnectionConfig(), config)
    with pq.ParquetWriter(name, many.schema, encryption_properties=properties) as writer:
        writer.write_table(many.slice(0, 3))
