"""Messages and events, out of what the processes of a run write to one pipe."""

import json
from dataclasses import dataclass

from pipeline.runtime.live.events import BEGIN, END


@dataclass
class Parser:
    """Cuts a stream of bytes into messages (text, a line each) and events (dict)."""

    encoding: str = "utf-8"
    rest: bytes = b""  # an event or a line that has not ended
    text: bytes = b""

    def feed(self, data: bytes) -> list[str | dict]:
        """What `data` completes, in order."""
        found: list[str | dict] = []
        self.rest += data
        while BEGIN in self.rest:
            before, _, event = self.rest.partition(BEGIN)
            found += self._lines(before)
            if END not in event:
                self.rest = BEGIN + event
                return found
            body, _, self.rest = event.partition(END)
            found.append(json.loads(body))
        kept = next((n for n in range(len(BEGIN) - 1, 0, -1) if self.rest.endswith(BEGIN[:n])), 0)
        whole = len(self.rest) - kept
        found += self._lines(self.rest[:whole])
        self.rest = self.rest[whole:]
        return found

    def close(self) -> list[str | dict]:
        """A last line that has no end, once nothing more comes."""
        last, self.text = self.text, b""
        return [self._decoded(last)] if last else []

    def _lines(self, data: bytes) -> list[str | dict]:
        *lines, self.text = (self.text + data).split(b"\n")
        return [self._decoded(line) for line in lines]

    def _decoded(self, line: bytes) -> str:
        """The line without what a library's bar has drawn over."""
        text = line.rstrip(b"\r").rpartition(b"\r")[2]
        return text.decode(self.encoding, "surrogateescape")
