// The names that mean personal data, and their relatives: docs/pii-policy.md
// under Names.

import { bytes, words } from "./scan.js";
import { FILLERS, narrow } from "./undisguise.js";

/** The listed names and the words that may stand beside them, by what they are for. */
const WORDS = {
  plain: words(
    "latitude longitude lat lon lng lat_lon lat_lng lat_long lon_lat lng_lat long_lat lat_min lat_max min_lat max_lat lon_min " +
    "lon_max min_lon max_lon lng_min lng_max min_lng max_lng coord coords coordinate coordinates geo geohash geojson " +
    "geolocation geo_point gps gps_coordinates gps_location plus_code what3words location location_name current_location " +
    "home_location user_location user_loc home_loc current_loc place place_name address addr address_line street " +
    "street_address street_name house_number home_address postal_address geo_lat geo_lon geo_lng geo_latitude geo_longitude " +
    "gps_lat gps_lon home_lat home_lon coords_latitude coords_longitude location_lat location_lon location_lng " +
    "location_latitude location_longitude city cities city_name zipcode postal_code postcode user_id username user_info " +
    "user_data account_id account_name account_number customer_id first_name last_name full_name middle_name given_name " +
    "family_name maiden_name display_name real_name screen_name nickname surname email email_address email_addr mail_address " +
    "user_email work_email home_email contact_email customer_email phone phone_no phone_number telephone telephone_number " +
    "mobile_number mobile_phone cell_phone fax_number ssn social_security social_security_number national_id passport " +
    "passport_number tax_id driving_licence birthday birthdate date_of_birth dob credit_card card_number iban bank_account ip " +
    "ip_address ip_addresses ip_addr ipv4 ipv6 ipv4_address ipv6_address client_ip user_ip remote_ip source_ip public_ip " +
    "peer_ip net_peer_ip real_ip x_real_ip remote_addr remote_address client_addr client_address peer_address x_forwarded_for " +
    "forwarded_for hostname remote_host client_host peer_host computer_name machine_name user_agent device_id device_name " +
    "machine_id hardware_id mac_address mac_addr imei imsi iccid advertising_id android_id idfa gaid device_fingerprint " +
    "browser_fingerprint set_cookie access_token auth_token bearer_token refresh_token session_token id_token api_key " +
    "x_api_key private_key client_secret password passwd passphrase pwd " +
    "phone_num house_no mobile_no mobile_num tel_no tel_num tel_number cell_no cell_number fax_no postal mac_id server_ip coord_x " +
    "coord_y coords_x coords_y session_cookie cookie_value workplace_address",
  ),
  ambiguous: words(
    "zip user account login name mail tel mobile fax gender token cookie cookies jwt authorization credentials secret " +
    "fingerprint",
  ),
  lone: words(
    "state state_code state_name home_state billing_state shipping_state",
  ),
  network: words(
    "ip ip_address ip_addresses ip_addr ipv4 ipv6 ipv4_address ipv6_address hostname mac_address mac_addr address addr " +
    "user_agent",
  ),
  owner: words(
    "user usr my home customer cust person personal contact owner author sender recipient receiver reporter subscriber guest " +
    "visitor patient employee staff student passenger driver work office billing shipping delivery mailing birth residential " +
    "residence emergency admin private",
  ),
  which: words(
    "current cur last latest first second third previous prev next primary secondary main alternate alternative default saved " +
    "favorite favourite known selected chosen requested resolved geocoded reverse start end begin from to origin orig " +
    "destination dest departure arrival src source target pickup dropoff center centre north south east west northeast " +
    "northwest southeast southwest ne nw se sw map marker point pin waypoint stop local remote client peer caller device " +
    "exact precise approximate approx full raw old new actual true given entered real public internal external station " +
    "nearest search query input position pos x arg args param params browser reply cc bcc the",
  ),
  machine: words(
    "proxy forwarded lan wan wifi wlan ethernet eth machine computer node router gateway request requester http host net vpn " +
    "tunnel nat",
  ),
  form: words(
    "value values val vals text txt str string raw data info list array field input param parameter query arg encoded " +
    "encrypted masked plain e5 e6 e7 deg degs degree degrees dec decimal rad radians float double int start end from to " +
    "origin orig destination dest north south east west ne nw se sw center centre point pt pair no nr number code full short " +
    "exact line v4 v6",
  ),
  id: words(
    "id ids uid uuid guid hash hashed md5 sha sha1 sha256",
  ),
  other: words(
    "users accounts tokens logins workplace workplaces",
  ),
};

type Role = keyof typeof WORDS;

const UNMISTAKABLE = words(
  "latitude longitude latlon latlng lonlat lnglat geolocation geohash emailaddress ipaddress macaddress phonenumber " +
  "postalcode streetaddress homeaddress",
);
const MEASURING_BEFORE = words(
  "has is no num n count with without missing invalid valid requires needs uses",
);
const MEASURING_BEHIND = words(
  "count counts total length len size type kind format precision accuracy resolution status valid validity enabled required " +
  "allowed present missing invalid verified error errors sent supported source provider version family units unit step " +
  "range band provided",
);

/** What a known word is for; as a name, how it is listed. */
interface Known {
  roles: Set<Role>;
  listed: string | undefined;
}

const LISTING: readonly Role[] = ["plain", "ambiguous", "lone"];

const KNOWN = new Map<string, Known>();
for (const [role, list] of Object.entries(WORDS) as [Role, ReadonlySet<string>][]) {
  for (const word of list) {
    const folded = word.replaceAll("_", "");
    const known = KNOWN.get(folded) ?? { roles: new Set(), listed: undefined };
    known.roles.add(role);
    if (LISTING.includes(role)) known.listed = word;
    KNOWN.set(folded, known);
  }
}
const LONGEST_WORD = Math.max(...[...KNOWN.keys()].map((word) => word.length));

const DROPPED = new RegExp(`[^\\p{L}\\p{N}]|[${FILLERS}]`, "gu");

/** What is compared of names: letters and digits, plain and in lower case. */
function fold(name: string): string {
  return name
    .replace(/[\uff01-\uff5e]/gu, narrow)
    .replaceAll("\u017f", "s")
    .toLowerCase()
    .replace(DROPPED, "");
}

/** How many bytes of letters and digits a name may have that is looked at. */
const LONGEST_NAME = 64;

/** The listed name that a member's name equals or is a relative of, if that means personal data. */
export function personalName(name: string): string | undefined {
  const folded = fold(name);
  if (bytes(folded) > LONGEST_NAME) return undefined;
  return relative(folded) ?? unmistakableIn(folded);
}

/** Reads a folded name as a row of known words, each the longest that stands next. */
function relative(folded: string): string | undefined {
  const seen = new NameWords();
  let mayBePlural = false;
  for (let i = 0; i < folded.length; ) {
    const [word, length] = longestWord(folded, i);
    if (word) {
      if (!seen.add(word)) return undefined;
      i += length;
      mayBePlural = word.listed !== undefined;
      continue;
    }
    const rest = folded.slice(i, i + 2);
    if (/^[0-9]/.test(rest)) i++;
    else if (mayBePlural && rest.startsWith("s")) i++;
    else if (mayBePlural && rest === "es") i += 2;
    else return undefined;
    mayBePlural = false;
  }
  return seen.verdict();
}

function longestWord(folded: string, start: number): [word: Known | undefined, length: number] {
  for (let length = Math.min(LONGEST_WORD, folded.length - start); length > 0; length--) {
    const word = KNOWN.get(folded.slice(start, start + length));
    if (word) return [word, length];
  }
  return [undefined, 0];
}

/** What has been read of a name. */
class NameWords {
  /** The first listed name, and an owner who is listed too, such as user. */
  private first: string | undefined;
  private owner: string | undefined;
  private count = 0;
  private readonly roles = new Set<Role>();
  /** The roles of words that not every listed name has beside it. */
  private readonly limits = new Set<Role>();
  /** Whether another listed name must follow. */
  private open = false;

  /** Takes the next word; false when the name cannot be personal. */
  add({ roles, listed }: Known): boolean {
    this.count++;
    if (roles.has("other")) return false;
    if (listed !== undefined && (!roles.has("owner") || this.first !== undefined)) {
      this.first ??= listed;
      for (const role of roles) this.roles.add(role);
      this.open = false;
    } else if (this.first !== undefined && (roles.has("form") || roles.has("id"))) {
      if (roles.has("form")) this.limits.add("form");
    } else if (this.first !== undefined) {
      this.open = true;
    } else if (roles.has("owner")) {
      this.owner = listed ?? this.owner;
    } else if (roles.has("which") || roles.has("machine")) {
      for (const role of ["which", "machine"] as const) if (roles.has(role)) this.limits.add(role);
    } else {
      return roles.has("id") && this.owner !== undefined;
    }
    return true;
  }

  verdict(): string | undefined {
    const alone = this.first === undefined;
    const listed = this.first ?? this.owner;
    if (listed === undefined || this.open) return undefined;
    if (this.limits.has("machine") && (alone || !this.roles.has("network"))) return undefined;
    if (!alone && this.roles.has("plain")) return listed;
    if (!alone && this.roles.has("lone")) return this.count === 1 ? listed : undefined;
    return this.limits.size === 0 ? listed : undefined;
  }
}

const CLEAR = new RegExp([...UNMISTAKABLE].sort((a, b) => b.length - a.length).join("|"));

/** Looks for an unmistakable name among unknown words. */
function unmistakableIn(folded: string): string | undefined {
  const match = CLEAR.exec(folded);
  if (!match) return undefined;
  const behind = folded.slice(match.index + match[0].length);
  const measures = MEASURING_BEFORE.has(folded.slice(0, match.index)) || [...MEASURING_BEHIND].some((word) => behind.endsWith(word));
  return measures ? undefined : KNOWN.get(match[0])?.listed;
}
