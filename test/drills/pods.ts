/** Consumers of drills: the pods of the cluster as processes, which Prometheus scrapes, and which a drill may hold back. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Program, startKubelet } from '../../bench/trial/kubelet.ts'
import { configMapType } from '../../operator/plan/kinds.ts'
import { consumerName, nameLabel } from '../../operator/plan/names.ts'
import type { ConfigMapObject, PodObject } from '../../operator/plan/observed.ts'
import type { Cluster } from '../operator/cluster.ts'
import { freePort } from '../support/port.ts'
import { type RunningProcess, startCli } from '../support/process.ts'
import type { Scope } from '../support/scope.ts'
import type { Target } from './prometheus.ts'

export interface Pods {
  /** Pods of the pipeline do not start until `release`. */
  hold(pipeline: string): void
  release(pipeline: string): void
  /** Processes of the pipeline's consumers. */
  of(pipeline: string): readonly RunningProcess[]
  targets(): readonly Target[]
}

export function startPods(scope: Scope, cluster: Cluster, folder: string, changed: () => Promise<void>): Pods {
  const held = new Map<string, { readonly gate: Promise<void>; readonly open: () => void }>()
  const running = new Map<string, { readonly pipeline: string; readonly target: Target; readonly process: RunningProcess }>()

  async function run({ metadata }: PodObject): Promise<Program> {
    const { name = '', uid = '', namespace = '' } = metadata
    const pipeline = metadata.labels?.[nameLabel] ?? ''
    await held.get(pipeline)?.gate
    const config = await cluster.get<ConfigMapObject>(configMapType, namespace, consumerName(pipeline))
    const mounted = join(folder, name)
    await mkdir(mounted)
    for (const [file, content] of Object.entries(config?.data ?? {})) await writeFile(join(mounted, file), content)
    const port = await freePort()
    const args = ['consume', '--config', join(mounted, 'pipeline.yaml'), '--listen', `127.0.0.1:${port}`]
    const process = await startCli(scope, args, { env: { POD_NAME: name, POD_UID: uid } })
    await process.output(/forward path chosen/, { timeoutMs: 120_000 })
    running.set(name, { pipeline, process, target: { port, labels: { job: 'consumers', namespace, pod: name } } })
    await changed()
    return {
      async stop() {
        running.delete(name)
        await changed()
        await process.stop('SIGTERM', 20_000)
      },
    }
  }

  startKubelet(scope, cluster.transport, run)
  return {
    hold(pipeline) {
      const { promise: gate, resolve: open } = Promise.withResolvers<void>()
      held.set(pipeline, { gate, open })
    },
    release(pipeline) {
      held.get(pipeline)?.open()
      held.delete(pipeline)
    },
    of: (pipeline) => [...running.values()].filter((each) => each.pipeline === pipeline).map(({ process }) => process),
    targets: () => [...running.values()].map(({ target }) => target),
  }
}
