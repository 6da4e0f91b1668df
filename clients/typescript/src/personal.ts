// The server's policy on personal data, docs/pii-policy.md of its repository,
// applied before anything is sent.

import { looksOf } from "./looks.js";
import type { Personal } from "./looks.js";
import { personalName } from "./names.js";
import { unveil, unwrap } from "./undisguise.js";

export type { Personal } from "./looks.js";
export { personalName } from "./names.js";

/** Why an event holds personal data, in the words of the server. It never holds a value. */
export interface Finding {
  /** The field; for a name, the listed name that it equals, behind the field that it is in. */
  field: string;
  code: "pii_detected";
  message: string;
}

/** What is found in an event, as it would be sent; empty when it may be. */
export function personalData(event: unknown): Finding[] {
  return findingsIn(JSON.parse(jsonOf(event)));
}

/** The JSON of an event in a batch, in which what has none is null. */
export function jsonOf(event: unknown): string {
  return JSON.stringify(event) ?? "null";
}

/** What is found in the parsed JSON of an event. */
export function findingsIn(event: unknown): Finding[] {
  const name = personalMember(event);
  if (!name) return [...personalTexts(event as Record<string, unknown>)];
  const listed = name.slice(name.indexOf(".") + 1);
  return [finding(name, `a member is named like "${listed}", which means personal data: remove it`)];
}

function finding(field: string, message: string): Finding {
  return { field, code: "pii_detected", message };
}

/** The fields of an event that the server knows. */
const FIELDS = new Set([
  "version", "tool", "status", "timestamp_hour", "analytics_level", "error_type", "response_time_ms", "service",
  "cache_hit", "retry_count", "country", "parameters", "session_id", "sequence_number",
]);

/** Where the first personal name stands: the listed name, behind the field that it is in. */
function personalMember(event: unknown): string | undefined {
  if (typeof event !== "object" || event === null || Array.isArray(event)) return listedWithin(event);
  for (const [name, value] of Object.entries(event)) {
    const known = FIELDS.has(name);
    const listed = (known ? undefined : personalName(name)) ?? listedWithin(value);
    if (listed) return known ? `${name}.${listed}` : listed;
  }
  return undefined;
}

/** Walks without recursion, as JSON may nest deeper than calls. */
function listedWithin(value: unknown): string | undefined {
  const rest: [name: string, value: unknown][] = [["", value]];
  for (let next = rest.pop(); next; next = rest.pop()) {
    const listed = personalName(next[0]);
    if (listed) return listed;
    if (typeof next[1] !== "object" || next[1] === null) continue;
    for (const member of Object.entries(next[1]).reverse()) rest.push(member);
  }
  return undefined;
}

/** Judges free text where the server stores it; the event has no personal name. */
function* personalTexts(event: Record<string, unknown> | null): Generator<Finding> {
  const parameters = isText(event?.["analytics_level"], "detailed") ? event?.["parameters"] : undefined;
  const texts: [field: string, text: unknown][] = [["version", event?.["version"]], ["error_type", event?.["error_type"]]];
  if (typeof parameters === "object" && parameters !== null && !Array.isArray(parameters)) {
    for (const [name, value] of Object.entries(parameters)) {
      if (value !== null) texts.push(["parameters", name], ["parameters", value]);
    }
  }
  for (const [field, text] of texts) {
    const looksLike = typeof text === "string" ? judgeParts(trim(text), field === "version") : undefined;
    if (looksLike) yield finding(field, `${field} ${WHY[looksLike]}`);
  }
}

const WHY: Record<Personal, string> = {
  "e-mail": "looks like an e-mail address: remove it",
  network: "looks like a network address: remove it",
  coordinates: "looks like a pair of coordinates: remove it",
  telephone: "looks like a telephone number: remove it",
  disguise: "cannot be judged under so many encodings: send the plain text",
};

function isText(value: unknown, text: string): boolean {
  return typeof value === "string" && trim(value) === text;
}

/** Cuts white space of Unicode off, which is other than what String.trim does. */
function trim(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && /\p{White_Space}/u.test(text.charAt(start))) start++;
  while (start < end && /\p{White_Space}/u.test(text.charAt(end - 1))) end--;
  return text.slice(start, end);
}

/**
 * How much of a text is judged at once, in units of UTF-16, so that the time
 * grows as the text does and no faster. No text that the server stores is
 * longer.
 */
const AT_ONCE = 256;

/**
 * What free text looks like, if that is personal data. A text of more than 256
 * characters, which the server takes nowhere, is judged by parts that overlap
 * by half.
 */
export function personalValue(text: string): Personal | undefined {
  return judgeParts(text, false);
}

/** What the version of a program looks like, which may have four numbers. */
export function personalVersion(version: string): Personal | undefined {
  return judgeParts(version, true);
}

function judgeParts(text: string, version: boolean): Personal | undefined {
  for (let start = 0; ; start += AT_ONCE / 2) {
    const looksLike = judge(text.slice(start, start + AT_ONCE), version);
    if (looksLike || start + AT_ONCE >= text.length) return looksLike;
  }
}

/** The signs that a text and all that it becomes may have, with one disguise over it and with two. */
const MOST_SIGNS = [50, 20];

function judge(text: string, version: boolean): Personal | undefined {
  const layers = [text];
  for (let before: string | undefined; text !== before; ) {
    before = text;
    for (const takeOff of [unwrap, unveil]) {
      const plainer = takeOff(text);
      if (plainer === text) continue;
      text = plainer;
      const most = MOST_SIGNS[layers.length - 1];
      layers.push(text);
      if (most === undefined || layers.reduce((sum, layer) => sum + signs(layer), 0) > most) return "disguise";
    }
  }
  for (const layer of layers) {
    const looksLike = looksOf(layer, version);
    if (looksLike) return looksLike;
  }
  return undefined;
}

/** How many numbers, joins and at signs there are. */
function signs(text: string): number {
  return text.match(/[0-9]+|[.:_@-]/g)?.length ?? 0;
}
