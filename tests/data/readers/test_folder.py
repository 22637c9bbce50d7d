import pytest

from instar.data.readers.folder import FileBeside, NoFileNames, NoImages, StrangeFile, read


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


def test_read_lays_masks_beside_images(tmp_path, png):
    for name, shade in (("images/b.jpg", 2), ("images/a.png", 1), ("masks/a.png", 3)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png(shade))
    frame = read(tmp_path)
    assert frame["file_name"].to_list() == ["a.png", "b.jpg"]
    assert frame["image"].to_list() == [png(1), png(2)]
    assert frame["mask"].to_list() == [png(3), None]


def test_read_mask_without_an_image_is_refused(tmp_path, png):
    for name in ("images/a.png", "masks/b.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png(1))
    with pytest.raises(FileBeside, match="b"):
        read(tmp_path)


def test_read_takes_files_that_a_table_names(tmp_path, png):
    (tmp_path / "scans").mkdir()
    for name, shade in (("scans/a.png", 1), ("scans/a-mask.png", 2), ("scans/b.png", 3)):
        (tmp_path / name).write_bytes(png(shade))
    table = "file_name,mask_file_name,site\nscans/b.png,,north\nscans/a.png,scans/a-mask.png,south"
    (tmp_path / "metadata.csv").write_text(table)
    frame = read(tmp_path)
    assert frame["image"].to_list() == [png(3), png(1)]
    assert frame["mask"].to_list() == [None, png(2)]
    assert frame.columns == ["file_name", "site", "image", "mask"]


@pytest.mark.parametrize("name", ["../outside.png", "missing.png"])
def test_read_table_that_names_no_file_of_the_folder_is_refused(tmp_path, png, name):
    (tmp_path / "outside.png").write_bytes(png(1))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "metadata.csv").write_text(f"file_name,label\n{name},cat\n")
    with pytest.raises(FileBeside, match="metadata"):
        read(folder)


def test_read_table_without_file_names_is_refused(tmp_path):
    (tmp_path / "metadata.csv").write_text("name,label\na.png,cat\n")
    with pytest.raises(NoFileNames):
        read(tmp_path)
