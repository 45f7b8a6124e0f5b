"""Text from outside: whatever is not seen, moves the cursor or turns the line is shown as its escape."""

import sys
import unicodedata

import pytest

from pdebench_fm.text import in_one_line, is_plain, visible


@pytest.mark.parametrize(
    "hidden",
    ["\x1b", "\x00", "\x7f", "\x9b", "\u00ad", "\u061c", "\u200b", "\u200d", "\u202e", "\u2060", "\u2066", "\ufeff"],
)
def test_what_is_not_seen_or_turns_the_line_is_shown_as_an_escape(hidden):
    assert visible(f"fno{hidden}-64k") == f"fno{hidden.encode('unicode_escape').decode()}-64k"
    assert not is_plain(hidden)


def test_letters_of_any_script_and_signs_stay():
    text = "Poisson ℓ² Ψ–ω é e\u0301 漢字 שלום नमस्ते 🙂"
    assert visible(text) == text
    assert is_plain(text)


def test_no_character_that_stays_is_a_control_a_mark_of_format_or_a_break():
    every = map(chr, range(sys.maxunicode + 1))
    kinds = {unicodedata.category(character) for character in every if is_plain(character)}
    assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_a_line_feed_stays_where_it_may_and_a_line_is_one():
    assert visible("a\nb\x1b", keep="\n") == "a\nb\\x1b"
    assert in_one_line(" a\n b\t\u2028c\u202e") == "a b c\\u202e"
