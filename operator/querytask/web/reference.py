"""Writes ``docs/reference/rest-api.md`` and ``docs/reference/openapi.json`` from the routes.

    python -m querytask.web.reference [--check]

A test runs ``--check``: the pages cannot say what the API does not do.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from querytask.web import application, description, words
from querytask.web.problems import CODES, EVERYWHERE, Code

FOLDER = Path("docs/reference")
MADE = "<!-- Made by `python -m querytask.web.reference`. Do not edit. -->\n"
Json = dict[str, Any]


def pages() -> dict[str, str]:
    """The text of each file, by its name."""
    app = application.routes()
    return {
        "openapi.json": description.text_of(app).decode(),
        "rest-api.md": _page(description.document(app)),
    }


def _page(document: Json) -> str:
    return "".join((_INTRODUCTION, _words(), _codes(), _calls(document), _models(document)))


_INTRODUCTION = f"""{MADE}# Reference of the REST API

With TLS the API answers at port 443 of the release's Service whose name ends in `-api`, and without it at
port 80; for a release `querytask` that is `querytask-querytask-operator-api`. Its description for programs is
[openapi.json](openapi.json), which it also serves at `/api/v1/openapi.json`; each call once, with its answer,
is on the page of [examples](rest-api-examples.md).

- **Who may call.** Every call but `/healthz` needs `Authorization: Bearer` with a token of the cluster. What
  a caller may do is what the cluster says: `list` on QueryTasks for lists, `stats` and the stream of events,
  `get` for single tasks and what they left behind, and `get` on `pods/log` for logs. 403 means no right to
  do this to any task; 404 is also said of a single task that the caller may not read.
- **Ids.** An `{{id}}` in a path is a task's uid, or `namespace:name` for the newest task of that name.
- **Times** are RFC 3339 in UTC, durations seconds, sizes bytes.
- **Waiting.** `?wait=30s` answers when the task takes its next step, or when the time is over.
- **Asking again.** Answers of single tasks and files have an `ETag`; with `If-None-Match` an unchanged one
  is a 304 without a body.
- **Finding a request in the log.** `X-Request-Id` of the answer, or one of your own that you send.
"""


def _words() -> str:
    rows = [(f"`{phase}`", f"`{said.status}`", f"`{said.state}`") for phase, said in words.PHASES.items()]
    exports = [(f"`{state}`", f"`{word}`") for state, word in words.EXPORTS.items()]
    return f"""
## Words

`status` and `state` of a task, by its phase. Filters take both in any case, and `success` for `succeeded`.

{_table(("Phase", "status", "state"), rows)}
{_table(("Export", "export_status"), exports)}"""


def _codes() -> str:
    rows = [
        (str(meaning.status), f"`{code}`", meaning.text)
        for code, meaning in sorted(CODES.items(), key=lambda item: (item[1].status, item[0]))
    ]
    return f"""
## Refusals

A refusal is `application/problem+json` (RFC 9457): `type`, `title`, `status`, `detail` (a sentence), `code`,
and where one field is at fault `field` and `value`. The codes are a closed set; a code keeps its meaning. 429
and 503 carry `Retry-After`. Any call that needs a token may refuse with {_everywhere()}; the
others are named where they belong.

{_table(("Status", "Code", "Meaning"), rows)}"""


def _everywhere() -> str:
    known = [f"`{code}`" for code in CODES if code in EVERYWHERE]
    return f"{', '.join(known[:-1])} or {known[-1]}"


def _calls(document: Json) -> str:
    parts = ["\n## Calls\n"]
    for path, calls in document["paths"].items():
        parts.extend(_call(method.upper(), path, call) for method, call in calls.items())
    return "".join(parts)


def _call(method: str, path: str, call: Json) -> str:
    parts = [f"\n### `{method} {path}`\n\n{call['summary']}. {_flow(call.get('description', ''))}\n"]
    if parameters := call.get("parameters"):
        parts.append("\n" + _table(("Parameter", "In", "Type", "Meaning"), map(_parameter, parameters)))
    if body := call.get("requestBody"):
        schema = body["content"]["application/json"]["schema"]
        parts.append(f"\nThe body is {_type(schema)}.\n")
    answers = [answer for item in call["responses"].items() for answer in _answers(*item)]
    parts.append("\n" + _table(("Status", "Answer"), answers))
    return "".join(parts)


def _parameter(found: Json) -> tuple[str, ...]:
    name = f"`{found['name']}`" + (", required" if found.get("required") and found["in"] != "path" else "")
    schema = found["schema"]
    kind = _type(schema).removesuffix(" or `null`")  # a parameter is there, or it is not
    return (name, found["in"], kind, _meaning(found, schema))


def _answers(status: str, found: Json) -> Iterator[tuple[str, str]]:
    schema = found.get("content", {}).get("application/json", {}).get("schema", {})
    text = _flow(found.get("description", ""))
    if int(status) < 400:
        yield status, _type(schema) if "$ref" in schema else text
        return
    codes = [code for code in CODES if f"`{code}`:" in text]
    for code in codes:
        if code not in EVERYWHERE:
            yield status, f"`{Code(code)}`"
    if not codes:
        yield status, text


def _models(document: Json) -> str:
    parts = ["\n## Models\n"]
    for name, schema in document["components"]["schemas"].items():
        anchor = f"\n### {name}\n\n{_flow(schema.get('description', ''))}\n"
        if "enum" in schema:
            parts.append(f"{anchor}\nOne of {', '.join(f'`{item}`' for item in schema['enum'])}.\n")
        else:
            parts.append(f"{anchor}\n{_table(('Field', 'Type', 'Meaning'), _fields(schema))}")
    return "".join(parts)


def _fields(schema: Json) -> Iterator[tuple[str, ...]]:
    for name, found in schema.get("properties", {}).items():
        yield f"`{name}`", _type(found), _meaning(found, found)


def _meaning(found: Json, schema: Json) -> str:
    text = _flow(found.get("description", "") or schema.get("description", ""))
    default = schema.get("default")
    told = "" if default in (None, "", [], {}) else f" Default `{json.dumps(default)}`."
    return (text + told).strip()


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(item) for item in schema["anyOf"])
    if "allOf" in schema:
        return _type(schema["allOf"][0])
    if schema.get("type") == "array":
        items = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
        return f"list of {_type(items)}"
    if "enum" in schema:
        return " or ".join(f"`{item}`" for item in schema["enum"])
    if schema.get("format") == "date-time":
        return "time"
    names = {"string": "text", "integer": "whole number", "null": "`null`", "boolean": "`true` or `false`"}
    return names.get(schema.get("type", ""), str(schema.get("type", "any JSON")))


def _flow(text: str) -> str:
    return " ".join(text.split())


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def stale(folder: Path) -> list[str]:
    """The files in ``folder`` that are missing, or not what the routes say."""
    return [
        name
        for name, text in pages().items()
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text
    ]


def main(arguments: Sequence[str]) -> int:
    """Write the files, or with ``--check`` say which are not as they should be; 1 where some are not."""
    parser = argparse.ArgumentParser(prog="python -m querytask.web.reference", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail where a file is out of date"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args(arguments)
    if options.check:
        wrong = stale(options.folder)
        for name in wrong:
            sys.stderr.write(f"{options.folder / name} must be made anew\n")
        return 1 if wrong else 0
    for name, text in pages().items():
        (options.folder / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
