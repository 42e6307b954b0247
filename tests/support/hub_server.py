"""The part of the Hugging Face hub's API that an upload speaks: repositories, LFS and commits, kept in memory."""

import base64
import hashlib
import json

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class Hub:
    """Repositories of one owner; whoever has `token` may write."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.repositories: dict[str, dict[str, bytes]] = {}  # files by `datasets/owner/name`
        self.private: dict[str, bool] = {}
        self.blobs: dict[str, bytes] = {}  # LFS objects by sha256
        self.commits: list[tuple[str, str]] = []  # repository and message
        self.refused = 0
        self.card_errors: list[str] = []  # what it objects to in a card
        self.blob_status = 200  # of storing a file
        path = "/api/{kind}/{owner}/{name}"
        self.app = Starlette(
            routes=[
                Route("/api/repos/create", self.create, methods=["POST"]),
                Route("/api/validate-yaml", self.validate, methods=["POST"]),
                Route(f"{path}/preupload/main", self.preupload, methods=["POST"]),
                Route(f"{path}/commit/main", self.commit, methods=["POST"]),
                Route(f"{path}/tree/main", self.tree),
                Route(f"{path}/revision/main", self.info),
                Route(path, self.info),
                Route("/blobs/{sha256}", self.put_blob, methods=["PUT"]),
                Route("/{owner}/{name}/info/lfs/objects/batch", self.batch, methods=["POST"]),
                Route("/{kind}/{owner}/{name}/info/lfs/objects/batch", self.batch, methods=["POST"]),
            ]
        )

    def _may(self, request: Request) -> bool:
        allowed = request.headers.get("authorization") == f"Bearer {self.token}"
        self.refused += not allowed
        return allowed

    def _files(self, request: Request) -> dict[str, bytes]:
        where = request.path_params
        return self.repositories[f"{where['kind']}/{where['owner']}/{where['name']}"]

    async def create(self, request: Request) -> Response:
        if not self._may(request):
            return JSONResponse({"error": "Invalid credentials"}, 401)
        asked = await request.json()
        key = f"{asked.get('type', 'model')}s/{asked['organization']}/{asked['name']}"
        address = f"{request.base_url}{key}"
        if key in self.repositories:
            return JSONResponse({"error": "You already created this repo", "url": address}, 409)
        self.repositories[key], self.private[key] = {".gitattributes": b""}, asked.get("visibility") == "private"
        return JSONResponse({"url": address, "name": f"{asked['organization']}/{asked['name']}"})

    async def info(self, request: Request) -> Response:
        where = request.path_params
        files = [{"rfilename": name} for name in self._files(request)]
        return JSONResponse({"id": f"{where['owner']}/{where['name']}", "sha": "0" * 40, "siblings": files})

    async def validate(self, request: Request) -> Response:
        errors = [{"message": message} for message in self.card_errors]
        return JSONResponse({"errors": errors, "warnings": []}, 400 if errors else 200)

    async def tree(self, request: Request) -> Response:
        entries = [
            {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            for name, data in self._files(request).items()
        ]
        return JSONResponse(entries)

    async def preupload(self, request: Request) -> Response:
        asked = (await request.json())["files"]
        mode = {True: "lfs", False: "regular"}
        binary = (".parquet", ".safetensors", ".onnx")
        answers = [
            {"path": f["path"], "uploadMode": mode[f["path"].endswith(binary)], "shouldIgnore": False} for f in asked
        ]
        return JSONResponse({"files": answers})

    async def batch(self, request: Request) -> Response:
        wanted = (await request.json())["objects"]
        objects = [
            each | ({"actions": {"upload": {"href": f"{request.base_url}blobs/{each['oid']}"}}} if new else {})
            for each in wanted
            for new in [each["oid"] not in self.blobs]
        ]
        return JSONResponse({"transfer": "basic", "objects": objects}, media_type="application/vnd.git-lfs+json")

    async def put_blob(self, request: Request) -> Response:
        data = await request.body()
        if self.blob_status != 200:
            return Response(status_code=self.blob_status)
        self.blobs[request.path_params["sha256"]] = data
        return Response()

    async def commit(self, request: Request) -> Response:
        if not self._may(request):
            return JSONResponse({"error": "Forbidden"}, 403)
        files = self._files(request)
        where = request.path_params
        for line in (await request.body()).splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                files[value["path"]] = self.blobs[value["oid"]]
            elif operation["key"] == "deletedFile":
                del files[value["path"]]
            elif operation["key"] == "header":
                self.commits.append((f"{where['kind']}/{where['owner']}/{where['name']}", value["summary"]))
        address = f"{request.base_url}{where['kind']}/{where['owner']}/{where['name']}/commit/{'a' * 40}"
        return JSONResponse({"success": True, "commitUrl": address, "commitOid": "a" * 40, "hookOutput": ""})
