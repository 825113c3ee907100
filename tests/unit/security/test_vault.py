from __future__ import annotations

import base64
import os
import stat
import unicodedata
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import TypedDict

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.security.vault import (
    BadKeyFile,
    KeyEncryptionKey,
    TamperedCiphertext,
    UnknownKey,
    Vault,
    VaultError,
    make_key_file,
    normalize_reference,
    write_once,
)


class SealLocation(TypedDict):
    study_id: str
    stream_id: str
    version: int


vault = Vault(KeyEncryptionKey(bytes(range(32))))
WRAPPED = vault.new_data_key()
KEY = vault.unwrap(WRAPPED)
LOCATION: SealLocation = {"study_id": "atc-rt", "stream_id": "K7F2-9QXA-3", "version": 7}
NOTE = {"/reason": "moved to another town", "/local_reference": "PAT-0815"}

any_text = st.text(st.characters(codec=None), max_size=40)
texts = st.dictionaries(any_text, any_text, max_size=4)
some_texts = st.dictionaries(any_text, any_text, min_size=1, max_size=4)
locations = st.builds(SealLocation, study_id=any_text, stream_id=any_text, version=st.integers(0, 2**63))


def with_flipped_bit(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@given(texts, locations)
def test_sealed_texts_open_at_their_own_location(sealed_texts: dict[str, str], location: SealLocation) -> None:
    assert vault.open(KEY, vault.seal(KEY, sealed_texts, **location), **location) == sealed_texts


@given(texts, st.data())
def test_flipped_bit_is_detected(sealed_texts: dict[str, str], data: st.DataObject) -> None:
    sealed = vault.seal(KEY, sealed_texts, **LOCATION)
    with pytest.raises(TamperedCiphertext):
        vault.open(KEY, with_flipped_bit(sealed, data.draw(st.integers(0, len(sealed) * 8 - 1))), **LOCATION)


def test_every_flipped_bit_of_a_seal_and_of_a_wrapped_key_is_detected() -> None:
    sealed = vault.seal(KEY, NOTE, **LOCATION)
    for bit in range(len(sealed) * 8):
        with pytest.raises(TamperedCiphertext):
            vault.open(KEY, with_flipped_bit(sealed, bit), **LOCATION)
    for bit in range(len(WRAPPED) * 8):
        with pytest.raises(VaultError):
            vault.unwrap(with_flipped_bit(WRAPPED, bit))


@given(some_texts, locations, locations)
def test_sealed_texts_do_not_open_in_another_study_stream_or_version(
    sealed_texts: dict[str, str], sealed_at: SealLocation, opened_at: SealLocation
) -> None:
    assume(sealed_at != opened_at)
    with pytest.raises(TamperedCiphertext):
        vault.open(KEY, vault.seal(KEY, sealed_texts, **sealed_at), **opened_at)


@pytest.mark.parametrize(
    "other_location",
    [{**LOCATION, "stream_id": "K7F2-9QXA-4"}, {**LOCATION, "study_id": "atc-rtK", "stream_id": "7F2-9QXA-3"}],
)
def test_seal_copied_to_a_similar_location_does_not_open(other_location: SealLocation) -> None:
    with pytest.raises(TamperedCiphertext):
        vault.open(KEY, vault.seal(KEY, NOTE, **LOCATION), **other_location)


def _parse_parts(sealed: bytes) -> list[bytes]:
    """Returns the parts after the format byte, parsed as the docstring of Vault describes."""
    parts, remaining = [], sealed[1:]
    while remaining:
        length = int.from_bytes(remaining[:4], "big")
        parts.append(remaining[4 : 4 + length])
        remaining = remaining[4 + length :]
    return parts


def _join_parts(parts: list[bytes]) -> bytes:
    return b"\x01" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _swap(contents: bytes, first: bytes, second: bytes) -> list[bytes]:
    return [contents, second, first]


def _rename(contents: bytes, first: bytes, second: bytes) -> list[bytes]:
    return [contents.replace(b"/reason", b"/raison"), first, second]


def _leave_out(contents: bytes, first: bytes, _: bytes) -> list[bytes]:
    return [contents[: 4 + len("/local_reference")], first]


def _leave_all_out(_: bytes, __: bytes, ___: bytes) -> list[bytes]:
    return []


def _drop_part(contents: bytes, first: bytes, _: bytes) -> list[bytes]:
    return [contents, first]


def _add(contents: bytes, first: bytes, second: bytes) -> list[bytes]:
    return [contents, first, second, second]


@pytest.mark.parametrize("change", [_swap, _rename, _leave_out, _leave_all_out, _drop_part, _add])
def test_a_text_cannot_be_moved_to_another_field_left_out_or_added(change: Callable[..., list[bytes]]) -> None:
    parts = _parse_parts(sealed := vault.seal(KEY, NOTE, **LOCATION))
    assert _join_parts(parts) == sealed
    with pytest.raises(TamperedCiphertext):
        vault.open(KEY, _join_parts(change(*parts)), **LOCATION)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_without_other_errors(nonsense: bytes) -> None:
    assume(nonsense != vault.seal(KEY, {}, **LOCATION))
    with pytest.raises(TamperedCiphertext):
        vault.open(KEY, nonsense, **LOCATION)
    with pytest.raises(VaultError):
        vault.unwrap(nonsense)


@given(st.integers(0, 199))
def test_truncated_seal_is_refused(length: int) -> None:
    sealed = vault.seal(KEY, NOTE, **LOCATION)
    assume(length < len(sealed))
    with pytest.raises(TamperedCiphertext):
        vault.open(KEY, sealed[:length], **LOCATION)


@given(st.lists(st.text(st.characters(min_codepoint=0x100), min_size=4), min_size=1, max_size=3))
def test_sealed_bytes_contain_no_plain_text(spoken: list[str]) -> None:
    sealed = vault.seal(KEY, {f"/notes/{number}": text for number, text in enumerate(spoken)}, **LOCATION)
    pieces = (
        text.encode(errors="surrogatepass")[at : at + 8]
        for text in spoken
        for at in range(len(text.encode(errors="surrogatepass")) - 7)
    )
    assert not any(piece in sealed for piece in pieces)


def test_sealing_is_not_deterministic() -> None:
    assert vault.seal(KEY, NOTE, **LOCATION) != vault.seal(KEY, NOTE, **LOCATION)


def test_data_key_of_another_participant_does_not_open_the_seal() -> None:
    other = vault.unwrap(vault.new_data_key())
    with pytest.raises(TamperedCiphertext):
        vault.open(other, vault.seal(KEY, NOTE, **LOCATION), **LOCATION)


def test_wrapped_key_opens_after_a_restart() -> None:
    sealed = vault.seal(KEY, NOTE, **LOCATION)
    restarted = Vault(KeyEncryptionKey(bytes(range(32))))
    assert restarted.open(restarted.unwrap(WRAPPED), sealed, **LOCATION) == NOTE


def test_key_wrapped_by_another_key_is_reported_as_unknown() -> None:
    with pytest.raises(UnknownKey):
        Vault(KeyEncryptionKey(bytes(32))).unwrap(WRAPPED)


def test_wrapped_key_does_not_contain_the_wrapping_key() -> None:
    assert len(WRAPPED) == 1 + 8 + 12 + 32 + 16
    assert bytes(range(32)) not in WRAPPED
    assert vault.new_data_key() != WRAPPED


def test_errors_and_representations_do_not_reveal_secrets() -> None:
    secret = bytes(range(32))
    printed = repr(KeyEncryptionKey(secret)) + repr(KEY) + repr(vault)
    with pytest.raises(TamperedCiphertext) as refused:
        vault.open(KEY, with_flipped_bit(vault.seal(KEY, NOTE, **LOCATION), 999), **LOCATION)
    assert refused.value.__cause__ is None
    for visible_text in (printed, str(refused.value)):
        assert secret.hex() not in visible_text
        assert not any(text in visible_text for text in NOTE.values())


@pytest.mark.parametrize(
    ("reference", "same"),
    [
        ("PAT-0815", "pat-0815"),
        ("  PAT-0815\n", "PAT-0815"),
        ("PAT \t 0815", "pat 0815"),
        ("PAT\u00a00815", "PAT 0815"),
        ("Straße 1", "STRASSE 1"),
        ("Ärzte", unicodedata.normalize("NFD", "ärzte")),
        ("ＰＡＴ０８１５", "pat0815"),
    ],
)
def test_blind_index_ignores_case_width_and_whitespace(reference: str, same: str) -> None:
    assert vault.blind_index("atc-rt", "site-01", reference) == vault.blind_index("atc-rt", "site-01", same)


@pytest.mark.parametrize(
    ("study", "site", "reference"),
    [
        ("atc-rt", "site-01", "PAT-0816"),
        ("atc-rt", "site-02", "PAT-0815"),
        ("demo", "site-01", "PAT-0815"),
        ("atc-rts", "ite-01", "PAT-0815"),
        ("atc-rt", "site-01", "PAT0815"),
    ],
)
def test_another_study_site_or_reference_has_another_index(study: str, site: str, reference: str) -> None:
    assert vault.blind_index(study, site, reference) != vault.blind_index("atc-rt", "site-01", "PAT-0815")


@given(st.text())
def test_normalization_is_idempotent(reference: str) -> None:
    assert normalize_reference(normalize_reference(reference)) == normalize_reference(reference)


def test_blind_index_and_fingerprint_depend_on_the_key() -> None:
    other = Vault(KeyEncryptionKey(bytes(32)))
    assert other.blind_index("atc-rt", "site-01", "PAT-0815") != vault.blind_index("atc-rt", "site-01", "PAT-0815")
    assert other.fingerprint(b"PAT-0815") != vault.fingerprint(b"PAT-0815")


@given(st.lists(st.binary(max_size=6), max_size=4), st.lists(st.binary(max_size=6), max_size=4))
def test_fingerprints_are_equal_exactly_for_the_same_parts(first: list[bytes], other: list[bytes]) -> None:
    assert (vault.fingerprint(*first) == vault.fingerprint(*other)) == (first == other)
    assert len(first) < 2 or vault.fingerprint(*first) != vault.fingerprint(b"".join(first))


def test_key_file_is_private_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    make_key_file(path)
    first = path.read_bytes()
    make_key_file(path)
    assert path.read_bytes() == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["kek"]
    assert len(base64.b64decode(first)) == 32


def test_concurrent_creation_of_the_key_file_gives_one_key(tmp_path: Path) -> None:
    path, key_ids = tmp_path / "kek", list[bytes]()

    def start() -> None:
        make_key_file(path)
        key_ids.append(KeyEncryptionKey.load(path).id)

    starts = [Thread(target=start) for _ in range(8)]
    for thread in starts:
        thread.start()
    for thread in starts:
        thread.join(10)
    assert (len(key_ids), len(set(key_ids))) == (8, 1)


def test_failed_write_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    write_once(tmp_path / "taken", b"a folder is in the way")
    assert os.listdir(tmp_path) == ["taken"]
    with pytest.raises(FileNotFoundError):
        write_once(tmp_path / "absent" / "kek", b"")


@pytest.mark.parametrize("content", [b"", b"AAAA", b"not base64 at all!", base64.b64encode(bytes(33)), b"\xff" * 44])
def test_damaged_key_file_is_refused_without_quoting_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kek"
    path.write_bytes(content)
    with pytest.raises(BadKeyFile) as refused:
        KeyEncryptionKey.load(path)
    assert not content or content.decode(errors="replace") not in str(refused.value)


def test_absent_key_file_is_refused_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(BadKeyFile):
        KeyEncryptionKey.load(tmp_path / "kek")
    assert not (tmp_path / "kek").exists()
