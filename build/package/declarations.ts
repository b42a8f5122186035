/**
 * The published declarations: those that the library's entries lead to. The types of the resource come from zod's schemas. Published, they
 * are written out, since an application has no zod or another one, and a compiler is spared the work.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { root } from '../root.ts'

/** Packages that the declarations may name. An application has them with the library. */
const known = new Set(['bullmq', 'ioredis', 'prom-client'])

const inferred = /^export type (\w+) = z\.(?:input|output|infer)<typeof \w+>;$/gm
const imported = /(?:\bfrom|\bimport\()\s*["']([^"']+)["']/g

/** Throws where the compiler cannot write a declaration, or a declaration names a package that an application lacks. */
export function writeDeclarations(output: string, entries: readonly string[]): void {
  const cache = join(root, '.cache')
  mkdirSync(cache, { recursive: true })
  // Its own: builds may run at the same time.
  const folder = mkdtempSync(join(cache, 'declarations-'))
  const sources = ['api/schema/pipeline.ts', 'api/status.ts', 'redis/dispatchconfig.ts']
  compile(folder, sources)
  const writtenOut = membersOf(readFileSync(join(folder, 'out', relative(root, folder), 'plain.d.ts'), 'utf8'))
  const done = new Set<string>()
  const publish = (path: string): void => {
    if (done.has(path)) return
    done.add(path)
    const text = plain(readFileSync(join(folder, 'out', path), 'utf8'), writtenOut)
    const target = join(output, path)
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, text)
    for (const [, name = ''] of text.matchAll(imported)) {
      if (name.startsWith('.')) publish(join(dirname(path), name.replace(/\.js$/, '.d.ts')))
      else if (!known.has(name) && !name.startsWith('node:')) throw new Error(`the declaration ${path} needs ${name}`)
    }
  }
  for (const entry of entries) publish(entry.replace(/\.ts$/, '.d.ts'))
  rmSync(folder, { recursive: true, force: true })
}

/** Beside the declarations of the sources, one file with the inferred types of `sources`, each written out. */
function compile(folder: string, sources: readonly string[]): void {
  const lines = sources.map((source) => {
    const names = [...readFileSync(join(root, source), 'utf8').matchAll(/^export type (\w+) = z\./gm)].map(([, name]) => name)
    const from = relative(folder, join(root, source))
    return `import type { ${names.join(', ')} } from '${from}'\n${names.map((name) => `export const as${name} = plain<${name}>()\n`).join('')}`
  })
  writeFileSync(join(folder, 'plain.ts'), `${written}${lines.join('')}`)
  const config = {
    extends: relative(folder, join(root, 'tsconfig.build.json')),
    compilerOptions: {
      declaration: true,
      emitDeclarationOnly: true,
      // `npm run types` checks. Without it this takes a quarter of the time, and each `npm ci` waits for it.
      noCheck: true,
      noErrorTruncation: true,
      rootDir: root,
      outDir: join(folder, 'out'),
    },
    include: ['api', 'process', 'redis', 'client'].map((name) => relative(folder, join(root, name))),
    files: ['plain.ts'],
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
  const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc')
  const { status } = spawnSync(process.execPath, [compiler, '-p', folder], { stdio: 'inherit', cwd: root })
  if (status !== 0) throw new Error('the sources do not compile')
}

/** For a constant the compiler writes the type out; for an alias it would only repeat the name. */
const written = `type Plain<T> = T extends string | number | boolean | null | undefined
  ? T
  : T extends (infer Member)[]
    ? Plain<Member>[]
    : T extends object
      ? { [Name in keyof T]: Plain<T[Name]> }
      : T
declare function plain<T>(): Plain<T>
`

/** Name of a type → the type, written out. */
function membersOf(declaration: string): ReadonlyMap<string, string> {
  const members = [...declaration.matchAll(/^export declare const as(\w+): ([\s\S]*?);$(?=\n(?:export|$))/gm)]
  return new Map(members.map(([, name = '', type = '']) => [name, type]))
}

/** The declaration without zod. Its paths end with `.js`, since only some resolvers find other ones. */
function plain(declaration: string, writtenOut: ReadonlyMap<string, string>): string {
  const found = declaration.replaceAll(/((?:from |import\()(["'])\.[^"']*)\.ts\2/g, '$1.js$2')
  if (!/^import .*['"]zod['"];$/m.test(found)) return found
  const types = found.replaceAll(inferred, (_, name: string) => {
    const type = writtenOut.get(name)
    if (type === undefined) throw new Error(`the type ${name} was not written out`)
    return `export type ${name} = ${type};`
  })
  const rest = types
    .replaceAll(/^(?:export )?declare const \w+: z\.[\s\S]*?;$(?=\n(?:[^\s}]|$))/gm, '')
    .replaceAll(/^export declare function .*\bz\..*;$/gm, '')
    .replaceAll(/^import .*['"](?:zod|\.\/(?:consumer|payload|redis|scaling|sink|source|scalars)\.js)['"];$/gm, '')
  if (/\bz\./.test(rest.replaceAll(/\/\*[\s\S]*?\*\//g, ''))) throw new Error(`a declaration is left that needs zod:\n${rest}`)
  return rest
}
