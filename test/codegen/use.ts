// Uses what @hey-api/openapi-ts and openapi-typescript generate from
// api/openapi.yaml; it is type-checked and never run.
import { getAll, postEvents } from "./heyapi/index.js";
import type { Event as HeyEvent } from "./heyapi/index.js";
import type { components, operations } from "./openapi-typescript/schema.js";

type Event = components["schemas"]["Event"];

const event = {
  version: "1.23.0",
  tool: "get_forecast",
  status: "success",
  timestamp_hour: "2026-11-23T18:00:00Z",
  analytics_level: "detailed",
  parameters: { days: 3, metric: true, units: "metric" },
} satisfies Event & HeyEvent;

export const query: NonNullable<operations["getAll"]["parameters"]["query"]> = { period: "7d", country: "US" };

export async function p95(baseUrl: string): Promise<number[]> {
  await postEvents({ baseUrl, body: { events: [event] } });
  const { data } = await getAll({ baseUrl, query });
  return data?.performance.timeline.map((point) => point.p95) ?? [];
}
