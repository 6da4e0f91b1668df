// What the client finds to be personal data, and that it keeps it to itself.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { AnalyticsClient, personalData, personalName, personalValue, personalVersion } from "../src/index.js";
import type { Schemas } from "../src/index.js";

interface Vectors {
  format: number;
  names: { name: string; listed: string; why: string }[];
  values: { value: string; looks_like: string; why: string }[];
  versions: { value: string; looks_like: string; why: string }[];
}

const file = new URL("../../../../domain/testdata/pii-vectors.json", import.meta.url);
const vectors = JSON.parse(readFileSync(file, "utf8")) as Vectors;

const good: Schemas["Event"] = {
  version: "1.23.0",
  tool: "get_forecast",
  status: "success",
  timestamp_hour: "2026-11-23T10:00:00Z",
  analytics_level: "minimal",
};

function detailed(members: object): Schemas["Event"] {
  return { ...good, analytics_level: "detailed", ...members };
}

const email = "ada@example.com";
const personal = detailed({ parameters: { note: email } });

test("the vectors", () => {
  assert.equal(vectors.format, 1);
  assert(vectors.names.length > 280 && vectors.values.length > 360);
  for (const { name, listed, why } of vectors.names) {
    assert.equal(personalName(name) ?? "", listed, `${name}: ${why}`);
  }
  for (const { value, looks_like, why } of vectors.values) {
    assert.equal(personalValue(value) ?? "", looks_like, `${value}: ${why}`);
  }
  for (const { value, looks_like, why } of vectors.versions) {
    assert.equal(personalVersion(value) ?? "", looks_like, `version ${value}: ${why}`);
  }
});

test("names in every place of an event", () => {
  for (const { name, listed, why } of vectors.names) {
    const member = Object.fromEntries([[name, 1]]);
    const places: [string, object][] = [
      [`parameters.${listed}`, detailed({ parameters: member })],
      [`parameters.${listed}`, detailed({ parameters: { a: { b: [member] } } })],
      [`session_id.${listed}`, detailed({ session_id: member })],
      [listed, { ...good, more: [[1, { a: [member] }]] }],
      [listed, [member]],
    ];
    if (!(name in detailed({ session_id: "", country: "", sequence_number: 0 }))) places.push([listed, { ...member, ...good }]);
    for (const [field, event] of places) {
      const message = `a member is named like "${listed}", which means personal data: remove it`;
      const wanted = listed === "" ? [] : [{ field, code: "pii_detected", message }];
      assert.deepEqual(personalData(event), wanted, `${name} in ${JSON.stringify(event)}: ${why}`);
    }
  }
});

test("values in every place of an event", () => {
  for (const { value, why } of [...vectors.values, ...vectors.versions]) {
    const places: [string, object][] = [
      ["version", { ...good, version: `\u3000${value}\u0085` }],
      ["error_type", { ...good, error_type: value }],
      ["parameters", detailed({ parameters: { a: 1, note: value, b: null } })],
    ];
    if (!personalName(value)) places.push(["parameters", detailed({ parameters: { [value]: true } })]);
    for (const [field, event] of places) {
      const found = personalData(event);
      const looksLike = field === "version" ? personalVersion(value) : personalValue(value);
      assert.deepEqual(found.map((f) => f.field), looksLike ? [field] : [], `${value} as ${field}: ${why}`);
    }
  }
  assert.deepEqual(personalData({ ...good, version: email }), [
    { field: "version", code: "pii_detected", message: "version looks like an e-mail address: remove it" },
  ]);
});

test("an event is judged as it would be sent", () => {
  const passing: unknown[] = [
    { ...good, more: email, tool: email }, // never stored
    { ...good, parameters: { note: email } }, // of a level that the event does not have
    detailed({ parameters: [email] }),
    { ...good, email: undefined }, // has no JSON
    { ...good, more: { toJSON: () => ({ a: 1 }), email } },
    { ...good, version: "\u0085@example.com" }, // but for white space at its ends
    undefined, null, 1, email, [],
  ];
  for (const event of passing) assert.deepEqual(personalData(event), [], JSON.stringify(event));
  const refused: unknown[] = [
    { ...good, email: null },
    { ...good, more: { toJSON: () => ({ email }) } },
    JSON.parse('{"__proto__":{"email":1}}'),
    { ...good, analytics_level: "\u0085detailed", parameters: { note: email } },
    { ...good, version: "\ufeff@example.com" }, // which begins with no white space
  ];
  for (const event of refused) assert.equal(personalData(event).length, 1, JSON.stringify(event));
});

/** A client whose requests are noted and answered as told, and go nowhere. */
function watched(answer: (events: unknown[]) => Response) {
  const bodies: string[] = [];
  const client = new AnalyticsClient({
    fetch: async (_, init) => {
      const body = String(init?.body);
      bodies.push(body);
      return answer((JSON.parse(body) as { events: unknown[] }).events);
    },
  });
  return { client, bodies };
}

const violation = { code: "unknown_value", field: "tool", message: "tool must be a tool of the catalogue" } as const;
const held = { code: "pii_detected", field: "parameters", message: "parameters looks like an e-mail address: remove it" } as const;

function receipt(more: object) {
  return Response.json({ status: "accepted", count: 1, timestamp: "2026-11-23T10:30:00Z", ...more });
}

test("events with personal data are not posted, and listed as refused", async () => {
  const { client, bodies } = watched(() => receipt({ rejected: 1, errors: [{ index: 1, ...violation }] }));
  const posted = await client.post([personal, good, personal, { ...good, tool: "x" }, personal]);
  assert.deepEqual(bodies, [JSON.stringify({ events: [good, { ...good, tool: "x" }] })]);
  assert(posted.outcome === "accepted");
  assert.equal(posted.receipt.count, 1);
  assert.equal(posted.receipt.rejected, 4);
  assert.deepEqual(posted.receipt.errors, [{ index: 0, ...held }, { index: 2, ...held }, { index: 3, ...violation }, { index: 4, ...held }]);
});

test("what is judged is what is posted", async () => {
  const { client, bodies } = watched(() => receipt({}));
  let asked = 0;
  const changing = { ...good, get version() { return asked++ === 0 ? "1.0.0" : email; } };
  await client.post([changing]);
  assert.equal(bodies.length, 1);
  assert(!bodies[0]?.includes("@"));
});

test("nothing is sent when nothing is left, or all or nothing is asked for", async () => {
  const { client, bodies } = watched(() => assert.fail("something is sent"));
  const all = await client.post([personal, personal], { attempts: 3, idempotencyKey: "k" });
  assert(all.outcome === "refused");
  assert.equal(all.idempotencyKey, "k");
  const { status, code, message, temporary, errors } = all.error;
  assert.deepEqual({ status, code, message, temporary, errors }, {
    status: 400, code: "validation_failed", message: "none of the batch's 2 events can be accepted", temporary: false,
    errors: [{ index: 0, ...held }, { index: 1, ...held }],
  });
  const strict = await client.post([good, personal], { strict: true });
  assert(strict.outcome === "refused");
  assert.match(strict.error.message, /^1 of the batch's 2 events cannot be accepted, and the request asks for all or nothing$/);
  assert.deepEqual(strict.error.errors, [{ index: 1, ...held }]);
  assert.deepEqual(bodies, []);
  assert(!/ada@|example/.test(JSON.stringify([all, strict])));
});

test("a refusal of the rest names the places in the batch", async () => {
  const refusal = { error: "validation_failed", details: ["none"], errors: [{ index: 0, ...violation }], errors_omitted: 7, request_id: "r" };
  const { client } = watched(() => Response.json(refusal, { status: 400 }));
  const posted = await client.post([personal, { ...good, tool: "x" }]);
  assert(posted.outcome === "refused");
  assert.deepEqual(posted.error.errors, [{ index: 0, ...held }, { index: 1, ...violation }]);
  assert.equal(posted.error.errorsOmitted, 7);
  assert.equal(posted.error.requestId, "r");
  assert.equal(posted.error.message, "none");
});

test("a batch that is posted again later is the same without what is held back", async () => {
  const { client, bodies } = watched(() => new Response("", { status: 503 }));
  const first = await client.post([personal, good]);
  assert(first.outcome === "later");
  await client.post([personal, good], { idempotencyKey: first.idempotencyKey });
  assert.deepEqual(bodies, Array(2).fill(JSON.stringify({ events: [good] })));
});

test("events with personal data are explained without being sent", async () => {
  const { client, bodies } = watched((events) => Response.json({ events: events.map((_, index) => ({ index, accepted: true })) }));
  const refused = { accepted: false, errors: [held] };
  assert.deepEqual((await client.explain([good, personal, good])).events, [
    { index: 0, accepted: true }, { index: 1, ...refused }, { index: 2, accepted: true },
  ]);
  assert.deepEqual((await client.explain([personal])).events, [{ index: 0, ...refused }]);
  assert.deepEqual(bodies, [JSON.stringify({ events: [good, good] })]);
});

test("explanations refer to places in the batch", async () => {
  const { client } = watched(() => Response.json({ events: [
    { index: 0, accepted: true }, { index: 1, accepted: true, same_as: 0 }, { index: 2, accepted: true, aggregates_same_as: 1 },
  ] }));
  const { events } = await client.explain([personal, good, personal, good, good]);
  assert.deepEqual(events.map(({ index, same_as, aggregates_same_as }) => [index, same_as, aggregates_same_as]), [
    [0, undefined, undefined], [1, undefined, undefined], [2, undefined, undefined], [3, 1, undefined], [4, undefined, 3],
  ]);
});

test("no vector reaches the network", async () => {
  const { client } = watched(() => assert.fail("something is sent"));
  const caught = [
    ...vectors.names.filter(({ listed }) => listed).map(({ name }) => detailed({ parameters: Object.fromEntries([[name, 1]]) })),
    ...vectors.values.filter(({ looks_like }) => looks_like).map(({ value }) => detailed({ parameters: { note: value } })),
  ];
  const posted = await client.post(caught);
  assert(posted.outcome === "refused");
  assert.deepEqual(posted.error.errors.map(({ index }) => index), [...caught.keys()]);
  assert.equal((await client.explain(caught)).events.length, caught.length);
});

// With a rule that looks at all parts of a text these take minutes.
test("judging takes no long time", () => {
  const units = [
    ":", "a::", "1:", "1::2:3.", "1:2:3:4:5:6:7 ", "1 ", "+1 ", "(1 ", "(", "%41", "%ff", "&#6", "1-", "1_", "1.1 ", "1d2 ",
    "N1°", "N1 1 ", " dot ", "a@a.", "tel1", "[ ", "\u{1d7d0}", "1 1" + " ".repeat(250), "N1 1" + " m".repeat(125), "1.111 , ", "\n",
  ];
  for (const unit of units) {
    const text = unit.repeat(100_000 / unit.length);
    const start = performance.now();
    personalData(detailed({ version: text, parameters: { [text]: text }, [text]: 1 }));
    assert(performance.now() - start < 30_000, `${unit} takes ${performance.now() - start} ms`);
  }
});

test("texts that are longer than any that is stored are judged to their end", () => {
  for (const length of [0, 100, 255, 1_000, 100_000]) {
    assert.equal(personalValue(`${"x ".repeat(length)}${email}${" x".repeat(length)}`), "e-mail", `${length} before and behind`);
  }
});

test("deep events are judged", () => {
  let deep: object = { email: 1 };
  for (let depth = 0; depth < 1_500; depth++) deep = [deep];
  assert.equal(personalData({ ...good, more: deep })[0]?.field, "email");
});
