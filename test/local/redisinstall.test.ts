import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { StreamPipelineError } from '../../api/errors.ts'
import { provideRedisServer, type System } from '../../local/redisinstall.ts'
import type { Scope } from '../support/scope.ts'

async function emptySystem(t: Scope, over: Partial<System> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-system-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const reported: string[] = []
  const system: System = {
    folders: [folder],
    uid: 0,
    platform: 'linux',
    servicePolicy: join(folder, 'policy-rc.d'),
    progress: (line) => reported.push(line),
    ...over,
  }
  const put = async (name: string, script: string) => {
    const file = join(folder, name)
    await writeFile(file, `#!/bin/sh\n${script}\n`)
    await chmod(file, 0o755)
    return file
  }
  return { folder, system, reported, put }
}

const says = (text: RegExp) => (thrown: unknown) =>
  thrown instanceof StreamPipelineError && thrown.code === 'RedisServerMissing' && text.test(thrown.advice)

test('a program that is there is used, whatever its maker', async (t) => {
  const { system, put } = await emptySystem(t, { uid: 1000 })
  const valkey = await put('valkey-server', 'exit 0')
  assert.equal(await provideRedisServer(system), valkey)
  const redis = await put('redis-server', 'exit 0')
  assert.equal(await provideRedisServer(system), redis)
})

test('a file that may not be run is not a program', async (t) => {
  const { system, folder } = await emptySystem(t, { uid: 1000 })
  await writeFile(join(folder, 'redis-server'), '', { mode: 0o644 })
  await assert.rejects(provideRedisServer(system), says(/no redis-server/))
})

test('what to type is said where it cannot be installed', async (t) => {
  const bare = await emptySystem(t, { uid: 1000 })
  await assert.rejects(provideRedisServer(bare.system), says(/there is no apt-get .*sudo apt-get install redis-server/))
  await bare.put('apt-get', 'exit 0')
  await assert.rejects(provideRedisServer(bare.system), says(/takes root.*sudo apt-get install redis-server/))
  const mac = await emptySystem(t, { uid: 501, platform: 'darwin' })
  await assert.rejects(provideRedisServer(mac.system), says(/brew install redis/))
})

test('root installs the package, after reading the lists where that is needed, and no service starts', async (t) => {
  const { system, folder, reported, put } = await emptySystem(t)
  // This apt-get knows the package only after it has read the lists. It notes whether policy-rc.d lets a service start.
  await put(
    'apt-get',
    `cd ${folder}; case "$*" in
*update*) touch lists ;;
*) test -e lists || { echo "E: Unable to locate package redis-server"; exit 100; }
   ./policy-rc.d redis-server start; echo $? >answer
   printf '#!/bin/sh\\n' >redis-server; chmod +x redis-server ;;
esac`,
  )
  assert.equal(await provideRedisServer(system), join(folder, 'redis-server'))
  assert.equal((await readFile(join(folder, 'answer'), 'utf8')).trim(), '101')
  await assert.rejects(readFile(system.servicePolicy))
  assert.match(reported.join('\n'), /installing Debian's package.*\n.*package lists.*\n.*installed/)
})

test('a service policy that exists stays as it is', async (t) => {
  const { system, folder, put } = await emptySystem(t)
  await put('policy-rc.d', 'exit 0')
  await put('apt-get', `printf '' >${folder}/redis-server; chmod +x ${folder}/redis-server`)
  await provideRedisServer(system)
  assert.match(await readFile(system.servicePolicy, 'utf8'), /exit 0/)
})

test('an installation that fails says why', async (t) => {
  const { system, put } = await emptySystem(t)
  await put('apt-get', 'echo "E: Could not get lock"; exit 100')
  await assert.rejects(provideRedisServer(system), says(/Could not get lock.*apt-get update && apt-get install/))
})
