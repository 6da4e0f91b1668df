import type { components } from "./schema.js";

type Refusal = components["schemas"]["Refusal"];

/**
 * Why there is no answer of the server's own: it came too late, not at all, or
 * from something else, such as a proxy.
 */
export type TransportCode = "timeout" | "no_answer" | "unexpected_answer";

/** Why a request failed. */
export class AnalyticsError extends Error {
  override readonly name = "AnalyticsError";
  /**
   * The status of the answer; 0 when there was none, and 400 as well when
   * nothing was sent because of personal data.
   */
  readonly status: number;
  readonly code: Refusal["error"] | TransportCode;
  /** What is wrong with which event of a batch. */
  readonly errors: NonNullable<Refusal["errors"]>;
  /** How many more errors the server found than it listed. */
  readonly errorsOmitted: number;
  /** Milliseconds to wait before the same request, if the server said so. */
  readonly retryAfterMs: number | undefined;
  /** The id under which the server logged the request. */
  readonly requestId: string | undefined;

  constructor(
    status: number,
    code: Refusal["error"] | TransportCode,
    message: string,
    more: {
      errors?: Refusal["errors"];
      errorsOmitted?: number | undefined;
      retryAfterMs?: number | undefined;
      requestId?: string | undefined;
      cause?: unknown;
    } = {},
  ) {
    super(message, { cause: more.cause });
    this.status = status;
    this.code = code;
    this.errors = more.errors ?? [];
    this.errorsOmitted = more.errorsOmitted ?? 0;
    this.retryAfterMs = more.retryAfterMs;
    this.requestId = more.requestId;
  }

  /** Whether the same request may succeed later: nobody refused it for what it is. */
  get temporary(): boolean {
    return this.status < 400 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** Reads an answer that is none of success. */
export async function errorOf(answer: Response): Promise<AnalyticsError> {
  const refusal = asRefusal(await answer.text());
  const retryAfterMs = retryAfter(answer.headers.get("Retry-After")) ?? seconds(refusal?.retry_after);
  if (!refusal) {
    return new AnalyticsError(answer.status, "unexpected_answer", `unexpected answer of status ${answer.status}`, { retryAfterMs });
  }
  return new AnalyticsError(answer.status, refusal.error, refusal.details.join("; "), {
    errors: refusal.errors,
    errorsOmitted: refusal.errors_omitted,
    retryAfterMs,
    requestId: refusal.request_id,
  });
}

function asRefusal(text: string): Refusal | undefined {
  try {
    const body: unknown = JSON.parse(text);
    const refusal = body as Partial<Refusal> | null;
    return typeof refusal?.error === "string" && Array.isArray(refusal.details) ? (refusal as Refusal) : undefined;
  } catch {
    return undefined;
  }
}

/** Retry-After is a number of seconds or a date (RFC 9110, section 10.2.3). */
function retryAfter(header: string | null): number | undefined {
  if (header === null) return undefined;
  if (/^\d+$/.test(header)) return seconds(Number(header));
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now());
}

function seconds(n: number | undefined): number | undefined {
  return n === undefined ? undefined : n * 1000;
}
