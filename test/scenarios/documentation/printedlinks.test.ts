/**
 * Every link of the repository's Markdown leads to a file that is there, and to a heading of it. That the package holds what its
 * README links: pack.test.ts.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { anchorsOf, isAbsolute, linksIn } from '../../api/support/links.ts'
import { projectRoot } from '../../support/root.ts'

const pages = globSync('{*.md,{docs,redis,test,charts}/**/*.md}', { cwd: projectRoot }).sort()

/** What is wrong with a link of `page`; undefined: nothing. */
function problem(page: string, target: string): string | undefined {
  const [path = '', anchor] = target.split('#')
  const file = path === '' ? join(projectRoot, page) : join(projectRoot, dirname(page), path)
  if (!existsSync(file)) return 'there is no such file'
  if (anchor === undefined) return undefined
  return anchorsOf(readFileSync(file, 'utf8')).has(anchor) ? undefined : 'the file has no such heading'
}

test('each link leads to a file, and to a heading of it', () => {
  const links = pages.flatMap((page) =>
    linksIn(readFileSync(join(projectRoot, page), 'utf8')).map(({ line, target }) => ({ page, line, target })),
  )
  assert.ok(links.length > 100, `only ${links.length} were found`)
  const wrong = links
    .filter(({ target }) => !isAbsolute(target))
    .flatMap(({ page, line, target }) => {
      const found = problem(page, target)
      return found === undefined ? [] : [`${page}:${line}: ${target}: ${found}`]
    })
  assert.deepEqual(wrong, [])
})

/** `paths/settling`, `e2e/documented.ts`, `api/printed…`, as test/README.md names tests. */
const folders = globSync('*/', { cwd: join(projectRoot, 'test') }).join('|')
const testName = new RegExp(`^(?:${folders})/[\\w./…]*$`)

test('each test that test/README.md names is there', () => {
  const text = readFileSync(join(projectRoot, 'test', 'README.md'), 'utf8')
  const names = [...text.matchAll(/`([^`\n]+)`/g)].flatMap(([, name = '']) => (testName.test(name) ? [name] : []))
  assert.ok(names.length > 40, `only ${names.length} were found`)
  const missing = names.filter((name) => {
    const path = name.replace('…', '*')
    return globSync([path, `${path}.test.ts`], { cwd: join(projectRoot, 'test') }).length === 0
  })
  assert.deepEqual(
    // A source of that path is one that the page maps to its tests.
    missing.filter((name) => globSync([name, `${name}.ts`], { cwd: projectRoot }).length === 0),
    [],
  )
})

test('a file, and a heading, that is not there is found; code is no link', () => {
  assert.equal(problem('README.md', 'docs/nonsense.md'), 'there is no such file')
  assert.equal(problem('README.md', 'docs/redis.md#nonsense'), 'the file has no such heading')
  assert.equal(problem('docs/local.md', 'redis.md#references-on-this-machine'), undefined)
  assert.deepEqual(linksIn('a [b](c.md)\n`[d](e.md)`\n```\n[f](g.md)\n```\n[h](i.md#j)'), [
    { line: 1, target: 'c.md' },
    { line: 6, target: 'i.md#j' },
  ])
  assert.deepEqual([...anchorsOf("# A `b`, C's (d)\n## Two\n")], ['a-b-cs-d', 'two'])
})
