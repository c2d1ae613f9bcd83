"""What callers use besides chat, through the official clients of OpenAI and Cohere, unmodified."""

import base64
import io
import struct
import time

import cohere
import openai
import pytest

from processes import KEY, PATIENCE_S, until
from test_hang_up import WITHIN_MS, backend_closed

TEXTS = ["ebb", "spring tide"]
EMBEDDERS = (
    "openai/text-embedding-3-small",
    "azure/text-embedding-3-small",
    "azure-v1/text-embedding-3-small",
    "gemini/gemini-embedding-001",
    "vertex_ai/text-embedding-005",
    "cohere/embed-v4.0",
    "bedrock/cohere.embed-v4:0",
)


@pytest.fixture(scope="module")
def openais(gateway):
    """What no model does goes to this host."""
    headers = {"x-tidegate-host": "openai"}
    with openai.OpenAI(
        base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0, timeout=PATIENCE_S, default_headers=headers
    ) as client:
        yield client


@pytest.mark.parametrize("model", EMBEDDERS)
def test_embeddings_come_as_the_client_asks_for_them(gateway, openais, model):
    """Left alone, the client asks for base64 and decodes it."""
    by_itself = openais.embeddings.with_raw_response.create(model=model, input=TEXTS, dimensions=3)
    call = until(lambda: gateway.settled(id=by_itself.headers["x-tidegate-call-id"]))
    reply = by_itself.parse()
    assert [list(one.embedding) for one in reply.data] == [[3.0, 1.5, 0.75], [11.0, 5.5, 2.75]]
    assert [one.index for one in reply.data] == [0, 1]
    assert (call["operation"], call["outcome"], call["usage"]) == ("embeddings", "complete", "reported")
    assert call["prompt_tokens"] == reply.usage.prompt_tokens > 0
    floats = openais.embeddings.create(model=model, input=TEXTS[0], encoding_format="float")
    assert floats.data[0].embedding == [3.0, 1.5, 0.75, 0.375]
    raw = openais.embeddings.with_raw_response.create(model=model, input=TEXTS[0], encoding_format="base64")
    assert struct.pack("<4f", 3.0, 1.5, 0.75, 0.375) == base64.b64decode(
        raw.http_response.json()["data"][0]["embedding"]
    )


def test_azures_client_embeds(gateway):
    with openai.AzureOpenAI(
        azure_endpoint=gateway.url, api_version="2024-10-21", api_key=KEY, max_retries=0, timeout=PATIENCE_S
    ) as client:
        reply = client.embeddings.create(model="azure/text-embedding-3-small", input="ebb", dimensions=2)
    assert reply.data[0].embedding == [3.0, 1.5]


def test_what_a_host_has_not_is_the_clients_own_error(openais):
    with pytest.raises(openai.BadRequestError) as raised:
        openais.embeddings.create(model="anthropic/claude", input="a")
    assert raised.value.code == "unsupported_operation"
    with pytest.raises(openai.BadRequestError) as raised:
        openais.embeddings.create(model="gemini/gemini-embedding-001", input=[[1, 2, 3]])
    assert raised.value.param == "input"


@pytest.mark.parametrize("host", ["openai", "azure", "azure-v1"])
def test_legacy_completions(openais, host):
    model = f"{host}/gpt-3.5-turbo-instruct"
    whole = openais.completions.create(model=model, prompt="[sim tokens=3,prompt=30]")
    assert whole.choices[0].text == " A tide gate"
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (30, 3)
    chunks = list(openais.completions.create(model=model, prompt="[sim tokens=3]", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == " A tide gate"
    options = {"include_usage": True}
    *_, last = openais.completions.create(
        model=model, prompt="[sim tokens=3,prompt=30]", stream=True, stream_options=options
    )
    assert (last.choices, last.usage.total_tokens) == ([], 33)


def test_moderations(openais):
    assert openais.moderations.create(input="a").results[0].flagged is False
    assert openais.moderations.create(model="openai/omni-moderation-latest", input="a").results[0].flagged is False


@pytest.mark.parametrize("host", ["openai", "azure", "azure-v1"])
def test_images(openais, host):
    model = f"{host}/gpt-image-1"
    image = openais.images.generate(model=model, prompt="[sim tokens=2]")
    assert image.data[0].b64_json == "aW1hZ2U=" and image.usage.output_tokens == 2
    events = list(openais.images.generate(model=model, prompt="[sim tokens=2]", stream=True, partial_images=2))
    assert [event.type for event in events][-1] == "image_generation.completed" and len(events) == 3
    picture = ("tide.png", b"\x89PNG" + b"\0" * 300_000, "image/png")
    assert openais.images.edit(model=model, image=picture, prompt="higher").data[0].b64_json == "aW1hZ2U="
    assert openais.images.create_variation(model=model, image=picture).data[0].b64_json == "aW1hZ2U="


@pytest.mark.parametrize("host", ["openai", "azure", "azure-v1"])
def test_audio(openais, host):
    spoken = openais.audio.speech.create(model=f"{host}/tts-1", voice="alloy", input="[sim tokens=5]")
    assert len(spoken.content) == 5 * 1024 and spoken.content.startswith(b"\xff\xfb")
    model = f"{host}/whisper-1"
    sound = ("tide.wav", io.BytesIO(b"RIFF" + b"\0" * 300_000))
    heard = openais.audio.transcriptions.create(model=model, file=sound, prompt="[sim tokens=3]")
    assert heard.text == " A tide gate"
    sound[1].seek(0)
    events = list(openais.audio.transcriptions.create(model=model, file=sound, prompt="[sim tokens=3]", stream=True))
    assert events[-1].type == "transcript.text.done" and events[-1].text == " A tide gate"
    sound[1].seek(0)
    assert openais.audio.translations.create(model=model, file=sound, prompt="[sim tokens=3]").text == " A tide gate"


def test_files_and_batches_are_the_named_hosts(gateway, openais):
    stored = openais.files.create(file=("tide.jsonl", b"{}\n" * 1000), purpose="batch")
    assert openais.files.retrieve(stored.id).filename == "tide.jsonl"
    assert [one.id for one in openais.files.list()] == [stored.id]
    assert openais.files.content(stored.id).json() == {"line": 1}
    assert openais.files.delete(stored.id).deleted
    batch = openais.batches.create(
        input_file_id=stored.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    assert openais.batches.retrieve(batch.id).status == "validating"
    assert [one.id for one in openais.batches.list()] == [batch.id]
    assert openais.batches.cancel(batch.id).status == "cancelling"
    with pytest.raises(openai.BadRequestError) as raised:
        openais.files.list(extra_headers={"x-tidegate-host": "anthropic"})
    assert raised.value.code == "unsupported_operation"


def test_one_model(openais):
    assert openais.models.retrieve("openai/gpt-4o-mini").id == "gpt-4o-mini"
    with pytest.raises(openai.NotFoundError):
        openais.models.retrieve("nowhere")


def test_a_host_that_is_passed_through_to_is_the_clients_own(gateway):
    base = f"{gateway.url}/open/v1"
    with openai.OpenAI(base_url=base, api_key=KEY, max_retries=0, timeout=PATIENCE_S) as client:
        assert [model.id for model in client.models.list()][0] == "gpt-4o-mini"
        messages = [{"role": "user", "content": "[sim tokens=3]"}]
        stream = client.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == " A tide gate"
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "[sim error=429]"}]
            )


@pytest.fixture(scope="module")
def coheres(gateway):
    return cohere.ClientV2(api_key=KEY, base_url=gateway.url, timeout=PATIENCE_S)


@pytest.mark.parametrize("model", ["cohere/rerank-v3.5", "bedrock/cohere.rerank-v3-5:0"])
def test_coheres_client_reranks(coheres, model):
    reply = coheres.rerank(model=model, query="tide", documents=["ebb", "a spring tide", "neap tide"], top_n=2)
    assert [result.index for result in reply.results] == [1, 2]


def test_coheres_client_embeds(coheres):
    reply = coheres.embed(
        model="cohere/embed-v4.0", texts=TEXTS, input_type="search_document", embedding_types=["float"]
    )
    assert [vector[0] for vector in reply.embeddings.float_] == [3.0, 11.0]


@pytest.fixture(scope="module")
def passed_through(gateway):
    """Cohere's client at Cohere's own API, behind the gateway."""
    return cohere.ClientV2(api_key=KEY, base_url=f"{gateway.url}/cohere-open", timeout=PATIENCE_S)


def asks_cohere(scenario: str) -> dict:
    tool = {"type": "function", "function": {"name": "tide_table", "parameters": {"type": "object"}}}
    messages = [{"role": "user", "content": f"[sim {scenario}]"}]
    return {"model": "command-a-03-2025", "messages": messages, "tools": [tool]}


def test_coheres_client_chats_with_tools(passed_through):
    reply = passed_through.chat(**asks_cohere("tokens=3,tools=2"))
    assert [part.text for part in reply.message.content if part.type == "text"] == [" A tide gate"]
    assert [call.function.name for call in reply.message.tool_calls] == ["tide_table"] * 2
    events = list(passed_through.chat_stream(**asks_cohere("tokens=3,tools=2")))
    deltas = [event.delta.message.content.text for event in events if event.type == "content-delta"]
    assert "".join(text for text in deltas if text) == " A tide gate"
    assert [event.type for event in events].count("tool-call-start") == 2


def test_coheres_client_that_leaves_stops_its_backend(simulator, passed_through):
    tag = "e2e-cohere"
    stream = passed_through.chat_stream(**asks_cohere(f"tokens=100000,interval=2ms,tag={tag}"))
    for event in stream:
        if event.type == "content-delta":
            break
    stream.close()
    backend_closed(simulator, tag)


def test_speech_that_is_not_listened_to_stops_its_backend(simulator, gateway, openais):
    tag = "e2e-speech"
    said = f"[sim tokens=100000,interval=2ms,tag={tag}]"
    with openais.audio.speech.with_streaming_response.create(
        model="openai/tts-1", voice="alloy", input=said
    ) as spoken:
        call_id = spoken.headers["x-tidegate-call-id"]
        next(spoken.iter_bytes())
    gone = time.monotonic_ns()
    assert (backend_closed(simulator, tag)["closed_ns"] - gone) / 1e6 < WITHIN_MS
    call = until(lambda: gateway.settled(id=call_id))
    assert (call["outcome"], call["status"], call["operation"]) == ("client_gone", 200, "speech")
    assert call["delivered_bytes"] > 0 and call["hang_up_to_closed_us"] < WITHIN_MS * 1000
    # Nothing was written that could be counted as tokens.
    assert (call["usage"], call["completion_tokens"]) == ("estimated", 0)
