/**
 * JSON from outside, parsed so that nothing is lost and nothing overflows: JSON.parse takes nesting on which JSON.stringify and
 * the validator run out of stack, and silently rounds integers that a double cannot hold.
 */

/** Deeper nesting than any honest payload has. */
export const maxDepth = 100

type Parsed = { readonly kind: 'Value'; readonly value: unknown } | { readonly kind: 'Unfit'; readonly why: string }

/** `why` completes "field x …"; it never quotes the text (V8's own message would). */
export function parseExactly(text: string): Parsed {
  if (depthOf(text) > maxDepth) return { kind: 'Unfit', why: `nests deeper than ${maxDepth} levels` }
  let exact = true
  const look = (_: string, value: unknown, context: { readonly source?: string }) => {
    if (typeof value === 'number' && isRounded(value, context.source)) exact = false
    return value
  }
  let value: unknown
  try {
    // The second pass is slow, and only long digits or large exponents can need it.
    value = /[0-9]{16}|[eE]\+?[0-9]{3}/.test(text)
      ? JSON.parse(text, look as (key: string, value: unknown) => unknown)
      : JSON.parse(text)
  } catch {
    return { kind: 'Unfit', why: 'is not JSON' }
  }
  if (!exact) return { kind: 'Unfit', why: 'has a number that cannot be held exactly; send it as text' }
  return { kind: 'Value', value }
}

function isRounded(value: number, source: string | undefined): boolean {
  if (!Number.isFinite(value)) return true
  return Number.isInteger(value) && !Number.isSafeInteger(value) && /^-?[0-9]+$/.test(source ?? '')
}

/** Deepest nesting of brackets outside strings; an upper bound for malformed text. */
function depthOf(text: string): number {
  let depth = 0
  let deepest = 0
  let quoted = false
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i)
    if (quoted) {
      if (char === 0x5c) i++
      else if (char === 0x22) quoted = false
    } else if (char === 0x22) quoted = true
    else if (char === 0x7b || char === 0x5b) deepest = Math.max(deepest, ++depth)
    else if (char === 0x7d || char === 0x5d) depth--
  }
  return deepest
}
