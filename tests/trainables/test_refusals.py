"""What a refusal quotes of a library's error."""

from trainables.refusals import first_line


def test_an_error_is_told_in_one_line_and_one_without_words_by_its_name() -> None:
    assert first_line(RuntimeError("\nmat1 and mat2\ndo not fit")) == "mat1 and mat2"
    assert first_line(AssertionError()) == "AssertionError"
