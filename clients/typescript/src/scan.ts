// A text with its numbers, and what its characters are. Like the rules, it
// knows ASCII, and takes all other characters for parts of words.

/** A run of digits in a text. */
export interface Figure {
  start: number;
  end: number;
  length: number;
  value: number;
  /** The zeros that it begins with. */
  zeros: number;
  /** The digits before it in the text. */
  digits: number;
}

export class Scan {
  readonly numbers: Figure[] = [];
  readonly digits: number;

  constructor(readonly text: string) {
    let digits = 0;
    for (const { 0: run, index } of text.matchAll(/[0-9]+/g)) {
      const zeros = run.length - run.replace(/^0+/, "").length;
      this.numbers.push({ start: index, end: index + run.length, length: run.length, value: Number(run), zeros, digits });
      digits += run.length;
    }
    this.digits = digits;
  }

  /** The number, which must be there. */
  number(i: number): Figure {
    const number = this.numbers[i];
    if (!number) throw new RangeError(`no number ${i}`);
    return number;
  }

  /** What stands between number i and the next one. */
  gap(i: number): string {
    return this.text.slice(this.number(i).end, this.number(i + 1).start);
  }

  /** Whether only the sign stands between number i and the next one. */
  isPoint(i: number, sign: string): boolean {
    const next = this.numbers[i + 1];
    return next !== undefined && next.start === this.number(i).end + 1 && this.text[this.number(i).end] === sign;
  }

  /** The letters that end there, behind at most so many of the separators. */
  wordBefore(end: number, most: number, separators: string): string {
    for (; most > 0 && end > 0 && separators.includes(this.text.charAt(end - 1)); most--) end--;
    let start = end;
    while (isLetter(this.text[start - 1]) && end - start <= 16) start--;
    return this.text.slice(start, end);
  }
}

/** The words of a list that spaces part. */
export function words(list: string): ReadonlySet<string> {
  return new Set(list.split(" "));
}

/** Whether a word is in a list, ignoring case. */
export function isOneOf(word: string, list: ReadonlySet<string>): boolean {
  return /^[0-9A-Za-z]+$/.test(word) && list.has(word.toLowerCase());
}

export function count(text: string, character: string): number {
  return text.split(character).length - 1;
}

/** Whether the character is part of a word; there is none beyond the ends of a text. */
export function isWord(character: string | undefined): boolean {
  return character !== undefined && /[0-9A-Za-z\u0080-\uffff]/.test(character);
}

export function isLetter(character: string | undefined): boolean {
  return character !== undefined && /[A-Za-z]/.test(character);
}

export function isDigit(character: string | undefined): boolean {
  return character !== undefined && /[0-9]/.test(character);
}

export function isHexadecimal(word: string): boolean {
  return /^[0-9A-Fa-f]+$/.test(word);
}

export function isJoin(character: string | undefined): boolean {
  return character === "." || character === "_" || character === "-" || character === ":";
}

export function isBlank(character: string | undefined): boolean {
  return character !== undefined && " \t\n\f\r".includes(character);
}

/** Whether the numbers are a day of the years 1900 to 2099. */
export function isDate(year: number, month: number, day: number): boolean {
  return year >= 1900 && year <= 2099 && month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

/** Cuts blanks off the beginning. */
export function trimBlank(text: string): string {
  let start = 0;
  while (isBlank(text[start])) start++;
  return text.slice(start);
}

/** The length of a text in bytes of UTF-8. */
export function bytes(text: string): number {
  return new TextEncoder().encode(text).length;
}
