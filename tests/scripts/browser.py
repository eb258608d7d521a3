"""A headless Chromium that a test asks for what a page shows; they speak through its debugging pipe."""

import itertools
import json
import os
import pathlib
import subprocess
import time
from collections.abc import Callable

# The text of a page, shadow trees included, which dumps of the document leave out.
_TEXT = """(() => {
  const found = [];
  const walk = node => {
    if (node.nodeType === Node.TEXT_NODE && node.textContent.trim()) found.push(node.textContent.trim());
    if (["STYLE", "SCRIPT"].includes(node.nodeName)) return;
    for (const child of [...(node.shadowRoot ? [node.shadowRoot] : []), ...node.childNodes]) walk(child);
  };
  walk(document.body);
  return found.join("\\n");
})()"""


class Browser:
    """One window, as a context."""

    def __init__(self, profile: pathlib.Path):
        """profile: A folder for what the browser keeps."""
        self._read_end, theirs_out = os.pipe()
        theirs_in, self._write_end = os.pipe()
        command = ["chromium", "--headless", "--disable-gpu", "--window-size=1400,1000", f"--user-data-dir={profile}"]
        command += ["--no-sandbox"] * (os.getuid() == 0) + ["--remote-debugging-pipe"]

        def connect() -> None:
            """It reads from file 3 and writes to file 4."""
            ends = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        self._process = subprocess.Popen(command, preexec_fn=connect, pass_fds=(3, 4), stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        self._answers, self._numbers, self._session = open(self._read_end, "rb"), itertools.count(1), {}

    def __enter__(self) -> "Browser":
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        return self

    def __exit__(self, *_) -> None:
        self._process.kill()
        self._process.wait()
        self._answers.close()
        os.close(self._write_end)

    def open(self, address: str) -> None:
        """Goes to a page."""
        self._address = address
        self._call("Page.navigate", url=address)

    def evaluate(self, expression: str):
        """The value of an expression of JavaScript in the page, or of its promise; None if it has none."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return answer["result"].get("value")

    def text(self) -> str:
        """What the page says, a line for each of its elements."""
        return self.evaluate(_TEXT) or ""

    def wait_for(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        """Until the page is as it should be; opened again where its server was not there yet."""
        limit = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < limit, self.text()
            if self.evaluate("location.protocol") == "chrome-error:":
                self.open(self._address)
            time.sleep(1)

    def _call(self, method: str, **parameters) -> dict:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters} | self._session
        os.write(self._write_end, json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(self._next())
            if answer.get("id") == number:
                assert "result" in answer, answer
                return answer["result"]

    def _next(self) -> bytes:
        read = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "the browser has ended"
            read += byte
        return bytes(read)
