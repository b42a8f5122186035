/**
 * The imports between source files, read from their text. Imports of types count too: a reader of a file also needs the files that
 * declare its types.
 */
import { globSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { root } from './root.ts'

const commentLine = /^\s*(?:\/?\*|\/\/).*$/gm
const importedPath = /(?:\bfrom|\bimport)\s*\(?\s*'(\.[^']+)'/g

/** Files that `path` imports by a relative path. All paths are relative to the repository. */
export function importsOf(path: string): string[] {
  const text = readFileSync(join(root, path), 'utf8').replace(commentLine, '')
  return [...text.matchAll(importedPath)].map(([, target = '']) => posix.join(posix.dirname(path), target))
}

export interface Room {
  readonly name: string
  /** Names of the other rooms that its files import, in order. */
  readonly imports: readonly string[]
}

/**
 * The parts of `folder`, and which of them import one another. A part is a subfolder, or a file that stands in `folder` itself.
 * @param folder empty: the repository, of which `names` are the parts
 */
export function roomsOf(folder: string, names?: readonly string[]): readonly Room[] {
  const files = (names ?? [folder]).flatMap((name) => globSync(`${name}/**/*.ts`, { cwd: root })).toSorted()
  const depth = folder === '' ? 0 : folder.split('/').length
  const roomOf = (path: string) => path.split('/')[depth] ?? ''
  const inside = new Set(files)
  return Object.entries(Object.groupBy(files, roomOf))
    .map(([name, own = []]) => {
      const targets = own.flatMap(importsOf).filter((target) => inside.has(target) && roomOf(target) !== name)
      return { name, imports: [...new Set(targets.map(roomOf))].toSorted() }
    })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

/**
 * Rooms by floor, lowest first. A room stands one floor above the highest room that it imports. Throws where rooms import one
 * another in a circle.
 */
export function floorsOf(rooms: readonly Room[]): readonly (readonly Room[])[] {
  const floors: Room[][] = []
  let left = rooms
  const placed = new Set<string>()
  while (left.length > 0) {
    const floor = left.filter(({ imports }) => imports.every((name) => placed.has(name)))
    if (floor.length === 0) throw new Error(`these import one another in a circle: ${left.map(({ name }) => name).join(', ')}`)
    floors.push(floor)
    for (const { name } of floor) placed.add(name)
    left = left.filter((room) => !placed.has(room.name))
  }
  return floors
}
