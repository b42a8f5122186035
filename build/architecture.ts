/** docs/architecture.md: its drawings of floors, made from the imports. The text around them is written by hand. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { floorsOf, type Room, roomsOf } from './imports.ts'
import { root } from './root.ts'

export const architecturePage = 'docs/architecture.md'

/** The folders of the product. */
export const productFolders = [
  'api',
  'process',
  'redis',
  'scaling',
  'sampling',
  'client',
  'consumer',
  'operator',
  'local',
  'cli',
] as const

const drawings: Readonly<Record<string, () => string>> = {
  product: () => drawingOf(roomsOf('', productFolders)),
  redis: () => drawingOf(roomsOf('redis')),
}

/** A drawing stands between `<!-- floors NAME -->` and `<!-- end -->`. */
const place = /(<!-- floors (\w+) -->\n)[\s\S]*?(<!-- end -->)/g

/** The page with its drawings made anew. Throws where it asks for a drawing that is not known, or lacks one. */
export function architecture(): string {
  const page = readFileSync(join(root, architecturePage), 'utf8')
  const drawn = new Set<string>()
  const filled = page.replaceAll(place, (_, begin: string, name: string, end: string) => {
    const draw = drawings[name]
    if (draw === undefined) throw new Error(`${architecturePage}: no drawing is called ${name}`)
    drawn.add(name)
    return `${begin}\n\`\`\`\n${draw()}\n\`\`\`\n\n${end}`
  })
  const missing = Object.keys(drawings).filter((name) => !drawn.has(name))
  if (missing.length > 0) throw new Error(`${architecturePage}: no place for the drawing ${missing.join(', ')}`)
  return filled
}

/** A line for each room, beside it the rooms that it imports; the highest floor first. */
function drawingOf(rooms: readonly Room[]): string {
  const nameOf = ({ name }: Room) => name.replace(/\.ts$/, '')
  const width = Math.max(...rooms.map((room) => nameOf(room).length))
  const edge = (left: string, right: string) => `${left}${'─'.repeat(width + 2)}${right}`
  const floors = floorsOf(rooms).map((floor) =>
    floor.map((room) => {
      const imports = room.imports.map((name) => name.replace(/\.ts$/, '')).join(' ')
      return `│ ${nameOf(room).padEnd(width)} │${imports === '' ? '' : `  ${imports}`}`
    }),
  )
  const inside = floors.toReversed().map((lines) => lines.join('\n'))
  return `${edge('┌', '┐')}\n${inside.join(`\n${edge('├', '┤')}\n`)}\n${edge('└', '┘')}`
}
