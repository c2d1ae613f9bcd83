"""AWS profiles and roles, with a server of ours in the place of STS and of Bedrock."""

import json
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

import tidegate
from tidegate import Client, completion

ANSWER = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<AssumedRoleUser><AssumedRoleId>A:tides</AssumedRoleId><Arn>arn:aws:sts::1:assumed-role/tides/x</Arn></AssumedRoleUser>
<Credentials><AccessKeyId>ASIAASSUMED</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>
<SessionToken>token</SessionToken><Expiration>{expires}</Expiration></Credentials>
</AssumeRoleResult></AssumeRoleResponse>"""


REPLY = {
    "output": {"message": {"role": "assistant", "content": [{"text": "ebb"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
}


class Aws:
    """Gives the same credentials and the same reply to everybody."""

    def __init__(self):
        # What STS was asked, and whose keys requests were signed with.
        roles = self.roles = []
        signers = self.signers = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                asked = self.rfile.read(int(self.headers["content-length"])).decode()
                signer = self.headers["authorization"].partition("Credential=")[2].partition("/")[0]
                if self.path.startswith("/model/"):
                    signers.append(signer)
                    self.answer("application/json", json.dumps(REPLY))
                else:
                    roles.append(dict(urllib.parse.parse_qsl(asked)) | {"signer": signer})
                    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
                    self.answer("text/xml", ANSWER.format(expires=expires))

            def answer(self, kind, text):
                self.send_response(200)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def aws(monkeypatch, tmp_path):
    aws = Aws()
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", aws.url)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    profiles = "[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key = s\n"
    profiles += "[harbour]\naws_access_key_id = AKIAHARBOUR\naws_secret_access_key = s\n"
    (tmp_path / "credentials").write_text(profiles)
    yield aws
    aws.server.shutdown()


ASKED = {"model": "bedrock/amazon.nova-lite-v1:0", "messages": [{"role": "user", "content": "?"}]}


def test_a_profile(aws):
    reply = completion(**ASKED, api_base=aws.url, aws_region_name="eu-west-1", aws_profile_name="harbour")
    assert reply.choices[0].message.content == "ebb" and aws.signers == ["AKIAHARBOUR"] and not aws.roles


def test_a_role_assumed_with_what_a_profile_has(aws):
    role = {"aws_role_name": "arn:aws:iam::1:role/tides", "aws_session_name": "a-session", "aws_external_id": "theirs"}
    for _ in range(2):
        completion(**ASKED, **role, api_base=aws.url, aws_region_name="eu-west-1", aws_profile_name="harbour")
    # One look-up for both.
    (asked,) = aws.roles
    assert asked["RoleArn"] == role["aws_role_name"] and asked["RoleSessionName"] == "a-session"
    assert asked["ExternalId"] == "theirs" and asked["signer"] == "AKIAHARBOUR"
    assert aws.signers == ["ASIAASSUMED", "ASIAASSUMED"]


def test_a_role_of_a_configuration_file(aws, tmp_path):
    file = tmp_path / "tidegate.yaml"
    role = f'{{ region: us-east-1, base_url: "{aws.url}", role_arn: "arn:aws:iam::1:role/tides" }}'
    file.write_text(f"hosts: {{ bedrock: {role} }}\n")
    assert Client(config=file).completion(ASKED["messages"], ASKED["model"]).usage
    assert aws.signers == ["ASIAASSUMED"] and aws.roles[0]["signer"] == "AKIADEFAULT"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"aws_session_name": "x"}, "aws_role_name"),
        ({"aws_profile_name": "x", "aws_access_key_id": "A", "aws_secret_access_key": "B"}, "aws_access_key_id"),
        ({"aws_profile_name": 1}, "aws_profile_name must be a str"),
    ],
)
def test_what_does_not_go_together_is_named(given, said):
    with pytest.raises((tidegate.BadRequestError, TypeError), match=said):
        completion(**ASKED, **given)
