// The server's policy on personal data, docs/pii-policy.md of its repository,
// applied before anything is sent.

import { looksOf } from "./looks.js";
import type { Personal } from "./looks.js";
import { FILLERS, narrow, unveil, unwrap } from "./undisguise.js";

export type { Personal } from "./looks.js";

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
    const looksLike = typeof text === "string" ? personalValue(trim(text)) : undefined;
    if (looksLike) yield finding(field, `${field} looks like ${LIKE[looksLike]}: remove it`);
  }
}

const LIKE: Record<Personal, string> = {
  "e-mail": "an e-mail address",
  network: "a network address",
  coordinates: "a pair of coordinates",
  telephone: "a telephone number",
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

const NAMES = [
  // Where somebody is.
  "latitude longitude lat lon lng lat_lon lat_lng lat_long coord coords coordinate coordinates geo geohash geojson",
  "geolocation geo_point gps gps_coordinates gps_location plus_code what3words location location_name",
  "current_location home_location user_location place place_name address address_line street street_address",
  "street_name house_number home_address postal_address geo_lat geo_lon geo_lng geo_latitude geo_longitude gps_lat",
  "gps_lon home_lat home_lon coords_latitude coords_longitude location_lat location_lon location_lng",
  "location_latitude location_longitude city city_name state zip zipcode postal_code postcode",
  // Who somebody is.
  "user user_id username account account_id account_name account_number customer_id login name first_name last_name",
  "full_name middle_name given_name family_name maiden_name display_name real_name screen_name nickname surname",
  "email mail email_address email_addr mail_address user_email work_email home_email contact_email customer_email",
  "phone phone_no phone_number telephone telephone_number tel mobile mobile_number mobile_phone cell_phone fax",
  "fax_number ssn social_security social_security_number national_id passport passport_number tax_id",
  "driving_licence birthday birthdate date_of_birth dob gender credit_card card_number iban bank_account",
  // Which machine somebody uses.
  "ip ip_address ip_addresses ip_addr ipv4 ipv6 ipv4_address ipv6_address client_ip user_ip remote_ip source_ip",
  "public_ip peer_ip net_peer_ip real_ip x_real_ip remote_addr remote_address client_addr client_address",
  "peer_address x_forwarded_for forwarded_for device_id device_name machine_id hardware_id mac_address mac_addr",
  "imei imsi iccid advertising_id android_id idfa gaid fingerprint device_fingerprint browser_fingerprint",
  // What somebody proves to be themselves with.
  "cookie cookies set_cookie token access_token auth_token bearer_token refresh_token session_token id_token jwt",
  "api_key x_api_key private_key authorization credentials secret client_secret password passwd passphrase pwd",
].flatMap((names) => names.split(" "));

const DROPPED = new RegExp(`[^\\p{L}\\p{N}]|[${FILLERS}]`, "gu");

/** What is compared of names: letters and digits, plain and in lower case. */
function fold(name: string): string {
  return name
    .replace(/[\uff01-\uff5e]/gu, narrow)
    .replaceAll("\u017f", "s")
    .toLowerCase()
    .replace(DROPPED, "");
}

const LISTED = new Map(NAMES.map((name) => [fold(name), name]));

/** The listed name that a member's name equals, if that means personal data. */
export function personalName(name: string): string | undefined {
  return LISTED.get(fold(name));
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
  for (let start = 0; ; start += AT_ONCE / 2) {
    const looksLike = judge(text.slice(start, start + AT_ONCE));
    if (looksLike || start + AT_ONCE >= text.length) return looksLike;
  }
}

/** How many disguises of a kind may lie over each other. */
const DISGUISES = 3;

function judge(text: string): Personal | undefined {
  let looksLike = looksOf(text);
  let before: string | undefined;
  for (let round = 0; round < DISGUISES && !looksLike && text !== before; round++) {
    before = text;
    for (const takeOff of [unwrap, unveil]) {
      const plainer = takeOff(text);
      if (plainer !== text) looksLike ??= looksOf(plainer);
      text = plainer;
    }
  }
  return looksLike;
}
