/**
 * Hostile text, and the judge of its display. The judge does not use the product's own table: it lists the characters that
 * terminals, log readers and CI runners obey.
 */
import type { Random } from './kind.ts'

/** Kinds of readers of a line of output, by the characters that they obey. */
const ranges: readonly (readonly [what: string, from: number, to: number])[] = [
  ['a C0 control', 0x00, 0x1f],
  ['DEL or a C1 control', 0x7f, 0x9f],
  ['a soft hyphen', 0xad, 0xad],
  ['a zero-width joiner of letters', 0x34f, 0x34f],
  ['an Arabic letter mark', 0x61c, 0x61c],
  ['a Mongolian vowel separator', 0x180e, 0x180e],
  ['a zero-width character or direction mark', 0x200b, 0x200f],
  ['a line or paragraph separator', 0x2028, 0x2029],
  ['a direction override', 0x202a, 0x202e],
  ['an invisible operator', 0x2060, 0x2064],
  ['a direction isolate', 0x2066, 0x206f],
  ['a filler', 0x3164, 0x3164],
  ['a lone surrogate', 0xd800, 0xdfff],
  ['a variation selector', 0xfe00, 0xfe0f],
  ['a byte order mark', 0xfeff, 0xfeff],
  ['an interlinear mark', 0xfff9, 0xfffb],
  ['a noncharacter', 0xfffe, 0xffff],
  ['a tag character', 0xe0000, 0xe0fff],
]

/** The problem of a displayed line; undefined: none. */
export function harmInLine(line: string, most = 4_000): string | undefined {
  for (const char of line) {
    const code = char.codePointAt(0) ?? 0
    const found = ranges.find(([, from, to]) => code >= from && code <= to)
    if (found !== undefined) return `${found[0]} (U+${code.toString(16)}) in ${JSON.stringify(line.slice(0, 300))}`
  }
  if (/^\s*::/.test(line)) return `a command to a CI runner begins ${JSON.stringify(line.slice(0, 300))}`
  if (/##[\w-]*\[/.test(line)) return `a command to a CI runner in ${JSON.stringify(line.slice(0, 300))}`
  return line.length > most ? `${line.length} characters` : undefined
}

/** The same of an output of several lines, such as a table. */
export function harmInLines(text: string, most?: number): string | undefined {
  for (const line of text.split('\n')) {
    const harm = harmInLine(line, most)
    if (harm !== undefined) return harm
  }
  return undefined
}

const attacks = [
  '\u001b[2J\u001b[31m',
  '\u001b]0;title\u0007',
  '\u001b]8;;http://evil/\u001b\\link\u001b]8;;\u001b\\',
  '\u009b31m',
  '\r\nINFO all is well\r\n',
  '\n::error::forged\n',
  '::warning file=x::forged',
  '  ::stop-commands::x',
  '##[error]forged',
  '###[group]x',
  '##vso[task.setvariable variable=x]y',
  "##teamcity[buildStatus text='x']",
  '\u202eevil\u202c',
  '\u2066x\u2069',
  'a\u200bb\u200d\u2060\ufeff',
  '\u2028\u2029\u0085',
  '\ud800',
  'x\udc00y',
  '\u{e0041}\u{e007f}',
  '\u00ad\u034f\u3164\ufe0f',
  '{"level":"error","msg":"forged"}',
  '{detail}{kind}{name}',
  "'; rm -rf / #",
  '"$(id)`id`',
  '\\u001b\\',
  '%s%n%d',
  '__proto__',
  'ｆｕｌｌ',
  '\ud83d\ude00\ud83d\udc68\u200d\ud83d\udc69',
  'Ünïcödé 漢字 مرحبا',
  'a,b.c: d; e',
  '\u0000',
]

/** Text of a few of these, of any characters, or very long. */
export function hostileText(random: Random): string {
  const parts = Array.from({ length: 1 + random.below(5) }, () => partOf(random))
  const text = parts.join('')
  return random.below(25) === 0 ? text.repeat(1 + random.below(20_000)).slice(0, 200_042) : text
}

function partOf(random: Random): string {
  switch (random.below(5)) {
    case 0:
      return String.fromCharCode(...Array.from({ length: 1 + random.below(12) }, () => random.below(0x10000)))
    case 1:
      return String.fromCharCode(...Array.from({ length: 1 + random.below(12) }, () => random.below(0xa0)))
    case 2:
      return `name-${random.below(1_000)}`
    default:
      return random.pick(attacks)
  }
}
