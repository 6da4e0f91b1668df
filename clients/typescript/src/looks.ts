// What a text looks like when every character is taken for what it is: the
// rules of docs/pii-policy.md under Judge, in its order.

/** What a text can look like. */
export type Personal = "e-mail" | "network" | "coordinates" | "telephone";

export function looksOf(text: string): Personal | undefined {
  const digits = text.match(/[0-9]/g)?.length ?? 0;
  if (EMAIL.test(text)) return "e-mail";
  if (holdsIPv4(text) || holdsIPv6(text) || holdsHardwareAddress(text)) return "network";
  if ((digits >= 4 && holdsCoordinates(text)) || (digits >= 8 && holdsDegrees(text)) || holdsPlusCode(text)) {
    return "coordinates";
  }
  return digits >= 7 && holdsTelephone(text) ? "telephone" : undefined;
}

/**
 * Compiles a pattern of the page: its \s is white space of ASCII, and its dot
 * any character but a line feed.
 */
function pattern(source: string, flags = ""): RegExp {
  const translated = source.replace(/\[(?:\\.|[^\]\\])*\]|\\.|\./gsu, (part) => {
    if (part.startsWith("[")) return part.replaceAll("\\s", " \\t\\n\\f\\r");
    return part === "\\s" ? "[ \\t\\n\\f\\r]" : part === "." ? "[^\\n]" : part;
  });
  return new RegExp(translated, `${flags}u`);
}

const EMAIL = pattern(String.raw`[^\s@<>"(),;:](?:@|\s@\s)(?:[\p{L}\p{N}_-]+\.)+\p{L}{2,}`);

/** Whether the character is part of a word; there is none beyond the ends of a text. */
function isWord(character: string | undefined): boolean {
  return character !== undefined && /[0-9A-Za-z\u0080-\uffff]/.test(character);
}

function holdsIPv4(text: string): boolean {
  for (const [run] of text.matchAll(/[0-9]+(?:\.[0-9]+)+/g)) {
    if (areOctets(run.split("."))) return true;
  }
  for (const { 0: run, index } of text.matchAll(/[0-9]+(?:-[0-9]+)+|[0-9]+(?:_[0-9]+)+/g)) {
    const numbers = run.split(/[-_]/);
    if (isWord(text[index - 1])) numbers.shift(); // it ends a word, such as ec2
    const long = numbers.some((number) => number.length === 3);
    if (long && areOctets(numbers) && text[index - 1] !== "." && !isWord(text[index + run.length])) return true;
  }
  return false;
}

function areOctets(numbers: string[]): boolean {
  return numbers.length === 4 && numbers.every((number) => /^[0-9]{1,3}$/.test(number) && Number(number) <= 255);
}

/** Tries every part that begins and ends with a whole word. */
function holdsIPv6(text: string): boolean {
  text = text.replace(/:{3,}/g, "::|::"); // no address holds three
  const longest = /(?:::|[0-9A-Fa-f]{1,4}:)(?:[0-9A-Fa-f]{1,4}:){0,6}(?::(?:[0-9A-Fa-f]{1,4}:){0,6})?[0-9A-Fa-f.]{0,15}/y;
  for (let start = 0; start < text.length; start++) {
    longest.lastIndex = start;
    const part = isWord(text[start - 1]) ? "" : (longest.exec(text)?.[0] ?? "");
    for (let end = start + part.length; end - start > "::".length; end--) {
      if (!isWord(text[end]) && isIPv6(text.slice(start, end))) return true;
    }
  }
  return false;
}

/** Whether the text is a text form of RFC 4291 that nothing but an address has. */
function isIPv6(text: string): boolean {
  const halves = text.split("::");
  const words = text.split(":").filter((word) => word !== "");
  const told = words.length > 2 || (words.length === 2 && /[0-9]/.test(text)) || text === "::1";
  const last = words.at(-1) ?? "";
  const mapped = last.includes(".") && text.endsWith(last);
  const room = 8 - words.length - (mapped ? 1 : 0);
  if (!told || (halves.length === 2 ? room < 1 : halves.length > 2 || room !== 0)) return false;
  if (/^:(?!:)|[^:]:$/.test(text) || (mapped && !areOctets(last.split(".")))) return false;
  return (mapped ? words.slice(0, -1) : words).every((word) => /^[0-9A-Fa-f]{1,4}$/.test(word));
}

const HARDWARE =
  /(?:^|[^0-9A-Za-z:-])((?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{2}-){5}[0-9A-Fa-f]{2})(?:[^0-9A-Za-z:-]|$)/u;

function holdsHardwareAddress(text: string): boolean {
  return /[A-Fa-f]/.test(HARDWARE.exec(text)?.[1] ?? "");
}

const DEGREES = pattern(
  String.raw`[NS]\s*[0-9.]+\s*[°º].*[EW]\s*[0-9.]+\s*[°º]|[0-9]\s*[°º][\s0-9.'′’"″]*[NSns]\b.*[0-9]\s*[°º][\s0-9.'′’"″]*[EWew]\b`,
);
const PAIRS = [
  pattern(
    String.raw`(?:^|[^0-9.])([-+]?[0-9]{1,3}\.[0-9]{3,})\s*,\s*([-+]?[0-9]{1,3})(?:[^0-9.]|$)|(?:^|[^0-9.])([-+]?[0-9]{1,3})\s*,\s*([-+]?[0-9]{1,3}\.[0-9]{3,})(?:[^0-9.]|$)`,
    "g",
  ),
  pattern(String.raw`(?:^|[^0-9])([-+]?[0-9]{1,3},[0-9]{4,})(?:,\s|[\s;/])\s*([-+]?[0-9]{1,3},[0-9]{4,})`, "g"),
];

function holdsCoordinates(text: string): boolean {
  if (DEGREES.test(text) || holdsFractions(text)) return true;
  return PAIRS.some((pairs) => [...text.matchAll(pairs)].some((match) => {
    const [a, b] = match.slice(1).filter((group) => group !== undefined);
    return areInRange(a ?? "", b ?? "");
  }));
}

/** Looks at each two decimal fractions that follow each other. */
function holdsFractions(text: string): boolean {
  const fractions = [...text.matchAll(/[-+]?[0-9]{1,3}\.[0-9]+/g)];
  return fractions.some(({ 0: b, index }, i) => {
    const before = fractions[i - 1];
    if (!before || /^\.[0-9]/.test(text.slice(index + b.length))) return false;
    const between = text.slice(before.index + before[0].length, index);
    const decimals = Math.min(...[before[0], b].map((fraction) => fraction.length - fraction.indexOf(".") - 1));
    return areApart(between, decimals, b) && areInRange(before[0], b);
  });
}

const NEAR = pattern(String.raw`^[\s°º]*[NSEWnsew]?\s*[,;\s]\s*[NSEWnsew]?\s*$`);

/** Judges what stands between two fractions: the more decimals both have, the less it needs to look like a separator. */
function areApart(between: string, decimals: number, second: string): boolean {
  if (between === "") return decimals >= 3 && /^[-+]/.test(second);
  if (between.startsWith(".")) return false;
  if (between === "!4d") return true; // stands in maps of Google
  const isShort = new TextEncoder().encode(between).length <= 16;
  if (decimals >= 3 && isShort && !/[0-9]/.test(between)) return true;
  return (decimals >= 2 && /^[:/_|]$/.test(between)) || NEAR.test(between);
}

/** Whether one of two is a latitude and the other a longitude. */
function areInRange(a: string, b: string): boolean {
  const [x, y] = [a, b].map((number) => Number(number.replace(/^[-+]/, "").replace(",", "."))) as [number, number];
  return Math.min(x, y) <= 90 && Math.max(x, y) <= 180;
}

const ANGLE = String.raw`[0-9]{1,3}(?:[\s:dm°º'′’-]+[0-9]{1,2}(?:\.[0-9]+)?){1,2}[\s'′’"″ms]*`;
const COMPACT = String.raw`(?:[0-9]{2})?(?:\.[0-9]+)?\s*`;
const MINUTES = [
  pattern(String.raw`(?:^|[^0-9a-z.])${ANGLE}[NS][\s,;/]*${ANGLE}[EW](?:[^0-9a-z]|$)`, "i"),
  pattern(String.raw`(?:^|[^a-z])[NS]\s*${ANGLE}[\s,;/]*[EW]\s*${ANGLE}`, "i"),
  pattern(String.raw`(?:^|[^0-9a-z])[0-9]{4}${COMPACT}[NS][\s,;/]*[0-9]{5}${COMPACT}[EW](?:[^0-9a-z]|$)`, "i"),
];

function holdsDegrees(text: string): boolean {
  return MINUTES.some((minutes) => minutes.test(text));
}

const PLUS_CODE =
  /(?:^|[^0-9A-Za-z])([23456789CFGHJMPQRVWX]{8})\+[23456789CFGHJMPQRVWX]{2,3}(?:[^0-9A-Za-z]|$)/u;

/** A full plus code has a letter where a sum has none. */
function holdsPlusCode(text: string): boolean {
  return /[A-Z]/.test(PLUS_CODE.exec(text)?.[1] ?? "");
}

const RUN = pattern(String.raw`\+?[0-9(][0-9().\s/-]*[0-9]`, "g");
const TIMES_END = /^[0-5][0-9](?:[^0-9(]+|$)/u;
const PART = pattern(String.raw`[^\s]+`, "g");
const CALL = /(?:tel|phone|mobile|cell|fax|call|sms|whatsapp)$/iu;

function holdsTelephone(text: string): boolean {
  if (text.includes("_") && holdsTelephone(text.replaceAll("_", "-"))) return true;
  for (const { 0: found, index } of text.matchAll(RUN)) {
    const skipped = /[0-9]:$/.test(text.slice(Math.max(0, index - 2), index)) ? (TIMES_END.exec(found)?.[0].length ?? 0) : 0;
    for (const [start, end] of candidatesOf(found.slice(skipped))) {
      if (standsAsTelephone(text, index + skipped + start, index + skipped + end)) return true;
    }
  }
  return false;
}

/** The run, its parts between white space, and what goes from a part with + or ( on up to any other. */
function* candidatesOf(run: string): Generator<[start: number, end: number]> {
  yield [0, run.length];
  const parts = [...run.matchAll(PART)].map(({ 0: part, index }) => ({ sign: part[0], start: index, end: index + part.length }));
  for (const [i, { sign, start, end }] of parts.entries()) {
    yield [start, end];
    if (sign !== "+" && sign !== "(") continue;
    for (const later of parts.slice(i + 1)) {
      if (later.end - start > 40 || later.sign === sign) break; // too long, or another number
      yield [start, later.end];
    }
  }
}

/** Whether a candidate is a number and no part of a word, but for words that announce one and for extensions. */
function standsAsTelephone(text: string, start: number, end: number): boolean {
  const begins = !isWord(text[start - 1]) || CALL.test(text.slice(Math.max(0, start - 8), start));
  const ends = !isWord(text[end]) || /^(?:x|ext)[0-9]/i.test(text.slice(end, end + 4));
  return begins && ends && isTelephone(text.slice(start, end));
}

function isTelephone(candidate: string): boolean {
  const groups = candidate.match(/[0-9]+/g) ?? [];
  const digits = groups.join("").length;
  if (candidate.startsWith("+")) return digits >= 7 && digits <= 15;
  if (isDialled(groups, digits)) return true;
  const trunk = groups.length > 1 && /^[018]$/.test(groups[0] ?? "");
  if (trunk) groups.shift();
  if (groups.length === 1) return digits >= 10 && digits <= 15;
  const bracket = candidate.startsWith("(");
  switch (groups.map((group) => group.length).join("-")) {
    case "3-3-4":
    case "3-7":
      return true;
    case "3-3-2-2":
      return trunk || bracket || candidate.includes("-");
    case "3-4-4":
      return /^1[3-9]/.test(groups[0] ?? "");
    case "2-4-4":
    case "2-5-4":
      return bracket;
    default:
      return false;
  }
}

/** Whether the groups begin with what is dialled before an area or a country. */
function isDialled([first = "", ...later]: string[], digits: number): boolean {
  const second = later[0];
  if (second === undefined || digits < 9) return false;
  if (first === "011" || (first === "00" && !second.startsWith("0"))) return digits <= 18;
  if (/^00[1-9]/.test(first) && digits > 12) return digits <= 17 && !later.some((group) => group.startsWith("00"));
  return first.length >= 2 && first.startsWith("0") && digits <= 12;
}
