// What the client and a real server make of each other. ANALYTICS_URL says
// where one runs that keeps no answers and whose data nobody else touches.

import assert from "node:assert/strict";
import { test } from "node:test";

import { AnalyticsClient, AnalyticsError } from "../src/index.js";
import type { Schemas } from "../src/index.js";

const baseUrl = process.env["ANALYTICS_URL"] ?? assert.fail("ANALYTICS_URL is not set");
const hour = new Date(Math.floor(Date.now() / 3_600_000) * 3_600_000).toISOString();

function call(tool: string, more: Partial<Schemas["Event"]> = {}): Schemas["Event"] {
  return { version: "1.23.0", tool, status: "success", timestamp_hour: hour, analytics_level: "minimal", ...more };
}

/** Asks until the answer is as wanted; events count a moment after they were accepted. */
async function eventually<T>(ask: () => Promise<T>, wanted: (answer: T) => boolean): Promise<T> {
  for (const deadline = Date.now() + 10_000; ; ) {
    const answer = await ask();
    if (wanted(answer)) return answer;
    if (Date.now() > deadline) assert.fail(`still ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Notes what goes out and what comes back. */
function observed(): { client: AnalyticsClient; statuses: number[]; sent: Headers[] } {
  const statuses: number[] = [];
  const sent: Headers[] = [];
  const client = new AnalyticsClient({
    baseUrl,
    fetch: async (input, init) => {
      const answer = await fetch(input, init);
      statuses.push(answer.status);
      sent.push(new Headers(init?.headers));
      return answer;
    },
  });
  return { client, statuses, sent };
}

test("posts and reads", async () => {
  const client = new AnalyticsClient({ baseUrl });
  const posted = await client.post([
    call("get_forecast", { analytics_level: "standard", response_time_ms: 120, service: "noaa" }),
    call("get_alerts", { status: "error", error_type: "timeout" }),
    call("search_location"),
    call("no_such_tool"),
  ]);
  assert(posted.outcome === "accepted");
  assert.equal(posted.receipt.count, 3);
  assert.equal(posted.receipt.rejected, 1);
  assert.deepEqual(posted.receipt.errors?.map(({ index, field, code }) => [index, field, code]), [[3, "tool", "unknown_value"]]);

  const overview = await eventually(() => client.overview({ period: "1h" }), (o) => o.summary.total_calls === 3);
  assert.equal(overview.period, "1h");
  assert.equal(overview.summary.avg_response_time_ms, 120);

  const all = await client.all();
  assert.equal(all.services.noaa.calls, 1);
  assert.equal(all.toolUsage.at(-1)?.["get_forecast"], 1);
  assert.equal((await client.tool("get_forecast", { service: "noaa" })).calls, 1);
  assert.equal((await client.errors()).errors[0]?.type, "timeout");
  assert.equal((await client.performance({ period: "7d" })).overall.observed, 1);
  const byDay = await client.all({ period: "7d", resolution: "day" });
  assert.deepEqual([byDay.resolution, byDay.toolUsage.length], ["day", 8]);
  assert.equal((await client.statisticsHealth()).status, "healthy");
  assert.equal((await client.status()).events_processed, 3);
  assert((await client.catalogue()).tools.includes("get_forecast"));

  const names: string[] = [];
  for await (const tool of client.allTools({ sort: "name", limit: 1 })) names.push(tool.name);
  assert.deepEqual(names, ["get_alerts", "get_forecast", "search_location"]);
  const types: string[] = [];
  for await (const error of client.allErrors()) types.push(error.type);
  assert.deepEqual(types, ["timeout"]);
});

test("a repeat under the same key counts once", async () => {
  const client = new AnalyticsClient({ baseUrl });
  const first = await client.post([call("save_location")]);
  const again = await client.post([call("save_location")], { idempotencyKey: first.idempotencyKey });
  assert.deepEqual(again, first);
  await client.post([call("get_air_quality")]);
  await eventually(() => client.tool("get_air_quality"), (t) => t.calls === 1);
  assert.equal((await client.tool("save_location")).calls, 1);
});

test("strict posts are all or nothing", async () => {
  const posted = await new AnalyticsClient({ baseUrl }).post([call("get_forecast"), call("no_such_tool")], { strict: true });
  assert(posted.outcome === "refused");
  assert.equal(posted.error.code, "validation_failed");
  assert.equal(posted.error.errors[0]?.index, 1);
  assert(posted.error.requestId);
});

test("what the client holds back, the server refuses in the same words", async () => {
  const client = new AnalyticsClient({ baseUrl });
  const events = [
    call("get_forecast", { analytics_level: "detailed", parameters: { note: "ada@example.com", "192.0.2.1": 1 } }),
    call("get_forecast", { error_type: "+41.44.668.18.00", version: "192.0.2.1" }),
    { ...call("get_forecast"), more: [{ userName: "Ada" }] },
    call("get_forecast", { analytics_level: "detailed", parameters: { a: { "E-Mail": 1 } as unknown as string } }),
    call("no_such_tool"),
  ];
  const answer = await fetch(`${baseUrl}/v1/events`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ events }),
  });
  const { errors } = (await answer.json()) as Schemas["Refusal"];
  assert.equal(errors?.length, 7);
  const posted = await client.post(events);
  assert(posted.outcome === "refused");
  assert.deepEqual(posted.error.errors, errors);
  const explained = (await client.explain(events)).events;
  assert.deepEqual(explained.flatMap(({ index, errors = [] }) => errors.map((violation) => ({ index, ...violation }))), errors);
  const partly = await client.post([...events, call("get_wildfire_info")]);
  assert(partly.outcome === "accepted");
  assert.deepEqual(partly.receipt.errors, errors);
  assert.deepEqual([partly.receipt.count, partly.receipt.rejected], [1, events.length]);
});

test("explains", async () => {
  const { events } = await new AnalyticsClient({ baseUrl }).explain([call("get_forecast")]);
  assert.equal(events[0]?.stored?.tool, "get_forecast");
});

test("an answer that has not changed is not sent again", async () => {
  const { client, statuses, sent } = observed();
  const first = await client.catalogue();
  const again = await client.catalogue();
  assert.deepEqual(statuses, [200, 304]);
  assert(sent[1]?.has("If-None-Match"));
  assert.deepEqual(again, first);
  assert.notEqual(again, first, "callers share an object");
});

test("refusals say what is wrong", async () => {
  const client = new AnalyticsClient({ baseUrl });
  await assert.rejects(client.overview({ period: "1w" }), (error) => {
    assert(error instanceof AnalyticsError);
    assert.equal(error.status, 400);
    assert.equal(error.code, "validation_failed");
    assert.match(error.message, /^period must be/);
    assert(!error.temporary);
    return true;
  });
  await assert.rejects(client.tool("no_such_tool"), { status: 404, code: "not_found" });
});
