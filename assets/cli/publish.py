"""`eufcc publish`: a release, or an exported model, to the Hugging Face hub."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from assets.cli.output import AsJson, answers, print_json, table
from pipeline.allow_list import check_allowed

app = typer.Typer()
HUB = "https://huggingface.co"
ENDPOINT, TOKEN = "HF_ENDPOINT", "HF_TOKEN"  # huggingface_hub's own variables
LONGEST_QUOTE = 300  # characters of what the hub's client says
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


class PublishError(RuntimeError):
    """A folder that is not published; the message says what to do."""


@dataclass(frozen=True)
class Upload:
    """What would be sent where."""

    kind: Literal["dataset", "model"]
    repository: str
    hub: str
    files: dict[str, int]  # bytes by path

    @property
    def address(self) -> str:
        """The repository's page."""
        return f"{self.hub}/{'datasets/' if self.kind == 'dataset' else ''}{self.repository}"


def plan(folder: Path, repository: str, hub: str = HUB) -> Upload:
    """What `publish` would send. Raises PublishError for a folder that is no whole release or model."""
    from pipeline.release.pack import verify_checksums

    if not REPOSITORY.fullmatch(repository):
        raise PublishError(f"`{repository}` is not the name of a repository: write owner/name.")
    if hub != HUB:
        check_allowed(hub)
    kind: Literal["dataset", "model"] = "dataset" if (folder / "SHA256SUMS").is_file() else "model"
    if kind == "model" and not all((folder / name).is_file() for name in ("model.json", "README.md")):
        raise PublishError(f"{folder} is neither a release nor an exported model: make one with `eufcc export`.")
    if kind == "dataset" and (problems := verify_checksums(folder)):
        raise PublishError(f"{folder} is not as it was released: {' '.join(problems[:3])} Make the release again.")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return Upload(kind, repository, hub, {path.relative_to(folder).as_posix(): path.stat().st_size for path in files})


def upload(folder: Path, planned: Upload, token: str, *, public: bool, message: str) -> str:
    """Make the repository where there is none, and replace all of its files in one commit; the commit's address.

    Files that the folder no longer has are deleted there: what was withdrawn must not stay. Raises PublishError.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError  # of the hub's own client

    api = HfApi(endpoint=planned.hub, token=token)
    name, kind = planned.repository, planned.kind
    try:
        api.create_repo(name, repo_type=kind, private=not public, exist_ok=True)
        done = api.upload_folder(
            repo_id=name, repo_type=kind, folder_path=folder, commit_message=message, delete_patterns="*"
        )
        return done.commit_url
    except (HTTPError, OSError) as error:
        raise _not_taken(planned, error) from None
    except RuntimeError as error:  # so the client says that one file was not sent; its cause says why
        raise _not_taken(planned, error.__cause__ or error) from None
    except ValueError as error:  # and so that the hub refuses the card or the name, or answers in another form
        said = " ".join(str(error).replace(token, "REDACTED").split())[:LONGEST_QUOTE]
        raise PublishError(f"{planned.address} did not take the upload: {said}") from None


def _not_taken(planned: Upload, error: BaseException) -> PublishError:
    """What failed, and what to do, without the text of the error, which may hold the address of a token."""
    response = getattr(error, "response", None)
    reason = f"status {response.status_code}" if response is not None else type(error).__name__
    advice = "check that HF_TOKEN may write there" if reason.endswith(("401", "403")) else "try again later"
    return PublishError(f"{planned.address} did not take the upload ({reason}): {advice}.")


@app.command(epilog="Example: eufcc publish storage/release owner/name --upload")
def publish(
    folder: Annotated[Path, typer.Argument(help="A release, or a model made by `eufcc export`.")],
    repository: Annotated[str, typer.Argument(help="On the hub: owner/name.")],
    send: Annotated[bool, typer.Option("--upload", help="Send it; otherwise only say what would be sent.")] = False,
    public: Annotated[bool, typer.Option(help="Whether a new repository can be seen by everyone.")] = False,
    message: Annotated[str, typer.Option(help="Of the commit.")] = "Published by eufcc",
    as_json: AsJson = False,
) -> None:
    """Publish a dataset release or a model on the Hugging Face hub; the token is read from HF_TOKEN."""
    planned = plan(folder, repository, os.environ.get(ENDPOINT, HUB).rstrip("/"))
    if send and not os.environ.get(TOKEN):
        raise PublishError(f"Set {TOKEN} to a token of the hub that may write to {repository}.")
    commit = upload(folder, planned, os.environ[TOKEN], public=public, message=message) if send else None
    if as_json:
        print_json({"kind": planned.kind, "address": planned.address, "files": planned.files, "commit": commit})
        return
    if commit:
        answers.print_line(f"{planned.address} has the {planned.kind}: {commit}")
        return
    answers.print(table(("file",), ("kB",), [(path, f"{size / 1000:,.1f}") for path, size in planned.files.items()]))
    total = sum(planned.files.values()) / 1e6
    answers.print_line(f"Nothing was sent: a dry run. {len(planned.files)} files, {total:,.1f} MB, as a {planned.kind}")
    answers.print_line(f"to {planned.address}. Add --upload to send them.")
