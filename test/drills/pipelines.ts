/** Drills of the alerts on pipelines and consumers. */
import { appendFile, mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { deploymentType } from '../../operator/plan/kinds.ts'
import { consumerName } from '../../operator/plan/names.ts'
import { eventually } from '../support/wait.ts'
import { type Drill, lasting } from './drill.ts'
import { names, type Scene } from './scene.ts'

let added = 0
const entry = () => ['id', `entry-${added++}`]
const add = async ({ redis }: Scene, name: string, id = '*') => await redis.xadd(`${name}:jobs`, id, ...entry())
let aged = 0
/** An entry that was added two minutes ago. */
const addOld = async (scene: Scene, name: string) => await add(scene, name, `${Date.now() - 120_000}-${aged++}`)

const deadLetters = 'main:dead'

const cgroup = `/sys/fs/cgroup/memory/streampipeline-drill-${process.pid}`
const procsOf = (folder: string) => `${folder}/cgroup.procs`

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024
}

export const pipelineDrills: readonly Drill[] = [
  {
    alerts: ['StreamPipelinePromiseBurningFast', 'StreamPipelinePromiseBurningSlowly'],
    fault: 'every entry arrives two minutes late',
    ...feeding(),
  },
  {
    alerts: ['StreamPipelineDeadLettersGrowing', 'StreamPipelineDeadLettersFillingUp'],
    fault: 'a producer adds entries that no schema allows, and there is room for ten dead letters',
    ...nonsense(),
  },
  {
    alerts: ['StreamPipelineNoConsumer', 'StreamPipelineNotReady', 'StreamPipelineBacklogOld'],
    fault: 'no pod of a pipeline starts, and entries wait',
    async arise(scene) {
      scene.pods.hold(names.held)
      for (let n = 0; n < 5; n++) await addOld(scene, names.held)
      await scene.apply(names.held, { scaling: { targetAge: '5s' } })
    },
    async cease({ pods }) {
      pods.release(names.held)
    },
  },
  {
    alerts: ['StreamPipelineEntriesLost'],
    fault: 'a stream is trimmed while nobody reads it',
    async arise(scene) {
      await scene.patch(names.lossy, { spec: { suspend: true } })
      await eventually(() => scene.pods.of(names.lossy).length === 0, { timeoutMs: 60_000 })
      for (let n = 0; n < 50; n++) await add(scene, names.lossy)
      await scene.redis.xtrim('lossy:jobs', 'MAXLEN', 5)
      await scene.patch(names.lossy, { spec: { suspend: false } })
    },
    async cease({ patch }) {
      await patch(names.lossy, { metadata: { annotations: { 'streampipeline.dev/acknowledged-losses': '45' } } })
    },
  },
  {
    alerts: ['StreamPipelineQuarantine'],
    fault: 'a program takes an entry four times and settles it never',
    async arise({ redis, apply }) {
      // Nobody else reads it: the pipeline is at zero by its author's wish.
      await redis.xgroup('CREATE', 'quarantined:jobs', 'quarantined', '0', 'MKSTREAM')
      await redis.xadd('quarantined:jobs', '1-0', ...entry())
      await redis.xreadgroup('GROUP', 'quarantined', 'ghost', 'COUNT', 1, 'STREAMS', 'quarantined:jobs', '>')
      for (let n = 0; n < 3; n++) await redis.xclaim('quarantined:jobs', 'quarantined', 'ghost', 0, '1-0')
      await apply('quarantined', { scaling: { policy: 'Manual' }, replicas: 0 })
    },
    async cease({ redis }) {
      await redis.xack('quarantined:jobs', 'quarantined', '1-0')
    },
  },
  {
    alerts: ['StreamPipelineStalled'],
    fault: 'a field of the pod is misspelt',
    async arise({ apply }) {
      await apply(names.misspelt, { suspend: true, consumer: { affinity: { nodeAfinity: {} } } })
    },
    async cease({ apply }) {
      await apply(names.misspelt, { suspend: true, consumer: { affinity: { nodeAffinity: {} } } })
    },
  },
  {
    alerts: ['StreamPipelineAtMaximum'],
    fault: 'more entries than the most consumers can settle in time',
    async arise(scene) {
      for (let round = 0; round < 40; round++) {
        const pipeline = scene.redis.pipeline()
        for (let n = 0; n < 500; n++) pipeline.xadd('busy:jobs', '*', ...entry())
        await pipeline.exec()
      }
    },
    async cease({ redis, patch }) {
      await redis.xtrim('busy:jobs', 'MAXLEN', 0)
      // Nobody wants these any more.
      await patch(names.busy, { metadata: { annotations: { 'streampipeline.dev/acknowledged-losses': '1000000' } } })
    },
  },
  {
    alerts: ['StreamPipelineContended'],
    fault: 'somebody sets a field of the Deployment again and again',
    ...contention(),
  },
  lasting(
    ['StreamPipelineReclaimStorm'],
    'a program takes entries under names of its own and leaves them',
    500,
    async ({ redis }) => {
      // In one transaction: the consumer, which waits for entries, would be faster.
      const both = redis.multi()
      for (let n = 0; n < 10; n++) both.xadd('main:jobs', '*', ...entry())
      await both.xreadgroup('GROUP', 'main', 'thief', 'COUNT', 8, 'STREAMS', 'main:jobs', '>').exec()
    },
  ),
  {
    alerts: ['StreamPipelineMemoryHigh'],
    fault: 'a consumer’s memory limit is hardly more than it takes',
    async arise({ pods }) {
      const [consumer] = pods.of(names.main)
      if (consumer === undefined) throw new Error('main has no consumer')
      const [pid = consumer.pid] = await descendantsOf(consumer.pid)
      await mkdir(cgroup)
      await appendFile(procsOf(cgroup), String(pid))
      await writeFile(`${cgroup}/memory.limit_in_bytes`, String(Math.ceil((await residentBytes(pid)) * 1.05)))
    },
    async cease() {
      await writeFile(`${cgroup}/memory.limit_in_bytes`, String(2 ** 30))
    },
  },
]

/** The cgroup of that drill goes once its process has left it. */
export async function removeCgroup(): Promise<void> {
  const text = await readFile(procsOf(cgroup), 'utf8').catch(() => undefined)
  if (text === undefined) return
  for (const pid of text.split('\n').filter((line) => line !== '')) await appendFile('/sys/fs/cgroup/memory/cgroup.procs', pid)
  await rmdir(cgroup)
}

/** A process is started through another that ends it with the test. */
async function descendantsOf(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return text
    .split(' ')
    .filter((each) => each !== '')
    .map(Number)
}

function nonsense(): Pick<Drill, 'arise' | 'cease'> {
  const adding = lasting([], '', 1_000, async ({ redis }) => await redis.xadd('main:jobs', '*', 'nonsense', '1'))
  return {
    arise: async (scene) => await adding.arise(scene),
    async cease(scene) {
      await adding.cease(scene)
      // Those that found no room become dead letters once there is some.
      for (let round = 0; round < 20; round++) {
        await scene.redis.xtrim(deadLetters, 'MAXLEN', 0)
        await sleep(1_000)
      }
    },
  }
}

function contention(): Pick<Drill, 'arise' | 'cease'> {
  const deployment = [deploymentType, 'default', consumerName(names.contended)] as const
  const change = { spec: { template: { spec: { terminationGracePeriodSeconds: 99 } } } }
  const changing = lasting([], '', 300, async ({ cluster }) => await cluster.patch(...deployment, change))
  return {
    arise: async (scene) => await changing.arise(scene),
    async cease(scene) {
      await changing.cease(scene)
      // The operator makes it anew at once, since the contest was about the earlier one.
      await scene.cluster.remove(...deployment)
    },
  }
}

function feeding(): Pick<Drill, 'arise' | 'cease'> {
  const late = lasting([], '', 200, async (scene) => await addOld(scene, names.late))
  const timely = lasting([], '', 100, async (scene) => await add(scene, names.late))
  return {
    arise: async (scene) => await late.arise(scene),
    async cease(scene) {
      await late.cease(scene)
      // Without any entries there would be no share of late ones.
      await timely.arise(scene)
    },
  }
}

export const awayDrills: readonly Drill[] = [
  {
    alerts: ['StreamPipelineSinkRejecting'],
    fault: 'Redis is full, and refuses what a consumer writes',
    async arise({ away }) {
      const client = away.client()
      await client.config('SET', 'maxmemory', '1')
      for (let n = 0; n < 20; n++) await client.xadd('away:jobs', '*', ...entry()).catch(() => undefined)
    },
    async cease({ away }) {
      await away.client().config('SET', 'maxmemory', '0')
    },
  },
  {
    alerts: ['StreamPipelineRedisAway', 'StreamPipelineConsumerSilent'],
    fault: 'Redis answers nobody',
    async arise({ away }) {
      await away.kill('SIGSTOP')
    },
    async cease({ away }) {
      await away.kill('SIGCONT')
    },
  },
]
