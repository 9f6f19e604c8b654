"""What a task leaves behind: its first rows, its manifest and its file."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from querytask import errors
from querytask.adapters.exports import Damaged, ServedFile
from querytask.adapters.store import ExportRecord, StoredTask
from querytask.names import ExportState, Phase
from querytask.web import identity, views
from querytask.web.answers import JSON, ClosingStream, matches, tagged
from querytask.web.callers import TheCaller
from querytask.web.identity import TaskId
from querytask.web.parts import Parts, TheParts
from querytask.web.problems import Code, Refusal, documented
from querytask_worker.contract import File, Manifest, dump, timestamp

router = APIRouter(prefix="/api/v1/tasks", tags=["results"])
PIECE = 256 * 1024
"""How much of a file is read and sent at a time, in bytes."""
_TYPES = {"Parquet": "application/vnd.apache.parquet", "CSV": "text/csv", "JSON": "application/x-ndjson"}
_PACKED = {"Gzip": "application/gzip", "Zstd": "application/zstd"}


class Preview(views.View):
    """The first rows of a result."""

    columns: tuple[views.ColumnView, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool
    total_rows: int


@router.get(
    "/{id}/preview",
    response_model=Preview,
    responses=documented(Code.TASK_NOT_FOUND, Code.NOTHING_THERE, Code.NOT_YET),
    summary="The first rows",
)
async def get_preview(uid: TaskId, request: Request, caller: TheCaller, parts: TheParts) -> Response:
    """As the worker found them; numbers have all their digits. They stay when the exported file has gone."""
    found = await identity.find(parts, caller, uid)
    return tagged(request, preview(found.stored))


def preview(stored: StoredTask) -> bytes:
    """The JSON of a task's first rows; raises ``Refusal`` where it has none."""
    result = stored.task.result
    if result is None:
        raise _nothing(stored, "result")
    columns = [{"name": column.name, "type": column.type} for column in result.columns]
    # The rows are JSON already: read and written once more, a long number would lose digits.
    rows = ",".join(row for row in result.preview.rows if _is_list(row))
    truncated = json.dumps(result.preview.truncated)
    text = f'"rows":[{rows}],"truncated":{truncated},"total_rows":{result.rows}'
    return f'{{"columns":{json.dumps(columns, ensure_ascii=False)},{text}}}'.encode("utf-8", "replace")


def _is_list(text: str) -> bool:
    try:
        return isinstance(json.loads(text), list)
    except (ValueError, RecursionError):
        return False


@router.get(
    "/{id}/manifest",
    response_class=Response,
    responses=documented(
        Code.TASK_NOT_FOUND, Code.NOTHING_THERE, Code.NOT_YET, Code.EXPORT_GONE, Code.EXPORTS_UNAVAILABLE
    )
    | {200: {"description": "The manifest.", "content": {JSON: {"schema": {"type": "object"}}}}},
    summary="The manifest",
)
async def get_manifest(uid: TaskId, request: Request, caller: TheCaller, parts: TheParts) -> Response:
    """What the worker has published, word for word as far as this release knows the words; 410 when it has
    gone with the files."""
    stored = (await identity.find(parts, caller, uid)).stored
    _must_be_there(stored)
    box = await parts.volume.read(stored.task.namespace, stored.task.uid, None)
    if isinstance(box.manifest, Manifest):
        return tagged(request, dump(box.manifest))
    if isinstance(box.manifest, Damaged):
        raise errors.ExportsVolumeError(f"a manifest cannot be read: {box.manifest.why}")
    raise _gone(stored)


@router.get(
    "/{id}/export",
    response_class=Response,
    responses=documented(
        Code.TASK_NOT_FOUND, Code.NOTHING_THERE, Code.NOT_YET, Code.EXPORT_GONE, Code.EXPORTS_UNAVAILABLE
    )
    | {
        200: {
            "description": "The file. `X-Checksum-Sha256` and `Repr-Digest` have its checksum.",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        },
        304: {"description": "The client has it: `If-None-Match` has its `ETag`."},
    },
    summary="The exported file",
)
async def get_export(
    uid: TaskId,
    request: Request,
    caller: TheCaller,
    parts: TheParts,
    file: Annotated[
        str, Query(max_length=255, description="Which one, of an export of several; by its name.")
    ] = "",
) -> Response:
    """The file itself; 410 when it has gone. It is not held: who wants it has to fetch it before
    `expires_at`."""
    stored = (await identity.find(parts, caller, uid)).stored
    export = _must_be_there(stored)
    if not export.files:
        raise Refusal(Code.NOTHING_THERE, "the task exports no file: its rows are at /preview")
    told = _file(export, file)
    headers = _headers(told)
    if matches(request, headers["ETag"]):
        return Response(status_code=304, headers={"ETag": headers["ETag"]})
    task = stored.task
    opened = await parts.volume.open_file(task.namespace, task.uid, export.attempt, told.name)
    if opened is None:
        raise _gone(stored)
    if opened.size != told.bytes:
        parts.volume.let_go(opened)
        raise Refusal(
            Code.EXPORT_GONE, f"the file must have {told.bytes} bytes, as it was published, not {opened.size}"
        )
    pieces = _pieces(parts, opened)
    media_type = _media_type(export)
    return ClosingStream(pieces, lambda: parts.volume.let_go(opened), headers=headers, media_type=media_type)


async def _pieces(parts: Parts, file: ServedFile) -> AsyncIterator[bytes]:
    offset = 0
    while offset < file.size:
        piece = await parts.volume.read_file(file, offset, min(PIECE, file.size - offset))
        if not piece:
            raise errors.ExportsVolumeError("an exported file became shorter while it was sent")
        offset += len(piece)
        yield piece


def _headers(file: File) -> dict[str, str]:
    digest = base64.b64encode(bytes.fromhex(file.sha256)).decode()
    return {
        "Content-Length": str(file.bytes),
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name, safe='')}",
        "ETag": f'"{file.sha256}"',
        "Repr-Digest": f"sha-256=:{digest}:",
        "X-Checksum-Sha256": file.sha256,
        "Cache-Control": "private, no-cache",
    }


def _media_type(export: ExportRecord) -> str:
    inside = export.format == "Parquet"  # which compresses within the file
    packed = None if inside else _PACKED.get(export.compression or "")
    return packed or _TYPES.get(export.format or "", "application/octet-stream")


def _file(export: ExportRecord, name: str) -> File:
    names = [item.name for item in export.files]
    if name and name not in names:
        raise Refusal(Code.INVALID, f"file must be one of {', '.join(names)}", field="file", value=name)
    if not name and len(names) > 1:
        raise Refusal(Code.INVALID, f"file must name one of {', '.join(names)}", field="file")
    return export.files[names.index(name) if name else 0]


def _must_be_there(stored: StoredTask) -> ExportRecord:
    export = stored.export
    if export is None or stored.task.phase != Phase.SUCCEEDED:
        raise _nothing(stored, "result")
    if export.state in (ExportState.EXPIRED, ExportState.DELETED):
        raise _gone(stored)
    return export


def _nothing(stored: StoredTask, what: str) -> Refusal:
    if not stored.finished:
        return Refusal(Code.NOT_YET, f"the task has no {what} yet: it is {stored.task.phase}", retry_after=1)
    return Refusal(Code.NOTHING_THERE, f"the task has no {what}: it is {stored.task.phase}")


def _gone(stored: StoredTask) -> Refusal:
    export = stored.export
    if export is not None and export.expires_at is not None and export.state == ExportState.EXPIRED:
        detail = f"the exported file was kept until {timestamp(export.expires_at)}"
    else:
        detail = "the exported file was removed"
    return Refusal(Code.EXPORT_GONE, detail)
