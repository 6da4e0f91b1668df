// Telephone numbers.

import { isBlank, isDate, isDigit, isOneOf, isWord, words } from "./scan.js";
import type { Figure, Scan } from "./scan.js";

const ANNOUNCERS = words("tel telephone phone mobile fax sms whatsapp");
const CALLED = /(?:tel|phone|mobile|cell|fax|call|sms|what[sſ]app)$/i;

/** How long a number with spaces may be. */
const LONGEST = 40;

export function holdsTelephone(s: Scan): boolean {
  return holdsJoined(s, false) || (s.text.includes("_") && holdsJoined(s, true)) || holdsAnnounced(s) || holdsColons(s);
}

/** Whether a telephone number may have this between its groups, and whether it parts them. */
function phoneGap(gap: string, underscores: boolean): { inside: boolean; parts: boolean } {
  const inside = (underscores ? /^[ \t\n\f\r./()_-]*$/ : /^[ \t\n\f\r./()-]*$/).test(gap);
  return { inside, parts: inside && [...gap].some(isBlank) };
}

/** A part of a run without white space: its numbers, and where it begins with its sign. */
interface Part {
  first: number;
  last: number;
  start: number;
  sign: string;
}

function holdsJoined(s: Scan, underscores: boolean): boolean {
  for (let i = 0; i < s.numbers.length; ) {
    let part = openPart(s, i);
    const parts = [part];
    let j = i;
    while (j + 1 < s.numbers.length) {
      const gap = phoneGap(s.gap(j), underscores);
      if (!gap.inside) break;
      j++;
      if (gap.parts) parts.push((part = openPart(s, j)));
      part.last = j;
    }
    if (runHolds(s, i, j, parts)) return true;
    i = j + 1;
  }
  return false;
}

/** Begins a part with number i, and with the sign before it. */
function openPart(s: Scan, i: number): Part {
  let start = s.number(i).start;
  let sign = "";
  while (s.text[start - 1] === "(") {
    start--;
    sign = "(";
  }
  if (s.text[start - 1] === "+") {
    start--;
    sign = "+";
  }
  return { first: i, last: i, start, sign };
}

function runHolds(s: Scan, i: number, j: number, parts: Part[]): boolean {
  if (isTimesEnd(s, i)) {
    if (i === j) return false;
    i++;
    const [first] = parts as [Part];
    if (first.first === first.last) parts.shift();
    else parts[0] = { ...openPart(s, i), last: first.last };
  }
  if (isTelephone(s, i, j, parts[0]?.start ?? 0)) return true;
  return parts.some((part, k) => {
    if (isTelephone(s, part.first, part.last, part.start)) return true;
    if (part.sign === "") return false;
    for (const later of parts.slice(k + 1)) {
      if (s.number(later.last).end - part.start > LONGEST || later.sign === part.sign) return false;
      if (isTelephone(s, part.first, later.last, part.start)) return true;
    }
    return false;
  });
}

/** Whether number i is the end of a time, minutes or seconds. */
function isTimesEnd(s: Scan, i: number): boolean {
  const n = s.number(i);
  return n.length === 2 && n.value < 60 && s.text[n.start - 1] === ":" && isDigit(s.text[n.start - 2]) && s.text[n.end] !== "(";
}

/** Whether numbers i to j, which begin at start with their sign, are a telephone number and no part of a word or a UUID. */
function isTelephone(s: Scan, i: number, j: number, start: number): boolean {
  const n = digitsOf(s, i, j);
  const end = s.number(j).end;
  return n >= 7 && n <= 18 && standsAlone(s, start, end) && areGroups(s, i, j, start, n) && !isOfUUID(s, start, end);
}

/** Judges numbers i to j as the groups of a telephone number. */
function areGroups(s: Scan, i: number, j: number, start: number, n: number): boolean {
  let groups = s.numbers.slice(i, j + 1);
  if (s.text[start] === "+") return n <= 15;
  if (isDialled(groups, n)) return true;
  const trunk = groups.length > 1 && isTrunk(groups[0]);
  if (trunk) groups = groups.slice(1);
  const [first] = groups as [Figure];
  if (groups.length === 1) return n >= 10 && n <= 15 && (trunk || !isInstant(s, first));
  const bracket = s.text[start] === "(";
  const dash = /[-_]/.test(s.text.slice(start, s.number(j).end));
  return isLocal(groups, bracket, trunk || bracket || dash, s.text[first.end] === ".");
}

function isTrunk(group: Figure | undefined): boolean {
  return group !== undefined && group.length === 1 && (group.value <= 1 || group.value === 8);
}

function digitsOf(s: Scan, i: number, j: number): number {
  return s.number(j).digits + s.number(j).length - s.number(i).digits;
}

/** Whether a candidate is no part of a word, but for words that announce one and for extensions. */
function standsAlone(s: Scan, start: number, end: number): boolean {
  if (isWord(s.text[start - 1]) && !CALLED.test(s.text.slice(Math.max(0, start - 9), start))) return false;
  return !isWord(s.text[end]) || /^(?:x|ext)[0-9]/i.test(s.text.slice(end, end + 4));
}

/** Whether digits on end are a time: since 1970, or a date with hours and minutes. */
function isInstant(s: Scan, n: Figure): boolean {
  const digits = s.text.slice(n.start, n.end);
  const part = (start: number, end: number): number => Number(digits.slice(start, end));
  if (n.length === 10 || n.length === 13) return digits.startsWith("1");
  if (n.length !== 12 && n.length !== 14) return false;
  return isDate(part(0, 4), part(4, 6), part(6, 8)) && part(8, 10) < 24 && part(10, 12) < 60 && part(12, 14) <= 60;
}

const UUID = /(?<![0-9A-Za-z])[0-9A-Fa-f]{8}(?:[-_][0-9A-Fa-f]{4}){3}[-_][0-9A-Fa-f]{12}(?![0-9A-Za-z])/g;

/** Whether that part of the text is parts of a UUID. */
function isOfUUID(s: Scan, start: number, end: number): boolean {
  return [...s.text.matchAll(UUID)].some(({ index }) => [0, 9, 14, 19, 24].includes(start - index) && end <= index + 36);
}

/** Whether the groups begin with what is dialled before an area or a country. */
function isDialled([first, second, ...later]: Figure[], n: number): boolean {
  if (!first || !second || n < 9) return false;
  if ((first.value === 11 && first.length === 3) || (first.value === 0 && first.length === 2 && second.zeros === 0)) return n <= 18;
  if (first.length > 2 && first.zeros === 2 && n > 12) return n <= 17 && [second, ...later].every((group) => group.zeros < 2);
  return first.length >= 2 && first.zeros >= 1 && n <= 12;
}

/** Whether the groups are as in one of the countries that write them in a way of their own. */
function isLocal(groups: Figure[], bracket: boolean, clear: boolean, dotted: boolean): boolean {
  const [a, b] = groups as [Figure, Figure];
  switch (lengths(groups)) {
    case "3-3-4":
    case "3-7":
      return true;
    case "3-3-2-2":
      return clear;
    case "3-4-4":
      return a.value >= 130 && a.value <= 199;
    case "2-5-4":
      return bracket || b.value >= 90000;
    case "2-4-4":
      return bracket;
    case "2-10":
      return a.value === 91 && b.value >= 6e9;
    case "2-4-6":
      return a.value === 44 && b.value >= 7000 && b.value < 8000;
    case "5-5":
      return a.value >= 60000 && !dotted && (a.value % 100 !== 0 || b.value % 100 !== 0);
    case "3-2-2-2":
      return a.value >= 600;
    default:
      return false;
  }
}

function lengths(groups: Figure[]): string {
  return groups.map((group) => group.length).join("-");
}

/** Looks for a number of seven digits or more behind a word for telephones. */
function holdsAnnounced(s: Scan): boolean {
  return s.numbers.some((n, i) => {
    if (!isOneOf(s.wordBefore(n.start, 4, "_-:.= #(+"), ANNOUNCERS)) return false;
    let j = i;
    while (j + 1 < s.numbers.length && phoneGap(s.gap(j), true).inside) j++;
    const digits = digitsOf(s, i, j);
    return digits >= 7 && digits <= 15 && !isWord(s.text[s.number(j).end]) && !isDay(s.numbers.slice(i, j + 1));
  });
}

/** Whether numbers are a date. */
function isDay([a, b, c, ...more]: Figure[]): boolean {
  if (!a || more.length > 0) return false;
  if (!b) return a.length === 8 && isDate(Math.floor(a.value / 10000), Math.floor(a.value / 100) % 100, a.value % 100);
  if (!c) return false;
  return isDate(a.value, b.value, c.value) || isDate(c.value, b.value, a.value) || isDate(c.value, a.value, b.value);
}

/** Looks for three groups or more with single colons between. */
function holdsColons(s: Scan): boolean {
  for (let i = 0; i + 2 < s.numbers.length; ) {
    let j = i;
    while (s.isPoint(j, ":")) j++;
    if (j - i >= 2 && isColonTelephone(s, i, j)) return true;
    i = j + 1;
  }
  return false;
}

function isColonTelephone(s: Scan, i: number, j: number): boolean {
  const { start } = openPart(s, i);
  const n = digitsOf(s, i, j);
  if (n < 9 || n > 15 || !standsAlone(s, start, s.number(j).end)) return false;
  if (s.text[start] === "+") return true;
  const groups = s.numbers.slice(isTrunk(s.number(i)) ? i + 1 : i, j + 1);
  const form = lengths(groups);
  return ["3-3-4", "3-4-4", "2-5-4"].includes(form) || (form === "2-2-2-2-2" && groups[0]?.zeros === 1);
}
