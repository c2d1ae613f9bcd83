"""The first minute at the command line: what a person is told who has set up nothing, half of it, or something wrong."""

import subprocess

import pytest

from processes import KEY, PATIENCE_S, binary, environment, hosts_on


def tidegate(*arguments: str, folder=None, **variables: str) -> subprocess.CompletedProcess:
    """Runs a command to its end. One that does not end by itself fails the test."""
    return subprocess.run(
        [binary(), *arguments],
        cwd=folder,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


@pytest.mark.parametrize("command", ["serve", "check"])
def test_without_any_key_the_variables_that_would_do_are_named(command):
    ended = tidegate(command)
    assert ended.returncode == 1 and ended.stdout == ""
    for word in WAYS_TO_BEGIN:
        assert word in ended.stderr, ended.stderr


WAYS_TO_BEGIN = (
    "OPENAI_API_KEY",
    "AZURE_API_KEY",
    "AZURE_API_BASE",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_ACCESS_KEY_ID",
    "AWS_REGION",
    "--config",
    "tidegate demo",
)


def test_a_key_in_the_environment_is_all_that_check_needs_and_it_does_not_show_it():
    ended = tidegate("check", OPENAI_API_KEY=KEY, AWS_BEARER_TOKEN_BEDROCK=f"{KEY}-b", AWS_REGION="eu-central-1")
    assert ended.returncode == 0 and ended.stderr == ""
    for word in ("openai", "bedrock", "eu-central-1", "127.0.0.1:4000"):
        assert word in ended.stdout, ended.stdout
    assert KEY not in ended.stdout


def test_half_of_azures_variables_is_a_warning_that_names_the_other_half():
    ended = tidegate("check", OPENAI_API_KEY=KEY, AZURE_API_KEY=KEY)
    assert ended.returncode == 0
    assert "warning" in ended.stderr and "AZURE_API_BASE" in ended.stderr


@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_typo_is_named_with_file_line_column_and_the_nearest_key(tmp_path, command):
    (tmp_path / "tidegate.yaml").write_text(f"hosts:\n  openai:\n    api_kye: {KEY}\n")
    ended = tidegate(command, "--config", "tidegate.yaml", folder=tmp_path)
    assert ended.returncode == 1 and ended.stdout == ""
    first = ended.stderr.splitlines()[0]
    assert first == "tidegate.yaml:3:5: hosts.openai.api_kye: unknown key; did you mean api_key?"
    assert KEY not in ended.stderr


def test_all_mistakes_are_told_at_once(tmp_path):
    (tmp_path / "t.yaml").write_text("hosts: { openai: { api_key: k } }\ndrian: 5s\nlisten: nowhere\n")
    ended = tidegate("check", "--config", "t.yaml", folder=tmp_path)
    assert ended.returncode == 1
    assert "t.yaml:2:1: drian: unknown key; did you mean drain?" in ended.stderr
    assert "t.yaml:3:9: listen:" in ended.stderr


def test_a_file_that_is_not_there_is_named(tmp_path):
    ended = tidegate("serve", "--config", "absent.yaml", folder=tmp_path)
    assert ended.returncode == 1 and "absent.yaml" in ended.stderr


def test_a_variable_that_is_not_set_is_named_with_its_place(tmp_path):
    (tmp_path / "t.yaml").write_text('hosts:\n  openai: { api_key: "${NO_SUCH_KEY}" }\n')
    ended = tidegate("serve", "--config", "t.yaml", folder=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.startswith("t.yaml:2:22: hosts.openai.api_key:") and "NO_SUCH_KEY" in ended.stderr


def test_a_good_file_is_shown_as_it_is_understood_without_its_secrets(tmp_path):
    (tmp_path / "t.yaml").write_text(hosts_on("http://127.0.0.1:9"))
    ended = tidegate("check", "--config", "t.yaml", folder=tmp_path)
    assert ended.returncode == 0 and ended.stderr == ""
    for word in ("azure-v1", "2024-10-21", "us-east-1", "http://127.0.0.1:9"):
        assert word in ended.stdout, ended.stdout
    assert KEY not in ended.stdout


def test_an_address_in_use_is_named(tmp_path, gateway):
    text = hosts_on("http://127.0.0.1:9").replace("127.0.0.1:0\n", f"127.0.0.1:{gateway.port}\n", 1)
    (tmp_path / "t.yaml").write_text(text)
    ended = tidegate("serve", "--config", "t.yaml", folder=tmp_path)
    assert ended.returncode == 1
    assert f"127.0.0.1:{gateway.port}" in ended.stderr and "in use" in ended.stderr


def test_no_command_shows_what_there_is():
    ended = tidegate()
    assert ended.returncode == 2
    for command in ("serve", "check", "demo", "probe", "sim"):
        assert command in ended.stderr
