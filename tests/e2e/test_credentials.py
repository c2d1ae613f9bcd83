"""Credentials of the clouds, as a gateway finds them in its environment, with a server of ours in their places."""

import json
import os
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from processes import KEY, PATIENCE_S, binary, environment, until

CHAT = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "ebb"}, "finish_reason": "stop"}]}
CONVERSE = {
    "output": {"message": {"role": "assistant", "content": [{"text": "ebb"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
}
STS = """<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>
<AssumedRoleUser><AssumedRoleId>A:t</AssumedRoleId><Arn>arn:aws:sts::1:assumed-role/t/x</Arn></AssumedRoleUser>
<Credentials><AccessKeyId>ASIA{action}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>
<SessionToken>token</SessionToken><Expiration>{expires}</Expiration></Credentials>
</{action}Result></{action}Response>"""


class Cloud:
    """Token servers and backends in one: `answers` by the path's beginning, what was asked in `asked`."""

    def __init__(self):
        self.asked = asked = []
        self.answers = answers = {}
        # Refused to say anything but this status.
        self.failing = failing = {}

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers.get("content-length", 0))
                self.answer(self.rfile.read(length).decode())

            do_GET = do_PUT = do_POST

            def answer(self, body):
                asked.append((self.command, self.path, dict(self.headers), body))
                found = next((key for key in answers if self.path.startswith(key)), None)
                said = answers[found](body) if found else ""
                status = next((code for key, code in failing.items() if self.path.startswith(key)), 200 if found else 404)
                said = said if isinstance(said, str) else json.dumps(said)
                self.send_response(status)
                self.send_header("content-type", "application/json")
                # For the metadata service of AWS.
                self.send_header("x-aws-ec2-metadata-token-ttl-seconds", "600")
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said.encode())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def asked_at(self, path):
        return [asked for asked in self.asked if asked[1].startswith(path)]


@pytest.fixture
def cloud():
    cloud = Cloud()
    yield cloud
    cloud.server.shutdown()
    cloud.server.server_close()


class Gateway:
    def __init__(self, process):
        self.process = process
        self.said = []
        threading.Thread(target=lambda: self.said.extend(process.stdout), daemon=True).start()
        listening = until(lambda: next((line for line in self.lines() if "listening on http" in line), None))
        self.url = listening.partition("listening on ")[2].split(",")[0].split()[0]

    def lines(self):
        assert self.process.poll() is None, "".join(self.said)
        return list(self.said)

    def ask(self, model):
        """Status and body."""
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": "?"}]}).encode()
        request = urllib.request.Request(
            f"{self.url}/v1/chat/completions", body, {"content-type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@contextmanager
def gateway(*arguments, **variables):
    variables = {"TIDEGATE_LISTEN": "127.0.0.1:0", "AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nowhere"} | variables
    process = subprocess.Popen(
        [binary(), "serve", *arguments],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield Gateway(process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def in_an_hour():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))


def aws_keys(name):
    expires = in_an_hour()
    return {"Code": "Success", "AccessKeyId": name, "SecretAccessKey": "s", "Token": "t", "Expiration": expires}


def test_a_managed_identity_of_an_app_service(cloud):
    lasting_s = 3600
    number = iter(range(1, 100))
    cloud.answers["/msi"] = lambda _: {
        "access_token": f"token-{next(number)}",
        "expires_on": str(int(time.time()) + lasting_s),
        "resource": "https://cognitiveservices.azure.com",
        "token_type": "Bearer",
    }
    cloud.answers["/openai"] = lambda _: CHAT
    found = {"IDENTITY_ENDPOINT": f"{cloud.url}/msi", "IDENTITY_HEADER": "a-header", "AZURE_CLIENT_ID": "an-id"}
    with gateway(AZURE_OPENAI_ENDPOINT=cloud.url, **found) as running:
        for _ in range(3):
            assert running.ask("azure/gpt-4o")[0] == 200
        (asked,) = cloud.asked_at("/msi")
        query = dict(urllib.parse.parse_qsl(asked[1].partition("?")[2]))
        assert query["resource"] == "https://cognitiveservices.azure.com" and query["client_id"] == "an-id"
        assert {name.lower(): value for name, value in asked[2].items()}["x-identity-header"] == "a-header"
        assert {call[2]["authorization"] for call in cloud.asked_at("/openai")} == {"Bearer token-1"}
        # A backend that refuses the token: the next call has another.
        cloud.failing["/openai"] = 401
        assert running.ask("azure/gpt-4o")[0] == 502
        del cloud.failing["/openai"]
        assert running.ask("azure/gpt-4o")[0] == 200
        assert cloud.asked_at("/openai")[-1][2]["authorization"] == "Bearer token-2"
        assert "token-1" not in "".join(running.lines())


def test_the_user_of_the_azure_cli_and_what_is_there_by_default(cloud, tmp_path):
    cloud.answers["/openai"] = lambda _: CHAT
    az = tmp_path / "az"
    said = {"accessToken": "a.users.token", "expires_on": int(time.time()) + 3600, "tokenType": "Bearer"}
    az.write_text(f"#!/bin/sh\necho \"$@\" >> {tmp_path}/asked\necho '{json.dumps(said)}'\n")
    az.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    cloud.answers["/msi"] = lambda _: {
        "access_token": "a.machines.token",
        "expires_on": str(int(time.time()) + 3600),
        "resource": "r",
        "token_type": "Bearer",
    }
    service = {"IDENTITY_ENDPOINT": f"{cloud.url}/msi", "IDENTITY_HEADER": "h"}
    file = tmp_path / "tidegate.yaml"
    azure = f'kind: azure, base_url: "{cloud.url}"'
    file.write_text(
        f"listen: 127.0.0.1:0\nhosts: {{ cli: {{ {azure}, entra: azure_cli, tenant_id: t }}, "
        f"default: {{ {azure}, entra: default, scope: \"https://own.example/.default\" }} }}\n"
    )
    with gateway("--config", str(file), PATH=path, **service) as running:
        assert running.ask("cli/gpt-4o")[0] == 200
        # The machine's identity comes before the user's.
        assert running.ask("default/gpt-4o")[0] == 200
    asked = (tmp_path / "asked").read_text().split("\n")[:-1]
    assert len(asked) == 1 and "--scope https://cognitiveservices.azure.com/.default" in asked[0], asked
    assert "--tenant t" in asked[0]
    assert "own.example" in cloud.asked_at("/msi")[0][1]
    bearers = [call[2]["authorization"] for call in cloud.asked_at("/openai")]
    assert bearers == ["Bearer a.users.token", "Bearer a.machines.token"]


def test_renewal_before_the_end_a_failure_that_is_said_once_and_its_end(cloud):
    number = iter(range(1, 100))
    cloud.answers["/msi"] = lambda _: {
        "access_token": f"token-{next(number)}",
        "expires_on": str(int(time.time()) + 6),
        "resource": "r",
        "token_type": "Bearer",
    }
    cloud.answers["/openai"] = lambda _: CHAT
    found = {"IDENTITY_ENDPOINT": f"{cloud.url}/msi", "IDENTITY_HEADER": "a-header"}
    with gateway(AZURE_OPENAI_ENDPOINT=cloud.url, **found) as running:
        assert running.ask("azure/gpt-4o")[0] == 200
        # Without a call, and long before the six seconds are over.
        until(lambda: len(cloud.asked_at("/msi")) == 2)
        cloud.failing["/msi"] = 500
        until(lambda: len(cloud.asked_at("/msi")) >= 4)
        assert running.ask("azure/gpt-4o")[0] == 200, "the old one is still good"

        def refused():
            status, said = running.ask("azure/gpt-4o")
            return said if status == 502 else None

        said = until(refused, every_s=0.1)["error"]
        assert said["type"] == "upstream_authentication_error"
        assert "no credential for azure from Entra ID (managed identity)" in said["message"]
        lines = [line for line in running.lines() if "no new credential" in line]
        assert len(lines) == 1, lines
        del cloud.failing["/msi"]
        until(lambda: running.ask("azure/gpt-4o")[0] == 200, every_s=0.1)
        assert len([line for line in running.lines() if "can be fetched again" in line]) == 1
        assert "token-" not in "".join(running.lines()) and "a-header" not in "".join(running.lines())


def test_the_service_account_of_a_machine_and_the_project_whose_quota_counts(cloud, tmp_path):
    cloud.answers["/computeMetadata/v1/instance/service-accounts/default/token"] = lambda _: {
        "access_token": "a.google.token",
        "expires_in": 3599,
        "token_type": "Bearer",
    }
    part = {"content": {"role": "model", "parts": [{"text": "ebb"}]}, "finishReason": "STOP"}
    cloud.answers["/models/"] = lambda _: {"candidates": [part], "usageMetadata": {}}
    file = tmp_path / "tidegate.yaml"
    file.write_text(f'listen: 127.0.0.1:0\nhosts: {{ vertex_ai: {{ base_url: "{cloud.url}", quota_project: a-quota }} }}\n')
    with gateway("--config", str(file), GCE_METADATA_HOST=cloud.host) as running:
        assert [running.ask("vertex_ai/gemini")[0] for _ in range(2)] == [200, 200]
    (asked,) = cloud.asked_at("/computeMetadata")
    assert asked[2].get("metadata-flavor") == "Google" and "cloud%2Dplatform" in asked[1]
    for call in cloud.asked_at("/models/"):
        assert call[2]["authorization"] == "Bearer a.google.token" and call[2]["x-goog-user-project"] == "a-quota"


def test_without_a_file_and_a_metadata_server_it_is_said_what_to_set(cloud, tmp_path):
    file = tmp_path / "tidegate.yaml"
    file.write_text(f'listen: 127.0.0.1:0\nhosts: {{ vertex_ai: {{ base_url: "{cloud.url}", quota_project: a-quota }} }}\n')
    # A server that knows nothing of that.
    with gateway("--config", str(file), GCE_METADATA_HOST=cloud.host) as running:
        status, said = running.ask("vertex_ai/gemini")
    message = said["error"]["message"]
    assert status == 502 and message.startswith("no credential for vertex_ai from Google's application default"), message
    assert "GOOGLE_APPLICATION_CREDENTIALS" in message and "status 404" in message


def converse(cloud):
    cloud.answers["/model/"] = lambda _: CONVERSE


def signers(cloud):
    return [
        asked[2]["authorization"].partition("Credential=")[2].partition("/")[0] for asked in cloud.asked_at("/model/")
    ]


def bedrock(cloud, tmp_path):
    file = tmp_path / "tidegate.yaml"
    file.write_text(f'listen: 127.0.0.1:0\nhosts: {{ bedrock: {{ region: eu-west-1, base_url: "{cloud.url}" }} }}\n')
    return ["--config", str(file)]


def test_the_web_identity_of_a_pod(cloud, tmp_path):
    converse(cloud)
    cloud.answers["/"] = lambda _: STS.format(action="AssumeRoleWithWebIdentity", expires=in_an_hour())
    (tmp_path / "token").write_text("a-pods-token")
    found = {"AWS_ROLE_ARN": "arn:aws:iam::1:role/tides", "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token")}
    with gateway(*bedrock(cloud, tmp_path), AWS_ENDPOINT_URL_STS=cloud.url, **found) as running:
        assert [running.ask("bedrock/m")[0] for _ in range(2)] == [200, 200]
    asked = [dict(urllib.parse.parse_qsl(asked[3])) for asked in cloud.asked if asked[1] == "/"]
    assert len(asked) == 1 and asked[0]["WebIdentityToken"] == "a-pods-token"
    assert asked[0]["RoleArn"] == "arn:aws:iam::1:role/tides"
    assert signers(cloud) == ["ASIAAssumeRoleWithWebIdentity"] * 2


def test_the_role_of_a_container(cloud, tmp_path):
    converse(cloud)
    cloud.answers["/container"] = lambda _: aws_keys("ASIACONTAINER")
    (tmp_path / "token").write_text("a-containers-token")
    found = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{cloud.url}/container",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
    }
    with gateway(*bedrock(cloud, tmp_path), **found) as running:
        assert running.ask("bedrock/m")[0] == 200
    (asked,) = cloud.asked_at("/container")
    assert asked[2].get("authorization") == "a-containers-token" and signers(cloud) == ["ASIACONTAINER"]


def test_the_role_of_an_instance(cloud, tmp_path):
    converse(cloud)
    cloud.answers["/latest/api/token"] = lambda _: "a-session"
    cloud.answers["/latest/meta-data/iam/security-credentials/tides"] = lambda _: aws_keys("ASIAINSTANCE")
    cloud.answers["/latest/meta-data/iam/security-credentials"] = lambda _: "tides"
    found = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": cloud.url, "AWS_EC2_METADATA_DISABLED": "false"}
    with gateway(*bedrock(cloud, tmp_path), **found) as running:
        assert running.ask("bedrock/m")[0] == 200
    assert signers(cloud) == ["ASIAINSTANCE"]


def test_a_process_that_a_profile_names(cloud, tmp_path):
    converse(cloud)
    keys = json.dumps({"Version": 1, "AccessKeyId": "ASIAPROCESS", "SecretAccessKey": "s", "SessionToken": "t"})
    (tmp_path / "keys.json").write_text(keys)
    (tmp_path / "config").write_text(f"[profile tides]\ncredential_process = cat {tmp_path}/keys.json\n")
    with gateway(*bedrock(cloud, tmp_path), AWS_CONFIG_FILE=str(tmp_path / "config"), AWS_PROFILE="tides") as running:
        assert running.ask("bedrock/m")[0] == 200
    assert signers(cloud) == ["ASIAPROCESS"]


def test_an_instance_without_a_role_is_said_with_what_to_set(cloud, tmp_path):
    with gateway(*bedrock(cloud, tmp_path)) as running:
        status, said = running.ask("bedrock/m")
    assert status == 502
    message = said["error"]["message"]
    assert message.startswith("no credential for bedrock from the AWS default chain: ") and "AWS_PROFILE" in message, message
    assert KEY not in message and not cloud.asked
