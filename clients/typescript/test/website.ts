// What the website's code declares and checks before it shows anything. The
// compiler sees here that the API's types keep it.

import type { Schemas } from "../src/index.js";

interface ToolSummary {
  name: string;
  calls: number;
  success_rate: number;
  avg_response_time_ms: number;
}

interface ErrorSummary {
  type: string;
  count: number;
  percentage: number;
  affected_tools: string[];
}

interface StatsOverview {
  period: string;
  start_date: string;
  end_date: string;
  summary: {
    total_calls: number;
    unique_versions: number;
    active_installs: number;
    success_rate: number;
    avg_response_time_ms: number;
  };
  tools: ToolSummary[];
  errors: ErrorSummary[];
  cache_hit_rate: number;
}

interface ToolUsagePoint {
  timestamp: string;
  [tool: string]: string | number;
}

interface LatencyByTool {
  p50: number;
  p95: number;
  p99: number;
  avg: number;
}

interface LatencyPoint {
  timestamp: string;
  p50: number;
  p95: number;
  p99: number;
}

interface ServiceShare {
  calls: number;
  percentage: number;
  success_rate: number;
}

interface StatsAll {
  overview: StatsOverview;
  toolUsage: ToolUsagePoint[];
  performance: {
    by_tool: Record<string, LatencyByTool>;
    timeline: LatencyPoint[];
  };
  errors: ErrorSummary[];
  cache: {
    hit_rate: number;
    total_requests: number;
    cache_hits: number;
    cache_misses: number;
    saved_requests: number;
    by_tool: Record<string, { hit_rate: number; hits: number; misses: number }>;
  };
  services: { noaa: ServiceShare; openMeteo: ServiceShare };
  geo: { countries: { code: string; name: string; calls: number; percentage: number }[] };
}

interface StatsHealth {
  status: "healthy" | "degraded" | "down";
  uptime_seconds: number;
  events_processed_24h: number;
  last_event_received: string;
}

/** Is true if every Told is a Wanted, and does not compile otherwise. */
type Keeps<Told extends Wanted, Wanted> = Told extends Wanted ? true : never;

export type Contract = [
  Keeps<Schemas["All"], StatsAll>,
  Keeps<Schemas["Overview"], StatsOverview>,
  Keeps<Schemas["ToolDetail"], ToolSummary>,
  Keeps<Schemas["StatisticsHealth"], StatsHealth>,
];
