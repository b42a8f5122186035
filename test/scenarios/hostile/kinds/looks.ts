/**
 * Data of others that a look may find: answers of scripts in any shape, heartbeats and the scaler's state as any JSON. A look may
 * fail with an error of the catalogue. A decision is a whole number within the bounds, for every state and sample.
 */
import { StreamPipelineError } from '../../../../api/errors.ts'
import { parseHeartbeat } from '../../../../redis/stream/registry.ts'
import { opensCircuit } from '../../../../scaling/circuit.ts'
import { readLook } from '../../../../scaling/replies.ts'
import { resumed } from '../../../../scaling/resume.ts'
import { emptySample, type Sample } from '../../../../scaling/sample.ts'
import { soundDecision } from '../../../../scaling/sounddecision.ts'
import { parseScalingState } from '../../../../scaling/storedstate.ts'
import { policyWith } from '../../../scaling/builders.ts'
import { type HostileKind, hostileKind, type Random } from '../kind.ts'
import { names } from '../payloads.ts'

const numbers = [0, 1, -1, 0.5, 2 ** 31, 2 ** 53, 1e15, 1e300, -1e300, 1_764_000_000_000, 5e-324]

/** Any JSON; `fields` are names that mean something here. */
export function anyJson(random: Random, fields: readonly string[], depth = 3): unknown {
  const inner = () => anyJson(random, fields, depth - 1)
  switch (random.below(depth > 0 ? 9 : 6)) {
    case 0:
    case 1:
      return random.pick(numbers)
    case 2:
      return random.below(1_000_000)
    case 3:
      return random.pick([null, true, false])
    case 4:
      return random.pick([...names, 'Open', 'Held', 'Watching', 'Running', '1-1', '1764000000000-0', 'x'.repeat(2_000)])
    case 5:
      return random.pick([[], {}, ''])
    case 6:
      return Array.from({ length: random.below(4) }, inner)
    default:
      return Object.fromEntries(
        Array.from({ length: random.below(5) }, () => [random.pick(random.below(3) === 0 ? names : fields), inner()]),
      )
  }
}

/** JSON has more numbers than JavaScript writes. */
const written = (value: unknown) => JSON.stringify(value).replaceAll('1e+300', '1e999')

const soundState = (random: Random): Record<string, unknown> => ({
  version: 1,
  replicas: random.below(12),
  misses: random.below(5),
  arrivals: [{ atMs: 1_000, added: random.below(100) }],
  capacity: { marks: {}, perSecond: random.next() * 100 },
  startUp: {},
  wanted: [{ atMs: 1_000, replicas: random.below(5) }],
  rush: [],
})

const stateFields = [
  ...[
    'version',
    'atMs',
    'replicas',
    'misses',
    'arrivals',
    'added',
    'capacity',
    'marks',
    'perSecond',
    'entries',
    'sum',
    'settled',
  ],
  ...['ms', 'service', 'meanMs', 'startUp', 'typicalMs', 'awaiting', 'sinceMs', 'downstream', 'kind', 'levels', 'window', 'best'],
  ...[
    'outage',
    'untilMs',
    'wanted',
    'rush',
    'ran',
    'recommended',
    'deployed',
    'carried',
    'begunBefore',
    'lastShrinkMs',
    'lastLateMs',
    'idleSinceMs',
    'backlogSinceMs',
    'deepUntilMs',
  ],
]

export function drawState(random: Random): string {
  if (random.below(8) === 0)
    return random.pick(['', '{', 'null', '[]', '"x"', '{"version":1}', '{"version":1,"misses":{"toString":1}}'])
  const state = soundState(random)
  for (let changes = random.below(4); changes > 0; changes--) {
    state[random.pick(stateFields)] = anyJson(random, stateFields)
  }
  return written(state)
}

const policy = policyWith({ minReplicas: 0, maxReplicas: 10 })

/** A computation may fail; the decision after it counts. */
function ignoreFailure() {}

function decisionProblem(text: string, sample: Sample | undefined): string | undefined {
  const stored = parseScalingState(text)
  const resumes = sample === undefined ? stored : resumed(stored, sample, policy)
  const { replicas, state } = soundDecision(resumes, sample, policy, ignoreFailure)
  if (!Number.isInteger(replicas) || replicas < 0 || replicas > 10) return `it decides ${replicas}`
  return Number.isFinite(state.misses) && Number.isInteger(state.replicas) ? undefined : 'it remembers what is no number'
}

const storedState: HostileKind = hostileKind({
  name: 'stored state',
  weight: 4,
  draw: (random) => ({ text: drawState(random), undelivered: random.pick([0, 3, 1e6]), blind: random.below(4) === 0 }),
  judge({ text, undelivered, blind }) {
    opensCircuit(text, 1_764_000_000_000)
    return decisionProblem(text, blind ? undefined : { ...emptySample(1_764_000_000_000), undelivered, groupExists: true })
  },
})

const beatFields = ['uid', 'at', 'state', 'inFlight', 'serviceMs', 'path', 'forwarded', 'duplicates', 'dead', 'reclaimed']

const heartbeats: HostileKind = hostileKind({
  name: 'heartbeats',
  weight: 3,
  draw: (random) =>
    Array.from({ length: 1 + random.below(3) }, () =>
      written({ uid: 'u', at: 1_764_000_000_000, state: 'Running', ...(anyJson(random, beatFields) as object) }),
    ),
  judge(texts) {
    const consumers = texts.flatMap((text) => {
      const heartbeat = parseHeartbeat(text)
      return heartbeat === undefined ? [] : [{ name: 'c', uid: heartbeat.uid, pending: 0, idleMs: 0, heartbeat }]
    })
    const sample = { ...emptySample(1_764_000_000_000), groupExists: true, undelivered: 5, consumers }
    const first = soundDecision(undefined, sample, policy, ignoreFailure)
    const second = soundDecision(first.state, { ...sample, atMs: sample.atMs + 5_000 }, policy, ignoreFailure)
    return Number.isInteger(second.replicas) && second.replicas <= 10 ? undefined : `it decides ${second.replicas}`
  },
})

/** As Lua's lists come back: numbers, texts, nothing, lists. */
function anyReply(random: Random, depth: number): unknown {
  switch (random.below(depth > 0 ? 8 : 5)) {
    case 0:
      return random.pick(numbers)
    case 1:
      return random.pick(['1764000000', '12', '1-1', '', 'stream', 'none', 'x'.repeat(2_000), '9'.repeat(30)])
    case 2:
      return null
    case 3:
      return random.below(1_000)
    case 4:
      return []
    default:
      return Array.from({ length: random.below(6) }, () => anyReply(random, depth - 1))
  }
}

const soundLook = (random: Random): unknown[] => [
  ['1764000000', '17'],
  ['ndvi-1', 'owner/life'],
  ['0', '1', '2', '3', '4', '0', '0', '0-0', '0'],
  0,
  'stream',
  [random.below(9), random.below(9), '1764000000000-3', '1764000000000-0'],
  ['1764000000000-1', random.pick([null, 3])],
  [64, ['1764000000000-2']],
  [1, [['ndvi-1', 1]]],
  [['1764000000000-1', 'ndvi-1', 5, 1]],
  [['ndvi-1', 1, 5]],
]

const lookReplies: HostileKind = hostileKind({
  name: 'looks',
  weight: 4,
  draw(random) {
    if (random.below(10) === 0) return anyReply(random, 3)
    const reply = soundLook(random)
    for (let changes = random.below(3); changes >= 0; changes--) {
      const at = random.below(reply.length)
      const part = reply[at]
      if (Array.isArray(part) && part.length > 0 && random.below(2) === 0) part[random.below(part.length)] = anyReply(random, 2)
      else reply[at] = anyReply(random, 3)
    }
    return reply
  },
  judge(reply) {
    try {
      return unsoundIn(readLook(reply))
    } catch (thrown) {
      if (thrown instanceof StreamPipelineError && thrown.code !== 'Internal') return undefined
      throw thrown
    }
  },
})

function unsoundIn(value: unknown): string | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : `it reads ${value}`
  if (value instanceof Map) return unsoundIn([...value])
  if (typeof value !== 'object' || value === null) return undefined
  return Object.values(value)
    .map(unsoundIn)
    .find((found) => found !== undefined)
}

export const lookKinds: readonly HostileKind[] = [storedState, heartbeats, lookReplies]
