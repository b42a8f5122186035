/**
 * The structure of a regular expression of JSON Schema, which is one of ECMAScript with the flag `u`. Only the structure is read here:
 * a single character, an escape or a class stays as its text, for V8 to judge one character by it. V8 has accepted the whole before, so the
 * text is known to be well formed.
 */

interface Flags {
  readonly ignoreCase: boolean
  readonly multiline: boolean
  readonly dotAll: boolean
}

export type Edge = 'Start' | 'End' | 'LineStart' | 'LineEnd' | 'Boundary' | 'NoBoundary'

export type Shape =
  /** One character of the class that the text spells. */
  | { readonly kind: 'Character'; readonly text: string; readonly flags: Flags }
  | { readonly kind: 'Sequence'; readonly parts: readonly Shape[] }
  | { readonly kind: 'Choice'; readonly options: readonly Shape[] }
  /** `most` undefined: without end. */
  | { readonly kind: 'Repeat'; readonly body: Shape; readonly least: number; readonly most: number | undefined }
  | { readonly kind: 'Edge'; readonly edge: Edge; readonly ignoreCase: boolean }
  | { readonly kind: 'Look'; readonly behind: boolean; readonly negative: boolean; readonly body: Shape }

/** A construct that no engine runs in linear time. The message completes "cannot be run in linear time". */
export class NotLinear extends Error {}

const character = /\\[pP]\{[^}]*\}|\\u\{[^}]*\}|\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u.{4}|\\x..|\\c.|\\.|[\s\S]/uy
const quantifier = /([*+?]|\{(\d+)(,(\d*))?\})\??/y
const opening = /\(\?(?:<?[=!]|:|<[^>]*>|[ims]*(?:-[ims]*)?:)|\(/y

/** Groups within groups. */
const deepest = 1_000

const plain: Flags = { ignoreCase: false, multiline: false, dotAll: false }

/** Throws NotLinear for back-references and very deep nesting. @param pattern that V8 takes with the flag `u` */
export function parse(pattern: string): Shape {
  let at = 0
  let depth = 0

  const taken = (form: RegExp): RegExpExecArray | null => {
    form.lastIndex = at
    const found = form.exec(pattern)
    if (found !== null) at = form.lastIndex
    return found
  }

  const choice = (flags: Flags): Shape => {
    const options = [sequence(flags)]
    while (pattern[at] === '|') {
      at += 1
      options.push(sequence(flags))
    }
    const [only] = options
    return options.length === 1 && only !== undefined ? only : { kind: 'Choice', options }
  }

  const sequence = (flags: Flags): Shape => {
    const parts: Shape[] = []
    while (at < pattern.length && pattern[at] !== '|' && pattern[at] !== ')') parts.push(repeated(term(flags)))
    return { kind: 'Sequence', parts }
  }

  const repeated = (body: Shape): Shape => {
    const found = taken(quantifier)
    if (found === null) return body
    const [, sign, least, open, most] = found
    switch (sign) {
      case '*':
        return { kind: 'Repeat', body, least: 0, most: undefined }
      case '+':
        return { kind: 'Repeat', body, least: 1, most: undefined }
      case '?':
        return { kind: 'Repeat', body, least: 0, most: 1 }
      default:
        return { kind: 'Repeat', body, least: Number(least), most: upper(least, open, most) }
    }
  }

  const term = (flags: Flags): Shape => {
    switch (pattern[at]) {
      case '(':
        return group(flags)
      case '[':
        return { kind: 'Character', text: classText(), flags }
      case '^':
        at += 1
        return { kind: 'Edge', edge: flags.multiline ? 'LineStart' : 'Start', ignoreCase: false }
      case '$':
        at += 1
        return { kind: 'Edge', edge: flags.multiline ? 'LineEnd' : 'End', ignoreCase: false }
      default:
        return single(flags)
    }
  }

  const single = (flags: Flags): Shape => {
    const text = taken(character)?.[0] ?? ''
    if (text === '\\b' || text === '\\B') {
      return { kind: 'Edge', edge: text === '\\b' ? 'Boundary' : 'NoBoundary', ignoreCase: flags.ignoreCase }
    }
    if (/^\\(?:[1-9]|k)/.test(text)) throw new NotLinear(`it refers back to a group: ${text}`)
    return { kind: 'Character', text, flags }
  }

  const classText = (): string => {
    const begun = at
    at += 1
    while (pattern[at] !== ']') at += pattern[at] === '\\' ? 2 : 1
    at += 1
    return pattern.slice(begun, at)
  }

  const group = (flags: Flags): Shape => {
    const text = taken(opening)?.[0] ?? ''
    if (++depth > deepest) throw new NotLinear(`it nests more than ${deepest} groups`)
    const body = choice(flagsBy(text, flags))
    depth -= 1
    at += 1
    if (!/^\(\?<?[=!]$/.test(text)) return body
    return { kind: 'Look', behind: text.includes('<'), negative: text.endsWith('!'), body }
  }

  return choice(plain)
}

function upper(least: string | undefined, open: string | undefined, most: string | undefined): number | undefined {
  if (open === undefined) return Number(least)
  return most === undefined || most === '' ? undefined : Number(most)
}

/** `(?i-s:` and the like. */
function flagsBy(opening: string, flags: Flags): Flags {
  const found = /^\(\?([ims]*)(?:-([ims]*))?:$/.exec(opening)
  if (found === null) return flags
  const [, on = '', off = ''] = found
  const now = (letter: string, before: boolean) => on.includes(letter) || (before && !off.includes(letter))
  return {
    ignoreCase: now('i', flags.ignoreCase),
    multiline: now('m', flags.multiline),
    dotAll: now('s', flags.dotAll),
  }
}

/** The syntax for the same texts, read from their end. Assertions stay as they are. */
export function reversed(shape: Shape): Shape {
  switch (shape.kind) {
    case 'Sequence':
      return { kind: 'Sequence', parts: shape.parts.map(reversed).reverse() }
    case 'Choice':
      return { kind: 'Choice', options: shape.options.map(reversed) }
    case 'Repeat':
      return { ...shape, body: reversed(shape.body) }
    case 'Character':
    case 'Edge':
    case 'Look':
      return shape
    default:
      return shape satisfies never
  }
}
