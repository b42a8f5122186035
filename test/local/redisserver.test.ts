import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { access, chmod, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Redis } from 'ioredis'
import { StreamPipelineError } from '../../api/errors.ts'
import { startPrivateRedis } from '../../local/redisserver.ts'
import { startProcess } from '../support/process.ts'
import { restoreVariable } from '../support/variable.ts'
import { eventually } from '../support/wait.ts'

test('a private server keeps an append-only file, refuses to evict, and leaves nothing behind', async (t) => {
  const server = await startPrivateRedis()
  t.after(() => server.stop())
  const client = new Redis(server.url)
  t.after(() => client.disconnect())
  assert.equal(((await client.config('GET', 'appendonly')) as string[])[1], 'yes')
  assert.equal(((await client.config('GET', 'maxmemory-policy')) as string[])[1], 'noeviction')
  assert.equal(((await client.config('GET', 'port')) as string[])[1], '0', 'no TCP port, which any user could connect to')
  client.disconnect()
  await Promise.all([server.stop(), server.stop()])
  await assert.rejects(access(server.folder))
})

test('a server that is killed comes back on its socket with what it had answered', async (t) => {
  const reported: string[] = []
  const server = await startPrivateRedis({ progress: (line) => reported.push(line) })
  t.after(() => server.stop())
  const client = new Redis(server.url)
  client.on('error', () => {})
  t.after(() => client.disconnect())
  for (let i = 0; i < 1_000; i++) client.rpush('list', i).catch(() => {})
  await client.rpush('list', 'last')
  const { pid } = server
  process.kill(pid, 'SIGKILL')
  await eventually(() => server.pid !== pid, { timeoutMs: 30_000 })
  assert.equal(await client.llen('list'), 1_001)
  assert.match(reported.join('\n'), /redis-server ended \(SIGKILL\).*\nredis-server is back/)
})

test('no other user of the machine reaches the server', async (t) => {
  // The test run's own temporary folder is closed to others, so a refusal below it would prove nothing.
  const open = await mkdtemp('/tmp/streampipeline-open-')
  t.after(() => rm(open, { recursive: true, force: true }))
  await chmod(open, 0o755)
  await writeFile(join(open, 'reachable'), '')
  const server = await startPrivateRedis({ within: open })
  t.after(() => server.stop())
  assert.equal((await stat(server.folder)).mode & 0o777, 0o700)
  assert.equal((await stat(server.socket)).mode & 0o777, 0o600)
  assert.deepEqual(await portsOf(server.pid), [], 'it listens on no TCP port')
  if (process.getuid?.() !== 0) return t.skip('only root may act as another user')
  const shell = async (script: string) => {
    const child = await startProcess(t, ['--reuid=65534', '--regid=65534', '--clear-groups', 'sh', '-c', script], {
      command: 'setpriv',
      cwd: '/',
    })
    await child.exit
    return `${child.stdout()}${child.stderr()}`
  }
  assert.match(await shell(`ls ${open}`), /reachable/)
  assert.match(await shell(`redis-cli -s ${server.socket} ping`), /Permission denied/)
  assert.match(await shell(`ls ${server.folder}`), /Permission denied/)
  const client = new Redis(server.socket)
  t.after(() => client.disconnect())
  assert.equal(await client.ping(), 'PONG', 'its own user does')
})

/** TCP ports that a process listens on. */
async function portsOf(pid: number): Promise<string[]> {
  const tables = await Promise.all(['tcp', 'tcp6'].map((table) => readFile(`/proc/${pid}/net/${table}`, 'utf8').catch(() => '')))
  const folder = `/proc/${pid}/fd`
  const links = await Promise.all((await readdir(folder)).map((fd) => readlink(join(folder, fd)).catch(() => '')))
  const own = new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []))
  return tables
    .flatMap((table) => table.split('\n').slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns[3] === '0A' && own.has(columns[9] ?? ''))
    .map((columns) => columns[1] ?? '')
}

test('a folder whose path is too long for a socket is refused, with what to set', async (t) => {
  const long = await mkdtemp(join(tmpdir(), 'x'.repeat(90)))
  t.after(() => rm(long, { recursive: true }))
  restoreVariable(t, 'TMPDIR')
  process.env['TMPDIR'] = long
  await assert.rejects(startPrivateRedis(), (thrown) => {
    assert.ok(thrown instanceof StreamPipelineError && thrown.code === 'InvalidOption')
    assert.match(thrown.message, /TMPDIR: .*name a shorter folder/)
    return true
  })
  assert.deepEqual(await readdir(long), [], 'and nothing is left behind')
})
