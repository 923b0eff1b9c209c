"""A storage is refused for the same reason whether it is only looked at or is to be written."""

import pytest

from mixlab.storage.probe import marked, probe, require_storage
from tests.endings import refused


@pytest.mark.parametrize("writable", [False, True])
@pytest.mark.parametrize("below", ["", "/results"])
@pytest.mark.parametrize(("name", "is_what"), [("link", "a link to nothing"), ("file", "a file")])
def test_what_is_no_folder_is_refused(tmp_path, name, is_what, below, writable):
    """A broken link is not a folder that is yet to be made."""
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with refused(f"{below}' cannot be {'written' if writable else 'read'} ('{tmp_path / name}' is {is_what}); give"):
        require_storage(f"{tmp_path / name}{below}", writable)


@pytest.mark.parametrize("writable", [False, True])
def test_a_link_to_a_folder_and_a_folder_that_is_yet_to_be_made_are_storages(tmp_path, writable):
    (tmp_path / "link").symlink_to(tmp_path)
    require_storage(str(tmp_path / "link" / "new"), writable)


@pytest.mark.parametrize(
    ("there", "scheme"), [("", ""), ("a", ""), ("a/b/c", ""), pytest.param("a", "file://", marks=pytest.mark.slow)]
)
def test_what_is_only_tried_is_left_as_it_was(tmp_path, there, scheme):
    """The folders that the probe makes to reach the storage are removed too."""
    (tmp_path / there).mkdir(parents=True, exist_ok=True)
    before = sorted(tmp_path.rglob("*"))
    storage = f"{scheme}{tmp_path}/a/b/c"
    require_storage(storage)
    with marked(storage, "marker"):
        assert probe(storage, "marker") == ("", True)
        assert probe(storage, "other") == ("", False)
    assert probe(storage, "marker") == ("", False)
    assert sorted(tmp_path.rglob("*")) == before
