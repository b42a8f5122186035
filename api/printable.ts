/**
 * Text from outside, made safe to show: in a terminal, a log line, a condition, an Event, a CI log, a command to paste.
 *
 * Other programs and people write names, entries, replies and errors. A terminal obeys control characters. Bidirectional marks reorder the
 * text that a person reads. Zero-width characters make two names look alike. A line break forges a log line. `::error::` and `##[…]` are
 * commands to a CI runner. Each becomes its escape here (`\u001b`), and a cut never splits a character or an escape.
 *
 * All output passes twice: each value where a message is made (api/errors.ts), and the line where it is written. So every function here is
 * idempotent: printable text stays as it is.
 */

/** Longest name in a message. */
export const mostName = 60
/** Longest single value in a message: a server's reply, another program's error. */
export const mostDetail = 1_000
/** Longest message. */
export const mostMessage = 4_000

/** Controls, format characters (bidi, zero-width, tags), lone surrogates, separators, invisible characters, spaces but the plain one. */
const invisible =
  '[\\p{Cc}\\p{Cf}\\p{Cs}\\p{Zl}\\p{Zp}\\p{Default_Ignorable_Code_Point}\\p{Noncharacter_Code_Point}]|(?! )\\p{Zs}|\\u2800'
/** CI runners read `##[group]`, `##vso[…]` and `##teamcity[…]` anywhere in a line, and `::error::` only at its beginning. */
const runnerCommand = '##(?=[\\w-]{0,64}\\[)'
const unprintable = new RegExp(`${invisible}|${runnerCommand}|(?<=^[\\s]*)::`, 'gu')
const unprintableInJson = new RegExp(`(?!\\n)(?:${invisible})|${runnerCommand}`, 'gu')

/** Most texts lack all of these; this test is ten times faster. */
const suspicious = /[^ -~]|##|::/
const suspiciousInJson = /[^ -~\n]|##/

const short: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '##': '#\\u0023', '::': '\\u003a:' }

const hex = (code: number) => code.toString(16).padStart(4, '0')

function escaped(match: string): string {
  const code = match.codePointAt(0) ?? 0
  return short[match] ?? (code > 0xffff ? `\\u{${hex(code)}}` : `\\u${hex(code)}`)
}

/**
 * The text in one line, of at most `most` characters. A longer one ends in `…`.
 * @param most Infinity for a line that is made of bounded values
 */
export function printable(text: string, most = mostDetail): string {
  // The text beyond the bound is not examined: a text may have hundreds of megabytes.
  const whole = text.length <= most
  const head = whole ? text : text.slice(0, most + 1)
  const shown = suspicious.test(head) ? head.replaceAll(unprintable, escaped) : head
  return whole && shown.length <= most ? shown : `${headOf(shown, most - 1)}…`
}

/** Half a character, or half an escape, at the end of a text. */
const cutHalf = /(?:\\(?:u(?:\{[0-9a-f]{0,6}|[0-9a-f]{0,3}))?|[\ud800-\udbff])$/

const headOf = (shown: string, most: number): string => shown.slice(0, most).replace(cutHalf, '')

/** A name in one line. A longer one keeps its beginning and its end: the end identifies the key within a queue. */
export function printableName(name: string, most = mostName): string {
  const bounded = name.length <= 4 * most ? name : `${name.slice(0, 2 * most)}\u2026${name.slice(-2 * most)}`
  const shown = printable(bounded, Number.POSITIVE_INFINITY)
  if (shown.length <= most) return shown
  const tail = Math.floor(most / 3)
  return `${headOf(shown, most - tail - 1)}…${tailOf(shown, tail)}`
}

/** The last characters, from the first whole one on. */
function tailOf(shown: string, most: number): string {
  const tail = shown.slice(-most)
  const before = shown.slice(0, -most)
  const begun = cutHalf.exec(before)?.[0] ?? ''
  if (begun === '') return tail
  return tail.replace(/^(?:[\udc00-\udfff]|u?\{?[0-9a-f]{0,6}\}?|[nrt])/, '')
}

/** A name in quotes, for the middle of a sentence. */
export function quotedName(name: string): string {
  return `"${printableName(name)}"`
}

/** Lines of our own: each is printable, and the breaks between them stay. */
export function printableLines(text: string): string {
  return text
    .split('\n')
    .map((line) => printable(line, Number.POSITIVE_INFINITY))
    .join('\n')
}

/** JSON text of the same value, with every such character escaped. Breaks between members stay. */
export function printableJson(json: string): string {
  if (!suspiciousInJson.test(json)) return json
  return json.replaceAll(unprintableInJson, (match) =>
    match === '##' ? '#\\u0023' : Array.from({ length: match.length }, (_, at) => `\\u${hex(match.charCodeAt(at))}`).join(''),
  )
}
