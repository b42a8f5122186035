/** Hostile text through the command line: on a terminal, in a CI log, as JSON, and in commands that it prints to paste. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { encode } from '@msgpack/msgpack'
import { stringify } from 'yaml'
import { exitCodes } from '../../../api/exitcodes.ts'
import { redisWord, shellWord } from '../../../api/quoting.ts'
import { checkRights } from '../../../redis/preflight/permissioncheck.ts'
import { aclRules } from '../../../redis/preflight/permissions.ts'
import { pipelineWith, resourceWith } from '../../redis/resource.ts'
import { runHere } from '../../support/commandline.ts'
import { run, runCli } from '../../support/process.ts'
import { startRedis } from '../../support/redis.ts'
import { projectRoot } from '../../support/root.ts'
import { seed } from '../../support/seed.ts'
import { createRandom } from './payloads.ts'
import { harmInLines, hostileText } from './text.ts'

/** One of each kind, in one name that Redis, YAML and file systems take. */
const nasty = 'a\u001b[31m\u009b1m\u202eb\u2066\u200b\u2028c\n::error::forged\n##[error]x ##vso[y]z\u007f'

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-output-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}

const judged = ({ stdout, stderr }: { readonly stdout: string; readonly stderr: string }, most?: number) => {
  assert.equal(harmInLines(stdout, most), undefined)
  assert.equal(harmInLines(stderr, most), undefined)
}

test('dead letters with hostile text in every field, and spoilt ones, are listed, shown, and purged', async (t) => {
  const server = await startRedis(t)
  const redis = server.client()
  const stream = 'ndvi:jobs'
  const file = join(await folderOf(t), 'pipeline.yaml')
  await writeFile(file, stringify(resourceWith({ url: server.url })))
  const random = createRandom(seed)
  const text = () => `${nasty}${hostileText(random).slice(0, 500).toWellFormed()}`
  const record = (more: Record<string, string | Buffer>) => {
    const fields = { originalId: '1-1', stream: text(), group: text(), consumer: text(), deliveries: '1', reason: 'JobFailed' }
    const rest = {
      error: text(),
      payload: Buffer.from(encode([text(), text()])),
      idempotencyKey: text(),
      firstSeen: '1',
      deadAt: '1',
    }
    return Object.entries({ ...fields, ...rest, redrives: '0', stacktrace: text(), ...more }).flat()
  }
  const add = async (fields: (string | Buffer)[]) => String(await redis.xadd(`{${stream}}:dead`, '*', ...(fields as string[])))
  const bomb = Buffer.concat(Array.from({ length: 2_000 }, () => Buffer.from([0xdd, 0, 0x0f, 0xff, 0xff])))
  const sound = await add(record({}))
  const spoilt = [
    await add(record({ payload: bomb })),
    await add(record({ reason: text(), deadAt: '9'.repeat(16), deliveries: text() })),
    await add([text(), text()]),
    await add(['payload', Buffer.from([0xc1])]),
  ]
  const dead = async (command: string, ...args: string[]) => await runHere(['dead', command, '-f', file, ...args])
  const listed = await dead('list')
  assert.equal(listed.code, 0, listed.stderr)
  judged(listed)
  const lines = listed.stdout.trim().split('\n')
  assert.equal(lines.length, 6, 'a heading and a line for each')
  for (const id of spoilt) assert.match(listed.stdout, new RegExp(`^${id} +Damaged`, 'm'))
  const json = await dead('list', '-o', 'json')
  judged(json, Number.POSITIVE_INFINITY)
  const [first] = JSON.parse(json.stdout) as { id: string; error: string }[]
  const [[, fields] = ['', []]] = await redis.xrange(`{${stream}}:dead`, sound, sound)
  assert.equal(first?.error, fields[fields.indexOf('error') + 1], 'JSON has the text as it is')
  for (const id of [sound, ...spoilt]) judged(await dead('show', id), Number.POSITIVE_INFINITY)
  judged(await dead('replay', ...spoilt))
  judged(await dead('show', nasty))
  judged(await dead('list', '--name', nasty))
  assert.equal((await dead('purge', '--all')).stdout, '5 purged\n')
})

test('validate and up print no name that a terminal or a CI runner obeys', async (t) => {
  const folder = await folderOf(t)
  const file = join(folder, `${nasty.replaceAll('/', '')}.yaml`)
  const { spec, ...rest } = resourceWith({ source: { stream: nasty, group: nasty, [nasty]: nasty } })
  await writeFile(file, stringify({ ...rest, metadata: { name: nasty }, spec: { ...spec, [nasty]: { [nasty]: nasty } } }))
  const invalid = await runCli(t, ['validate', file])
  assert.equal(invalid.code, 1)
  judged(invalid)
  judged(await runCli(t, ['validate', file, '-o', 'json']), Number.POSITIVE_INFINITY)
  judged(await runCli(t, ['validate', join(folder, '\n::error::absent')]))
  judged(await runCli(t, ['up', '-f', file]))
  judged(await runCli(t, ['up', '-f', file, '--for', nasty]))
  judged(await runCli(t, [nasty]))
  await writeFile(file, `"${'x'.repeat(200_042)}": [`)
  judged(await runCli(t, ['validate', file]))
  const sound = join(folder, '::error::x.yaml')
  await writeFile(sound, stringify(resourceWith()))
  judged(await runCli(t, ['validate', '::error::x.yaml'], { cwd: folder }))
})

/** Names that people and enemies give. */
const names = [
  'plain:name',
  'two words',
  "it's",
  'say "x"',
  '$(id)`id`',
  'back\\slash\\',
  '{a,b}',
  '{t}:x',
  '*?[a]',
  '~',
  '##vso[x]',
  'ü漢😀',
  nasty,
]

test('a word in a command is one word to a shell and to redis-cli', async (t) => {
  const server = await startRedis(t)
  for (const name of names) {
    const printed = execFileSync('bash', ['-c', `printf %s ${shellWord(name)}`], { encoding: 'utf8' })
    assert.equal(printed, name, 'bash')
    const input = `SET copy ${redisWord(name)}\n`
    assert.equal(execFileSync('redis-cli', ['-p', String(server.port)], { input, encoding: 'utf8' }).trim(), 'OK', input)
    assert.equal(await server.client().get('copy'), name, 'redis-cli')
  }
})

test('the rules that a missing right names are taken by Redis, and grant it, whatever the names are', async (t) => {
  const server = await startRedis(t)
  const admin = server.client()
  for (const [index, name] of names.filter((each) => !each.includes('{a')).entries()) {
    const stream = name.replaceAll(/[{}]/g, '')
    const pipeline = pipelineWith({
      source: { stream },
      sink: { queue: `q ${index} ${stream.replaceAll(':', '')}`.slice(0, 200) },
    })
    const user = `user${index}`
    const { stream: rules } = aclRules(pipeline)
    await admin.call('ACL', 'SETUSER', user, 'on', '>pw', 'resetkeys', 'resetchannels', '-@all', ...rules)
    const connection = server.client({ username: user, password: 'pw' })
    await checkRights(pipeline, connection, connection)
    // And by its message alone, as a line of an ACL file or of redis-cli.
    await admin.call('ACL', 'SETUSER', user, 'resetkeys')
    const reported = await checkRights(pipeline, connection, connection).catch((thrown: unknown) => String(thrown))
    assert.equal(harmInLines(String(reported)), undefined)
    const grant = /\(grant (.*)\)$/.exec(String(reported))?.[1] ?? ''
    const input = `ACL SETUSER ${user} ${grant}\n`
    assert.equal(execFileSync('redis-cli', ['-p', String(server.port)], { input, encoding: 'utf8' }).trim(), 'OK', input)
    await checkRights(pipeline, connection, connection)
  }
})

test('a reader of complaints that has gone changes no exit code and ends no command', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-unread-'))
  t.after(async () => await rm(folder, { recursive: true }))
  const file = join(folder, 'pipeline.yaml')
  await writeFile(file, stringify(resourceWith({ url: 'redis://127.0.0.1:1' })))
  // The shell keeps the exit code of the command, and the reader ends at once.
  const unread = (args: string) =>
    `"${process.execPath}" "${join(projectRoot, 'cli', 'main.ts')}" ${args} 2> >(true) | cat; exit \${PIPESTATUS[0]}`
  for (const [args, expected] of [
    ['no-such-command', exitCodes.badUsage],
    [`validate "${join(folder, 'missing.yaml')}"`, exitCodes.badUsage],
    [`dead list -f "${file}"`, exitCodes.unavailable],
  ] as const) {
    const { code, stdout } = await run(t, ['-c', `sleep 0.1; ${unread(args)}`], { command: 'bash' })
    assert.deepEqual([code, stdout], [expected, ''], args)
  }
})
