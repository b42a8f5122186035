/**
 * The reply under way. Whole values arrive one by one. They become items of open lists, or parts for a sink. The last one completes the
 * reply. Open lists form a stack: depth is a number, not a recursion.
 *
 * The functions return false once the reply is refused. Its state is then unknown, so nothing may be added any more.
 *
 * State and functions stand apart, so that no function is long. Each value of a reply passes here.
 */
import type { ReplyLimits } from './limits.ts'

export type Reply = Buffer | number | string | null | Error | Reply[]

/** Takes the parts of one reply while they arrive. Each call returns why the reply is refused, or undefined. */
export interface ReplySink {
  /** A list of so many values begins; or a map, of names and values. A list without values has ended with that. */
  begin(count: number, isMap: boolean): string | undefined
  /** A part of a text. */
  append(piece: Buffer, from: number, to: number): void
  /** The text is whole. */
  text(): string | undefined
  /** A value that is no text. */
  other(value: number | string | null | Error): string | undefined
  /** Bytes that it keeps. */
  readonly held: number
}

export interface ReplyHandlers {
  /**
   * Called where a list begins that is a whole reply. The parser then gives it to the sink in place of `reply`.
   * @param ended to be called by the sink within the call that ends the reply
   */
  readonly sink?: (ended: () => void) => ReplySink | undefined
  /** One whole reply without error. */
  readonly reply: (value: Reply) => void
  /** One whole reply that is a server's error. */
  readonly error: (error: Error) => void
}

/** A list that still lacks items. */
interface OpenList {
  readonly items: Reply[]
  missing: number
  readonly outer: OpenList | undefined
}

export interface Assembly {
  readonly limits: ReplyLimits
  readonly handlers: ReplyHandlers
  /** To be called by the sink: the reply is whole, and a handler may begin another. */
  readonly endSink: () => void
  problem: string | undefined
  open: OpenList | undefined
  sink: ReplySink | undefined
  depth: number
  /** Bytes and values of the reply under way. */
  bytes: number
  items: number
}

export function createAssembly(limits: ReplyLimits, handlers: ReplyHandlers): Assembly {
  const assembly: Assembly = {
    limits,
    handlers,
    endSink() {
      assembly.sink = undefined
      assembly.bytes = 0
      assembly.items = 0
    },
    problem: undefined,
    open: undefined,
    sink: undefined,
    depth: 0,
    bytes: 0,
    items: 0,
  }
  return assembly
}

export function refuse(assembly: Assembly, problem: string): false {
  assembly.problem = problem
  assembly.open = undefined
  assembly.sink = undefined
  return false
}

/** @param problem a sink's answer */
export const sunk = (assembly: Assembly, problem: string | undefined): boolean =>
  problem === undefined || refuse(assembly, problem)

export function addValue(assembly: Assembly, value: Reply): boolean {
  if (assembly.sink !== undefined) return sinkValue(assembly, assembly.sink, value)
  let whole = value
  for (let { open } = assembly; open !== undefined; open = assembly.open) {
    open.items.push(whole)
    open.missing -= 1
    if (open.missing > 0) return true
    whole = open.items
    assembly.open = open.outer
    assembly.depth -= 1
  }
  assembly.bytes = 0
  assembly.items = 0
  if (whole instanceof Error) assembly.handlers.error(whole)
  else assembly.handlers.reply(whole)
  return true
}

function sinkValue(assembly: Assembly, sink: ReplySink, value: Reply): boolean {
  if (Array.isArray(value)) return sunk(assembly, sink.begin(0, false))
  if (!Buffer.isBuffer(value)) return sunk(assembly, sink.other(value))
  sink.append(value, 0, value.length)
  return sunk(assembly, sink.text())
}

export function beginList(assembly: Assembly, count: number, isMap: boolean): boolean {
  const { limits, handlers } = assembly
  if (assembly.items + count > limits.items) return refuse(assembly, `a reply of more than ${limits.items} values`)
  if (assembly.open === undefined && assembly.sink === undefined) assembly.sink = handlers.sink?.(assembly.endSink)
  if (assembly.sink !== undefined) {
    assembly.items += count
    return sunk(assembly, assembly.sink.begin(count, isMap))
  }
  if (count === 0) return addValue(assembly, [])
  if (assembly.depth >= limits.depth) return refuse(assembly, `lists within lists beyond ${limits.depth}`)
  assembly.items += count
  assembly.depth += 1
  assembly.open = { items: [], missing: count, outer: assembly.open }
  return true
}

/** Counts bytes of the reply on the wire. */
export function countBytes(assembly: Assembly, bytes: number): boolean {
  assembly.bytes += bytes
  if (assembly.bytes <= assembly.limits.bytes) return true
  return refuse(assembly, `a reply of more than ${assembly.limits.bytes} bytes`)
}
