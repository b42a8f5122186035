/**
 * JSON from outside, parsed without loss and without overflow. JSON.parse accepts nesting that exhausts the stack of JSON.stringify and the
 * validator. It silently rounds numbers that a double cannot hold, and keeps only the last of two members of one name.
 *
 * The text is scanned once. The scan counts colons: a parsed value with fewer members than colons has lost one.
 */
import { isHeld } from '../../api/heldnumbers.ts'

/** Deeper nesting than any honest payload has. */
const maxDepth = 100

type Parsed =
  | { readonly kind: 'Value'; readonly value: unknown }
  | { readonly kind: 'Unfit'; readonly why: string }
  | { readonly kind: 'NotJson'; readonly why: string }

/** `why` completes "field x …"; it never quotes the text (V8's own message would). */
export function parseExactly(text: string): Parsed {
  const look = lookOver(text)
  if (look.depth > maxDepth) return { kind: 'Unfit', why: `nests deeper than ${maxDepth} levels` }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { kind: 'NotJson', why: 'is not JSON' }
  }
  if (!look.held) return { kind: 'Unfit', why: 'has a number that cannot be held exactly; send it as text' }
  if (membersOf(value) !== look.members) return { kind: 'Unfit', why: 'has an object in which a name occurs twice' }
  return { kind: 'Value', value }
}

interface Look {
  /** Deepest nesting of brackets outside strings; an upper bound for malformed text. */
  readonly depth: number
  /** Colons outside strings. */
  readonly members: number
  /** Whether a double holds every number. */
  readonly held: boolean
}

const [quote, backslash, colon, minus, nine, zero] = [0x22, 0x5c, 0x3a, 0x2d, 0x39, 0x30]

/** Its result counts only where the text is JSON. */
function lookOver(text: string): Look {
  let [depth, deepest, members] = [0, 0, 0]
  let held = true
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i)
    if (char === quote) i = endOfText(text, i)
    else if (char === colon) members++
    else if (char === 0x7b || char === 0x5b) deepest = Math.max(deepest, ++depth)
    else if (char === 0x7d || char === 0x5d) depth--
    else if (char === minus || (char >= zero && char <= nine)) {
      const end = endOfNumber(text, i)
      if (held && !isShort(text, i, end)) held = isHeld(text.slice(i, end))
      i = end - 1
    }
  }
  return { depth: deepest, members, held }
}

/** Index of the closing quote. */
function endOfText(text: string, start: number): number {
  let end = text.indexOf('"', start + 1)
  while (end !== -1) {
    let slashes = 0
    while (text.charCodeAt(end - 1 - slashes) === backslash) slashes++
    if (slashes % 2 === 0) return end
    end = text.indexOf('"', end + 1)
  }
  return text.length
}

function endOfNumber(text: string, start: number): number {
  let end = start + 1
  for (; end < text.length; end++) {
    const char = text.charCodeAt(end)
    const belongs = (char >= zero && char <= nine) || char === 0x2e || char === 0x2b || char === minus || (char | 0x20) === 0x65
    if (!belongs) break
  }
  return end
}

/** A double holds any fifteen characters without an exponent. */
function isShort(text: string, start: number, end: number): boolean {
  if (end - start > 15) return false
  for (let i = start; i < end; i++) if ((text.charCodeAt(i) | 0x20) === 0x65) return false
  return true
}

function membersOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  let members = 0
  if (Array.isArray(value)) {
    for (const item of value) if (typeof item === 'object') members += membersOf(item)
    return members
  }
  for (const member of Object.values(value)) {
    members += 1
    if (typeof member === 'object') members += membersOf(member)
  }
  return members
}
