"""Files of weights: which file a name stands for, and what is said when it cannot be had."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ml.models import weights as weight_files
from ml.models.architectures import BACKBONES, Backbone
from ml.models.card import Weights
from ml.models.cards import LOCAL, backbone_card, open_clip_card
from ml.models.weights import WEIGHTS, WeightsError, find_published, known_file, local_file, offline, own_name

NEWER, OLDER = b"newer tensors", b"older tensors"
COMMIT = "c" * 40
OF_THE_HUB = Weights("net.tag", "huggingface.co/nobody/net", "model.safetensors")


class Hub(BaseHTTPRequestHandler):
    """Answers as huggingface.co does: `files` holds what a repository has, or the status of a refusal."""

    files: dict[str, bytes | int]

    def do_HEAD(self) -> None:
        found = self.files.get(self.path.rpartition("/")[2], 404)
        if isinstance(found, int):
            self.send_response(found)
            if found == 404:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
        else:
            self.send_response(200)
            self.send_header("ETag", f'"{len(found)}"')
            self.send_header("Content-Length", str(len(found)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        found = self.files.get(self.path.rpartition("/")[2])
        if isinstance(found, bytes):
            self.wfile.write(found)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(autouse=True)
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights in our cache, nor in that of Hugging Face."""
    monkeypatch.setattr(weight_files, "CACHE", tmp_path / "cache")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes | int]]:
    """What the repository `nobody/net` holds; huggingface_hub asks this machine for it."""
    monkeypatch.setattr(Hub, "files", files := {}, raising=False)
    for variable in ("HF_HUB_OFFLINE", "EUFCC_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        template = f"http://127.0.0.1:{server.server_port}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield files
        server.shutdown()


def test_the_newer_file_is_taken_where_a_repository_has_both(hub: dict[str, bytes | int]):
    hub |= {"model.safetensors": NEWER, "pytorch_model.bin": OLDER}
    file, seen = find_published(OF_THE_HUB)
    assert (file.read_bytes(), seen.revision) == (NEWER, COMMIT)


def test_the_older_file_is_taken_only_where_the_repository_has_no_other(hub: dict[str, bytes | int]):
    hub["pytorch_model.bin"] = OLDER
    file, seen = find_published(OF_THE_HUB)
    assert (file.name, file.read_bytes(), len(str(seen.sha256))) == ("pytorch_model.bin", OLDER, 64)


def test_a_file_that_could_not_be_asked_for_is_not_replaced_by_the_older_one(hub: dict[str, bytes | int]):
    """A proxy or the hub refuses one file for now; the other must not be pinned in its place."""
    hub |= {"model.safetensors": 403, "pytorch_model.bin": OLDER}
    with pytest.raises(WeightsError, match=r"could not be downloaded from huggingface\.co/nobody/net") as error:
        find_published(OF_THE_HUB)
    assert "\n" not in str(error.value)
    assert not (weight_files.CACHE / "pins.json").exists()
    hub["model.safetensors"] = NEWER
    assert find_published(OF_THE_HUB)[0].read_bytes() == NEWER


def test_a_repository_without_either_file_is_one_sentence(hub: dict[str, bytes | int]):
    with pytest.raises(WeightsError, match=r"could not be downloaded .* \(RemoteEntryNotFoundError\)"):
        find_published(OF_THE_HUB)


@pytest.mark.parametrize("disconnected", [True, False], ids=["offline", "online"])
def test_a_file_of_the_users_that_is_missing_is_named_as_it_is(
    disconnected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HF_HUB_OFFLINE", str(int(disconnected)))
    monkeypatch.setenv("EUFCC_OFFLINE", "0")
    file = tmp_path / "own" / "weights.pth"
    card = backbone_card(Backbone("mobilenetv2_100", weights=str(file)))
    with pytest.raises(WeightsError, match=f"^There is no weight file {file}: "):
        find_published(card.weights)
    (tmp_path / "own").mkdir()
    described = '{"model_cfg": {"embed_dim": 4, "vision_cfg": {"image_size": 32}, "text_cfg": {}}}'
    (tmp_path / "own" / "open_clip_config.json").write_text(described)
    with pytest.raises(WeightsError, match=r"^There is no weight file .*own/open_clip_model\.safetensors: "):
        find_published(open_clip_card(f"{LOCAL}{tmp_path / 'own'}").weights)


COMMON = ["model.safetensors", "pytorch_model.bin", "open_clip_model.safetensors", "open_clip_pytorch_model.bin"]


@pytest.mark.parametrize("name", COMMON)
def test_a_name_that_many_networks_files_have_is_not_taken_for_one_of_them(name: str, tmp_path: Path):
    weights = Weights("ViT:tag/2", "huggingface.co/nobody/vit", name)
    (tmp_path / name).write_bytes(b"of another network")
    assert local_file(weights, tmp_path) is None
    assert own_name(weights) == f"ViT.tag_2{Path(name).suffix}"
    (tmp_path / own_name(weights)).write_bytes(b"its own")
    assert local_file(weights, tmp_path) == tmp_path / own_name(weights)


def test_a_name_of_its_own_is_found_in_a_folder(tmp_path: Path):
    weights = Weights("old.in1k", "https://example.org/old-0123.pth", "old-0123.pth")
    (tmp_path / "old-0123.pth").write_bytes(b"")
    assert local_file(weights, tmp_path) == tmp_path / "old-0123.pth"


def test_a_network_of_timm_with_the_name_of_one_of_our_files_is_not_read_from_it(tmp_path: Path):
    """timm's efficientnet_lite0 pads otherwise than TensorFlow's, whose tensors have the same names and shapes."""
    ours = backbone_card(BACKBONES["efficientnet_lite0"]).weights
    theirs = backbone_card(Backbone("efficientnet_lite0")).weights
    assert (ours.name, known_file(ours)) == (theirs.name, WEIGHTS["efficientnet_lite0"])
    assert known_file(theirs) is None
    assert theirs.sha256 is None
    (tmp_path / WEIGHTS["efficientnet_lite0"].file).write_bytes(b"TensorFlow's")
    assert local_file(theirs, tmp_path) is None


def test_a_file_without_tensors_is_one_sentence(tmp_path: Path):
    from ml.models.clip import load_published

    save_file({}, tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match=r"is of another network: it holds no tensors\.$"):
        load_published(torch.nn.Linear(1, 1), tmp_path / "none.safetensors")


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "EUFCC_OFFLINE"])
def test_offline_is_said_in_the_hubs_own_words(variable: str):
    assert all(offline({variable: word}) for word in ("1", "true", "YES", "on"))
    assert not any(offline({variable: word}) for word in ("", "0", "false", "no"))
    assert not offline({})
