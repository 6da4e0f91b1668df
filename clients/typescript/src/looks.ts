// What a text looks like when every character is taken for what it is: the
// rules of docs/pii-policy.md under Judge, in its order. Every loop goes over a
// text once, so that the time grows as the text does.

import { holdsCoordinates, holdsDegrees, holdsPlusCode } from "./places.js";
import { holdsTelephone } from "./telephone.js";
import { bytes, count, isBlank, isDate, isHexadecimal, isJoin, isOneOf, isWord, Scan, words } from "./scan.js";
import type { Figure } from "./scan.js";

/** What a text can look like; a disguise is too much over it to judge it. */
export type Personal = "e-mail" | "network" | "coordinates" | "telephone" | "disguise";

/** What the text looks like; a version may have four numbers. */
export function looksOf(text: string, version: boolean): Personal | undefined {
  if (holdsEmail(text) || holdsMailbox(text)) return "e-mail";
  const scan = new Scan(text);
  const digits = scan.digits;
  const colons = count(text, ":");
  const separators = colons + count(text, ".") + count(text, "-") + count(text, "_");
  const hexadecimal = colons >= 2 || (separators >= 2 && digits >= 2) || separators >= 5;
  if ((digits >= 4 && (holdsIPv4(scan, version) || holdsSpacedIPv4(scan))) || (hexadecimal && holdsHexadecimal(text))) return "network";
  if ((digits >= 4 && holdsCoordinates(scan)) || (digits >= 8 && holdsDegrees(text)) || holdsPlusCode(text)) {
    return "coordinates";
  }
  return digits >= 7 && holdsTelephone(scan) ? "telephone" : undefined;
}

const DOMAINS = words(
  "com org net edu gov mil io dev app info biz eu de uk fr es it nl be ch at se no fi dk pl cz ru ua jp cn kr in br mx au nz ca us",
);
const PROVIDERS = words("gmail googlemail yahoo hotmail outlook icloud protonmail proton gmx aol msn fastmail yandex example");
const SERVICES = words("smtp imap pop pop3 mail mx www api accounts login auth http https ftp docs help support");

/** Looks at what is on both sides of each sign: a character of a mailbox, and a host. */
function holdsEmail(text: string): boolean {
  for (let i = text.indexOf("@", 1); i > 0; i = text.indexOf("@", i + 1)) {
    let [user, host] = [i - 1, i + 1];
    if (isBlank(text[user]) && isBlank(text[host])) [user, host] = [user - 1, host + 1];
    const before = text[user];
    if (before !== undefined && !isBlank(before) && !'@<>"(),;:'.includes(before) && isMailHost(text, host)) return true;
  }
  return false;
}

/** Whether a host with a dot and letters begins there, localhost, or one whose dot was replaced. */
function isMailHost(text: string, start: number): boolean {
  let [label, letters, dotted] = [0, 0, false];
  let i = start;
  while (i < text.length) {
    const character = String.fromCodePoint(text.codePointAt(i) ?? 0);
    if (character === ".") {
      if (label === 0) return false;
      [label, letters, dotted] = [0, 0, true];
    } else if (/^\p{L}$/u.test(character)) {
      label++;
      letters++;
      if (dotted && letters === label && letters >= 2) return true;
    } else if (/^[\p{N}_-]$/u.test(character)) {
      label++;
    } else {
      break;
    }
    i += character.length;
  }
  return isCleanedHost(text.slice(start, i)) || (text[i] === ":" && isCleanedHost(text.slice(start)));
}

function isCleanedHost(text: string): boolean {
  let end = wordEnd(text, 0);
  if (text.slice(0, end).toLowerCase() === "localhost") return true;
  while (end > 0 && (text[end] === "_" || text[end] === "-" || text[end] === ":")) {
    const start = end + 1;
    end = wordEnd(text, start);
    if (isOneOf(text.slice(start, end), DOMAINS)) return true;
    if (end === start) return false;
  }
  return false;
}

function wordEnd(text: string, start: number): number {
  let end = start;
  while (isWord(text[end])) end++;
  return end;
}

/** Looks for a word, a provider of mailboxes and a domain, with a join between each. */
function holdsMailbox(text: string): boolean {
  let [before, dotted] = ["", false];
  for (let start = 0; ;) {
    const end = wordEnd(text, start);
    const join = text[end];
    if (join === undefined) return false;
    const word = text.slice(start, end);
    if (before && isJoin(join) && isOneOf(word, PROVIDERS)) {
      const host = (dotted && word.toLowerCase() === "example") || isOneOf(before, SERVICES);
      if (!host && isOneOf(text.slice(end + 1, wordEnd(text, end + 1)), DOMAINS)) return true;
    }
    [before, dotted] = [isJoin(join) ? word : "", join === "."];
    start = end + 1;
  }
}

const ADDRESS_WORDS = words(
  "ip ips ipv4 ipv addr address host hostname inet peer connect dial tcp udp dns gateway econnrefused econnreset etimedout " +
    "ehostunreach enetunreach econnaborted eaddrinuse eaddrnotavail ehostdown",
);

function isOctet(n: Figure): boolean {
  return n.length <= 3 && n.value <= 255;
}

function isPort(n: Figure | undefined): boolean {
  return n !== undefined && n.length <= 5 && n.value <= 65535 && (n.value > 255 || [21, 22, 25, 53, 80].includes(n.value));
}

/** Looks at each chain of numbers with the same join between. */
function holdsIPv4(s: Scan, version: boolean): boolean {
  for (let i = 0; i < s.numbers.length; ) {
    let j = i;
    let join = "";
    for (; j + 1 < s.numbers.length; j++) {
      const gap = s.gap(j);
      if (gap.length !== 1 || !isJoin(gap) || (join !== "" && gap !== join)) break;
      join = gap;
    }
    if (j - i >= 3 && (chainHoldsIPv4(s, i, j, join, version) || areHardware(s, i, j, join))) return true;
    i = Math.max(j, i + 1);
  }
  return false;
}

/** Whether the four numbers of a text, between commas or spaces, begin as private, loopback and link-local addresses do. */
function holdsSpacedIPv4(s: Scan): boolean {
  if (s.numbers.length !== 4 || !s.numbers.every(isOctet)) return false;
  const separator = s.gap(0);
  if (!/^[ ,]$/.test(separator) || s.gap(1) !== separator || s.gap(2) !== separator) return false;
  const [a, b, c] = [0, 1, 2].map((i) => s.number(i).value) as [number, number, number];
  if (a === 172) return b >= 16 && b <= 31;
  return (a === 192 && b === 168) || (a === 169 && b === 254) || (a === 127 && b === 0 && c === 0);
}

/** Whether numbers that colons join are six pairs that stand alone and are no date and time. */
function areHardware(s: Scan, i: number, j: number, join: string): boolean {
  if (join !== ":" || j - i !== 5) return false;
  const pairs = s.numbers.slice(i, j + 1);
  const [before, behind] = [s.text[s.number(i).start - 1], s.text[s.number(j).end]];
  if (pairs.some((n) => n.length !== 2) || isWord(before) || before === ":" || isWord(behind) || behind === ":") return false;
  const [year, month, day, hour, minute, second] = pairs.map((n) => n.value) as [number, number, number, number, number, number];
  return !isDate(2000 + year, month, day) || hour > 23 || minute > 59 || second > 59;
}

function chainHoldsIPv4(s: Scan, i: number, j: number, join: string, version: boolean): boolean {
  if (join !== "." && /[0-9]\.$/.test(s.text.slice(Math.max(0, s.number(i).start - 2), s.number(i).start))) i++; // a fraction, or the end of a version
  if (join !== "." && endsWord(s, i)) i++; // such as that of ec2
  for (let first = i; first + 3 <= j; ) {
    if (!isOctet(s.number(first))) {
      first++;
      continue;
    }
    let last = first;
    while (last < j && isOctet(s.number(last + 1))) last++;
    const row = { first, last, behind: first > i, before: last < j, join };
    if (last - first >= 3 && areIPv4(s, row, version)) return true;
    first = last + 1;
  }
  return false;
}

function endsWord(s: Scan, i: number): boolean {
  const n = s.number(i);
  return isWord(s.text[n.start - 1]) && n.length < 3 && !isOneOf(s.wordBefore(n.start, 0, ""), ADDRESS_WORDS);
}

/** A row of octets, and whether its chain goes on on both sides. */
interface Row {
  first: number;
  last: number;
  behind: boolean;
  before: boolean;
  join: string;
}

function areIPv4(s: Scan, row: Row, version: boolean): boolean {
  let long = row.last - row.first > 3;
  let port = row.before && isPort(s.number(row.last + 1));
  const inside = row.last - row.first === 4 && !row.before && isPort(s.number(row.last));
  if (inside) [long, port] = [false, true];
  if (long) return holdsKnownNetwork(s, row);
  if (row.join !== ".") return isJoinedIPv4(s, row, port);
  if ((version && isVersion(s, row.first)) || (!row.before && isBuild(s, row))) return false;
  return (!row.behind && (!row.before || port) && !inside) || longOctets(s, row.first) > 0;
}

const BUILD_WORDS = words(
  "microsoft standard generic lowlatency azure aws gcp gke oracle cloud kvm raspi amd64 arm64 lts alpha beta rc release final " +
    "snapshot build",
);

/** Whether four numbers are a version that begins below 10 and has a word of a build behind it. */
function isBuild(s: Scan, row: Row): boolean {
  const { end } = s.number(row.last);
  if (s.number(row.first).value >= 10 || !/^[-_]$/.test(s.text.charAt(end))) return false;
  return isOneOf(s.text.slice(end + 1, wordEnd(s.text, end + 1)), BUILD_WORDS);
}

/** The border between versions and addresses. */
function isVersion(s: Scan, first: number): boolean {
  const values = s.numbers.slice(first, first + 4).map((n) => n.value);
  return (values[0] ?? 0) < 10 || (values[0] !== 10 && values.every((value) => value < 100));
}

function isJoinedIPv4(s: Scan, row: Row, port: boolean): boolean {
  const start = s.number(row.first);
  if (!row.before && isWord(s.text[s.number(row.last).end])) return false;
  if (isOneOf(s.wordBefore(start.start, 2, "_-:.= "), ADDRESS_WORDS)) return true;
  if (start.value === 0) return false; // an address begins with 0 in no network
  if (row.behind && isDate(s.number(row.first - 1).value, start.value, s.number(row.first + 1).value)) return false;
  if (start.value === 10 && port && row.before) return true;
  if (start.value === 10 && !row.before && isInternal(s.text.slice(s.number(row.first + 3).end))) return true;
  return longOctets(s, row.first) > 0 && !isTime(s, row);
}

/** Whether a text begins with a dot and goes on as the name of a host in the domain internal does. */
function isInternal(text: string): boolean {
  return /^\.(?:[0-9A-Za-z.-]*\.)?internal$/.test((/^[0-9A-Za-z.-]{0,48}/.exec(text)?.[0] ?? "").replace(/internal$/i, "internal"));
}

/** Whether four octets may be hours, minutes, seconds and milliseconds. */
function isTime(s: Scan, row: Row): boolean {
  const most = [23, 59, 59];
  const fits = (limit: number, i: number): boolean => s.number(row.first + i).value <= limit && s.number(row.first + i).length <= 2;
  if (!most.every(fits)) return false;
  if (row.join === ":") return true;
  if (row.first < 3) return false;
  const [year, month, day] = [3, 2, 1].map((i) => s.number(row.first - i).value) as [number, number, number];
  return isDate(year, month, day) && s.gap(row.first - 1).length === 1;
}

function longOctets(s: Scan, first: number): number {
  return s.numbers.slice(first, first + 4).filter((n) => n.length === 3).length;
}

function holdsKnownNetwork(s: Scan, row: Row): boolean {
  for (let i = row.first; i + 3 <= row.last; i++) {
    const [a, b, c] = [s.number(i).value, s.number(i + 1).value, s.number(i + 2).value];
    if ((a === 192 && b === 168) || (a === 169 && b === 254) || (a === 172 && b >= 16 && b <= 31)) return true;
    if ((a === 192 && b === 0 && c === 2) || (a === 198 && b === 51 && c === 100) || (a === 203 && b === 0 && c === 113)) return true;
  }
  return false;
}

/** A word that may be a group of an IPv6 or hardware address. */
interface Group {
  text: string;
  start: number;
  end: number;
  hexadecimal: boolean;
  letters: boolean;
  digits: boolean;
  /** What joins it to the group before, once or, if double, twice. */
  join: string;
  double: boolean;
  /** The colons right before and right behind it. */
  before: number;
  behind: number;
}

function holdsHexadecimal(text: string): boolean {
  const groups = groupsOf(text);
  return holdsHardware(groups) || holdsColons(groups) || holdsJoined(groups);
}

function groupsOf(text: string): Group[] {
  const groups: Group[] = [];
  let previous = 0;
  for (let start = 0; start < text.length; start++) {
    if (!isWord(text[start])) continue;
    const end = wordEnd(text, start);
    const word = text.slice(start, end);
    const gap = text.slice(previous, start);
    const last = groups.at(-1);
    if (last) last.behind = colonsAt(text, previous);
    const joined = last !== undefined && isJoin(gap[0]) && (gap.length === 1 || (gap.length === 2 && gap[0] === gap[1]));
    let before = 0;
    while (before < gap.length && text[start - 1 - before] === ":") before++;
    groups.push({
      text: word, start, end, before, behind: 0,
      hexadecimal: word.length <= 4 && isHexadecimal(word), letters: /[a-f]/i.test(word), digits: /[0-9]/.test(word),
      join: joined ? (gap[0] ?? "") : "", double: joined && gap.length === 2,
    });
    previous = start = end;
  }
  const last = groups.at(-1);
  if (last) last.behind = colonsAt(text, previous);
  return groups;
}

function colonsAt(text: string, start: number): number {
  let end = start;
  while (text[end] === ":") end++;
  return end - start;
}

function isPair(group: Group | undefined): group is Group {
  return group !== undefined && group.hexadecimal && group.text.length === 2;
}

/** Looks for six pairs with the same join between and a letter among them, and no seventh. */
function holdsHardware(groups: Group[]): boolean {
  let [pairs, letters] = [0, false];
  for (const [i, group] of groups.entries()) {
    const goes = isPair(group) && pairs > 0 && group.join !== "" && !group.double && (pairs === 1 || group.join === groups[i - 1]?.join);
    if (!goes) [pairs, letters] = [0, false];
    if (!isPair(group)) continue;
    pairs++;
    letters ||= group.letters;
    const next = groups[i + 1];
    const follows = isPair(next) && next.join === group.join && !next.double;
    if (pairs === 6 && letters && !follows) return true;
  }
  return false;
}

/** What is known of groups with single colons between. */
interface Colons {
  length: number;
  digits: boolean;
}

function rowWith(row: Colons, group: Group, joined: boolean): Colons {
  if (!group.hexadecimal) return { length: 0, digits: false };
  return joined ? { length: row.length + 1, digits: row.digits || group.digits } : { length: 1, digits: group.digits };
}

function isTold(row: Colons): boolean {
  return row.length > 2 || (row.length === 2 && row.digits);
}

/** Looks for the text forms of RFC 4291 that nothing but an address has. */
function holdsColons(groups: Group[]): boolean {
  let row: Colons = { length: 0, digits: false };
  const isDouble = (group: Group | undefined): boolean => group?.join === ":" && group.double;
  for (const [i, group] of groups.entries()) {
    const before = row;
    row = rowWith(row, group, group.join === ":" && !group.double);
    if (row.length >= 8) return true;
    if (group.before >= 2 && isCompressed(groups, before, i, isDouble(group))) return true;
    if (group.behind >= 2 && isTold(row) && !isDouble(groups[i + 1])) return true;
  }
  return false;
}

function isCompressed(groups: Group[], before: Colons, i: number, joined: boolean): boolean {
  let behind: Colons = { length: 0, digits: false };
  for (const [j, group] of groups.slice(i, i + 3).entries()) {
    const goes = j === 0 || (group.join === ":" && !group.double);
    if (!goes || !group.hexadecimal) break;
    behind = rowWith(behind, group, j > 0);
  }
  if (!joined) return isTold(behind) || groups[i]?.text === "1";
  const both = { length: before.length + behind.length, digits: before.digits || behind.digits };
  return before.length > 0 && behind.length > 0 && isTold(both);
}

/** Looks for IPv6 addresses with dots, dashes or underscores for colons. */
function holdsJoined(groups: Group[]): boolean {
  for (let i = 0; i < groups.length; ) {
    let j = i + 1;
    const join = groups[j]?.join ?? "";
    if (groups[i]?.hexadecimal && join !== "" && join !== ":") {
      while (groups[j]?.hexadecimal && groups[j]?.join === join) j++;
    }
    if (j - i >= 2 && !areOfUUID(groups, i, j) && areIPv6(groups.slice(i, j))) return true;
    i = Math.max(j - 1, i + 1);
  }
  return false;
}

/** Whether the groups are the three in a UUID's middle. */
function areOfUUID(groups: Group[], i: number, j: number): boolean {
  const [before, behind] = [groups[i - 1], groups[j]];
  if (j - i !== 3 || !before || !behind) return false;
  const joined = groups[i]?.join !== "" && behind.join !== "";
  return joined && bytes(before.text) === 8 && bytes(behind.text) === 12;
}

function areIPv6(groups: Group[]): boolean {
  const gaps = groups.flatMap((group, i) => (i > 0 && group.double ? [i] : []));
  const gap = gaps[0] ?? 0;
  const letters = groups.map((group) => group.letters).lastIndexOf(true);
  if (gaps.length > 1 || letters < 0 || !groups.some((group) => group.digits)) return false;
  if (groups.length === 8 && gap === 0 && groups.some((group) => group.text.length > 2)) return true;
  return groups.some((group, i) => {
    const next = groups[i + 1];
    if (!next || letters < i) return false;
    const least = leastGroups(group.text.toLowerCase(), next);
    const rest = groups.length - i;
    return least > 0 && (rest >= least || (gap > i && rest >= Math.min(least, 3)));
  });
}

/** How many groups make an address of one that begins with these; 0 when none does. */
function leastGroups(first: string, second: Group): number {
  if (first.length !== 4) return 0;
  if (first === "fe80") return second.double ? 2 : 3;
  if (first === "2001" && second.text.toLowerCase().replace(/^0+/, "") === "db8") return 3;
  return /^(?:[23]|f[cd])/.test(first) ? 5 : 0;
}
