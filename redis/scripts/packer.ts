/**
 * A script's many arguments as one: a MessagePack list of texts, which `cmsgpack.unpack` makes into a table. Ten arguments an
 * entry cost the client and the server more as arguments of a command (a header, a buffer and an object each) than all the rest
 * of forwarding it. Only what is long stays an argument of its own: Redis 7 hashes every byte of each string that enters Lua, so
 * a payload that came packed would be hashed twice.
 */
interface Packer {
  text(value: string): void
  /** Appends a number; it arrives as Lua's. */
  integer(value: number): void
  /** Appends one text made of parts, which are UTF-8 or already bytes. */
  joined(parts: readonly (string | Uint8Array)[]): void
  /** The list; nothing may be appended afterwards. */
  finish(): Buffer
}

const listHeader = 5
const textHeader = 5

/** @param capacity bytes to begin with; grows as needed */
export function createPacker(capacity: number): Packer {
  let packed = Buffer.allocUnsafe(Math.max(listHeader, capacity))
  let at = listHeader
  let count = 0

  const reserve = (bytes: number) => {
    if (at + bytes <= packed.length) return
    const larger = Buffer.allocUnsafe(Math.max(packed.length * 2, at + bytes))
    packed.copy(larger, 0, 0, at)
    packed = larger
  }
  const put = (value: string | Uint8Array) => {
    if (typeof value === 'string') at += packed.write(value, at)
    else {
      packed.set(value, at)
      at += value.length
    }
  }
  const joined = (parts: readonly (string | Uint8Array)[]) => {
    let most = textHeader
    // Three bytes is the most that a UTF-16 unit takes in UTF-8.
    for (const part of parts) most += typeof part === 'string' ? part.length * 3 : part.length
    reserve(most)
    const header = at
    at += textHeader
    for (const part of parts) put(part)
    packed[header] = 0xdb
    packed.writeUInt32BE(at - header - textHeader, header + 1)
    count += 1
  }
  return {
    text: (value) => joined([value]),
    integer(value) {
      reserve(9)
      packed[at] = 0xcb
      at = packed.writeDoubleBE(value, at + 1)
      count += 1
    },
    joined,
    finish() {
      packed[0] = 0xdd
      packed.writeUInt32BE(count, 1)
      return packed.subarray(0, at)
    },
  }
}
