/**
 * Commands for other programs in README and docs, if they name parts of this project or can run here: `redis-cli` on a real
 * Redis, and the chart's values in `helm --set`. A block in a language that no test checks fails.
 *
 * Not checked: kubectl, kind, skopeo and ctr, which a machine may lack.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { blocksOf, type Printed, spans } from '../../api/support/printed.ts'
import { commandsOf } from '../../api/support/shell.ts'
import { startRedis } from '../../support/redis.ts'
import { projectRoot } from '../../support/root.ts'

const shells = async () => await blocksOf('sh', 'bash', 'shell')

async function commandsIn(printed: readonly Printed[]) {
  return printed.flatMap(({ place, text }) => commandsOf(text).map((words) => ({ place, words })))
}

/** The words after `redis-cli`, also within `kubectl exec … --`. */
const redisWords = (words: readonly string[]) => {
  const at = words.indexOf('redis-cli')
  if (at !== 0 && words[at - 1] !== '--') return undefined
  const given = words.slice(at + 1)
  // Where the server listens.
  return given[0] === '-s' || given[0] === '-p' ? given.slice(2) : given
}

/**
 * How Redis answers a command that it does not know as it is written. That there is no such key or group is no fault of the text.
 */
const misspelt = /unknown (?:command|subcommand)|wrong number of arguments|syntax error|Error in ACL SETUSER|not an integer/i

test('Redis knows each command that README and docs print for redis-cli', async (t) => {
  const redis = (await startRedis(t)).client()
  const answer = async ([command = '', ...args]: readonly string[]) =>
    await redis.call(command, ...args).then(
      () => '',
      (thrown: unknown) => String(thrown),
    )
  const printed = [...(await commandsIn(await shells())), ...(await commandsIn(await spans()))]
  const wrong: string[] = []
  let found = 0
  for (const { place, words } of printed) {
    const given = redisWords(words)
    if (given === undefined || given.length === 0) continue
    found += 1
    const said = await answer(given)
    if (misspelt.test(said)) wrong.push(`${place}: ${given.join(' ')}: ${said}`)
  }
  assert.deepEqual(wrong, [])
  assert.ok(found >= 6, `only ${found} commands were found`)
  for (const words of ['XINFO NONSENSE s', 'XLEN', 'ACL SETUSER u +nonsense', 'NONSENSE']) {
    assert.match(await answer(words.split(' ')), misspelt, words)
  }
})

const chart: { readonly properties: object } = JSON.parse(
  await readFile(join(projectRoot, 'charts', 'streampipeline-operator', 'values.schema.json'), 'utf8'),
)

/** Whether the chart has a value of this path, `image.registry`. */
function hasValue(path: string): boolean {
  let schema: unknown = chart
  for (const name of path.split('.')) {
    const properties: unknown = typeof schema === 'object' && schema !== null ? Reflect.get(schema, 'properties') : undefined
    if (typeof properties !== 'object' || properties === null || !(name in properties)) return false
    schema = Reflect.get(properties, name)
  }
  return true
}

test('the chart has each value that README and docs set', async () => {
  const set = [...(await commandsIn(await shells())), ...(await commandsIn(await spans()))].flatMap(({ place, words }) =>
    words.flatMap((word, index) => {
      const given = /^--set(?:-json|-string)?$/.test(words[index - 1] ?? '')
        ? word
        : /^--set(?:-json|-string)?=(.*)$/.exec(word)?.[1]
      return given === undefined ? [] : [{ place, path: given.split('=')[0] ?? '' }]
    }),
  )
  assert.ok(set.length >= 3, `only ${set.length} values were found`)
  assert.deepEqual(
    set.filter(({ path }) => !hasValue(path)),
    [],
  )
  assert.deepEqual(['image.registry', 'image.nonsense', 'nonsense'].map(hasValue), [true, false, false])
})

test('each file and folder that a command of README or docs names is there', async () => {
  const paths = (await commandsIn(await shells())).flatMap(({ place, words }) =>
    words.filter((word) => /^(?:examples|charts|docs|crds)\/[\w./-]+$/.test(word)).map((path) => ({ place, path })),
  )
  assert.ok(paths.length >= 3, `only ${paths.length} were found`)
  assert.deepEqual(
    paths.filter(({ path }) => globSync(path, { cwd: projectRoot }).length === 0),
    [],
  )
})

test('a test looks at each language of the blocks that README and docs print', async () => {
  const all = await blocksOf('[^\\n]*')
  // Python, Go and PHP run in test/scenarios/client/producers.test.ts.
  const known = (await blocksOf('sh', 'yaml', 'ts', 'console', 'python', 'go', 'php', '')).map(({ place }) => place)
  assert.deepEqual(
    all.map(({ place }) => place).filter((place) => !known.includes(place)),
    [],
  )
})
