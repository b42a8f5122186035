/** The quickstart on the cluster, and what its status says. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { projectRoot } from '../support/root.ts'
import { execute, get, kubectl, program } from './commands.ts'
import { until } from './patience.ts'

export const pipelinesNamespace = 'farm'
export const operatorNamespace = 'streampipeline'
export const release = 'streampipeline'
export const pipelineName = 'ndvi'
export const chart = join(projectRoot, 'charts', 'streampipeline-operator')

const quickstart = parse(readFileSync(join(projectRoot, 'examples', 'quickstart.yaml'), 'utf8')) as {
  readonly spec: { readonly payload: object }
}

/** Of a pipeline that gets traffic (traffic.ts): with it, the broken requests become dead letters. */
export const { payload } = quickstart.spec

export interface PipelineStatus {
  readonly replicas?: number
  readonly readyReplicas?: number
  readonly backlog?: { readonly undelivered?: number; readonly pending?: number; readonly oldestAge?: string }
  readonly scaling?: { readonly desiredReplicas?: number }
  readonly conditions?: readonly {
    readonly type: string
    readonly status: string
    readonly reason: string
    readonly message: string
  }[]
}

export interface Pod {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string }
  readonly spec: { readonly nodeName?: string; readonly containers: readonly { readonly image: string }[] }
  readonly status: {
    readonly phase: string
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly lastTransitionTime: string }[]
    readonly containerStatuses?: readonly {
      readonly restartCount: number
      readonly ready: boolean
      readonly state: { readonly running?: { readonly startedAt: string } }
    }[]
  }
}

export async function statusOf(name: string = pipelineName, namespace: string = pipelinesNamespace): Promise<PipelineStatus> {
  return (await get<{ status?: PipelineStatus }>('-n', namespace, 'streampipeline', name)).status ?? {}
}

export async function patch(spec: object, name: string = pipelineName): Promise<void> {
  const change = JSON.stringify({ spec })
  await kubectl('-n', pipelinesNamespace, 'patch', 'streampipeline', name, '--type', 'merge', '-p', change)
}

export async function consumerPods(name: string = pipelineName): Promise<readonly Pod[]> {
  const { items } = await get<{ items: Pod[] }>('-n', pipelinesNamespace, 'pods', '-l', `streampipeline.dev/name=${name}`)
  return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
}

export const restartsOf = ({ status }: Pod): number => status.containerStatuses?.[0]?.restartCount ?? 0
export const isReady = ({ status }: Pod): boolean => status.containerStatuses?.[0]?.ready === true

/** Until the status, read every half second, is as wanted. */
export async function untilStatus(
  what: string,
  wanted: (status: PipelineStatus) => boolean,
  timeoutMs = 90_000,
  name: string = pipelineName,
): Promise<PipelineStatus> {
  return await until(
    async () => {
      const status = await statusOf(name)
      if (wanted(status)) return status
      const { replicas, readyReplicas, backlog, scaling } = status
      throw new Error(`not yet ${what}: ${JSON.stringify({ replicas, readyReplicas, backlog, scaling })}`)
    },
    timeoutMs,
    500,
  )
}

export const settled = ({ backlog }: PipelineStatus): boolean =>
  backlog !== undefined && (backlog.undelivered ?? 0) === 0 && (backlog.pending ?? 0) === 0

/** Until `kubectl describe` shows this. */
export async function untilDescribed(name: string, pattern: RegExp, timeoutMs = 60_000): Promise<string> {
  return await until(
    async () => {
      const described = await execute(program('kubectl'), ['-n', pipelinesNamespace, 'describe', 'streampipeline', name])
      if (pattern.test(described.stdout)) return described.stdout
      throw new Error(`kubectl describe says nothing like ${pattern}:\n${described.stdout.slice(-2_500)}`)
    },
    timeoutMs,
    500,
  )
}
