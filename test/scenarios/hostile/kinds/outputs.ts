/** Hostile text through everything that shows text: whatever the output is, no line of it is obeyed, and none is endless. */
import { asFailure, type ErrorCode, errorCatalogue, errorText, StreamPipelineError } from '../../../../api/errors.ts'
import { mostMessage, mostName, printable, printableJson, printableName } from '../../../../api/printable.ts'
import { aclPattern, aclRule, redisWord, shellWord } from '../../../../api/quoting.ts'
import { statusSchema } from '../../../../api/status.ts'
import { validate } from '../../../../api/validate.ts'
import { createScreen } from '../../../../local/screen.ts'
import { renderLine, renderTable } from '../../../../local/table.ts'
import { statusFailure } from '../../../../operator/kubernetes/errors.ts'
import { clip } from '../../../../operator/kubernetes/recorder.ts'
import { eventsOf } from '../../../../operator/status/events.ts'
import { statusOf } from '../../../../operator/status/status.ts'
import { createLogger } from '../../../../process/logger.ts'
import { redisFailure } from '../../../../redis/connect/replies.ts'
import { createCodec } from '../../../../redis/payload/codec.ts'
import { decodeDeadLetter } from '../../../../redis/record.ts'
import { decisionLine } from '../../../../scaling/decisionlog.ts'
import { deploymentObject, nowMs, observed, pipelineObject, seen } from '../../../operator/builder.ts'
import { payloadWith } from '../../../redis/resource.ts'
import { sampleWith } from '../../../scaling/builders.ts'
import { type HostileKind, hostileKind, type Random } from '../kind.ts'
import { harmInLine, harmInLines, hostileText } from '../text.ts'

const first = (...harms: readonly (string | undefined)[]) => harms.find((harm) => harm !== undefined)

const texts = hostileKind({
  name: 'text made printable',
  draw: (random) => ({ text: hostileText(random), most: 1 + random.below(200) }),
  judge({ text, most }) {
    const shown = printable(text, most)
    const name = printableName(text)
    const json = JSON.stringify({ [text]: [text] })
    if (printable(shown, most) !== shown) return 'what is printable did not stay as it was'
    if (printableName(name) !== name) return 'a printable name did not stay as it was'
    if (JSON.stringify(JSON.parse(printableJson(json))) !== json) return 'the JSON has another value'
    return first(harmInLine(shown, most), harmInLine(name, mostName), harmInLines(printableJson(json), Number.POSITIVE_INFINITY))
  },
})

const codes = Object.keys(errorCatalogue) as ErrorCode[]
const parameters = [...JSON.stringify(errorCatalogue).matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)

const errors = hostileKind({
  name: 'text in errors',
  draw: (random) => ({ code: random.pick(codes), text: hostileText(random) }),
  judge({ code, text }) {
    const given = new StreamPipelineError(code, Object.fromEntries(parameters.map((name) => [name, text])))
    const reply = Object.assign(new Error(`ERR unknown command 'HELLO', with args beginning with: ${text}`), {
      name: 'ReplyError',
    })
    const made = [
      given,
      asFailure(new Error(text)),
      asFailure(text),
      asFailure(Object.create(null)),
      redisFailure(new Error(text), text),
      redisFailure(Object.assign(new Error(`ERR ${text}`), { name: 'ReplyError', command: { name: text, args: [text] } }), text),
      redisFailure(reply, 'h:1'),
      statusFailure(403, { reason: 'Forbidden', message: text }, text),
    ]
    for (const error of made) {
      const harm = first(
        harmInLine(error.message),
        harmInLine(error.remedy),
        harmInLine(error.advice, 2 * mostMessage + 2),
        harmInLines(errorText(error), mostMessage + 'streampipeline: '.length),
        harmInLine((error.stack ?? '').split('\n')[0] ?? '', mostMessage + 40),
      )
      if (harm !== undefined) return `${error.code}: ${harm}`
    }
    return undefined
  },
})

/** The output of a logger. */
function logged(write: (log: ReturnType<typeof createLogger>) => void): string[] {
  const lines: string[] = []
  write(createLogger('debug', { write: (line) => void lines.push(line) }))
  return lines
}

const logs = hostileKind({
  name: 'text in logs',
  draw: (random) => ({ text: hostileText(random) }),
  judge({ text }) {
    const reply = Object.assign(new Error(text), { name: 'ReplyError', command: { name: 'xadd', args: [`canary ${text}`] } })
    const lines = logged((log) => {
      log.warn({ error: text, consumer: text }, 'dead letter')
      log.error({ err: redisFailure(reply, text) }, 'a look failed')
      log.error({ err: reply }, asFailure(reply).message)
      log.error({ err: new Error(text, { cause: reply }) }, 'a handler failed')
    })
    if (lines.length !== 4) return `${lines.length} lines`
    for (const line of lines) {
      const harm = harmInLine(line.slice(0, -1), 40_000)
      if (harm !== undefined) return harm
      if (!line.endsWith('\n')) return 'a line without an end'
      if (line.includes('canary')) return "a command's arguments in a log"
    }
    const [reported] = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
    if (text.length <= 100 && text.isWellFormed() && reported?.['consumer'] !== text) return 'the log has another value'
    const decision = decisionLine({
      pipeline: text,
      sample: null,
      state: null,
      policy: {} as never,
      decision: { reason: text } as never,
    })
    return harmInLine(decision.slice(0, -1), Number.POSITIVE_INFINITY)
  },
})

const statuses = hostileKind({
  name: 'text in status and Events',
  weight: 0.2,
  draw: (random) => ({ texts: Array.from({ length: 6 }, () => hostileText(random)), seed: random.below(6) }),
  judge({ texts: [name = '', message = '', group = '', reply = '', pod = '', uid = ''] }) {
    const object = pipelineObject()
    const consumer = { pending: 3, idleMs: 9, oldestId: undefined, heartbeat: undefined } as const
    const look = seen(object, {
      consumers: [
        { ...consumer, name, uid },
        { ...consumer, name: group, uid: undefined },
      ] as never,
      pin: { id: reply, kind: 'pending', group, sinceMs: 0 } as never,
      missing: { unaccounted: 4, undecided: 1, from: reply, sinceMs: nowMs },
    })
    const error = new StreamPipelineError('RedisCommandFailed', { command: name, detail: reply })
    const waits = { containerStatuses: [{ state: { waiting: { reason: 'ImagePullBackOff', message } } }] }
    const deployment = {
      ...deploymentObject(1, 0),
      status: { conditions: [{ type: 'ReplicaFailure', status: 'True', message, reason: name }] },
    }
    const cases = [
      observed(object, { observation: look, pods: [{ metadata: { name: pod }, status: waits }] as never, deployment }),
      observed(object, { observation: { ...look, refusal: error } as never, deployment }),
      observed(object, { failures: [{ subject: name, error }] }),
      observed(object, { spec: { kind: 'Unsound', error: asFailure(new Error(message)) } }),
    ]
    for (const each of cases) {
      const status = statusOf(each, 1, nowMs)
      if (!statusSchema.safeParse(status).success) return `the CRD refuses the status: ${statusSchema.safeParse(status).error}`
      const shown = [
        ...(status.conditions ?? []).map((condition) => condition.message),
        ...(status.consumers?.unhealthy ?? []),
        ...(status.scaling?.decisions ?? []),
        status.scaling?.reason ?? '',
        ...eventsOf(undefined, status).map(({ note }) => clip(note)),
        clip(message),
      ]
      const harm = first(...shown.map((line) => harmInLine(line)))
      if (harm !== undefined) return harm
      if (Buffer.byteLength(clip(message)) > 1_024) return 'an Event too long for the API'
    }
    return undefined
  },
})

const documents = hostileKind({
  name: 'text in resources',
  weight: 0.3,
  draw: (random) => ({ texts: Array.from({ length: 5 }, () => hostileText(random)) }),
  judge({ texts: [name = '', field = '', value = '', schema = '', key = ''] }) {
    const document = {
      apiVersion: value,
      kind: 'StreamPipeline',
      metadata: { name, namespace: value, labels: { [key]: value }, [field]: 1 },
      spec: {
        [field]: value,
        redis: { url: value, passwordFrom: { secretKeyRef: { name, key } } },
        source: { stream: value, group: key, [field]: { [key]: 1 } },
        payload: { schema: { type: schema, properties: { [key]: { pattern: schema } }, [field]: value }, idempotencyKey: [key] },
        sink: { bullmq: { queue: value, jobOptions: { attempts: value } } },
        scaling: { policy: value, schedules: [{ cron: value, timeZone: key }] },
      },
    }
    return first(...validate(document).flatMap((problem) => [harmInLine(problem.field), harmInLine(problem.message)]))
  },
})

const screens = hostileKind({
  name: 'text on screens',
  draw: (random) => ({ text: hostileText(random), columns: 1 + random.below(120) }),
  judge({ text, columns }) {
    const view = {
      name: text,
      redis: text,
      elapsedMs: 1,
      phase: { kind: 'Running' },
      targetAgeMs: 1,
      sample: sampleWith({}),
      decision: { replicas: 1, recommended: 1, reason: text } as never,
      replicas: [{ name: text, uid: text, state: { kind: 'Running', since: 0, crashes: 0 } }],
      totals: { forwarded: 0, duplicates: 0, dead: 0 },
      events: [text],
    } as const
    const written: string[] = []
    const plain = createScreen({ write: (line) => void written.push(line) })
    plain.event(text)
    plain.show(view)
    const harm = first(harmInLines(written.join('')), harmInLine(renderLine(view)))
    return harm ?? first(...renderTable(view, columns).map((line) => harmInLine(line, columns)))
  },
})

const codecs = [
  payloadWith({ schema: { type: 'object', properties: { n: { type: 'integer' } }, additionalProperties: false } }),
  payloadWith({
    encoding: 'Json',
    field: 'k',
    schema: { type: 'object', additionalProperties: { type: 'object', additionalProperties: { type: 'integer' } } },
  }),
  payloadWith({ idempotencyKey: ['k'] }),
].map((payload) => createCodec(payload))

/** Characters that no message may hold. */
const canary = 'canary-of-a-value'

const refusals = hostileKind({
  name: 'text in refusals of payloads',
  draw: (random) => ({ name: hostileText(random), inner: hostileText(random) }),
  judge({ name, inner }) {
    const json = JSON.stringify({ [name]: { [inner]: canary } })
    const entries = [
      [name, canary],
      ['k', json],
      ['k', canary],
      [name, canary, name, canary],
      ['n', canary],
    ]
    for (const codec of codecs) {
      for (const entry of entries) {
        const decoded = codec.decode(entry.map((part) => Buffer.from(part)))
        if (decoded.kind === 'Valid') continue
        const harm = harmInLine(decoded.error, 1_000)
        if (harm !== undefined) return harm
        if (decoded.error.includes(canary)) return `a value in a message: ${decoded.error}`
      }
      try {
        codec.encode({ [name]: { [inner]: canary } })
      } catch (thrown) {
        const error = asFailure(thrown)
        const harm = error.code === 'Internal' ? `a bug: ${error.stack}` : harmInLine(error.advice)
        if (harm !== undefined) return harm
        if (error.advice.includes(canary)) return `a value in a message: ${error.advice}`
      }
    }
    return undefined
  },
})

const fieldNames = [
  'originalId',
  'stream',
  'group',
  'reason',
  'error',
  'payload',
  'deliveries',
  'firstSeen',
  'deadAt',
  'redrives',
]

/** Headers of MessagePack that announce more than there is. */
const bombs = [
  [0xdd, 0, 0x0f, 0xff, 0xff],
  [0xdc, 0xff, 0xff],
  [0xdf, 0xff, 0xff, 0xff, 0xff],
  [0xdb, 0xff, 0xff, 0xff, 0xff],
  [0x9f],
  [0xc7, 4, 0xff],
  [0x91, 0xa1],
]

function spoiltField(random: Random): Buffer {
  if (random.below(3) === 0) return Buffer.from(hostileText(random))
  if (random.below(2) === 0) return random.bytes(random.below(40))
  return Buffer.concat(Array.from({ length: 1 + random.below(2_000) }, () => Buffer.from(random.pick(bombs))))
}

const records = hostileKind({
  name: 'spoilt dead letters',
  draw: (random) =>
    Array.from({ length: random.below(24) }, (_, at) =>
      at % 2 === 0 ? Buffer.from(random.pick(fieldNames)) : spoiltField(random),
    ),
  judge(flat) {
    const began = performance.now()
    const record = decodeDeadLetter('1-1', flat)
    const took = performance.now() - began
    if (record.damage === undefined) return 'a record without its fields is not damaged'
    new Date(record.deadAt).toISOString()
    new Date(record.firstSeen).toISOString()
    return took > 1_000 ? `${Math.round(took)} ms` : harmInLine(record.damage)
  },
})

/** White space to C. */
const space = /[ \t\n\v\f\r]/

/** The bytes of a line as Redis splits it (sds.c, sdssplitargs), as Latin-1; undefined: unbalanced quotes. */
function splitByRedis(text: string): string[] | undefined {
  const line = Buffer.from(text).toString('latin1')
  const words: string[] = []
  let at = 0
  while (at < line.length) {
    if (space.test(line[at] ?? '')) {
      at++
      continue
    }
    let word = ''
    let quote = ''
    for (;;) {
      const char = line[at]
      if (char === undefined) {
        if (quote !== '') return undefined
        break
      }
      at++
      if (quote === '"' && char === '\\') {
        const byte = /^x([0-9a-fA-F]{2})/.exec(line.slice(at))
        if (byte === null) word += { n: '\n', r: '\r', t: '\t', b: '\b', a: '\u0007' }[line[at] ?? ''] ?? line[at] ?? ''
        else word += String.fromCharCode(Number.parseInt(byte[1] ?? '', 16))
        at += byte === null ? 1 : 3
      } else if (quote === "'" && char === '\\' && line[at] === "'") {
        word += "'"
        at++
      } else if (char === quote && quote !== '') {
        if (at < line.length && !space.test(line[at] ?? '')) return undefined
        break
      } else if (quote === '' && space.test(char)) break
      else if (quote === '' && (char === '"' || char === "'")) quote = char
      else word += char
    }
    words.push(word)
  }
  return words
}

const commands = hostileKind({
  name: 'names in commands to paste',
  draw: (random) => ({ name: hostileText(random).slice(0, 512).toWellFormed() }),
  judge({ name }) {
    const bytes = Buffer.from(name).toString('latin1')
    const line = `XGROUP SETID ${redisWord(name)} ${shellWord('plain')} 0-1`
    const split = splitByRedis(line)
    if (name !== '' && (split?.length !== 5 || split[2] !== bytes)) return `Redis reads ${JSON.stringify(split)} in ${line}`
    const rule = aclRule(`~${aclPattern(name)}`)
    const words = splitByRedis(rule)
    if (words?.length !== 1 || words[0] !== Buffer.from(`~${aclPattern(name)}`).toString('latin1'))
      return `an ACL file reads ${JSON.stringify(words)} in ${rule}`
    if (space.test(words[0]) || words[0].includes('\0')) return 'Redis takes no pattern with white space'
    return first(harmInLine(line, 20_000), harmInLine(rule, 20_000), harmInLine(shellWord(name), 20_000))
  },
})

export const outputKinds: readonly HostileKind[] = [
  texts,
  errors,
  logs,
  statuses,
  documents,
  screens,
  refusals,
  records,
  commands,
]
