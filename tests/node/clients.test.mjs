// Clients that people have, unmodified: OpenAI's, Anthropic's and Vercel's `ai`, over every backend; whole, streamed, with tools, and
// hanging up half way.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import Anthropic from "@anthropic-ai/sdk";
import { generateText, streamText, tool } from "ai";
import OpenAI, { AzureOpenAI } from "openai";
import { z } from "zod";

import { Gateway, HOSTS, KEY, Simulator } from "./processes.mjs";

const TEXT = " A tide gate";
const PARAMETERS = { type: "object", properties: { harbour: { type: "string" } } };
const SCENARIO = "tokens=3,tools=2,prompt=30";
const ENDLESS = "tokens=100000,interval=2ms";

let simulator, gateway;
before(async () => {
  simulator = await Simulator.start();
  gateway = await Gateway.start(simulator.url);
});
after(() => {
  gateway?.end();
  simulator?.end();
});

const says = (scenario) => [{ role: "user", content: `[sim ${scenario}]` }];
const tag = (...words) => words.join("-").replaceAll("/", "-");

/** The backend of this call was closed, and one line says that its caller left. */
async function wasGivenUp(name) {
  const seen = await simulator.closed(name);
  assert.equal(seen.completed_ns, null);
  assert.equal(seen.bytes_after_close, 0);
}

describe("openai", () => {
  const client = () => new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: KEY, maxRetries: 0 });
  const tools = [{ type: "function", function: { name: "tide_table", parameters: PARAMETERS } }];
  for (const host of HOSTS) {
    const model = `${host}/gpt-4o-mini`;
    test(`whole, over ${host}`, async () => {
      const reply = await client().chat.completions.create({ model, messages: says(SCENARIO), tools });
      const [choice] = reply.choices;
      assert.equal(choice.message.content, TEXT);
      assert.deepEqual(choice.message.tool_calls.map((call) => JSON.parse(call.function.arguments)), [
        { harbour: "Delfzijl" },
        { harbour: "Delfzijl" },
      ]);
      assert.equal(choice.finish_reason, "tool_calls");
      assert.equal(reply.usage.prompt_tokens, 30);
    });

    test(`a stream put together by the client's own helper, over ${host}`, async () => {
      const stream = client().chat.completions.stream({ model, messages: says(SCENARIO), tools });
      const { choices } = await stream.finalChatCompletion();
      assert.equal(choices[0].message.content, TEXT);
      assert.equal(choices[0].message.tool_calls.length, 2);
    });

    test(`hanging up half way, over ${host}`, async () => {
      const name = tag("node-openai", host);
      const stream = await client().chat.completions.create({ model, messages: says(`${ENDLESS},tag=${name}`), stream: true });
      let pieces = 0;
      for await (const chunk of stream) {
        if (chunk.choices[0]?.delta.content && ++pieces === 3) break;
      }
      await wasGivenUp(name);
    });
  }

  test("Azure's class, by the deployment in the path", async () => {
    const azure = new AzureOpenAI({ endpoint: gateway.url, apiKey: KEY, apiVersion: "2024-10-21", maxRetries: 0 });
    for (const model of ["azure/gpt-4o", "bedrock/claude"]) {
      const reply = await azure.chat.completions.create({ model, messages: says("tokens=3") });
      assert.equal(reply.choices[0].message.content, TEXT);
    }
  });

  test("an error is the client's own of that status", async () => {
    const failing = client().chat.completions.create({ model: "openai/x", messages: says("error=429") });
    await assert.rejects(failing, (error) => error instanceof OpenAI.RateLimitError && error.requestID.startsWith("call_"));
  });
});

describe("@anthropic-ai/sdk", () => {
  const client = () => new Anthropic({ baseURL: gateway.url, apiKey: KEY, maxRetries: 0 });
  const tools = [{ name: "tide_table", input_schema: PARAMETERS }];
  for (const host of HOSTS) {
    const asked = (scenario) => ({ model: `${host}/gpt-4o-mini`, max_tokens: 500, messages: says(scenario) });
    test(`whole, over ${host}`, async () => {
      const message = await client().messages.create({ ...asked(SCENARIO), tools });
      const [text, ...calls] = message.content.filter((block) => block.type !== "thinking");
      assert.deepEqual([text.type, text.text], ["text", TEXT]);
      assert.deepEqual(calls.map((call) => call.input), [{ harbour: "Delfzijl" }, { harbour: "Delfzijl" }]);
      assert.equal(message.stop_reason, "tool_use");
    });

    test(`a stream put together by the client's own helper, over ${host}`, async () => {
      const message = await client().messages.stream({ ...asked(SCENARIO), tools }).finalMessage();
      // Gemini signs its text; the signature has a block of its own.
      const said = message.content.map((block) => block.type).filter((type) => type !== "thinking");
      assert.deepEqual(said, ["text", "tool_use", "tool_use"]);
    });

    test(`hanging up half way, over ${host}`, async () => {
      const name = tag("node-anthropic", host);
      const stream = await client().messages.create({ ...asked(`${ENDLESS},tag=${name}`), stream: true });
      for await (const event of stream) {
        if (event.type === "content_block_delta") break;
      }
      await wasGivenUp(name);
    });
  }
});

describe("ai", () => {
  const providers = {
    "@ai-sdk/openai-compatible": () =>
      createOpenAICompatible({ name: "tidegate", baseURL: `${gateway.url}/v1`, apiKey: KEY, includeUsage: true }),
    "@ai-sdk/anthropic": () => createAnthropic({ baseURL: `${gateway.url}/v1`, apiKey: KEY }),
  };
  const tools = { tide_table: tool({ inputSchema: z.object({ harbour: z.string() }) }) };
  for (const [name, provider] of Object.entries(providers)) {
    for (const host of HOSTS) {
      const asked = (scenario) => ({ model: provider()(`${host}/gpt-4o-mini`), prompt: `[sim ${scenario}]`, maxRetries: 0 });
      test(`${name}: whole, over ${host}`, async () => {
        const reply = await generateText({ ...asked(SCENARIO), tools });
        assert.equal(reply.text, TEXT);
        assert.deepEqual(reply.toolCalls.map((call) => call.input), [{ harbour: "Delfzijl" }, { harbour: "Delfzijl" }]);
        assert.equal(reply.usage.inputTokens, 30);
      });

      test(`${name}: a stream, over ${host}`, async () => {
        const stream = streamText({ ...asked(SCENARIO), tools });
        let text = "";
        for await (const piece of stream.textStream) text += piece;
        assert.equal(text, TEXT);
        assert.equal((await stream.toolCalls).length, 2);
        assert.equal(await stream.finishReason, "tool-calls");
      });

      test(`${name}: hanging up half way, over ${host}`, async () => {
        const label = tag("node-ai", name.replace("@ai-sdk/", ""), host);
        const abort = new AbortController();
        const stream = streamText({ ...asked(`${ENDLESS},tag=${label}`), abortSignal: abort.signal, onError: () => {} });
        let pieces = 0;
        for await (const piece of stream.textStream) {
          if (piece && ++pieces === 3) abort.abort();
        }
        await wasGivenUp(label);
      });
    }
  }
});
