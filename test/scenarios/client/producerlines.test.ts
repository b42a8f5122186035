/**
 * The lines by which docs/producers.md, docs/celery.md and docs/migration.md have other languages add an entry: each makes one job. A language
 * that is not installed is skipped.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Queue } from 'bullmq'
import { parse } from 'yaml'
import type { StreamPipelineInput } from '../../../api/schema/pipeline.ts'
import { ndviPipeline, ndviRequest, startConsumer } from '../../client/ndvi.ts'
import { run } from '../../support/process.ts'
import { startRedis } from '../../support/redis.ts'
import { projectRoot } from '../../support/root.ts'
import { eventually } from '../../support/wait.ts'

const interpreter = process.env.STREAMPIPELINE_PYTHON ?? 'python3'
const goRedis = 'github.com/redis/go-redis/v9@v9.7.3'
/** With the modules that it needs to be built. */
const goModules = [
  goRedis,
  'github.com/cespare/xxhash/v2@v2.2.0',
  'github.com/dgryski/go-rendezvous@v0.0.0-20200823014737-9f7001d12a5f',
]
const offline = { GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local', GOPROXY: 'off', GOSUMDB: 'off' }

const succeeds = (program: string, args: readonly string[]) =>
  spawnSync(program, args, { stdio: 'ignore', env: { ...process.env, ...offline } }).status === 0
const lacks = (what: string, program: string, ...args: readonly string[]) => !succeeds(program, args) && `no ${what} here`

const pageOf = async (name: string) => await readFile(join(projectRoot, 'docs', `${name}.md`), 'utf8')

function blockIn(page: string, language: string): string {
  const [, block] = new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'ms').exec(page) ?? []
  assert.ok(block !== undefined, `the page prints no ${language}`)
  return block
}

/** The line behind `With CLIENT: `. */
function lineIn(page: string, client: string): string {
  const [, line] = new RegExp(`^With ${client}: \`([^\`]+)\``, 'm').exec(page) ?? []
  assert.ok(line !== undefined, `the page prints no line for ${client}`)
  return line
}

async function openFolder(t: TestContext, files: Readonly<Record<string, string>>) {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-lines-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  return folder
}

/** Runs a producer twice beside a consumer: it dispatches the same request, so one job is made. */
async function makesOneJob(t: TestContext, produce: (url: string) => Promise<unknown>, pipelineFor = ndviPipeline) {
  const server = await startRedis(t)
  const pipeline = pipelineFor(server.url)
  const { queue: name } = pipeline.spec.sink.bullmq
  const { stream } = pipeline.spec.source
  await startConsumer(t, pipeline)
  const redis = server.client()
  await eventually(async () => assert.ok((await redis.call('XINFO', 'GROUPS', stream)) !== null))
  await produce(server.url)
  await produce(server.url)
  const queue = new Queue(name, { connection: server.client({ maxRetriesPerRequest: null }) })
  t.after(() => queue.close())
  await eventually(async () => {
    assert.match(JSON.stringify(await redis.call('XINFO', 'GROUPS', stream)), /"pending",0,.*"lag",0/)
    assert.equal(await redis.xlen(stream), 2)
  })
  const jobs = await queue.getJobs(['waiting', 'delayed', 'prioritized'])
  assert.equal(jobs.length, 1)
  const [job] = jobs
  assert.ok(job !== undefined)
  return job
}

const request = ndviRequest(7)
const client = (url: string) => `redis_client = redis.from_url(${JSON.stringify(url)})\n`
const withPython = async (t: TestContext, text: string) => {
  const folder = await openFolder(t, { 'run.py': text })
  const { code, stderr } = await run(t, [join(folder, 'run.py')], { command: interpreter, timeoutMs: 120_000 })
  assert.equal(code, 0, stderr)
}

test('the line for redis-py', {
  skip: lacks('Python with redis', interpreter, '-c', 'import redis; redis.from_url'),
}, async (t) => {
  const page = await pageOf('producers')
  const job = await makesOneJob(t, async (url) => {
    const given = `payload = json.loads(${JSON.stringify(JSON.stringify(request))})\nstream = "ndvi:jobs"\n`
    const line = lineIn(page, 'redis-py')
    await withPython(
      t,
      `${blockIn(page, 'python')}\n${given}import redis\nredis = redis.from_url(${JSON.stringify(url)})\n${line}\n`,
    )
  })
  assert.deepEqual(job.data, request)
})

test('the producer of a Celery set-up', {
  skip: lacks('Python with celery', interpreter, '-c', 'import celery, kombu.transport.redis'),
}, async (t) => {
  const page = await pageOf('celery')
  const resource = parse(blockIn(page, 'yaml')) as StreamPipelineInput
  const job = await makesOneJob(
    t,
    async (url) => {
      const app = `import celery, json, redis\napp = celery.Celery("ndvi", broker=${JSON.stringify(url)})\n@app.task(name="ndvi.run")\ndef run(request):\n    pass\n`
      const given = `request = json.loads(${JSON.stringify(JSON.stringify(request))})\n`
      const calls = 'request_ndvi(redis_client, run, "celery", request)\nassert redis_client.llen("celery") > 0\n'
      const added = 'request_ndvi(redis_client, run, "stream", request)\n'
      await withPython(t, `${app}${client(url)}${blockIn(page, 'python')}${given}${calls}${added}`)
    },
    (url) => ({ ...resource, spec: { ...resource.spec, redis: { url } } }),
  )
  assert.equal(job.data.request_hash, request.request_hash)
  assert.equal(job.data.job_id, request.job_id)
})

test('the line for go-redis', { skip: lacks('Go with go-redis', 'go', 'mod', 'download', ...goModules) }, async (t) => {
  const line = lineIn(await pageOf('producers'), 'go-redis')
  const pairs = Object.entries(request).map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(String(value))}`)
  const job = await makesOneJob(t, async (url) => {
    const main = `package main

import (
	"context"

	"github.com/redis/go-redis/v9"
)

func main() {
	options, err := redis.ParseURL(${JSON.stringify(url)})
	if err != nil {
		panic(err)
	}
	client, ctx, stream := redis.NewClient(options), context.Background(), "ndvi:jobs"
	fields := map[string]string{${pairs.join(', ')}}
	if err := ${line}.Err(); err != nil {
		panic(err)
	}
}
`
    const [path, version] = goRedis.split('@')
    const folder = await openFolder(t, { 'go.mod': `module lines\n\ngo 1.21\n\nrequire ${path} ${version}\n`, 'main.go': main })
    const { code, stderr } = await run(t, ['run', '-gcflags=all=-l', '.'], {
      command: 'go',
      cwd: folder,
      env: offline,
      timeoutMs: 300_000,
    })
    assert.equal(code, 0, stderr)
  })
  assert.deepEqual(job.data, request)
})

const noPhp = lacks('PHP with its redis extension', 'php', '-r', 'exit(extension_loaded("redis") ? 0 : 1);')
test('the line for phpredis', { skip: noPhp }, async (t) => {
  const page = await pageOf('producers')
  const job = await makesOneJob(t, async (url) => {
    const { hostname, port } = new URL(url)
    const given = `$redis = new Redis();\n$redis->connect('${hostname}', ${port});\n$stream = 'ndvi:jobs';\n`
    const payload = `$payload = json_decode('${JSON.stringify(request)}', true);\n`
    const folder = await openFolder(t, { 'run.php': `${blockIn(page, 'php')}\n${given}${payload}${lineIn(page, 'phpredis')};\n` })
    const { code, stderr } = await run(t, [join(folder, 'run.php')], { command: 'php' })
    assert.equal(code, 0, stderr)
  })
  assert.deepEqual(job.data, request)
})

const noCli = lacks('redis-cli', 'redis-cli', '--version')
test('the line for redis-cli, with options of the request', { skip: noCli }, async (t) => {
  const [, line] = /^redis-cli (XADD .*)$/m.exec(await pageOf('migration')) ?? []
  assert.ok(line !== undefined)
  const job = await makesOneJob(
    t,
    async (url) => {
      // A shell reads the line as a person's does.
      const { code, stderr } = await run(t, ['-c', `redis-cli -u ${url} ${line}`], { command: 'sh' })
      assert.equal(code, 0, stderr)
    },
    (url) =>
      ndviPipeline(url, (spec) => {
        spec.source.stream = 'reports:requests'
        spec.payload = { idempotencyKey: ['farm'], schema: { type: 'object', properties: { farm: { type: 'integer' } } } }
        spec.sink.bullmq.allow = { names: ['report'], maxDelay: '1h' }
      }),
  )
  assert.deepEqual([job.name, job.data], ['report', { farm: 7 }])
  assert.ok(job.delay > 0 && job.delay <= 60_000, `${job.delay}`)
})
