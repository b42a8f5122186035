/** The decision log of the real operator, replayed by the command line. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createDecisionRecorder, type MadeDecision } from '../../operator/decisionrecorder.ts'
import * as kinds from '../../operator/plan/kinds.ts'
import { consumerName } from '../../operator/plan/names.ts'
import { keySpace } from '../../redis/keys.ts'
import { decide } from '../../scaling/decide.ts'
import { parseDecisionLog } from '../../scaling/decisionlog.ts'
import { scalingPolicy } from '../../scaling/policy.ts'
import { needsApiServer } from '../support/apiserver.ts'
import { runHere } from '../support/commandline.ts'
import { startRedis } from '../support/redis.ts'
import { eventually } from '../support/wait.ts'
import { pipelineObject, read, sample } from './builder.ts'
import { at, borrowCluster, type Loose, minimalPipeline, startOperator } from './cluster.ts'

function made(replicas: number, currentReplicas: number): MadeDecision {
  const policy = scalingPolicy(read(pipelineObject()).pipeline, currentReplicas)
  const taken = sample()
  return { sample: taken, state: null, policy, decision: { ...decide(undefined, taken, policy), replicas } }
}

test('by default a line is written when another number is decided, not at each start and not again and again', () => {
  const lines: string[] = []
  const recorder = createDecisionRecorder('changes', (line) => void lines.push(line))
  const numbers = () => lines.splice(0).map((line) => JSON.parse(line).decision.replicas)
  for (const replicas of [3, 3, 4, 4, 2]) recorder.made('farm/ndvi', made(replicas, 3))
  recorder.made('farm/other', made(1, 1))
  assert.deepEqual(numbers(), [4, 2])
  recorder.made('farm/found', made(5, 1))
  assert.deepEqual(numbers(), [5])
  recorder.forget('farm/ndvi')
  recorder.made('farm/ndvi', made(7, 7))
  assert.deepEqual(numbers(), [])
})

test('all, or none', () => {
  const counts = (['all', 'none'] as const).map((which) => {
    let lines = 0
    const recorder = createDecisionRecorder(which, () => void lines++)
    for (const replicas of [3, 3, 4]) recorder.made('farm/ndvi', made(replicas, 3))
    return lines
  })
  assert.deepEqual(counts, [3, 0])
})

test(
  "what kubectl logs shows of the operator's decisions is replayed, as recorded and under another policy",
  needsApiServer,
  async (t) => {
    const [cluster, redis] = await Promise.all([borrowCluster(t), startRedis(t)])
    const operator = await startOperator(t, cluster, { decisionLog: 'all', logLevel: 'debug' })
    const scaling = { minReplicas: 0, maxReplicas: 4, targetAge: '1s' }
    const client = redis.client()
    const old = Date.now() - 60_000
    // The speed of a consumer is remembered, so that the number is found at the first look.
    const remembered = { capacity: { marks: {}, perSecond: 2 }, startUp: {}, wanted: [{ atMs: old, replicas: 0 }], rush: [] }
    const state = { version: 1, atMs: old, replicas: 0, misses: 0, arrivals: [], ...remembered }
    await client.hset(keySpace('late:jobs', 'late').stats, 'scaling', JSON.stringify(state))
    for (let n = 0; n < 50; n++) await client.xadd('late:jobs', `${old}-${n}`, 'n', String(n))
    await cluster.apply(minimalPipeline('late', 'default', { redis: { url: redis.url }, scaling }))
    await cluster.apply(minimalPipeline('idle', 'default', { redis: { url: redis.url } }))
    await eventually(
      async () => {
        const deployment = await cluster.get<Loose>(kinds.deploymentType, 'default', consumerName('late'))
        assert.ok(Number(at(deployment, 'spec.replicas')) >= 2)
      },
      { timeoutMs: 60_000 },
    )
    await redis.stop()
    await eventually(
      () => {
        const blind = parseDecisionLog(operator.lines.join(''), 'lines').filter(({ sample }) => sample === null)
        assert.deepEqual([...new Set(blind.map(({ pipeline }) => pipeline))].toSorted(), ['default/idle', 'default/late'])
      },
      { timeoutMs: 60_000 },
    )
    await operator.stop()

    const folder = await mkdtemp(join(tmpdir(), 'streampipeline-decisions-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    const [log, other] = [join(folder, 'operator.log'), join(folder, 'other.json')]
    await writeFile(log, operator.lines.join(''))
    await writeFile(
      other,
      JSON.stringify(minimalPipeline('late', 'default', { redis: { url: redis.url }, scaling: { ...scaling, maxReplicas: 1 } })),
    )
    const simulate = async (...args: string[]) => await runHere(['simulate', '--replay', log, ...args])

    const several = await simulate()
    assert.equal(several.code, 64, several.stderr)
    assert.match(several.stderr, /decisions about default\/idle, default\/late: name one/)
    const recorded = parseDecisionLog(operator.lines.join(''), log).filter(({ pipeline }) => pipeline === 'default/late')
    const same = await simulate('--pipeline', 'default/late')
    assert.equal(same.code, 0, same.stderr)
    assert.match(same.stdout, new RegExp(`^${recorded.length} decisions, all reproduced as recorded\\n0 would have been others`))
    const asked = await simulate('--pipeline', 'default/late', '-f', other, '-o', 'json')
    const { notReproduced, recordedMost, most } = JSON.parse(asked.stdout)
    assert.deepEqual([notReproduced, most], [0, 1])
    assert.ok(recordedMost >= 2)
  },
)
