/**
 * Producers in other languages: the vectors hold for this implementation, and for the functions that docs/producers.md prints, where the
 * language is installed.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import { jobId, scopeOf } from '../../../redis/keys.ts'
import { createCodec } from '../../../redis/payload/codec.ts'
import { givenKeyHash, keyHash } from '../../../redis/payload/idempotency.ts'
import { decodeDeadLetter } from '../../../redis/record.ts'
import { readVectors } from '../../client/producers/vectors.ts'
import { pipelineWith } from '../../redis/resource.ts'
import { run } from '../../support/process.ts'
import { startRedis } from '../../support/redis.ts'
import { projectRoot } from '../../support/root.ts'

const vectors = readVectors()
const hashOf = (key: (typeof vectors.keys)[number]) => ('own' in key ? givenKeyHash(key.own) : keyHash(key.values))
const partsOf = (flat: readonly Buffer[]) => flat.map((part) => part.toString('base64'))
const packedIn = (packed: string) => decodeDeadLetter('1-1', [Buffer.from('payload'), Buffer.from(packed, 'base64')]).payload

test('the vectors are what the library makes: keys, ids of jobs, entries and dead letters', async () => {
  assert.ok(vectors.keys.length >= 10 && vectors.entries.length >= 3 && vectors.deadLetters.length >= 4)
  for (const key of vectors.keys) assert.equal(hashOf(key), key.hash, JSON.stringify(key))
  for (const { stream, group, key, id } of vectors.jobs) assert.equal(jobId(scopeOf(stream, group), key), id)
  const codec = createCodec(pipelineWith({ payload: { schema: {} } }).payload)
  for (const { payload, fields } of vectors.entries) assert.deepEqual(codec.encode(payload), fields.flat())
  for (const { payload, entry } of vectors.deadLetters) assert.deepEqual(partsOf(packedIn(payload)), entry)
})

test('a consumer reads the entries of the vectors as the payloads they were made of', async () => {
  for (const { payload, fields } of vectors.entries) {
    const properties = Object.fromEntries(Object.entries(payload).map(([name, value]) => [name, { type: typeOf(value) }]))
    const codec = createCodec(pipelineWith({ payload: { schema: { type: 'object', properties } } }).payload)
    const decoded = codec.decode(fields.flat().map((text) => Buffer.from(text)))
    assert.ok(decoded.kind === 'Valid')
    assert.deepEqual(decoded.data, payload)
  }
})

const typeOf = (value: unknown) => (Array.isArray(value) ? 'array' : typeof value)

test('Redis packs an entry into a dead letter as the vectors have it', async () => {
  const redis = (await startRedis({ after })).client()
  for (const { payload, entry } of vectors.deadLetters) {
    if (payload === '') continue
    const packed = await redis.callBuffer(
      'EVAL',
      'return cmsgpack.pack(ARGV)',
      0,
      ...entry.map((part) => Buffer.from(part, 'base64')),
    )
    assert.equal(String((packed as Buffer).toString('base64')), payload)
  }
})

/** The block of the page in this language. */
async function blockOf(language: string): Promise<string> {
  const page = await readFile(join(projectRoot, 'docs', 'producers.md'), 'utf8')
  const [, block] = new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'ms').exec(page) ?? []
  assert.ok(block !== undefined, `docs/producers.md prints no ${language}`)
  return block
}

/** Each language prints one list: the results in the order of the vectors. */
const expected = {
  keys: vectors.keys.map(({ hash }) => hash),
  jobs: vectors.jobs.map(({ id }) => id),
  deadLetters: vectors.deadLetters.map(({ entry }) => entry),
}

async function openFolder(t: TestContext, files: Readonly<Record<string, string>>) {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-producers-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  await writeFile(join(folder, 'vectors.json'), JSON.stringify(vectors))
  return folder
}

const lacks = (program: string, ...args: string[]) =>
  spawnSync(program, args, { stdio: 'ignore' }).status !== 0 && `no ${program} here`

const python = `
import sys
vectors = json.load(open(sys.argv[1]))
print(json.dumps({
    "keys": [own_key_hash(key["own"]) if "own" in key else key_hash(key["values"]) for key in vectors["keys"]],
    "jobs": [job_id(job["stream"], job["group"], job["key"]) for job in vectors["jobs"]],
    "entries": [fields(entry["payload"]) for entry in vectors["entries"]],
    "deadLetters": [[base64.b64encode(part).decode() for part in dead_entry(base64.b64decode(dead["payload"]))] for dead in vectors["deadLetters"]],
}))
`

test('the functions in Python', { skip: lacks('python3', '--version') }, async (t) => {
  const folder = await openFolder(t, { 'run.py': (await blockOf('python')) + python })
  const { stdout, stderr } = await run(t, [join(folder, 'run.py'), join(folder, 'vectors.json')], { command: 'python3' })
  assert.deepEqual(JSON.parse(stdout || JSON.stringify(stderr)), {
    ...expected,
    entries: vectors.entries.map(({ fields }) => Object.fromEntries(fields)),
  })
})

const go = `package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	var vectors struct {
		Keys        []struct { Own *string; Values []string }
		Jobs        []struct { Stream, Group, Key string }
		DeadLetters []struct { Payload []byte }
	}
	text, _ := os.ReadFile("vectors.json")
	if err := json.Unmarshal(text, &vectors); err != nil {
		panic(err)
	}
	results := map[string]any{}
	keys, jobs, dead := []string{}, []string{}, [][]string{}
	for _, key := range vectors.Keys {
		if key.Own != nil {
			keys = append(keys, OwnKeyHash(*key.Own))
		} else {
			keys = append(keys, KeyHash(key.Values...))
		}
	}
	for _, job := range vectors.Jobs {
		jobs = append(jobs, JobID(job.Stream, job.Group, job.Key))
	}
	for _, letter := range vectors.DeadLetters {
		parts := []string{}
		for _, part := range DeadEntry(letter.Payload) {
			parts = append(parts, base64.StdEncoding.EncodeToString(part))
		}
		dead = append(dead, parts)
	}
	results["keys"], results["jobs"], results["deadLetters"] = keys, jobs, dead
	told, _ := json.Marshal(results)
	fmt.Println("told " + string(told))
}
`

test('the functions in Go', { skip: lacks('go', 'version') }, async (t) => {
  const module = 'module streampipeline\n\ngo 1.21\n'
  // The page's package is a library. As a program it needs half the time of a test: most of it compiles Go's own packages, without inlining.
  const library = (await blockOf('go')).replace('package streampipeline', 'package main')
  const folder = await openFolder(t, { 'go.mod': module, 'key.go': library, 'main.go': go })
  const env = { GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local', GOPROXY: 'off' }
  const args = ['run', '-gcflags=all=-l', '.']
  const { stdout, stderr } = await run(t, args, { command: 'go', cwd: folder, env, timeoutMs: 300_000 })
  const [, reported] = /^told (.*)$/m.exec(stdout) ?? []
  assert.ok(reported !== undefined, stdout + stderr)
  assert.deepEqual(JSON.parse(reported), expected)
})

const php = `
$vectors = json_decode(file_get_contents($argv[1]), true, flags: JSON_THROW_ON_ERROR);
echo json_encode([
    'keys' => array_map(fn ($key) => isset($key['own']) ? own_key_hash($key['own']) : key_hash($key['values']), $vectors['keys']),
    'jobs' => array_map(fn ($job) => job_id($job['stream'], $job['group'], $job['key']), $vectors['jobs']),
    'deadLetters' => array_map(fn ($dead) => array_map('base64_encode', dead_entry(base64_decode($dead['payload']))), $vectors['deadLetters']),
], FLAGS);
`

test('the functions in PHP', { skip: lacks('php', '--version') }, async (t) => {
  const folder = await openFolder(t, { 'run.php': (await blockOf('php')) + php })
  const { stdout, stderr } = await run(t, [join(folder, 'run.php'), join(folder, 'vectors.json')], { command: 'php' })
  assert.deepEqual(JSON.parse(stdout || JSON.stringify(stderr)), expected)
})
