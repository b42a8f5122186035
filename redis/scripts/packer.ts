/**
 * A script's many arguments as one: a MessagePack list of texts, which `cmsgpack.unpack` makes into a table. Ten arguments of a
 * command for each entry need a header, a buffer and an object each. They cost client and server more than all the rest of
 * forwarding. Only long values, such as a job's data and options, stay arguments of their own. Redis 7 hashes every byte of each string
 * that enters Lua, so a packed payload would be hashed twice.
 */
interface Packer {
  text(value: string): void
  /** Appends a number; it arrives as Lua's. */
  integer(value: number): void
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
  const text = (value: string) => {
    const { length } = value
    // Three bytes is the most that a UTF-16 unit takes in UTF-8.
    reserve(textHeader + length * 3)
    const header = at
    at += textHeader
    const bytes = packed.write(value, at)
    at += bytes
    packed[header] = 0xdb
    packed[header + 1] = bytes >>> 24
    packed[header + 2] = bytes >>> 16
    packed[header + 3] = bytes >>> 8
    packed[header + 4] = bytes
    count += 1
  }
  return {
    text,
    integer(value) {
      if (Object.is(value & 127, value)) {
        reserve(1)
        packed[at] = value
        at += 1
        count += 1
        return
      }
      reserve(9)
      packed[at] = 0xcb
      at = packed.writeDoubleBE(value, at + 1)
      count += 1
    },
    finish() {
      packed[0] = 0xdd
      packed.writeUInt32BE(count, 1)
      return packed.subarray(0, at)
    },
  }
}
