/** Client and types for the Weather MCP analytics API. */
export { AnalyticsClient } from "./client.js";
export type { CallOptions, ClientOptions, PostOptions, PostResult, Query } from "./client.js";
export { AnalyticsError } from "./error.js";
export type { TransportCode } from "./error.js";
export { personalData, personalName, personalValue, personalVersion } from "./personal.js";
export type { Finding, Personal } from "./personal.js";
export type { components, operations, paths } from "./schema.js";

import type { components } from "./schema.js";

/** What the server sends and takes, by name, such as Schemas["Event"]. */
export type Schemas = components["schemas"];
