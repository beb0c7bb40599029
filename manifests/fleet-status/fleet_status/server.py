"""The interface: GET /health, GET /devices, PUT /devices/<name>."""

import http.server
import json
import re

from fleet_status.state import State

LARGEST_REPORT = 64 * 1024
DEVICE = re.compile(r"/devices/([A-Za-z0-9._-]{1,64})")


def serve(state: State, port: int) -> None:
    """Answers on all interfaces, each request in a thread of its own."""
    server = http.server.ThreadingHTTPServer(("", port), handler_of(state))
    print(f"listening on port {server.server_port}")
    server.serve_forever()


def handler_of(state: State) -> type[http.server.BaseHTTPRequestHandler]:
    """The handler of requests about one fleet."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/health":
                self.answer(200, {"status": "ok", "devices": len(state.all())})
            elif self.path == "/devices":
                self.answer(200, state.all())
            else:
                self.answer(404, {"error": f"there is no {self.path}"})

        def do_PUT(self) -> None:
            device = DEVICE.fullmatch(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            if device is None or not 0 < length <= LARGEST_REPORT:
                self.answer(400, {"error": "PUT /devices/<name> with a report of at most 64 KiB"})
                return
            try:
                report = json.loads(self.rfile.read(length))
            except ValueError as error:
                self.answer(400, {"error": str(error)})
                return
            state.put(device[1], report)
            self.answer(204, None)

        def answer(self, code: int, value: object) -> None:
            body = b"" if value is None else json.dumps(value).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
