/**
 * Entries as the arguments of dispatchAdd.lua: few large ones, since each argument costs client and server more than a short value.
 * Names, and values that all entries of one shape have in common, are sent once with the shape: each text that enters Lua costs the server
 * more than its copy into the stream.
 */
import { createPacker } from '../redis/scripts/packer.ts'

/** Arguments of the script. */
interface PackedEntries {
  readonly shapes: Buffer
  readonly entries: Buffer
  readonly texts: readonly string[]
}

/** The field names of entries, in their order. */
interface Shape {
  readonly number: number
  /** Of the first entry. */
  readonly flat: readonly string[]
  /** Indexes in an entry of the values in which entries differ. */
  readonly varying: number[]
  entries: number
}

/** A value of this length travels as an argument of its own: in the list, Redis would hash and copy its bytes twice. */
const longCharacters = 512
/** Of a text in the list, beside its bytes. */
const headerBytes = 5

/** @param entries field, value, … of each */
export function packEntries(entries: readonly (readonly string[])[]): PackedEntries {
  const { shapes, shapeOf } = surveyed(entries)
  const packed = createPacker(capacityFor(entries))
  const texts: string[] = []
  for (const [index, flat] of entries.entries()) {
    const shape = shapeOf[index]
    if (shape === undefined) continue
    packed.integer(shape.number)
    for (const at of shape.varying) {
      const value = flat[at] ?? ''
      if (value.length < longCharacters) packed.text(value)
      else {
        packed.integer(0)
        texts.push(value)
      }
    }
  }
  return { shapes: packShapes(shapes), entries: packed.finish(), texts }
}

function surveyed(entries: readonly (readonly string[])[]) {
  const known = new Map<string, Shape>()
  let shape: Shape | undefined
  const shapeOf = entries.map((flat) => {
    if (shape === undefined || !haveSameNames(shape.flat, flat)) shape = shapeNamed(flat)
    shape.entries += 1
    noteDifferences(shape, flat)
    return shape
  })
  const shapes = [...known.values()]
  for (const each of shapes) if (each.entries === 1) each.varying.push(...valueIndexes(each.flat))

  function shapeNamed(flat: readonly string[]): Shape {
    const name = JSON.stringify(flat.filter((_, at) => at % 2 === 0))
    const found = known.get(name) ?? { number: known.size + 1, flat, varying: [], entries: 0 }
    known.set(name, found)
    return found
  }
  return { shapes, shapeOf }
}

const valueIndexes = (flat: readonly string[]) => flat.flatMap((_, at) => (at % 2 === 1 ? [at] : []))

function noteDifferences({ flat: first, varying }: Shape, flat: readonly string[]): void {
  if (flat === first) return
  for (let at = 1, place = 0; at < flat.length; at += 2) {
    if (varying[place] === at) place += 1
    else if (flat[at] !== first[at]) {
      varying.splice(place, 0, at)
      place += 1
    }
  }
}

function packShapes(shapes: readonly Shape[]): Buffer {
  const packed = createPacker(1_024)
  for (const { flat, varying } of shapes) {
    packed.integer(flat.length / 2)
    for (let at = 0; at < flat.length; at += 2) {
      packed.text(flat[at] ?? '')
      if (varying.includes(at + 1)) packed.integer(0)
      else packed.text(flat[at + 1] ?? '')
    }
  }
  return packed.finish()
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
