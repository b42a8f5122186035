/** Entries as the arguments of dispatchAdd.lua: few large ones, since each argument costs client and server more than a short value. */
import { createPacker } from '../redis/scripts/packer.ts'

/** Arguments of the script. */
interface PackedEntries {
  readonly shapes: Buffer
  readonly entries: Buffer
  readonly texts: readonly string[]
}

/** From here on a value travels as an argument of its own: Redis would hash and copy its bytes twice. */
const longCharacters = 512
/** Of a text in the list, beside its bytes. */
const headerBytes = 5

/** @param entries field, value, … of each */
export function packEntries(entries: readonly (readonly string[])[]): PackedEntries {
  const shapes = createPacker(1_024)
  const packed = createPacker(capacityFor(entries))
  const texts: string[] = []
  const known = new Map<string, number>()
  let last: readonly string[] = []
  let shape = 0
  for (const flat of entries) {
    if (shape === 0 || !haveSameNames(last, flat)) shape = shapeOf(flat)
    last = flat
    packed.integer(shape)
    for (let at = 1; at < flat.length; at += 2) {
      const value = flat[at] ?? ''
      if (value.length < longCharacters) packed.text(value)
      else {
        packed.integer(0)
        texts.push(value)
      }
    }
  }

  function shapeOf(flat: readonly string[]): number {
    const names = flat.filter((_, at) => at % 2 === 0)
    const name = JSON.stringify(names)
    const found = known.get(name)
    if (found !== undefined) return found
    known.set(name, known.size + 1)
    shapes.integer(names.length)
    for (const each of names) shapes.text(each)
    return known.size
  }

  return { shapes: shapes.finish(), entries: packed.finish(), texts }
}

/** Enough for values of one byte per character: room for three is asked for with each value. */
function capacityFor(entries: readonly (readonly string[])[]): number {
  let bytes = longCharacters * 3
  for (const flat of entries) {
    for (let at = 1; at < flat.length; at += 2) {
      const characters = flat[at]?.length ?? 0
      bytes += headerBytes + (characters < longCharacters ? characters : 0)
    }
    bytes += 1
  }
  return bytes
}

function haveSameNames(some: readonly string[], others: readonly string[]): boolean {
  if (some.length !== others.length) return false
  for (let at = 0; at < some.length; at += 2) if (some[at] !== others[at]) return false
  return true
}
