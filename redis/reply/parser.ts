/**
 * Reads replies of Redis, of RESP2 and RESP3, from bytes in pieces of any size. The peer is untrusted. No input makes the parser throw,
 * exceed its limits, or do more work than the bytes are long.
 *
 * - A declared length or count is judged when it is read, before anything of that size exists. Lists grow as their items arrive.
 * - A line or a text that continues in the next piece is kept in one buffer. The buffer grows with the bytes that arrived, not with the
 *   announced length. A million pieces of one byte cost no more than one piece.
 * - Lists are kept on a stack of their own. Depth is a number, not a recursion.
 * - The first fault is the last: the state after it is unknown, so later bytes are ignored.
 *
 * Values have ioredis' default shapes: texts are Buffers, maps are flat lists, sets are lists, booleans are 1 and 0, doubles are their
 * text. A text that lies whole in a piece is a view of that piece, not a copy.
 *
 * Unrequested messages (pushes, attributes) and lengths that follow later (streamed texts) are faults: this product never requests them.
 */
import { ReplyError } from 'ioredis'
import type { ReplyLimits } from './limits.ts'

export type Reply = Buffer | number | string | null | Error | Reply[]

interface ReplyHandlers {
  /** One whole reply without error. */
  readonly reply: (value: Reply) => void
  /** One whole reply that is a server's error. */
  readonly error: (error: Error) => void
}

interface ReplyParser {
  /**
   * Reads on. The handlers are called in order for each reply that this piece completes.
   * @returns why the peer's bytes are refused; undefined: they are valid so far
   */
  write(piece: Buffer): string | undefined
  /** Estimated bytes that an incomplete reply keeps. */
  readonly held: number
  /** True: the first byte of a reply came, but not its last. */
  readonly incomplete: boolean
}

/** A list that still lacks items. */
interface OpenList {
  readonly items: Reply[]
  missing: number
  readonly outer: OpenList | undefined
}

const byteOf = (text: string): number => text.charCodeAt(0)
const simpleText = byteOf('+')
const simpleError = byteOf('-')
const integer = byteOf(':')
const bulkText = byteOf('$')
const list = byteOf('*')
const nothing = byteOf('_')
const boolean = byteOf('#')
const double = byteOf(',')
const bigNumber = byteOf('(')
const bulkError = byteOf('!')
const verbatim = byteOf('=')
const map = byteOf('%')
const set = byteOf('~')
const push = byteOf('>')
const [carriageReturn, lineFeed] = [13, 10]

/** Longest number on the wire, sign included. */
const longestNumber = 24
/** Longest text or error in line form: Redis' own are below a kilobyte. */
const longestLine = 65_536
/** Overhead of a value beside its bytes. */
const itemBytes = 96
const smallestBuffer = 64

export function createReplyParser(limits: ReplyLimits, handlers: ReplyHandlers): ReplyParser {
  let fault: string | undefined
  let open: OpenList | undefined
  let depth = 0
  /** State of the reply under way. */
  let bytes = 0
  let items = 0
  /** A line or a text that continues in the next piece: `kept` bytes of `store`. */
  let store = Buffer.alloc(0)
  let kept = 0
  /** Length of the text under way, with its line end. 0: a line is under way, or nothing. */
  let awaited = 0
  let awaitedType = 0

  const refuse = (detail: string): false => {
    fault = detail
    store = Buffer.alloc(0)
    kept = 0
    open = undefined
    return false
  }

  /** Appends to the kept bytes. `most`: the bound on their final length. */
  function keep(piece: Buffer, from: number, to: number, most: number): void {
    const needed = kept + to - from
    if (needed > store.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(most, Math.max(smallestBuffer, 2 * store.length))))
      store.copy(larger, 0, 0, kept)
      store = larger
    }
    piece.copy(store, kept, from, to)
    kept = needed
  }

  /** A whole value. */
  function value(found: Reply): boolean {
    let whole = found
    while (open !== undefined) {
      open.items.push(whole)
      open.missing -= 1
      if (open.missing > 0) return true
      whole = open.items
      open = open.outer
      depth -= 1
    }
    bytes = 0
    items = 0
    if (whole instanceof Error) handlers.error(whole)
    else handlers.reply(whole)
    return true
  }

  function beginList(count: number): boolean {
    if (items + count > limits.items) return refuse(`a reply of more than ${limits.items} values`)
    if (count === 0) return value([])
    if (depth >= limits.depth) return refuse(`lists within lists beyond ${limits.depth}`)
    items += count
    depth += 1
    open = { items: [], missing: count, outer: open }
    return true
  }

  /** Length of a text or a list. -1 is RESP2's null. Undefined: refused. */
  function lengthOf(source: Buffer, from: number, to: number, what: string): number | undefined {
    const length = numberIn(source, from, to)
    if (length !== undefined && length >= -1 && Number.isSafeInteger(length)) return length
    refuse(`the length of ${what} is invalid`)
    return undefined
  }

  function beginText(type: number, length: number): boolean {
    if (length === -1) return type === bulkText ? value(null) : refuse('an error or a text without a length')
    if (bytes + length + 2 > limits.bytes) return refuse(`a reply of more than ${limits.bytes} bytes`)
    bytes += length + 2
    awaited = length + 2
    awaitedType = type
    return true
  }

  /** One line without its end. */
  function line(source: Buffer, from: number, to: number): boolean {
    bytes += to - from + 2
    if (bytes > limits.bytes) return refuse(`a reply of more than ${limits.bytes} bytes`)
    const type = source[from]
    const start = from + 1
    switch (type) {
      case simpleText:
        return value(source.subarray(start, to))
      case simpleError:
        return value(new ReplyError(source.toString('utf8', start, to)) as Error)
      case integer: {
        const number = numberIn(source, start, to)
        return number === undefined ? refuse('an invalid number') : value(number)
      }
      case bulkText:
      case bulkError:
      case verbatim: {
        const length = lengthOf(source, start, to, 'a text')
        return length !== undefined && beginText(type, length)
      }
      case list:
      case set:
      case map: {
        const count = lengthOf(source, start, to, 'a list')
        if (count === undefined) return false
        if (count === -1) return type === list ? value(null) : refuse('the length of a list is invalid')
        return beginList(type === map ? 2 * count : count)
      }
      case nothing:
        return to === start ? value(null) : refuse('a null with a value')
      case boolean:
        return to === start + 1 && (source[start] === 116 || source[start] === 102)
          ? value(source[start] === 116 ? 1 : 0)
          : refuse('an invalid boolean')
      case double:
        return isDouble(source.toString('latin1', start, Math.min(to, start + longestLine)))
          ? value(source.subarray(start, to))
          : refuse('an invalid double')
      case bigNumber: {
        const text = source.toString('latin1', start, to)
        return /^[+-]?\d+$/.test(text) ? value(text) : refuse('an invalid big number')
      }
      case push:
        return refuse('a message that was not requested')
      default:
        return refuse('the type of the reply is unknown')
    }
  }

  function text(type: number, source: Buffer, from: number, to: number): boolean {
    if (source[to - 2] !== carriageReturn || source[to - 1] !== lineFeed) return refuse('a text longer than its length')
    const end = to - 2
    if (type === bulkError) return value(new ReplyError(source.toString('utf8', from, end)) as Error)
    if (type === bulkText) return value(source.subarray(from, end))
    // Three letters name the format, and a colon ends them.
    return end - from >= 4 && source[from + 3] === 58
      ? value(source.subarray(from + 4, end))
      : refuse('a verbatim text without a format')
  }

  /** From now on the store belongs to the reply, where it holds a text. */
  function takeStore(): Buffer {
    const taken = store
    store = Buffer.alloc(0)
    kept = 0
    return taken
  }

  /** Continues a text. @returns where the piece continues; -1: refused, or more is awaited */
  function readText(piece: Buffer, at: number): number {
    const to = Math.min(piece.length, at + awaited - kept)
    if (kept === 0 && to - at === awaited) {
      awaited = 0
      return text(awaitedType, piece, at, to) ? to : -1
    }
    keep(piece, at, to, awaited)
    if (kept < awaited) return -1
    const length = awaited
    awaited = 0
    return text(awaitedType, takeStore(), 0, length) ? to : -1
  }

  /** @returns where the piece continues; -1: refused, or more is awaited */
  function readLine(piece: Buffer, at: number): number {
    const type = kept > 0 ? store[0] : piece[at]
    const longest = longestOf(type)
    if (longest === 0) {
      refuse(`it begins with byte ${type}, which is no type of a reply`)
      return -1
    }
    const end = piece.indexOf(lineFeed, at)
    const to = end === -1 ? piece.length : end + 1
    const length = kept + to - at
    if (length > longest) {
      refuse('a line that is too long')
      return -1
    }
    if (end === -1 || kept > 0) keep(piece, at, to, longest)
    if (end === -1) return -1
    const whole = kept > 0
    const source = whole ? takeStore() : piece
    const from = whole ? 0 : at
    if (length < 3 || source[from + length - 2] !== carriageReturn) {
      refuse('a line that ends otherwise than with CR LF')
      return -1
    }
    return line(source, from, from + length - 2) ? to : -1
  }

  return {
    write(piece) {
      for (let at = 0; at !== -1 && at < piece.length && fault === undefined; ) {
        at = awaited > 0 ? readText(piece, at) : readLine(piece, at)
      }
      return fault
    },
    get held() {
      return store.length + (open === undefined ? 0 : bytes - awaited + items * itemBytes)
    },
    get incomplete() {
      return fault === undefined && (open !== undefined || kept > 0 || awaited > 0)
    },
  }
}

/** Longest line of this type, with its type and end. 0: no line begins so. */
function longestOf(type: number | undefined): number {
  switch (type) {
    case simpleText:
    case simpleError:
    case bigNumber:
    case double:
      return longestLine
    case integer:
    case bulkText:
    case bulkError:
    case verbatim:
    case list:
    case set:
    case map:
    case push:
    case nothing:
    case boolean:
      return longestNumber + 3
    default:
      return 0
  }
}

/** Undefined: the text is no whole number. Beyond 2^53 the result is rounded to the nearest double. */
function numberIn(source: Buffer, from: number, to: number): number | undefined {
  const sign = source[from]
  let at = sign === 45 || sign === 43 ? from + 1 : from
  if (at >= to || to - from > longestNumber) return undefined
  let number = 0
  for (; at < to; at++) {
    const digit = (source[at] ?? 0) - 48
    if (digit < 0 || digit > 9) return undefined
    number = number * 10 + digit
  }
  return sign === 45 ? -number : number
}

const isDouble = (text: string): boolean => /^[+-]?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|inf|nan)$/.test(text)
