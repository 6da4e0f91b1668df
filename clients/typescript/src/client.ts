import { AnalyticsError, errorOf } from "./error.js";
import { findingsIn, jsonOf } from "./personal.js";
import type { Finding } from "./personal.js";
import type { components, operations } from "./schema.js";

type Schemas = components["schemas"];

/** The query parameters of an operation. */
export type Query<Operation extends keyof operations> = NonNullable<operations[Operation]["parameters"]["query"]>;

export interface ClientOptions {
  /** Where the server is. Default https://analytics.weather-mcp.dev. */
  baseUrl?: string;
  /** Milliseconds to wait for a whole answer. Default 5000. */
  timeoutMs?: number;
  /**
   * How many answers are kept, so that one that has not changed is not sent
   * again. Default 100, and 0 where there is a document: browsers keep answers
   * by themselves.
   */
  keep?: number;
  /** What sends requests. Default the platform's fetch. */
  fetch?: typeof globalThis.fetch;
}

export interface CallOptions {
  /** Ends the call; it then throws the signal's reason. */
  signal?: AbortSignal;
}

export interface PostOptions extends CallOptions {
  /** Have all events accepted or none. */
  strict?: boolean;
  /** Names the batch: one that is posted again under its key counts once. Default a random UUID. */
  idempotencyKey?: string;
  /**
   * How often to try. In between it waits as long as the server asks, or 5 s
   * and twice as long after each further failure, up to 5 minutes, if that is
   * longer; and up to a quarter more, at random. Default 1.
   */
  attempts?: number;
}

/** What became of a batch. */
export type PostResult =
  /** The accepted events will count exactly once; the receipt lists the refused and the unsent ones. */
  | { outcome: "accepted"; receipt: Schemas["Receipt"]; idempotencyKey: string }
  /** Nothing was stored, and posting it again cannot help. */
  | { outcome: "refused"; error: AnalyticsError; idempotencyKey: string }
  /**
   * Perhaps nothing was stored. Post it again after this time and with this
   * key, under which it cannot count twice. Each call counts its attempts anew:
   * wait twice as long after each further one that ends like this.
   */
  | { outcome: "later"; error: AnalyticsError; idempotencyKey: string; retryAfterMs: number };

/** How long to wait at least after the first failure, and how long at most unless the server asks for more. */
const FIRST_WAIT_MS = 5000;
const LONGEST_WAIT_MS = 300_000;

/** Reads statistics and posts events. Every failure to read is an AnalyticsError. */
export class AnalyticsClient {
  readonly #baseUrl: string;
  readonly #timeoutMs: number;
  readonly #keep: number;
  readonly #fetch: typeof globalThis.fetch;
  readonly #kept = new Map<string, { etag: string; text: string }>();

  constructor(options: ClientOptions = {}) {
    this.#baseUrl = (options.baseUrl ?? "https://analytics.weather-mcp.dev").replace(/\/+$/, "");
    this.#timeoutMs = options.timeoutMs ?? 5000;
    this.#keep = options.keep ?? (typeof document === "undefined" ? 100 : 0);
    this.#fetch = options.fetch ?? ((...request) => globalThis.fetch(...request));
  }

  overview(query: Query<"getOverview"> = {}, options?: CallOptions): Promise<Schemas["Overview"]> {
    return this.#get("/v1/stats/overview", query, options);
  }

  all(query: Query<"getAll"> = {}, options?: CallOptions): Promise<Schemas["All"]> {
    return this.#get("/v1/stats/all", query, options);
  }

  tools(query: Query<"getTools"> = {}, options?: CallOptions): Promise<Schemas["Tools"]> {
    return this.#get("/v1/stats/tools", query, options);
  }

  tool(name: string, query: Query<"getTool"> = {}, options?: CallOptions): Promise<Schemas["ToolDetail"]> {
    return this.#get(`/v1/stats/tool/${encodeURIComponent(name)}`, query, options);
  }

  errors(query: Query<"getErrors"> = {}, options?: CallOptions): Promise<Schemas["Errors"]> {
    return this.#get("/v1/stats/errors", query, options);
  }

  performance(query: Query<"getPerformance"> = {}, options?: CallOptions): Promise<Schemas["Performance"]> {
    return this.#get("/v1/stats/performance", query, options);
  }

  statisticsHealth(options?: CallOptions): Promise<Schemas["StatisticsHealth"]> {
    return this.#get("/v1/stats/health", {}, options);
  }

  catalogue(options?: CallOptions): Promise<Schemas["Catalogue"]> {
    return this.#get("/v1/catalogue", {}, options);
  }

  status(options?: CallOptions): Promise<Schemas["Status"]> {
    return this.#get("/v1/status", {}, options);
  }

  /** All tools, page by page, as they were when the first page was read. */
  allTools(query: Query<"getTools"> = {}, options?: CallOptions): AsyncGenerator<Schemas["Tool"]> {
    return walk((cursor) => this.tools({ ...query, ...cursor }, options), (page) => page.tools);
  }

  /** All error types, page by page, as they were when the first page was read. */
  allErrors(query: Query<"getErrors"> = {}, options?: CallOptions): AsyncGenerator<Schemas["ErrorDetail"]> {
    return walk((cursor) => this.errors({ ...query, ...cursor }, options), (page) => page.errors);
  }

  /**
   * Tells what would become of a batch, storing nothing. Events with personal
   * data are not sent; the client itself tells that they would be refused.
   */
  async explain(events: Schemas["Event"][], options?: CallOptions): Promise<Schemas["Explanations"]> {
    const sifted = new Sifted(events);
    const unsent = sifted.unsent.map(({ index, findings }) => ({ index, accepted: false, errors: findings }));
    if (sifted.sent.length === 0 && unsent.length > 0) return { events: unsent };
    const told = await this.#post<Schemas["Explanations"]>("/v1/events/explain", sifted.sent, {}, options?.signal);
    return { events: inOrder([...told.events.map((event) => sifted.explained(event)), ...unsent]) };
  }

  /**
   * Posts a batch. It throws nothing but the reason of an ended signal, and
   * what JSON.stringify does of the events: a batch that was not accepted is an
   * outcome.
   *
   * Events with personal data are not sent, and neither is a strict batch with
   * one. They are listed as if the server had refused them.
   */
  async post(events: Schemas["Event"][], options: PostOptions = {}): Promise<PostResult> {
    const idempotencyKey = options.idempotencyKey ?? crypto.randomUUID();
    const sifted = new Sifted(events);
    const refused = sifted.refusal(options.strict ?? false);
    if (refused) return { outcome: "refused", error: refused, idempotencyKey };
    const headers: Record<string, string> = { "Idempotency-Key": idempotencyKey };
    if (options.strict) headers["Prefer"] = "handling=strict";
    for (let attempt = 1; ; attempt++) {
      try {
        const receipt = await this.#post<Schemas["Receipt"]>("/v1/events", sifted.sent, headers, options.signal);
        return { outcome: "accepted", receipt: sifted.receipt(receipt), idempotencyKey };
      } catch (error) {
        if (!(error instanceof AnalyticsError)) throw error;
        if (!error.temporary) return { outcome: "refused", error: sifted.error(error), idempotencyKey };
        const retryAfterMs = waitAfter(attempt, error.retryAfterMs);
        if (attempt >= (options.attempts ?? 1)) return { outcome: "later", error, idempotencyKey, retryAfterMs };
        await pause(retryAfterMs, options.signal);
      }
    }
  }

  async #get<Answer>(path: string, query: object, options: CallOptions = {}): Promise<Answer> {
    const url = path + queryText(query);
    const kept = this.#kept.get(url);
    const headers: Record<string, string> = kept ? { "If-None-Match": kept.etag } : {};
    return this.#send(url, { headers }, options.signal, async (answer) => {
      if (answer.status === 304 && kept) return parse<Answer>(kept.text, 304);
      if (!answer.ok) throw await errorOf(answer);
      const text = await answer.text();
      const body = parse<Answer>(text, answer.status);
      this.#remember(url, answer.headers.get("ETag"), text);
      return body;
    });
  }

  #post<Answer>(
    path: string, events: string[], headers: Record<string, string>, signal: AbortSignal | undefined,
  ): Promise<Answer> {
    const body = `{"events":[${events.join(",")}]}`;
    const request = { method: "POST", body, headers: { ...headers, "Content-Type": "application/json" } };
    return this.#send(path, request, signal, async (answer) => {
      if (!answer.ok) throw await errorOf(answer);
      return parse<Answer>(await answer.text(), answer.status);
    });
  }

  /** Sends a request and has its answer read, all within the time there is. */
  async #send<Result>(
    url: string, request: RequestInit, signal: AbortSignal | undefined, read: (answer: Response) => Promise<Result>,
  ): Promise<Result> {
    const timeout = AbortSignal.timeout(this.#timeoutMs);
    try {
      const ends = signal ? AbortSignal.any([signal, timeout]) : timeout;
      return await read(await this.#fetch(this.#baseUrl + url, { ...request, signal: ends }));
    } catch (cause) {
      if (signal?.aborted) throw signal.reason;
      if (cause instanceof AnalyticsError) throw cause;
      if (timeout.aborted) {
        throw new AnalyticsError(0, "timeout", `no answer within ${this.#timeoutMs} ms`, { cause });
      }
      throw new AnalyticsError(0, "no_answer", "the server could not be reached", { cause });
    }
  }

  /** Keeps the latest answers, the oldest of which gives way. */
  #remember(url: string, etag: string | null, text: string): void {
    if (this.#keep === 0 || etag === null) return;
    this.#kept.delete(url);
    this.#kept.set(url, { etag, text });
    const oldest = this.#kept.keys().next();
    if (this.#kept.size > this.#keep && !oldest.done) this.#kept.delete(oldest.value);
  }
}

/** A batch of which the events with personal data stay here. */
class Sifted {
  /** The JSON of the others, which is what was judged. */
  readonly sent: string[] = [];
  readonly unsent: { index: number; findings: Finding[] }[] = [];
  /** The places in the batch of those that are sent. */
  readonly #places: number[] = [];

  constructor(events: unknown[]) {
    for (const [index, event] of events.entries()) {
      const text = jsonOf(event);
      const findings = findingsIn(JSON.parse(text));
      if (findings.length > 0) {
        this.unsent.push({ index, findings });
      } else {
        this.#places.push(index);
        this.sent.push(text);
      }
    }
  }

  /** Why nothing is sent, in the server's words; undefined when something is. */
  refusal(strict: boolean): AnalyticsError | undefined {
    const [unsent, all] = [this.unsent.length, this.unsent.length + this.sent.length];
    if (unsent === 0 || (unsent < all && !strict)) return undefined;
    const message = unsent === all
      ? `none of the batch's ${all} events can be accepted`
      : `${unsent} of the batch's ${all} events cannot be accepted, and the request asks for all or nothing`;
    return new AnalyticsError(400, "validation_failed", message, { errors: this.#violations([]) });
  }

  /** Tells of the whole batch what the server tells of what was sent. */
  receipt(told: Schemas["Receipt"]): Schemas["Receipt"] {
    if (this.unsent.length === 0) return told;
    return { ...told, rejected: (told.rejected ?? 0) + this.unsent.length, errors: this.#violations(told.errors ?? []) };
  }

  error(told: AnalyticsError): AnalyticsError {
    if (this.unsent.length === 0) return told;
    const errors = this.#violations(told.errors);
    return new AnalyticsError(told.status, told.code, told.message, { ...told, errors, cause: told.cause });
  }

  /** Gives an explanation, and what it refers to, their places in the batch. */
  explained(told: Schemas["Explanation"]): Schemas["Explanation"] {
    const placed = this.placed(told);
    for (const name of ["same_as", "aggregates_same_as"] as const) {
      const index = told[name];
      const place = index === undefined ? undefined : this.#places[index];
      if (place !== undefined) placed[name] = place;
    }
    return placed;
  }

  /** Gives what the server says of an event that was sent its place in the batch. */
  placed<Told extends { index?: number }>(told: Told): Told {
    const index = told.index === undefined ? undefined : this.#places[told.index];
    return index === undefined ? told : { ...told, index };
  }

  #violations(told: Schemas["Violation"][]): Schemas["Violation"][] {
    const own = this.unsent.flatMap(({ index, findings }) => findings.map((finding) => ({ index, ...finding })));
    return inOrder([...told.map((violation) => this.placed(violation)), ...own]);
  }
}

/** Sorts by place in the batch; what is of no place comes first. */
function inOrder<Item extends { index?: number }>(items: Item[]): Item[] {
  return items.sort((a, b) => (a.index ?? -1) - (b.index ?? -1));
}

async function* walk<Page extends { next?: string }, Item>(
  read: (cursor: { cursor?: string }) => Promise<Page>, items: (page: Page) => Item[],
): AsyncGenerator<Item> {
  let page = await read({});
  yield* items(page);
  while (page.next !== undefined) {
    page = await read({ cursor: page.next });
    yield* items(page);
  }
}

function queryText(query: object): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  return given.length > 0 ? `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}` : "";
}

function parse<Body>(text: string, status: number): Body {
  try {
    return JSON.parse(text) as Body;
  } catch (cause) {
    throw new AnalyticsError(status, "unexpected_answer", "the answer is not JSON", { cause });
  }
}

/**
 * How long to wait after so many failures: twice as long after each, but never
 * shorter than asked, and not exactly as long as all others wait.
 */
export function waitAfter(failures: number, askedMs = 0, random = () => Math.random()): number {
  const own = Math.min(FIRST_WAIT_MS * 2 ** (failures - 1), LONGEST_WAIT_MS);
  return Math.max(askedMs, own) * (1 + random() / 4);
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop, { once: true });
  });
}
