"""The scripted cloud as an archive: it is searched, and deletes, as the test says. Part of ``fake_cloud``.

Its ordinary self answers a search by SOP Instance UID as Orthanc does, deletes by DICOMweb as several clouds do, and
by Orthanc's REST interface, whose root is the cloud's.
"""

import io
import json
import re
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pydicom

_STUDY = re.compile(r"/dicom-web/studies/([0-9.]+)/instances")
_INSTANCE = re.compile(r"/dicom-web/studies/([0-9.]+)/series/([0-9.]+)/instances/([0-9.]+)")


class FakeArchive:
    """What of the cloud is searched and deleted.

    search    None: it works; a status: it is answered with that and nothing
    delete    None: it works; a status: the same
    ignores_what_is_asked  a search finds everything
    pretends  deletions are accepted, and nothing is deleted
    most      instances that a list of a study holds, however many are asked for
    studies   None: a study is listed; a status: that is answered
    asked     method and path of every request, in order
    scripted  method -> statuses of its next requests, one each
    """

    def __init__(self, stored: dict[str, bytes]) -> None:
        self.stored = stored
        self.search: int | None = None
        self.delete: int | None = None
        self.pretends = False
        self.ignores_what_is_asked = False
        self.most = 1000
        self.studies: int | None = None
        self.asked: list[str] = []
        self.scripted: dict[str, list[int]] = {}

    def deletions(self) -> list[str]:
        """The SOP Instance UIDs or ids whose deletion was asked for, in order."""
        return [asked.rpartition("/")[2] for asked in self.asked if asked.startswith("DELETE")]

    def answers(self, handler: BaseHTTPRequestHandler) -> bool:
        """Answer if it is about searching or deleting; return whether it was."""
        parts = urlsplit(handler.path)
        if handler.command == "GET" and parts.path == "/dicom-web/instances":
            work = lambda: self._search(parts.query)  # noqa: E731 - one line each
        elif handler.command == "GET" and (study := _STUDY.fullmatch(parts.path)):
            work = lambda: self._list(study[1], dict(parse_qsl(parts.query)))  # noqa: E731 - one line each
        elif handler.command == "POST" and parts.path == "/tools/lookup":
            uid = handler.rfile.read(int(handler.headers["Content-Length"])).decode()
            work = lambda: self._look_up(uid)  # noqa: E731 - one line each
        elif handler.command == "DELETE":
            work = lambda: self._delete(parts.path)  # noqa: E731 - one line each
        else:
            return False
        self.asked.append(f"{handler.command} {handler.path}")
        scripted = self.scripted.get(handler.command)
        status, body = (scripted.pop(0), b"") if scripted else work()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        return True

    def _search(self, query: str) -> tuple[int, bytes]:
        if self.search is not None:
            return self.search, b""
        uid = query.removeprefix("SOPInstanceUID=")
        found = list(self.stored) if self.ignores_what_is_asked else [uid] if uid in self.stored else []
        return 200, json.dumps([self._named(each) for each in found]).encode()

    def _list(self, study: str, query: dict[str, str]) -> tuple[int, bytes]:
        if self.studies is not None:
            return self.studies, b""
        offset = int(query.get("offset", 0))
        named = [self._named(uid) for uid in sorted(self.stored)]
        found = [each for each in named if each["0020000D"]["Value"] == [study]]
        found = found[offset : offset + min(self.most, int(query.get("limit", self.most)))]
        return (200, json.dumps(found).encode()) if found else (204, b"")

    def _named(self, uid: str) -> dict[str, Any]:
        data = pydicom.dcmread(io.BytesIO(self.stored[uid]), stop_before_pixels=True)
        return {
            "00080018": {"vr": "UI", "Value": [uid]},
            "0020000D": {"vr": "UI", "Value": [str(data.StudyInstanceUID)]},
            "0020000E": {"vr": "UI", "Value": [str(data.SeriesInstanceUID)]},
        }

    def _look_up(self, uid: str) -> tuple[int, bytes]:
        found = [{"ID": uid.replace(".", "-"), "Type": "Instance"}] if uid in self.stored else []
        return 200, json.dumps(found).encode()

    def _delete(self, path: str) -> tuple[int, bytes]:
        if self.delete is not None:
            return self.delete, b""
        named = _INSTANCE.fullmatch(path)
        uid = named[3] if named else path.removeprefix("/instances/").replace("-", ".")
        if uid not in self.stored:
            return 404, b""
        if not self.pretends:
            del self.stored[uid]
        return 200, b"{}"
