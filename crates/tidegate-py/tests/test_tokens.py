"""Tokens of Google Cloud and of Entra ID that arguments ask for, with servers of ours in their places."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from processes import refusing_port

import tidegate
from tidegate import completion

REPLY = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "ebb"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1},
}
ASKED = [{"role": "user", "content": "?"}]
APPLICATION = {"tenant_id": "a-tenant", "client_id": "a-client", "client_secret": "hunter2"}


@pytest.fixture
def google(monkeypatch):
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            asked.append((self.path, self.headers["authorization"], body))
            said = {"access_token": "a.token", "expires_in": 3599} if self.path == "/token" else REPLY
            text = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()


def test_a_file_of_google_credentials(google, tmp_path):
    url, asked = google
    file = tmp_path / "user.json"
    user = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
    file.write_text(json.dumps(user | {"token_uri": f"{url}/token"}))
    for _ in range(2):
        reply = completion("vertex_ai/gemini", ASKED, api_base=url, vertex_credentials=str(file))
        assert reply.choices[0].message.content == "ebb"
    # One fetch for both.
    assert [path for path, *_ in asked].count("/token") == 1
    assert [authorization for path, authorization, _ in asked if path != "/token"] == ["Bearer a.token"] * 2


def test_a_directory_that_is_not_there_is_named_and_no_secret(monkeypatch):
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", f"https://127.0.0.1:{refusing_port()}")
    with pytest.raises(tidegate.AuthenticationError) as failure:
        completion("azure/gpt-4o", ASKED, api_base="http://127.0.0.1:1", num_retries=0, **APPLICATION)
    said = str(failure.value)
    assert "Entra ID (client secret)" in said and "AZURE_CLIENT_SECRET" in said and "hunter2" not in said


@pytest.mark.parametrize("missing", APPLICATION)
def test_an_application_has_three_parts(missing):
    parts = {name: value for name, value in APPLICATION.items() if name != missing}
    with pytest.raises(tidegate.BadRequestError, match=missing):
        completion("azure/gpt-4o", ASKED, api_base="http://127.0.0.1:1", **parts)


def test_what_is_in_a_file_is_no_file():
    with pytest.raises(tidegate.BadRequestError, match="vertex_credentials"):
        completion("vertex_ai/gemini", ASKED, api_base="http://127.0.0.1:1", vertex_credentials='{"type": "x"}')


def test_who_takes_no_such_tokens_says_so():
    with pytest.raises(tidegate.BadRequestError, match="takes no tokens of Entra ID"):
        completion("openai/gpt-4o", ASKED, **APPLICATION)
