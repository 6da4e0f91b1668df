// Pairs of coordinates.

import { bytes, isBlank, isDigit, isJoin, isOneOf, trimBlank, words } from "./scan.js";
import type { Figure, Scan } from "./scan.js";

/** A number with a fractional part, or a whole one. */
interface Fraction {
  start: number;
  end: number;
  whole: number;
  decimals: number;
  /** Whether the fractional part is 0. */
  zero: boolean;
  signed: boolean;
}

/** Reads number i and, if it is no whole one, the next one as one. */
function fractionOf(s: Scan, i: number, isWhole = false): Fraction {
  const whole = s.number(i);
  const part = isWhole ? undefined : s.number(i + 1);
  const signed = whole.length <= 3 && /^[-+]$/.test(s.text.charAt(whole.start - 1));
  return {
    start: Math.max(whole.start, whole.end - 3) - (signed ? 1 : 0),
    end: (part ?? whole).end,
    whole: Number(s.text.slice(Math.max(whole.start, whole.end - 3), whole.end)),
    decimals: part?.length ?? 0,
    zero: part === undefined || part.zeros === part.length,
    signed,
  };
}

function atMost(f: Fraction, limit: number): boolean {
  return f.whole < limit || (f.whole === limit && f.zero);
}

/** Whether one of two is a latitude and the other a longitude. Where both are below 1 there is nothing but sea. */
function areInRange(a: Fraction, b: Fraction): boolean {
  return (a.whole > 0 || b.whole > 0) && atMost(a, 180) && atMost(b, 180) && (atMost(a, 90) || atMost(b, 90));
}

export function holdsCoordinates(s: Scan): boolean {
  return holdsFractions(s) || holdsWhole(s) || holdsCommas(s) || holdsCleaned(s) || holdsNamed(s) || DEGREES.test(s.text);
}

/** Looks at each two decimal fractions that follow each other. */
function holdsFractions(s: Scan): boolean {
  let before: Fraction | undefined;
  let first = 0;
  for (let i = 0; i + 1 < s.numbers.length; i++) {
    if (!s.isPoint(i, ".")) continue;
    const fraction = fractionOf(s, i);
    i++;
    if (before && !s.isPoint(i, ".") && areInRange(before, fraction) && areApart(s, before, fraction, first)) return true;
    before = fraction;
    first = i - 1;
  }
  return false;
}

/** Judges what stands between two fractions: the more decimals both have, the less it needs to look like a separator. The first begins with number i. */
function areApart(s: Scan, a: Fraction, b: Fraction, i: number): boolean {
  const between = s.text.slice(a.end, b.start);
  const decimals = Math.min(a.decimals, b.decimals);
  if (between === "" || between.startsWith(".")) return between.length <= 1 && decimals >= 3 && b.signed;
  if (between === "!4d") return true; // stands in maps of Google
  if (decimals >= 3 && bytes(between) <= 16 && !/[0-9]/.test(between)) return true;
  if (decimals >= 2 && isLikely(a, b) && /^[:/_|]$/.test(between)) return true;
  return (isNear(between) && areDegrees(s, a, b, i)) || isLabelled(s, a.start, between);
}

/** Whether two fractions alone may be coordinates. */
function isLikely(a: Fraction, b: Fraction): boolean {
  const decimals = Math.min(a.decimals, b.decimals);
  return decimals >= 3 || a.signed || b.signed || (decimals === 2 && a.whole > 0 && b.whole > 0);
}

/** Judges two fractions that are near each other, as numbers in lists are as well. */
function areDegrees(s: Scan, a: Fraction, b: Fraction, i: number): boolean {
  const between = s.text.slice(a.end, b.start);
  if (/[^,; \t\n\f\r]/.test(between)) return true; // degrees or hemispheres
  if (isOneOf(s.wordBefore(a.start, 4, BEFORE_NUMBER), PLACE_WORDS)) return true;
  if (isOfList(s, i, between)) return Math.min(a.decimals, b.decimals) >= 2 && (a.signed || b.signed);
  return isLikely(a, b);
}

/** Whether the fraction that begins with number i and the next one have a third beside them, separated as they are. */
function isOfList(s: Scan, i: number, between: string): boolean {
  const before = i >= 2 && s.isPoint(i - 2, ".") && isSeparated(s, i - 1, between);
  return before || (i + 5 < s.numbers.length && s.isPoint(i + 4, ".") && isSeparated(s, i + 3, between));
}

function isSeparated(s: Scan, i: number, separator: string): boolean {
  const gap = s.gap(i);
  return gap.startsWith(separator) && /^[-+]?$/.test(gap.slice(separator.length));
}

const NEAR = /^[ \t\n\f\r°º]*[NSEWnsew]?[ \t\n\f\r]*[,; \t\n\f\r][ \t\n\f\r]*[NSEWnsew]?[ \t\n\f\r]*$/u;

function isNear(text: string): boolean {
  return bytes(text) <= 24 && NEAR.test(text);
}

const LATITUDE_WORDS = words("lat latitude y");
const LONGITUDE_WORDS = words("lon lng long longitude x");
const PLACE_WORDS = words(
  "lat latitude lon lng long longitude latlon latlng lonlat lnglat point points pt coord coords coordinate coordinates geo gps " +
    "location loc position pos place ll at",
);
const BEFORE_NUMBER = `_-:.= "'([`;

/** Whether the words before and between two numbers say that they are coordinates. */
function isLabelled(s: Scan, start: number, between: string): boolean {
  if (between.length < 3 || bytes(between) > 24 || /[0-9]/.test(between)) return false;
  const before = s.wordBefore(start, 4, BEFORE_NUMBER);
  const holds = (list: ReadonlySet<string>): boolean => (between.match(/[A-Za-z]+/g) ?? []).some((word) => isOneOf(word, list));
  return (isOneOf(before, LATITUDE_WORDS) && holds(LONGITUDE_WORDS)) || (isOneOf(before, LONGITUDE_WORDS) && holds(LATITUDE_WORDS));
}

const NAMED_LATITUDE = words("lat latitude");
const NAMED_LONGITUDE = words("lon lng long longitude");

/** Looks for two numbers, of which one at least is whole, with labels: x and y are those of anything. */
function holdsNamed(s: Scan): boolean {
  for (let i = 0; i + 1 < s.numbers.length; i++) {
    const isFraction = s.isPoint(i, ".");
    const j = isFraction ? i + 2 : i + 1;
    if (j === s.numbers.length || (isFraction && s.isPoint(j, ".")) || s.number(i).length > 3 || s.number(j).length > 3) continue;
    const [a, b] = [fractionOf(s, i, !isFraction), fractionOf(s, j, !s.isPoint(j, "."))];
    const between = s.text.slice(a.end, b.start);
    if (between.length < 3 || bytes(between) > 24 || /[0-9]/.test(between) || !areInRange(a, b)) continue;
    const before = s.wordBefore(a.start, 4, BEFORE_NUMBER);
    const holds = (list: ReadonlySet<string>): boolean => (between.match(/[A-Za-z]+/g) ?? []).some((word) => isOneOf(word, list));
    if (isOneOf(before, NAMED_LATITUDE) ? holds(NAMED_LONGITUDE) : isOneOf(before, NAMED_LONGITUDE) && holds(NAMED_LATITUDE)) return true;
  }
  return false;
}

/** Looks for a fraction of three decimals and a whole number, in either order, with a comma between. */
function holdsWhole(s: Scan): boolean {
  for (let i = 0; i + 2 < s.numbers.length; i++) {
    if (s.isPoint(i, ".") && isWhole(s, i + 2)) {
      const [fraction, whole] = [fractionOf(s, i), fractionOf(s, i + 2, true)];
      if (fraction.decimals >= 3 && startsNumber(s, i, fraction.start) && isPair(s, fraction, whole)) return true;
    }
    if (s.isPoint(i + 1, ".") && isWhole(s, i)) {
      const [whole, fraction] = [fractionOf(s, i, true), fractionOf(s, i + 1)];
      const short = s.number(i + 1).length <= 3;
      if (fraction.decimals >= 3 && short && startsNumber(s, i, whole.start) && isPair(s, whole, fraction)) return true;
    }
  }
  return false;
}

/** Whether number i has at most three digits and no number or dot right before its sign. */
function startsNumber(s: Scan, i: number, start: number): boolean {
  const before = s.text[start - 1];
  return s.number(i).length <= 3 && before !== "." && !isDigit(before);
}

function isWhole(s: Scan, i: number): boolean {
  const n = s.number(i);
  return n.length <= 3 && s.text[n.end] !== "." && s.text[n.start - 1] !== ".";
}

function isPair(s: Scan, a: Fraction, b: Fraction): boolean {
  const between = s.text.slice(a.end, b.start);
  return /^[ \t\n\f\r]*,[ \t\n\f\r]*$/.test(between) && areInRange(a, b);
}

/** Looks for two fractions with decimal commas. */
function holdsCommas(s: Scan): boolean {
  for (let i = 0; i + 3 < s.numbers.length; i++) {
    if (!s.isPoint(i, ",") || !s.isPoint(i + 2, ",") || s.number(i).length > 3 || s.number(i + 2).length > 3) continue;
    const [a, b] = [fractionOf(s, i), fractionOf(s, i + 2)];
    const thousands = a.decimals === 3 && b.decimals === 3 && !a.signed && !b.signed;
    const apart = isCommaGap(s.text.slice(a.end, b.start));
    if (Math.min(a.decimals, b.decimals) >= 2 && !thousands && isLikely(a, b) && apart && areInRange(a, b)) return true;
  }
  return false;
}

function isCommaGap(text: string): boolean {
  const rest = trimBlank(text.slice(1));
  if (text.startsWith(",")) return text.length > 1 && rest === "";
  if (isBlank(text[0])) return rest === "" || rest === ";" || rest === "/";
  return /^[;/|_:]/.test(text) && rest === "";
}

/** Looks for two fractions with another join for the point. */
function holdsCleaned(s: Scan): boolean {
  for (let i = 0; i + 3 < s.numbers.length; i++) {
    const join = s.text.charAt(s.number(i).end);
    if (!isJoin(join) || !s.isPoint(i, join) || !s.isPoint(i + 2, join)) continue;
    if (s.number(i).length > 3 || s.number(i + 2).length > 3) continue;
    const [a, b] = [fractionOf(s, i), fractionOf(s, i + 2)];
    if (areInRange(a, b) && areCleaned(s, a, b, i, join)) return true;
  }
  return false;
}

function areCleaned(s: Scan, a: Fraction, b: Fraction, i: number, join: string): boolean {
  const between = s.gap(i + 1);
  const decimals = Math.min(a.decimals, b.decimals);
  if (isYear(s.number(i + 1)) && isYear(s.number(i + 3))) return false;
  if (join === "." && s.isPoint(i + 3, ".")) return false;
  if (isLabelled(s, a.start, between)) return join !== ".";
  if (!/^[_\-:.,;/| +]{1,3}$/.test(between)) return false;
  if (join === ".") return between === "." && decimals >= 4;
  const signed = between.length > 1 && /[-+]$/.test(between);
  const announced = isOneOf(s.wordBefore(a.start, 4, BEFORE_NUMBER), PLACE_WORDS);
  return decimals >= (signed || announced ? 2 : 4);
}

function isYear(n: Figure): boolean {
  return n.length === 4 && n.value >= 1900 && n.value <= 2099;
}

/**
 * Compiles a pattern of the page: its \s is white space of ASCII, and its dot
 * any character but a line feed.
 */
function pattern(source: string): RegExp {
  const translated = source.replace(/\[(?:\\.|[^\]\\])*\]|\\.|\./gsu, (part) => {
    if (part.startsWith("[")) return part.replaceAll("\\s", " \\t\\n\\f\\r");
    return part === "\\s" ? "[ \\t\\n\\f\\r]" : part === "." ? "[^\\n]" : part;
  });
  return new RegExp(translated, "u");
}

const MARKS = String.raw`[\s'′’"″”]`;
const DEGREES = pattern(
  String.raw`[NS]\s*[0-9.]+\s*[°º].*[EW]\s*[0-9.]+\s*[°º]|[0-9]\s*[°º](?:[0-9.]|${MARKS})*[NSns](?![0-9A-Za-z]).*[0-9]\s*[°º](?:[0-9.]|${MARKS})*[EWew](?![0-9A-Za-z])`,
);

const STEP = String.raw`[\s:dDmM°º'′’-]+[0-9]`;
const ANGLE = String.raw`[0-9]{1,3}(?:${STEP}[0-9]?(?:\.[0-9]+)?){1,2}(?:[msMS]|${MARKS})*`;
const PILOTS = String.raw`(?:[0-9]{2})?(?:\.[0-9]+)?\s*`;
const MINUTES = [
  pattern(String.raw`(?:^|[^0-9A-Za-z.])${ANGLE}[NSns][\s,;/]*${ANGLE}[EWew](?:[^0-9A-Za-z]|$)`),
  pattern(String.raw`(?:^|[^A-Za-z])[NSns]\s*${ANGLE}[\s,;/]*[EWew]\s*[0-9]{1,3}${STEP}`),
  pattern(String.raw`(?:^|[^0-9A-Za-z])[0-9]{4}${PILOTS}[NSns][\s,;/]*[0-9]{5}${PILOTS}[EWew](?:[^0-9A-Za-z]|$)`),
];

export function holdsDegrees(text: string): boolean {
  return /[NSns]/.test(text) && MINUTES.some((minutes) => minutes.test(text));
}

const PLUS_CODE = /(?:^|[^0-9A-Za-z])([23456789CFGHJMPQRVWX]{8})\+[23456789CFGHJMPQRVWX]{2,3}(?:[^0-9A-Za-z]|$)/g;

/** A full plus code has a letter where a sum has none. */
export function holdsPlusCode(text: string): boolean {
  return [...text.matchAll(PLUS_CODE)].some((match) => /[A-Z]/.test(match[1] ?? ""));
}
