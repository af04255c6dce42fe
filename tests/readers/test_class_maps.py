"""Raw ids in the words of a set of classes, against the tables of the sources written out here."""

import random

import numpy as np
import pytest

from errors import UserError
from readers.class_maps import load_class_map

# Class, ids of CARLA up to 0.9.9, to 0.9.13, from 0.9.14 on, of Cityscapes (a licence plate, -1, is 255 in 8 bits),
# colour. Of the first list as of the second, without what it has not.
STREET16 = """
road          | 6 7 | 6 7            | 1 24              | 7                       | 128 64 128
sidewalk      | 8   | 8              | 2                 | 8                       | 244 35 232
building      | 1   | 1              | 3                 | 11                      | 70 70 70
wall          | 11  | 11             | 4                 | 12                      | 102 102 156
fence         | 2   | 2              | 5                 | 13                      | 190 153 153
pole          | 5   | 5              | 6                 | 17 18                   | 153 153 153
traffic light |     | 18             | 7                 | 19                      | 250 170 30
traffic sign  | 12  | 12             | 8                 | 20                      | 220 220 0
vegetation    | 9   | 9              | 9                 | 21                      | 107 142 35
terrain       |     | 22             | 10                | 22                      | 152 251 152
sky           | 13  | 13             | 11                | 23                      | 70 130 180
person        | 4   | 4              | 12 13             | 24 25                   | 220 20 60
vehicle       | 10  | 10             | 14 15 16 17 18 19 | 26 27 28 29 30 31 32 33 255 | 0 0 142
bridge        |     | 15             | 26                | 15                      | 150 100 100
rail track    |     | 16             | 27                | 10                      | 230 150 140
guard rail    |     | 17             | 28                | 14                      | 180 165 180
ignore        | 0 3 | 0 3 14 19 20 21 | 0 20 21 22 23 25 | 0 1 2 3 4 5 6 9 16      | 0 0 0
"""
ROWS = [[cell.strip() for cell in line.split("|")] for line in STREET16.strip().splitlines()]
# Ids that the sources have: 13 tags and the sky that is told from them, 23, 29, and 34 with the licence plate.
SOURCES = {"carla13": range(14), "carla23": range(23), "carla29": range(29), "cityscapes": [*range(34), 255]}
# CamVid's classes in the order of its label maps, and how sixteen common classes merge into them.
CAMVID = ["sky", "building", "pole", "road", "sidewalk", "vegetation", "sign", "fence", "vehicle", "person",
          "bicyclist", "ignore"]
COMMON = {1: "road", 2: "sidewalk", 3: "building", 4: "building", 5: "fence", 6: "pole", 7: "sign", 8: "sign",
          9: "vegetation", 10: "vegetation", 11: "sky", 12: "person", 13: "vehicle", 14: "bicyclist"}
# Value -> common class: old tags (0 is sky, ground or nothing), new tags, CamVid's, Cityscapes's.
TO_COMMON = {"carla13": [0, 3, 5, 15, 12, 6, 1, 1, 2, 9, 13, 4, 8],
             "carla29": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 12, 13, 13, 13, 13, 14, 14, 15, 15, 15, 0, 1, 10, 3,
                         0, 5],
             "camvid": [11, 3, 6, 1, 2, 9, 8, 5, 13, 12, 14, 0],
             "cityscapes": [0, 0, 0, 0, 15, 15, 10, 1, 2, 1, 0, 3, 4, 5, 5, 3, 3, 6, 6, 7, 8, 9, 10, 11, 12, 12, 13, 13,
                            13, 13, 13, 13, 14, 14]}
# Where the two differ: a rider counts with the bicycle, as CamVid has it; ground, parking and tunnel, which are
# neither here nor there, are ignored.
DIFFERENT = {"carla29": {13: "bicyclist", 25: "ignore"},
             "cityscapes": {6: "ignore", 9: "ignore", 16: "ignore", 25: "bicyclist"}}
PALETTE = {(0, 0, 0): 0, (70, 70, 70): 1, (190, 153, 153): 2, (250, 170, 160): 3, (220, 20, 60): 4, (153, 153, 153): 5,
           (157, 234, 50): 6, (128, 64, 128): 7, (244, 35, 232): 8, (107, 142, 35): 9, (0, 0, 142): 10,
           (102, 102, 156): 11, (220, 220, 0): 12}


def names(mapped):
    """Return raw id -> name of its class."""
    return {number: "ignore" if value == 255 else mapped.classes[value]
            for number, value in enumerate(mapped.to_class.tolist()) if value >= 0}


@pytest.mark.parametrize(("name", "column"), [("carla13", 1), ("carla23", 2), ("carla29", 3), ("cityscapes", 4)])
def test_the_sixteen_classes_have_the_ids_and_colours_of_the_table(name, column):
    mapped = load_class_map(name, "street16")
    wanted = {int(number): row[0] for row in ROWS for number in row[column].split()}
    assert names(mapped) == wanted
    assert sorted(wanted) == list(SOURCES[name])
    assert mapped.classes == tuple(row[0] for row in ROWS[:-1])
    assert mapped.colours.tolist() == [[int(value) for value in row[5].split()] for row in ROWS[:-1]]


@pytest.mark.parametrize("name", TO_COMMON)
def test_the_eleven_classes_are_camvids_and_those_the_common_ones_merge_into(name):
    mapped = load_class_map(name, "street11")
    assert list(mapped.classes) == CAMVID[:-1]
    wanted = dict(enumerate(COMMON.get(common, "ignore") for common in TO_COMMON[name])) | DIFFERENT.get(name, {})
    found = names(mapped)
    assert {number: found[number] for number in wanted} == wanted
    assert found.keys() - wanted.keys() == {"carla13": {13}, "cityscapes": {255}}.get(name, set())
    if name == "camvid":
        assert list(found.values()) == CAMVID


def test_colours_of_the_palette_and_tags_in_red_are_the_same_classes(tmp_path):
    for name in ("carla13", "carla23"):
        mapped = load_class_map(name, "street16")
        tags = np.random.default_rng(0).integers(0, 13, (9, 7), dtype=np.uint8)
        colour_of = {number: colour for colour, number in PALETTE.items()}
        coloured = np.array([[colour_of[tag] for tag in row] for row in tags.tolist()], np.uint8)
        red = np.stack([tags, 0 * tags, 0 * tags], axis=-1)
        for pixels in (tags, coloured, red):
            assert np.array_equal(mapped.ids_of(pixels), tags)
    # A red without green and blue is a colour among colours.
    path = tmp_path / "own.csv"
    path.write_text("id,name,mine,red,green,blue\n4,rider,rider,255,0,0\n2,truck,truck,0,0,70\n9,none,ignore,,,\n")
    own = load_class_map(str(path), "mine")
    assert own.ids_of(np.array([[[255, 0, 0], [0, 0, 70]]], np.uint8)).tolist() == [[4, 2]]
    with pytest.raises(ValueError, match=r"colour \(9, 0, 0\) is not in class map 'own'"):
        own.ids_of(np.array([[[9, 0, 0], [0, 0, 70]]], np.uint8))


def test_what_may_be_colours_is_colours_and_red_alone_is_ids_where_the_table_has_no_such_colours(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("id,name,mine,red,green,blue\n0,thing,thing,255,255,255\n1,ground,ground,0,0,0\n")
    own = load_class_map(str(path), "mine")
    # Black alone, as where nothing is seen, means what it means beside white.
    assert own.ids_of(np.zeros((2, 2, 3), np.uint8)).tolist() == [[1, 1], [1, 1]]
    assert own.ids_of(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)).tolist() == [[1, 0]]
    # No tag of CARLA's, alone in a map, is taken for a colour of another one.
    for name, tags in SOURCES.items():
        for tag in tags:
            assert (load_class_map(name, "street11").ids_of(np.full((1, 1, 3), (tag, 0, 0), np.uint8)) == tag).all()


def test_an_own_map_has_own_classes_in_its_own_order_and_any_order_of_rows(tmp_path):
    lines = ["7,zebra,two", "200,ant,one", "0,x,ignore", "3,bee,two"]
    path = tmp_path / "own.csv"
    path.write_text("\n".join(["id,name,mine", *lines]))
    mapped = load_class_map(str(path), "mine")
    assert mapped.classes == ("two", "one")
    assert names(mapped) == {7: "two", 200: "one", 0: "ignore", 3: "two"}
    assert len({tuple(colour) for colour in mapped.colours.tolist()}) == 2
    assert mapped.classes_of(np.array([[7, 200], [0, 3]], np.uint8)).tolist() == [[0, 1], [255, 0]]
    assert mapped.classes_of(np.array([[7]], np.uint8)).dtype == np.uint8
    # Into a set that has a file: its order and colours.
    random.Random(0).shuffle(lines)
    path.write_text("\n".join(["id,name,street16", *(line.replace("two", "wall").replace("one", "road")
                                                     for line in lines)]))
    mapped = load_class_map(str(path), "street16")
    assert (mapped.to_class[7], mapped.to_class[200], len(mapped.classes)) == (3, 0, 16)


def test_many_own_classes_have_colours_of_their_own(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("id,name,mine\n" + "".join(f"{number},x,class {number}\n" for number in range(30)))
    colours = load_class_map(str(path), "mine").colours.tolist()
    assert len({tuple(colour) for colour in colours}) == len(colours) == 30


HEAD = "id,name,street16\n"
BAD = {
    "empty cell": (HEAD + "0,a,road\n1,b,\n", "street16", ["own.csv, line 3", "column street16 is empty"]),
    "short row": (HEAD + "0,a\n", "street16", ["own.csv, line 2", "column street16 is empty"]),
    "id twice": (HEAD + "4,a,road\n4,b,wall\n", "street16", ["own.csv, line 3", "id '4'", "each once"]),
    "id too large": (HEAD + "256,a,road\n", "street16", ["own.csv, line 2", "id '256'", "0 to 255"]),
    "unknown class": (HEAD + "5,a,rode\n", "street16", ["own.csv", "street16, id 5", "'rode'", "did you mean 'road'"]),
    "unknown column": (HEAD + "0,a,road\n", "street12", ["own.csv", "'street12'", "did you mean 'street16'"]),
    "colour": ("id,name,mine,red,green,blue\n3,a,b,1,2,\n", "mine", ["own.csv", "id 3", "1 2", "0 to 255"]),
    "same colour": ("id,name,mine,red,green,blue\n3,a,b,1,2,3\n4,a,c,1,2,3\n", "mine",
                    ["own.csv", "ids 3 and 4", "1 2 3"]),
    "no classes": ("id,name,mine\n3,a,ignore\n", "mine", ["own.csv", "mine", "ignore"]),
    "nothing": ("", "mine", ["own.csv", "column"]),
    "no text": (b"\xff\xfe\x00", "mine", ["own.csv: not readable as a table"]),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_map_with_a_mistake_is_refused_in_a_line(tmp_path, kind):
    content, classes, parts = BAD[kind]
    path = tmp_path / "own.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as error:
        load_class_map(str(path), classes)
    assert "\n" not in str(error.value)
    assert [part for part in parts if part not in str(error.value)] == [], error.value


def test_a_map_or_set_that_is_not_there_or_has_a_hole_is_refused(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"dataset.class_map: 'carla_13' is not known.*did you mean 'carla13'"):
        load_class_map("carla_13", "street16")
    with pytest.raises(UserError, match=rf"dataset.class_map: '{tmp_path}/none.csv' is not known"):
        load_class_map(f"{tmp_path}/none.csv", "street16")
    with pytest.raises(UserError, match=r"camvid.csv: column: 'street16' is not known.*did you mean 'street11'"):
        load_class_map("camvid", "street16")
    monkeypatch.setattr("readers.class_maps.SETS", tmp_path)
    (tmp_path / "street16.csv").write_text("id,class,red,green,blue\n0,road,1,2,3\n2,wall,1,2,3\n")
    with pytest.raises(UserError, match=r"street16.csv: ids 0, 2; expected 0, 1, 2"):
        load_class_map("carla13", "street16")
    (tmp_path / "street16.csv").write_text("id,class,red,green,blue\n0,road,1,2,x\n")
    with pytest.raises(UserError, match=r"street16.csv: id 0: colour 1 2 x"):
        load_class_map("carla13", "street16")


def test_a_map_of_another_name_or_content_has_another_key(tmp_path):
    keys = set()
    for name, text in (("a", "0,a,one\n1,b,two"), ("a", "0,a,one\n1,b,one"), ("a", "0,a,one\n1,b,three"),
                       ("b", "0,a,one\n1,b,two")):
        (tmp_path / f"{name}.csv").write_text(f"id,name,mine\n{text}\n")
        keys.add(load_class_map(f"{tmp_path}/{name}.csv", "mine").key)
    assert len(keys) == 4
