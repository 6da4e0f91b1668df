// What the client makes of answers that a healthy server does not give.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { TestContext } from "node:test";

import { waitAfter } from "../src/client.js";
import { AnalyticsClient } from "../src/index.js";
import type { ClientOptions, Schemas } from "../src/index.js";

const event: Schemas["Event"] = {
  version: "1.23.0",
  tool: "get_forecast",
  status: "success",
  timestamp_hour: "2026-11-23T10:00:00Z",
  analytics_level: "minimal",
};

const receipt = JSON.stringify({ status: "accepted", count: 1, timestamp: "2026-11-23T10:30:00Z" });

type Answerer = (request: IncomingMessage, answer: ServerResponse) => void;

/** Starts a server that answers request after request as told, the last way for all others. */
async function scripted(t: TestContext, answers: Answerer[], options: ClientOptions = {}) {
  const seen: IncomingMessage[] = [];
  const server = createServer((request, answer) => {
    request.resume();
    seen.push(request);
    answers[Math.min(seen.length, answers.length) - 1]?.(request, answer);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { seen, client: new AnalyticsClient({ baseUrl: `http://127.0.0.1:${port}/`, ...options }) };
}

function says(status: number, body: string, headers: Record<string, string> = {}): Answerer {
  return (_, answer) => answer.writeHead(status, headers).end(body);
}

const refusal = (error: Schemas["RefusalCode"]) =>
  JSON.stringify({ error, details: ["sorry"], request_id: "VGFJ2XH7N4QQZK5TYC3MWB6DAE" });

test("a full server says when to come back", async (t) => {
  const { seen, client } = await scripted(t, [says(429, refusal("rate_limit_exceeded"), { "Retry-After": "42" })]);
  const posted = await client.post([event], { idempotencyKey: "k" });
  assert(posted.outcome === "later");
  assert(posted.retryAfterMs >= 42_000 && posted.retryAfterMs <= 52_500, `${posted.retryAfterMs} ms`);
  assert.equal(posted.idempotencyKey, "k");
  assert.equal(posted.error.requestId, "VGFJ2XH7N4QQZK5TYC3MWB6DAE");
  assert.equal(seen.length, 1);
});

test("Retry-After may be a date", async (t) => {
  const at = new Date(Date.now() + 60_000).toUTCString();
  const { client } = await scripted(t, [says(503, refusal("service_unavailable"), { "Retry-After": at })]);
  const posted = await client.post([event]);
  assert(posted.outcome === "later" && posted.retryAfterMs > 55_000 && posted.retryAfterMs <= 75_000);
});

test("attempts share one key, and wait longer and longer between", async (t) => {
  const answers = [
    new Response(refusal("service_unavailable"), { status: 503, headers: { "Retry-After": "0" } }),
    new Response("<html>", { status: 502 }),
    new Response(refusal("rate_limit_exceeded"), { status: 429, headers: { "Retry-After": "60" } }),
    new Response(receipt),
  ];
  const keys: (string | null)[] = [];
  const client = new AnalyticsClient({
    fetch: async (_, init) => {
      keys.push(new Headers(init?.headers).get("Idempotency-Key"));
      return answers[keys.length - 1] ?? assert.fail("asked too often");
    },
  });
  const waits: number[] = [];
  t.mock.method(globalThis, "setTimeout", (run: () => void, ms: number) => {
    waits.push(ms);
    queueMicrotask(run);
  });
  t.mock.method(Math, "random", () => 0.5);
  const posted = await client.post([event], { attempts: 4 });
  assert.equal(posted.outcome, "accepted");
  assert.deepEqual(keys, Array(4).fill(posted.idempotencyKey));
  assert.deepEqual(waits, [5_625, 11_250, 67_500]);
});

test("waits double up to minutes, are never shorter than asked, and differ", () => {
  const least = () => 0;
  assert.deepEqual([1, 2, 3, 6, 7, 2000].map((n) => waitAfter(n, 0, least)), [5_000, 10_000, 20_000, 160_000, 300_000, 300_000]);
  assert.equal(waitAfter(1, 600_000, least), 600_000);
  assert.equal(waitAfter(7, 60_000, least), 300_000);
  assert.equal(waitAfter(1, 0, () => 1), 6_250);
  assert.notEqual(waitAfter(1), waitAfter(1));
});

test("what was refused is not tried again", async (t) => {
  const { seen, client } = await scripted(t, [says(413, refusal("payload_too_large"))]);
  const posted = await client.post([event], { attempts: 3 });
  assert.equal(posted.outcome, "refused");
  assert.equal(seen.length, 1);
});

test("a broken connection leaves open what happened", async (t) => {
  const { client } = await scripted(t, [(request) => request.socket.destroy()]);
  const posted = await client.post([event]);
  assert(posted.outcome === "later");
  assert.equal(posted.error.code, "no_answer");
  assert(posted.retryAfterMs >= 5000 && posted.retryAfterMs <= 6250, `${posted.retryAfterMs} ms`);
});

test("the time counts until the answer is whole", async (t) => {
  const { client } = await scripted(t, [(_, answer) => answer.writeHead(200).write("{")], { timeoutMs: 50 });
  await assert.rejects(client.overview(), { status: 0, code: "timeout" });
});

test("an answer that is none of the server's", async (t) => {
  const { client } = await scripted(t, [says(502, "<html>"), says(200, "<html>")]);
  await assert.rejects(client.overview(), { status: 502, code: "unexpected_answer" });
  await assert.rejects(client.overview(), { status: 200, code: "unexpected_answer" });
  assert.equal((await client.post([event])).outcome, "later");
});

test("a signal ends a call and the wait between attempts", async (t) => {
  const { client, seen } = await scripted(t, [says(503, refusal("service_unavailable"), { "Retry-After": "60" })]);
  await assert.rejects(client.overview({}, { signal: AbortSignal.abort(new Error("left")) }), /left/);
  const leaving = new AbortController();
  const posting = client.post([event], { attempts: 2, signal: leaving.signal });
  while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  leaving.abort(new Error("left"));
  await assert.rejects(posting, /left/);
});

test("the latest answers are kept", async (t) => {
  const { seen, client } = await scripted(t, [says(200, "{}", { ETag: '"1"' })], { keep: 1 });
  await client.overview();
  await client.all();
  await client.overview();
  await client.overview();
  assert.deepEqual(seen.map((request) => request.headers["if-none-match"]), [undefined, undefined, undefined, '"1"']);
});

test("names and parameters are encoded", async (t) => {
  const { seen, client } = await scripted(t, [says(200, "{}")]);
  await client.tool("a b", { country: "US", version: "1.0+x" });
  assert.equal(seen[0]?.url, "/v1/stats/tool/a%20b?country=US&version=1.0%2Bx");
});
