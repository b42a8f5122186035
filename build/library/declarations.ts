/**
 * The exports of the library, read from the text of its sources: names of client/index.ts, their declarations, members and docstrings. The
 * formatter gives each declaration its form, so reading by lines is enough. The first line of a member is indented by two blanks.
 * The last line of a declaration is not indented.
 */
import { readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { root } from '../root.ts'

export interface Member {
  readonly name: string
  readonly optional: boolean
  readonly type: string
  readonly doc: string
}

export interface Declaration {
  readonly name: string
  /** A class is listed in the form of an interface. */
  readonly kind: 'function' | 'interface' | 'type'
  /** As a caller writes it: the call of a function, the name of a type with its parameters. */
  readonly head: string
  readonly doc: string
  /** Name of the interface that it extends. */
  readonly beyond: string | undefined
  readonly members: readonly Member[]
  /** Of a type: what it stands for. */
  readonly text: string
}

const entry = 'client/index.ts'

/** In the order of client/index.ts. Throws for an export whose declaration has another form. */
export function libraryExports(): readonly Declaration[] {
  const text = readFileSync(join(root, entry), 'utf8')
  return [...text.matchAll(/^export (?:type )?\{([^}]*)\} from '([^']+)'/gm)].flatMap(([, names = '', file = '']) =>
    names
      .split(',')
      .map((name) => name.replace(/\btype\b/, '').trim())
      .filter((name) => name !== '')
      .map((name) => declared(name, posix.join(posix.dirname(entry), file))),
  )
}

function declared(name: string, file: string): Declaration {
  const source = readFileSync(join(root, file), 'utf8')
  // A function that loads another at its first call has the type and the docstring of that one.
  const [, behind] = new RegExp(`^export const ${name}: typeof import\\('([^']+)'\\)\\.${name} =`, 'm').exec(source) ?? []
  if (behind !== undefined) return declared(name, posix.join(posix.dirname(file), behind))
  const lines = source.split('\n')
  const pattern = new RegExp(`^export (?:async )?(function|interface|type|class) ${name}\\b`)
  const at = lines.findIndex((line) => pattern.test(line))
  const [, word = ''] = pattern.exec(lines[at] ?? '') ?? []
  const doc = docBefore(lines, at)
  switch (word) {
    case 'function':
      return { name, kind: 'function', head: callOf(lines, at, name), doc, beyond: undefined, members: [], text: '' }
    case 'interface':
    case 'class': {
      const end = lines.indexOf('}', at)
      const [, beyond] = / extends (\w+) \{$/.exec(lines[at] ?? '') ?? []
      return { name, kind: 'interface', head: name, doc, beyond, members: membersOf(lines.slice(at + 1, end)), text: '' }
    }
    case 'type': {
      const end = lines.findIndex((line, index) => index > at && /^\S/.test(line) && !line.startsWith('}'))
      const body = lines.slice(at, end === -1 ? undefined : end)
      const ended = body.findLastIndex((line) => /^\s+[^\s/*]|^\}|^export/.test(line)) + 1
      const declared = body.slice(0, ended).join('\n')
      return {
        name,
        kind: 'type',
        head: name,
        doc,
        beyond: undefined,
        members: [],
        text: declared.slice(declared.indexOf('=') + 1).trim(),
      }
    }
    default:
      throw new Error(`${file} has no declaration of ${name} that this program reads`)
  }
}

/** The text of the docstring that ends on the line before `at`, on one line. */
function docBefore(lines: readonly string[], at: number): string {
  if (!/\*\/\s*$/.test(lines[at - 1] ?? '')) return ''
  let from = at - 1
  while (from > 0 && !/^\s*\/\*\*/.test(lines[from] ?? '')) from -= 1
  return lines
    .slice(from, at)
    .map((line) => line.replace(/^\s*(?:\/\*\*|\*\/|\*)\s?/, '').replace(/\s*\*\/\s*$/, ''))
    .join('\n')
    .trim()
}

/** The head of a function up to its body, without the word `export`. */
function callOf(lines: readonly string[], at: number, name: string): string {
  const end = lines.findIndex((line, index) => index >= at && / \{$/.test(line))
  const head = lines.slice(at, end + 1).join('\n')
  return head.slice(head.indexOf(name)).replace(/ \{$/, '')
}

/** Members of an interface or public ones of a class, from the lines between its braces. */
function membersOf(lines: readonly string[]): readonly Member[] {
  const members: Member[] = []
  for (const [at, line] of lines.entries()) {
    const start = /^ {2}(?:override )?(?:readonly |get )?'?([\w~]+)'?(?:<.*>)?(\??)(?=[:(<])/.exec(line)
    const [, name = '', optional = ''] = start ?? []
    if (start === null || name === 'constructor') continue
    const end = lines.findIndex((next, index) => index > at && /^ {2}\S/.test(next) && !/^ {2}[)}\]>]/.test(next))
    const body = lines
      .slice(at, end === -1 ? undefined : end)
      .filter((each) => !/^\s*(?:\/\*\*|\*)/.test(each))
      .join(' ')
      .replaceAll(/\s+/g, ' ')
      .trim()
    members.push({ name, optional: optional === '?', type: typeIn(body, name), doc: docBefore(lines, at) })
  }
  return members
}

/** A method's type is its head; a property's is what follows the colon. */
function typeIn(body: string, name: string): string {
  const getter = /^get \w+\(\): (.*) \{ return /.exec(body)
  if (getter !== null) return getter[1] ?? ''
  const plain = body.replace(/^(?:override )?(?:readonly )?/, '')
  const isMethod = plain.startsWith(`${name}(`) || plain.startsWith(`${name}<`)
  return isMethod
    ? plain
    : plain
        .slice(plain.indexOf(':') + 1)
        .trim()
        .replace(/ \| undefined$/, '')
}
