/**
 * Reads replies of Redis, of RESP2 and RESP3, from bytes in pieces of any size. The peer is untrusted. No input makes the parser throw,
 * exceed its limits, or do more work than the bytes are long.
 *
 * - A declared length or count is judged when it is read, before anything of that size exists. Lists grow as their items arrive.
 * - A line or a text that continues in the next piece is kept in one buffer. The buffer grows with the bytes that arrived, not with the
 *   announced length. A million pieces of one byte cost no more than one piece.
 * - Lists are kept on a stack of their own (assembly.ts).
 * - The first problem is the last: the state after it is unknown, so later bytes are ignored.
 *
 * Values have ioredis' default shapes: texts are Buffers, maps are flat lists, sets are lists, booleans are 1 and 0, doubles are their
 * text. A text that lies whole in a piece is a view of that piece, not a copy.
 *
 * Unrequested messages (pushes, attributes) and lengths that follow later (streamed texts) are problems: this product never requests them.
 */
import { ReplyError } from 'ioredis'
import {
  type Assembly,
  addValue,
  beginList,
  countBytes,
  createAssembly,
  type ReplyHandlers,
  type ReplySink,
  refuse,
  sunk,
} from './assembly.ts'
import type { ReplyLimits } from './limits.ts'

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

/** A line or a text that continues in the next piece. */
interface Unread {
  /** Its first bytes, `kept` of them. A sink takes the bytes of a text at once: `kept` then counts them. */
  store: Buffer
  kept: number
  /** Length of the text under way, with its line end. 0: a line is under way, or nothing. */
  awaited: number
  awaitedType: number
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
const nothingKept = Buffer.alloc(0)

export function createReplyParser(limits: ReplyLimits, handlers: ReplyHandlers): ReplyParser {
  const assembly = createAssembly(limits, handlers)
  const unread: Unread = { store: nothingKept, kept: 0, awaited: 0, awaitedType: 0 }
  return {
    write(piece) {
      for (let at = 0; at !== -1 && at < piece.length && assembly.problem === undefined; ) {
        at = unread.awaited > 0 ? readText(assembly, unread, piece, at) : readLine(assembly, unread, piece, at)
      }
      if (assembly.problem !== undefined) takeStore(unread)
      return assembly.problem
    },
    get held() {
      const { open, sink, bytes, items } = assembly
      return unread.store.length + (sink?.held ?? 0) + (open === undefined ? 0 : bytes - unread.awaited + items * itemBytes)
    },
    get incomplete() {
      const { problem, open, sink } = assembly
      return problem === undefined && (open !== undefined || sink !== undefined || unread.kept > 0 || unread.awaited > 0)
    },
  }
}

/** Appends to the kept bytes. `most`: the bound on their final length. */
function keep(unread: Unread, piece: Buffer, from: number, to: number, most: number): void {
  const needed = unread.kept + to - from
  if (needed > unread.store.length) {
    const length = Math.max(needed, Math.min(most, Math.max(smallestBuffer, 2 * unread.store.length)))
    const larger = Buffer.allocUnsafeSlow(length)
    unread.store.copy(larger, 0, 0, unread.kept)
    unread.store = larger
  }
  piece.copy(unread.store, unread.kept, from, to)
  unread.kept = needed
}

/** From now on the store belongs to the reply, where it holds a text. */
function takeStore(unread: Unread): Buffer {
  const taken = unread.store
  unread.store = nothingKept
  unread.kept = 0
  return taken
}

/** @returns where the piece continues; -1: refused, or more is awaited */
function readLine(assembly: Assembly, unread: Unread, piece: Buffer, at: number): number {
  const type = unread.kept > 0 ? unread.store[0] : piece[at]
  const longest = longestOf(type)
  if (longest === 0) return stopped(assembly, `it begins with byte ${type}, which is no type of a reply`)
  const end = piece.indexOf(lineFeed, at)
  const to = end === -1 ? piece.length : end + 1
  const length = unread.kept + to - at
  if (length > longest) return stopped(assembly, 'a line that is too long')
  if (end === -1 || unread.kept > 0) keep(unread, piece, at, to, longest)
  if (end === -1) return -1
  const whole = unread.kept > 0
  const source = whole ? takeStore(unread) : piece
  const from = whole ? 0 : at
  if (length < 3 || source[from + length - 2] !== carriageReturn) {
    return stopped(assembly, 'a line that ends otherwise than with CR LF')
  }
  return line(assembly, unread, source, from, from + length - 2) ? to : -1
}

/** Continues a text. @returns as readLine */
function readText(assembly: Assembly, unread: Unread, piece: Buffer, at: number): number {
  const { awaited, awaitedType } = unread
  if (assembly.sink !== undefined && awaitedType === bulkText) return readIntoSink(assembly, unread, assembly.sink, piece, at)
  const to = Math.min(piece.length, at + awaited - unread.kept)
  if (unread.kept === 0 && to - at === awaited) {
    unread.awaited = 0
    return text(assembly, awaitedType, piece, at, to) ? to : -1
  }
  keep(unread, piece, at, to, awaited)
  if (unread.kept < awaited) return -1
  unread.awaited = 0
  return text(assembly, awaitedType, takeStore(unread), 0, awaited) ? to : -1
}

/** Continues a text that a sink takes. @returns as readLine */
function readIntoSink(assembly: Assembly, unread: Unread, sink: ReplySink, piece: Buffer, at: number): number {
  const length = unread.awaited - 2
  let next = at
  if (unread.kept < length) {
    next = Math.min(piece.length, at + length - unread.kept)
    sink.append(piece, at, next)
    unread.kept += next - at
  }
  for (; unread.kept >= length && unread.kept < unread.awaited && next < piece.length; next++) {
    if (piece[next] !== (unread.kept === length ? carriageReturn : lineFeed)) {
      return stopped(assembly, 'a text longer than its length')
    }
    unread.kept += 1
  }
  if (unread.kept < unread.awaited) return -1
  unread.awaited = 0
  unread.kept = 0
  return sunk(assembly, sink.text()) ? next : -1
}

function stopped(assembly: Assembly, problem: string): -1 {
  refuse(assembly, problem)
  return -1
}

/** One line without its end. */
function line(assembly: Assembly, unread: Unread, source: Buffer, from: number, to: number): boolean {
  if (!countBytes(assembly, to - from + 2)) return false
  const type = source[from]
  const start = from + 1
  switch (type) {
    case simpleText:
      return addValue(assembly, source.subarray(start, to))
    case simpleError:
      return addValue(assembly, new ReplyError(source.toString('utf8', start, to)) as Error)
    case integer: {
      const number = numberIn(source, start, to)
      return number === undefined ? refuse(assembly, 'an invalid number') : addValue(assembly, number)
    }
    case bulkText:
    case bulkError:
    case verbatim: {
      const length = lengthOf(assembly, source, start, to, 'a text')
      return length !== undefined && beginText(assembly, unread, type, length)
    }
    case list:
    case set:
    case map: {
      const count = lengthOf(assembly, source, start, to, 'a list')
      if (count === undefined) return false
      if (count === -1) return type === list ? addValue(assembly, null) : refuse(assembly, 'the length of a list is invalid')
      return beginList(assembly, type === map ? 2 * count : count, type === map)
    }
    case nothing:
      return to === start ? addValue(assembly, null) : refuse(assembly, 'a null with a value')
    case boolean:
      return to === start + 1 && (source[start] === 116 || source[start] === 102)
        ? addValue(assembly, source[start] === 116 ? 1 : 0)
        : refuse(assembly, 'an invalid boolean')
    case double:
      return isDouble(source.toString('latin1', start, Math.min(to, start + longestLine)))
        ? addValue(assembly, source.subarray(start, to))
        : refuse(assembly, 'an invalid double')
    case bigNumber: {
      const text = source.toString('latin1', start, to)
      return /^[+-]?\d+$/.test(text) ? addValue(assembly, text) : refuse(assembly, 'an invalid big number')
    }
    case push:
      return refuse(assembly, 'a message that was not requested')
    default:
      return refuse(assembly, 'the type of the reply is unknown')
  }
}

function text(assembly: Assembly, type: number, source: Buffer, from: number, to: number): boolean {
  if (source[to - 2] !== carriageReturn || source[to - 1] !== lineFeed) return refuse(assembly, 'a text longer than its length')
  const end = to - 2
  if (type === bulkError) return addValue(assembly, new ReplyError(source.toString('utf8', from, end)) as Error)
  if (type === bulkText) return addValue(assembly, source.subarray(from, end))
  // Three letters name the format, and a colon ends them.
  return end - from >= 4 && source[from + 3] === 58
    ? addValue(assembly, source.subarray(from + 4, end))
    : refuse(assembly, 'a verbatim text without a format')
}

/** Length of a text or a list. -1 is RESP2's null. Undefined: refused. */
function lengthOf(assembly: Assembly, source: Buffer, from: number, to: number, what: string): number | undefined {
  const length = numberIn(source, from, to)
  if (length !== undefined && length >= -1 && Number.isSafeInteger(length)) return length
  refuse(assembly, `the length of ${what} is invalid`)
  return undefined
}

function beginText(assembly: Assembly, unread: Unread, type: number, length: number): boolean {
  if (length === -1) return type === bulkText ? addValue(assembly, null) : refuse(assembly, 'an error or a text without a length')
  if (!countBytes(assembly, length + 2)) return false
  unread.awaited = length + 2
  unread.awaitedType = type
  return true
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
