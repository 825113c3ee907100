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
    Tampered,
    UnknownKey,
    Vault,
    VaultError,
    make_key_file,
    normalised,
    write_once,
)


class Place(TypedDict):
    study_id: str
    stream_id: str
    version: int


vault = Vault(KeyEncryptionKey(bytes(range(32))))
WRAPPED = vault.new_data_key()
KEY = vault.unwrap(WRAPPED)
HERE: Place = {"study_id": "atc-rt", "stream_id": "K7F2-9QXA-3", "version": 7}
NOTE = {"/reason": "moved to another town", "/local_reference": "PAT-0815"}

any_text = st.text(st.characters(codec=None), max_size=40)
texts = st.dictionaries(any_text, any_text, max_size=4)
some_texts = st.dictionaries(any_text, any_text, min_size=1, max_size=4)
places = st.builds(Place, study_id=any_text, stream_id=any_text, version=st.integers(0, 2**63))


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@given(texts, places)
def test_what_is_sealed_opens_at_its_own_place(sealed_texts: dict[str, str], place: Place) -> None:
    assert vault.open(KEY, vault.seal(KEY, sealed_texts, **place), **place) == sealed_texts


@given(texts, st.data())
def test_one_flipped_bit_anywhere_is_noticed(sealed_texts: dict[str, str], data: st.DataObject) -> None:
    sealed = vault.seal(KEY, sealed_texts, **HERE)
    with pytest.raises(Tampered):
        vault.open(KEY, flipped(sealed, data.draw(st.integers(0, len(sealed) * 8 - 1))), **HERE)


def test_every_single_bit_of_a_seal_and_of_a_wrapped_key_counts() -> None:
    sealed = vault.seal(KEY, NOTE, **HERE)
    for bit in range(len(sealed) * 8):
        with pytest.raises(Tampered):
            vault.open(KEY, flipped(sealed, bit), **HERE)
    for bit in range(len(WRAPPED) * 8):
        with pytest.raises(VaultError):
            vault.unwrap(flipped(WRAPPED, bit))


@given(some_texts, places, places)
def test_texts_do_not_open_in_another_study_stream_or_version(
    sealed_texts: dict[str, str], sealed_at: Place, opened_at: Place
) -> None:
    assume(sealed_at != opened_at)
    with pytest.raises(Tampered):
        vault.open(KEY, vault.seal(KEY, sealed_texts, **sealed_at), **opened_at)


@pytest.mark.parametrize(
    "elsewhere",
    [{**HERE, "stream_id": "K7F2-9QXA-4"}, {**HERE, "study_id": "atc-rtK", "stream_id": "7F2-9QXA-3"}],
)
def test_a_seal_copied_to_a_neighbouring_place_does_not_open(elsewhere: Place) -> None:
    with pytest.raises(Tampered):
        vault.open(KEY, vault.seal(KEY, NOTE, **HERE), **elsewhere)


def _boxes(sealed: bytes) -> list[bytes]:
    """The parts after the format byte, read by the description in the docstring of Vault."""
    parts, rest = [], sealed[1:]
    while rest:
        length = int.from_bytes(rest[:4], "big")
        parts.append(rest[4 : 4 + length])
        rest = rest[4 + length :]
    return parts


def _rebuilt(parts: list[bytes]) -> bytes:
    return b"\x01" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _swap(contents: bytes, first: bytes, second: bytes) -> list[bytes]:
    return [contents, second, first]


def _rename(contents: bytes, first: bytes, second: bytes) -> list[bytes]:
    return [contents.replace(b"/reason", b"/raison"), first, second]


def _leave_out(contents: bytes, first: bytes, _: bytes) -> list[bytes]:
    return [contents[: 4 + len("/local_reference")], first]


def _leave_all_out(_: bytes, __: bytes, ___: bytes) -> list[bytes]:
    return []


def _drop_a_box(contents: bytes, first: bytes, _: bytes) -> list[bytes]:
    return [contents, first]


def _add(contents: bytes, first: bytes, second: bytes) -> list[bytes]:
    return [contents, first, second, second]


@pytest.mark.parametrize("change", [_swap, _rename, _leave_out, _leave_all_out, _drop_a_box, _add])
def test_a_text_cannot_be_moved_to_another_field_left_out_or_added(change: Callable[..., list[bytes]]) -> None:
    parts = _boxes(sealed := vault.seal(KEY, NOTE, **HERE))
    assert _rebuilt(parts) == sealed
    with pytest.raises(Tampered):
        vault.open(KEY, _rebuilt(change(*parts)), **HERE)


@given(st.binary(max_size=200))
def test_bytes_that_were_never_sealed_are_refused_and_nothing_worse(nonsense: bytes) -> None:
    assume(nonsense != vault.seal(KEY, {}, **HERE))
    with pytest.raises(Tampered):
        vault.open(KEY, nonsense, **HERE)
    with pytest.raises(VaultError):
        vault.unwrap(nonsense)


@given(st.integers(0, 199))
def test_a_seal_cut_short_is_refused(length: int) -> None:
    sealed = vault.seal(KEY, NOTE, **HERE)
    assume(length < len(sealed))
    with pytest.raises(Tampered):
        vault.open(KEY, sealed[:length], **HERE)


@given(st.lists(st.text(st.characters(min_codepoint=0x100), min_size=4), min_size=1, max_size=3))
def test_nothing_of_the_text_is_readable_in_the_seal(spoken: list[str]) -> None:
    sealed = vault.seal(KEY, {f"/notes/{number}": text for number, text in enumerate(spoken)}, **HERE)
    pieces = (
        text.encode(errors="surrogatepass")[at : at + 8]
        for text in spoken
        for at in range(len(text.encode(errors="surrogatepass")) - 7)
    )
    assert not any(piece in sealed for piece in pieces)


def test_the_same_text_sealed_twice_looks_different() -> None:
    assert vault.seal(KEY, NOTE, **HERE) != vault.seal(KEY, NOTE, **HERE)


def test_another_participants_key_opens_nothing() -> None:
    other = vault.unwrap(vault.new_data_key())
    with pytest.raises(Tampered):
        vault.open(other, vault.seal(KEY, NOTE, **HERE), **HERE)


def test_a_wrapped_key_still_opens_after_a_restart() -> None:
    sealed = vault.seal(KEY, NOTE, **HERE)
    restarted = Vault(KeyEncryptionKey(bytes(range(32))))
    assert restarted.open(restarted.unwrap(WRAPPED), sealed, **HERE) == NOTE


def test_a_key_wrapped_elsewhere_is_named_as_such_and_not_as_tampering() -> None:
    with pytest.raises(UnknownKey):
        Vault(KeyEncryptionKey(bytes(32))).unwrap(WRAPPED)


def test_a_wrapped_key_does_not_show_the_key_that_wraps_it() -> None:
    assert len(WRAPPED) == 1 + 8 + 12 + 32 + 16
    assert bytes(range(32)) not in WRAPPED
    assert vault.new_data_key() != WRAPPED


def test_neither_a_refusal_nor_a_printed_key_quotes_what_is_secret() -> None:
    secret = bytes(range(32))
    printed = repr(KeyEncryptionKey(secret)) + repr(KEY) + repr(vault)
    with pytest.raises(Tampered) as refused:
        vault.open(KEY, flipped(vault.seal(KEY, NOTE, **HERE), 999), **HERE)
    assert refused.value.__cause__ is None
    for shown in (printed, str(refused.value)):
        assert secret.hex() not in shown
        assert not any(text in shown for text in NOTE.values())


@pytest.mark.parametrize(
    ("one", "same"),
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
def test_a_reference_is_found_again_however_it_is_typed(one: str, same: str) -> None:
    assert vault.blind_index("atc-rt", "site-01", one) == vault.blind_index("atc-rt", "site-01", same)


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
def test_what_is_normalised_once_stays_so(reference: str) -> None:
    assert normalised(normalised(reference)) == normalised(reference)


def test_an_index_and_a_fingerprint_cannot_be_computed_without_the_key() -> None:
    other = Vault(KeyEncryptionKey(bytes(32)))
    assert other.blind_index("atc-rt", "site-01", "PAT-0815") != vault.blind_index("atc-rt", "site-01", "PAT-0815")
    assert other.fingerprint(b"PAT-0815") != vault.fingerprint(b"PAT-0815")


@given(st.lists(st.binary(max_size=6), max_size=4), st.lists(st.binary(max_size=6), max_size=4))
def test_fingerprints_are_equal_exactly_for_the_same_parts(one: list[bytes], other: list[bytes]) -> None:
    assert (vault.fingerprint(*one) == vault.fingerprint(*other)) == (one == other)
    assert len(one) < 2 or vault.fingerprint(*one) != vault.fingerprint(b"".join(one))


def test_a_key_file_is_private_and_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    make_key_file(path)
    first = path.read_bytes()
    make_key_file(path)
    assert path.read_bytes() == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["kek"]
    assert len(base64.b64decode(first)) == 32


def test_many_that_make_the_key_file_at_once_end_with_one_key(tmp_path: Path) -> None:
    path, seen = tmp_path / "kek", list[bytes]()

    def start() -> None:
        make_key_file(path)
        seen.append(KeyEncryptionKey.load(path).id)

    starts = [Thread(target=start) for _ in range(8)]
    for thread in starts:
        thread.start()
    for thread in starts:
        thread.join(10)
    assert (len(seen), len(set(seen))) == (8, 1)


def test_what_cannot_be_written_leaves_no_draft_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    write_once(tmp_path / "taken", b"a folder is in the way")
    assert os.listdir(tmp_path) == ["taken"]
    with pytest.raises(FileNotFoundError):
        write_once(tmp_path / "absent" / "kek", b"")


@pytest.mark.parametrize("content", [b"", b"AAAA", b"not base64 at all!", base64.b64encode(bytes(33)), b"\xff" * 44])
def test_a_damaged_key_file_is_refused_without_quoting_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kek"
    path.write_bytes(content)
    with pytest.raises(BadKeyFile) as refused:
        KeyEncryptionKey.load(path)
    assert not content or content.decode(errors="replace") not in str(refused.value)


def test_an_absent_key_file_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(BadKeyFile):
        KeyEncryptionKey.load(tmp_path / "kek")
    assert not (tmp_path / "kek").exists()
