/**
 * A script's many arguments as one: a MessagePack list of strings, which `cmsgpack.unpack` makes into a table. Ten arguments an
 * entry cost the client and the server more as arguments of a command (a header, a buffer and an object each) than all the rest
 * of forwarding it.
 */
import type { ScriptArgument } from '../script.ts'

const listHeader = 5
const stringHeader = 5

/** Binary-safe; numbers arrive as text, as they would in a command. */
export function packArguments(args: readonly ScriptArgument[]): Buffer {
  let most = listHeader
  // Three bytes is the most that a UTF-16 unit takes in UTF-8.
  for (const arg of args)
    most += stringHeader + (typeof arg === 'string' ? arg.length * 3 : Buffer.isBuffer(arg) ? arg.length : 24)
  const packed = Buffer.allocUnsafe(most)
  packed[0] = 0xdd
  let at = packed.writeUInt32BE(args.length, 1)
  for (const arg of args) {
    packed[at] = 0xdb
    const start = at + stringHeader
    const length = Buffer.isBuffer(arg) ? arg.copy(packed, start) : packed.write(String(arg), start)
    packed.writeUInt32BE(length, at + 1)
    at = start + length
  }
  return packed.subarray(0, at)
}
