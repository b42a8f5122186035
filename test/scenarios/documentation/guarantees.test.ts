/** Each row of docs/guarantees.md names tests that exist and run. That they hold the row is for a reader to judge. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { holds, readPage } from '../../api/support/heldrows.ts'
import { projectRoot } from '../../support/root.ts'

const page = readPage(await readFile(join(projectRoot, 'docs', 'guarantees.md'), 'utf8'))

test('each row of guarantees.md names a test', () => {
  assert.ok(page.rows.length >= 60, `only ${page.rows.length} rows were found`)
  const bare = page.rows.filter(({ names }) => !names.some((name) => page.definitions.has(name)))
  assert.deepEqual(
    bare.map(({ line, text }) => `docs/guarantees.md:${line}: ${text.slice(0, 60)}`),
    [],
  )
})

test('each name on guarantees.md leads to a test, and each test listed is named', () => {
  assert.deepEqual(
    [...page.referred].filter((name) => !page.definitions.has(name)),
    [],
    'not listed',
  )
  assert.deepEqual(
    [...page.definitions.keys()].filter((name) => !page.referred.has(name)),
    [],
    'listed, and named by no row',
  )
  assert.deepEqual(page.repeated, [])
})

test('each test that guarantees.md lists is in its file, and runs', async () => {
  const missing: string[] = []
  for (const [name, { file, title }] of page.definitions) {
    const source = await readFile(join(projectRoot, file), 'utf8').catch(() => '')
    if (!holds(source, title)) missing.push(`[${name}] ${file}: ${title}`)
  }
  assert.deepEqual(missing, [])
})

test('a row without a test, a name without one, and a test that is not there are found', () => {
  const text = `# Page

| A | Held by |
|---|---|
| held | [one] |
| not held | [a link](elsewhere.md), \`[code]\` |

- an item
  that goes on ([two])
- another

[one]: ../test/a.test.ts "…: works"
[one]: ../test/a.test.ts "…: works"
`
  const { rows, referred, definitions, repeated } = readPage(text)
  assert.deepEqual(
    rows.map(({ line, names }) => [line, names]),
    [
      [5, ['one']],
      [6, []],
      [8, ['two']],
      [10, []],
    ],
  )
  assert.deepEqual([[...referred], [...definitions.keys()], repeated], [['one', 'two'], ['one'], ['one']])
  const source =
    'test(`$' + '{kind}: works`, async () => {})\n' + "test('it\\'s later', { todo: true }, () => {})\nconst kind = 'Split'"
  assert.deepEqual(
    ['…: works', 'Split: works', 'Portable: works', 'works', '…: fails', 'it’s later', "it's later"].map((title) =>
      holds(source, title),
    ),
    [true, true, false, false, false, false, false],
  )
})
