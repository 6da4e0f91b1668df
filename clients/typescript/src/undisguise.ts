// What disguises of a text are taken off before it is judged again, as
// docs/pii-policy.md says.

/** The letters that show nothing. */
export const FILLERS = "\u115f\u1160\u3164\uffa0";

const BYTES =
  /%[0-7][0-9a-f]|%[cd][0-9a-f]%[89ab][0-9a-f]|%e[0-9a-f](?:%[89ab][0-9a-f]){2}|%f[0-7](?:%[89ab][0-9a-f]){3}|%[0-9a-f]{2}/gi;

/** Decodes percent-encoding and full-width characters, and makes plain dashes and spaces of their likes. */
export function unwrap(text: string): string {
  return text.replace(BYTES, characterOf).replace(/[^ -~]/gu, (character) => {
    if (/[\uff01-\uff5e]/u.test(character)) return narrow(character);
    if (/[\p{Pd}\u2212]/u.test(character)) return "-";
    if (/\p{White_Space}/u.test(character)) return " ";
    return /\p{Cf}/u.test(character) ? "" : character;
  });
}

/** Every byte of what is no UTF-8 becomes a replacement character. */
function characterOf(bytes: string): string {
  try {
    return decodeURIComponent(bytes);
  } catch {
    return "\ufffd".repeat(bytes.length / "%00".length);
  }
}

/** The plain form of a full-width character. */
export function narrow(character: string): string {
  return String.fromCharCode(character.charCodeAt(0) - 0xfee0);
}

const ESCAPE =
  /[%\\]u([0-9A-Fa-f]{4})|&#([0-9]{1,7});|&#[xX]([0-9A-Fa-f]{1,6});|&(amp|commat|period|colon|comma|plus|nbsp|deg);/gu;

const ENTITIES: Record<string, string> = {
  amp: "&", commat: "@", period: ".", colon: ":", comma: ",", plus: "+", nbsp: "\u00a0", deg: "°",
};

/** Decodes escapes, and makes plain digits and signs of their likes and of the words for them. */
export function unveil(text: string): string {
  text = text
    .replace(ESCAPE, (_, script?: string, decimal?: string, hexadecimal?: string, entity?: string) =>
      entity ? (ENTITIES[entity] ?? "") : character(decimal ? Number(decimal) : parseInt(script ?? hexadecimal ?? "", 16)))
    .replace(/[^ -~]/gu, plain)
    .replace(/ *[[({<] *(?:at|dot|@|\.|:) *[\])}>] */giu, sign);
  return / dot /iu.test(text) ? text.replace(/ +(?:at|dot) +/giu, sign) : text;
}

function character(code: number): string {
  const exists = code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
  return exists ? String.fromCodePoint(code) : "\ufffd";
}

/** The sign that characters are taken for. */
const LIKENESSES = new Map(
  Object.entries({
    "@": "\ufe6b",
    ".": "\u3002\uff61\u2024\ufe52\u00b7\u2027\u30fb\uff65\u066b",
    ":": "\ufe55\u2236\ua789\u02d0",
    ",": "\u3001\uff64\ufe50\u060c",
    "+": "\ufe62\u207a",
    "-": "\u207b\u02d7",
  }).flatMap(([sign, like]) => [...like].map((character) => [character, sign] as const)),
);

function plain(character: string): string {
  const sign = LIKENESSES.get(character);
  if (sign) return sign;
  if (/\p{Nd}/u.test(character)) return digit(character);
  if (/\p{White_Space}/u.test(character)) return " ";
  return /[\p{Cc}\p{Mn}]/u.test(character) || FILLERS.includes(character) ? "" : character;
}

/** The plain digit that a digit of any script stands for. Scripts have theirs in order, from 0 to 9. */
function digit(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  let zero = code;
  while (/\p{Nd}/u.test(String.fromCodePoint(zero - 1))) zero--;
  return String((code - zero) % 10);
}

function sign(match: string): string {
  const word = match.replace(/[ [\](){}<>]/gu, "").toLowerCase();
  return word === "at" ? "@" : word === "dot" ? "." : word;
}
