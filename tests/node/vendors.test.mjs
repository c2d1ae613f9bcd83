// Google's and AWS's clients, unmodified, over every backend; whole, streamed, with tools, and hanging up half way, with keys, and
// while a backend is silent.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand } from "@aws-sdk/client-bedrock-runtime";
import { GoogleGenAI } from "@google/genai";

import { Gateway, HOSTS, Simulator } from "./processes.mjs";

const TEXT = " A tide gate";
const MASTER = "sk-a-master-key-of-this-gateway-0123456789";
const SCHEMA = { type: "object", properties: { harbour: { type: "string" } } };
const SCENARIO = "tokens=3,tools=2,prompt=30";
const ENDLESS = "tokens=100000,interval=2ms";
const SILENT = "tokens=3,first_token_delay=300ms";

let simulator, gateway;
before(async () => {
  simulator = await Simulator.start();
  gateway = await Gateway.start(simulator.url, `heartbeat: 20ms\nmaster_key: ${MASTER}\n`);
});
after(() => {
  gateway?.end();
  simulator?.end();
});

/** The backend of this call was closed before its end. */
async function wasGivenUp(name) {
  const seen = await simulator.closed(name);
  assert.equal(seen.completed_ns, null);
  assert.equal(seen.bytes_after_close, 0);
}

describe("@google/genai", () => {
  const client = (apiKey = MASTER) => new GoogleGenAI({ apiKey, httpOptions: { baseUrl: gateway.url } });
  const tools = [{ functionDeclarations: [{ name: "tide_table", parametersJsonSchema: SCHEMA }] }];
  for (const host of HOSTS) {
    const asked = (scenario) => ({ model: `${host}/gpt-4o-mini`, contents: `[sim ${scenario}]`, config: { tools } });

    test(`whole, over ${host}`, async () => {
      const reply = await client().models.generateContent(asked(SCENARIO));
      assert.equal(reply.candidates[0].content.parts.find((part) => part.text && !part.thought).text, TEXT);
      assert.deepEqual(reply.functionCalls.map((call) => call.args), [{ harbour: "Delfzijl" }, { harbour: "Delfzijl" }]);
      assert.equal(reply.usageMetadata.promptTokenCount, 30);
    });

    test(`a stream whose backend is silent for a while, over ${host}`, async () => {
      let text = "";
      let finish;
      for await (const chunk of await client().models.generateContentStream(asked(SILENT))) {
        const [candidate] = chunk.candidates;
        text += (candidate.content?.parts ?? []).map((part) => part.text ?? "").join("");
        finish = candidate.finishReason ?? finish;
      }
      assert.deepEqual([text, finish], [TEXT, "STOP"]);
    });

    test(`hanging up half way, over ${host}`, async () => {
      const name = `node-google-${host}`;
      let pieces = 0;
      const leave = new AbortController();
      const request = asked(`${ENDLESS},tag=${name}`);
      request.config = { ...request.config, abortSignal: leave.signal };
      await assert.rejects(async () => {
        for await (const _ of await client().models.generateContentStream(request)) {
          if (++pieces === 3) leave.abort();
        }
      });
      await wasGivenUp(name);
    });
  }

  test("errors are the client's own, of a whole reply, of a stream, and of a key", async () => {
    const asked = (scenario) => ({ model: "openai/gpt-4o-mini", contents: `[sim ${scenario}]` });
    await assert.rejects(client().models.generateContent(asked("error=429")), { name: "ApiError", status: 429 });
    await assert.rejects(async () => {
      for await (const _ of await client().models.generateContentStream(asked("tokens=9,truncate=6")));
    }, { name: "ApiError" });
    await assert.rejects(client("wrong").models.generateContent(asked("tokens=3")), { name: "ApiError", status: 401 });
  });
});

describe("@aws-sdk/client-bedrock-runtime", () => {
  const client = (secretAccessKey = MASTER) =>
    new BedrockRuntimeClient({
      endpoint: gateway.url,
      region: "eu-central-1",
      credentials: { accessKeyId: "anybody", secretAccessKey },
      maxAttempts: 1,
    });
  const toolConfig = { tools: [{ toolSpec: { name: "tide_table", inputSchema: { json: SCHEMA } } }] };
  for (const host of HOSTS) {
    const asked = (scenario) => ({
      modelId: `${host}/gpt-4o-mini`,
      messages: [{ role: "user", content: [{ text: `[sim ${scenario}]` }] }],
      toolConfig,
    });

    test(`whole, over ${host}`, async () => {
      const reply = await client().send(new ConverseCommand(asked(SCENARIO)));
      const blocks = reply.output.message.content.filter((block) => !block.reasoningContent);
      assert.deepEqual(blocks.map((block) => block.text ?? block.toolUse.input), [
        TEXT,
        { harbour: "Delfzijl" },
        { harbour: "Delfzijl" },
      ]);
      assert.equal(reply.stopReason, "tool_use");
      assert.equal(reply.usage.inputTokens, 30);
    });

    test(`a stream whose backend is silent for a while, over ${host}`, async () => {
      const names = new Set();
      let text = "";
      for await (const event of (await client().send(new ConverseStreamCommand(asked(SILENT)))).stream) {
        Object.keys(event).forEach((name) => names.add(name));
        text += event.contentBlockDelta?.delta.text ?? "";
      }
      assert.equal(text, TEXT);
      assert.deepEqual([...names].sort(), ["contentBlockDelta", "contentBlockStop", "messageStart", "messageStop", "metadata"]);
    });

    test(`hanging up half way, over ${host}`, async () => {
      const name = `node-aws-${host}`;
      const leave = new AbortController();
      const command = new ConverseStreamCommand(asked(`${ENDLESS},tag=${name}`));
      const { stream } = await client().send(command, { abortSignal: leave.signal });
      let pieces = 0;
      // The client ends the stream that it was told to leave as if it were whole; one that it only stops reading it keeps.
      for await (const event of stream) {
        if (event.contentBlockDelta && ++pieces === 3) leave.abort();
      }
      await wasGivenUp(name);
    });
  }

  test("errors are the client's own, of a whole reply, of a stream, and of a key", async () => {
    const asked = (scenario) => ({
      modelId: "openai/gpt-4o-mini",
      messages: [{ role: "user", content: [{ text: `[sim ${scenario}]` }] }],
    });
    await assert.rejects(client().send(new ConverseCommand(asked("error=429"))), { name: "ThrottlingException" });
    await assert.rejects(async () => {
      for await (const _ of (await client().send(new ConverseStreamCommand(asked("tokens=9,truncate=6")))).stream);
    }, { name: "ModelStreamErrorException" });
    await assert.rejects(client("wrong").send(new ConverseCommand(asked("tokens=3"))), { name: "AccessDeniedException" });
  });
});
