import pytest

from instar.data.readers.folder import NoImages, StrangeFile, read


def test_read_takes_classes_from_folders(tmp_path, png):
    for name, shade in (("cat/b.png", 2), ("dog/a.png", 3), ("cat/a.png", 1)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png(shade))
    (tmp_path / "cat" / ".hidden").write_bytes(b"")
    frame = read(tmp_path)
    assert frame["file_name"].to_list() == ["cat/a.png", "cat/b.png", "dog/a.png"]
    assert frame["label"].to_list() == ["cat", "cat", "dog"]
    assert frame["image"].to_list() == [png(1), png(2), png(3)]


def test_read_folder_without_images_is_refused(tmp_path):
    (tmp_path / "cat").mkdir()
    with pytest.raises(NoImages):
        read(tmp_path)


def test_read_strange_file_is_refused(tmp_path, png):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.png").write_bytes(png())
    (tmp_path / "cat" / "notes.txt").write_text("x")
    with pytest.raises(StrangeFile, match="notes"):
        read(tmp_path)
